//! Refusals, counted so that a flood of them cannot fill the disk.
//!
//! Alike are refusals of one operation, for one actor, credential, address and status. The first of a kind is written
//! at the next run of the sealer; those that follow within a minute are one entry with their number. How many entries are
//! written at all is bounded: a burst of [`BURST`], then one in [`REFILL`], each for callers whose credential was good
//! and for all others, so that a flood from outside does not hide an insider. What finds no room is counted in one
//! entry a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use outfitter_domain::Millis;
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKind, AuditOutcome, NewAuditEntry,
};
use serde_json::json;
use uuid::Uuid;

/// Alike within this time are one entry.
const WINDOW: Duration = Duration::from_secs(60);

/// Entries at once.
const BURST: u32 = 60;

/// Then one in this time: at most 43,200 a day, some 25 MB.
const REFILL: Duration = Duration::from_secs(2);

/// Different refusals that are held at once: bounds memory.
const HELD: usize = 1024;

/// Longest reason, in characters.
const LONGEST_REASON: usize = 400;

/// A call that was refused.
pub(crate) struct Refusal {
    pub(crate) facts: AuditFacts,
    /// `kind:id` of what it was about.
    pub(crate) resources: Vec<String>,
    pub(crate) status: u16,
    pub(crate) reason: String,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    project: Option<i64>,
    actor: (AuditActorKind, Option<String>, Option<String>, String),
    address: Option<String>,
    operation: String,
    status: u16,
}

impl Key {
    fn of(refusal: &Refusal) -> Self {
        let AuditFacts {
            project,
            actor,
            address,
            operation,
            ..
        } = &refusal.facts;
        Self {
            project: project.map(|project| project.get()),
            actor: (
                actor.kind,
                actor.id.clone(),
                actor.name.clone(),
                actor.credential.clone(),
            ),
            address: address.clone(),
            operation: operation.clone(),
            status: refusal.status,
        }
    }
}

/// Alike, since the last entry about them.
struct Held {
    first: Option<Refusal>,
    times: i64,
    last: Millis,
    written_at: Option<Millis>,
}

/// Room for entries that fills up again.
struct Room {
    left: u32,
    since: Option<Millis>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            left: BURST,
            since: None,
        }
    }
}

impl Room {
    fn refill(&mut self, now: Millis) {
        let since = *self.since.get_or_insert(now);
        let refill = REFILL.as_millis();
        let more = now.since(since).as_millis() / refill;
        if more > 0 {
            self.left = self
                .left
                .saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
                .min(BURST);
            let whole = u64::try_from(more * refill).unwrap_or(u64::MAX);
            self.since = Some(since.plus(Duration::from_millis(whole)));
        }
    }

    fn take(&mut self) -> bool {
        let is_room = self.left > 0;
        self.left -= u32::from(is_room);
        is_room
    }
}

/// Refusals of callers of one class.
#[derive(Default)]
struct Class {
    held: BTreeMap<Key, Held>,
    room: Room,
}

/// Refusals that are not written yet.
#[derive(Default)]
pub(crate) struct Refusals {
    known: Class,
    unknown: Class,
    /// Refusals that found no room here, and since when.
    others: i64,
    others_since: Option<Millis>,
}

/// One entry to write.
pub(crate) struct Due {
    refusal: Option<Refusal>,
    times: i64,
    last: Millis,
}

impl Due {
    pub(crate) fn into_entry(self, id: Uuid) -> NewAuditEntry {
        let Self {
            refusal,
            times,
            last,
        } = self;
        let last_at = (times > 1).then_some(last.get());
        let (facts, resources, status, reason) = match refusal {
            Some(it) => (it.facts, it.resources, Some(it.status), it.reason),
            None => (
                AuditFacts {
                    domain: None,
                    project: None,
                    at: last,
                    action: "*".to_owned(),
                    operation: "*".to_owned(),
                    actor: AuditActor::nobody(),
                    on_behalf_of: None,
                    address: None,
                    request_id: None,
                },
                Vec::new(),
                None,
                "more different refusals than are told one by one".to_owned(),
            ),
        };
        NewAuditEntry {
            id,
            domain: facts.domain,
            project: facts.project,
            at: facts.at,
            kind: AuditKind::Refusal,
            outcome: AuditOutcome::Refused,
            status,
            action: facts.action,
            operation: facts.operation,
            actor: facts.actor,
            on_behalf_of: facts.on_behalf_of,
            address: facts.address,
            request_id: facts.request_id,
            resources,
            resource_name: None,
            times,
            detail: json!({
                "reason": reason.chars().take(LONGEST_REASON).collect::<String>(),
                "last_at": last_at,
            }),
        }
    }
}

impl Class {
    /// Counts one; answers whether there was room.
    fn count(&mut self, refusal: Refusal) -> bool {
        let at = refusal.facts.at;
        let key = Key::of(&refusal);
        let is_room = self.held.len() < HELD;
        match self.held.get_mut(&key) {
            Some(held) => {
                held.times += 1;
                held.last = at;
                held.first.get_or_insert(refusal);
            }
            None if is_room => {
                let held = Held {
                    first: Some(refusal),
                    times: 1,
                    last: at,
                    written_at: None,
                };
                self.held.insert(key, held);
            }
            None => return false,
        }
        true
    }

    /// Moves what is to be written to `due`; answers how many waited in vain.
    fn take_due(&mut self, now: Millis, all: bool, due: &mut Vec<Due>) -> i64 {
        self.room.refill(now);
        let mut in_vain = 0;
        for held in self.held.values_mut() {
            let is_time = held.written_at.is_none_or(|at| now.since(at) >= WINDOW);
            if held.times == 0 || !(is_time || all) {
                continue;
            }
            if all || self.room.take() {
                due.push(Due {
                    refusal: held.first.take(),
                    times: std::mem::take(&mut held.times),
                    last: held.last,
                });
                held.written_at = Some(now);
            } else if now.since(held.last) >= WINDOW {
                in_vain += std::mem::take(&mut held.times);
            }
        }
        self.held.retain(|_, held| {
            held.times > 0 || held.written_at.is_some_and(|at| now.since(at) < WINDOW)
        });
        in_vain
    }
}

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&mut self, mut refusal: Refusal) {
        let at = refusal.facts.at;
        refusal.resources.truncate(10);
        let class = match refusal.facts.actor.kind {
            AuditActorKind::Nobody => &mut self.unknown,
            AuditActorKind::IamUser
            | AuditActorKind::EndUser
            | AuditActorKind::Agent
            | AuditActorKind::Server => &mut self.known,
        };
        if !class.count(refusal) {
            self.others += 1;
            self.others_since.get_or_insert(at);
        }
    }

    /// What is to be written now; `all`: whatever the time and the room.
    pub(crate) fn take_due(&mut self, now: Millis, all: bool) -> Vec<Due> {
        let mut due = Vec::new();
        let in_vain =
            self.known.take_due(now, all, &mut due) + self.unknown.take_due(now, all, &mut due);
        if in_vain > 0 {
            self.others += in_vain;
            self.others_since.get_or_insert(now);
        }
        let others_due = self
            .others_since
            .is_some_and(|since| all || now.since(since) >= WINDOW);
        if others_due {
            due.push(Due {
                refusal: None,
                times: std::mem::take(&mut self.others),
                last: now,
            });
            self.others_since = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis::new(1_700_000_000_000);

    fn refusal(at: Millis, kind: AuditActorKind, address: u32) -> Refusal {
        Refusal {
            facts: AuditFacts {
                domain: None,
                project: None,
                at,
                action: "a".to_owned(),
                operation: "ListApps".to_owned(),
                actor: AuditActor {
                    kind,
                    ..AuditActor::nobody()
                },
                on_behalf_of: None,
                address: Some(address.to_string()),
                request_id: None,
            },
            resources: Vec::new(),
            status: 401,
            reason: "r".to_owned(),
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_of_its_minute_together() {
        let mut refusals = Refusals::default();
        refusals.count(refusal(START, AuditActorKind::Nobody, 1));
        let due = refusals.take_due(START, false);
        assert_eq!(due.iter().map(|it| it.times).collect::<Vec<_>>(), [1]);
        for _ in 0..1000 {
            refusals.count(refusal(START, AuditActorKind::Nobody, 1));
        }
        assert!(refusals.take_due(START.plus(WINDOW / 2), false).is_empty());
        let due = refusals.take_due(START.plus(WINDOW), false);
        assert_eq!(due.iter().map(|it| it.times).collect::<Vec<_>>(), [1000]);
        assert!(refusals.take_due(START.plus(WINDOW * 3), false).is_empty());
        assert!(refusals.unknown.held.is_empty(), "nothing is held for ever");
    }

    #[test]
    fn a_flood_from_outside_costs_a_bounded_number_of_entries_and_hides_no_insider() {
        let mut refusals = Refusals::default();
        let mut entries = 0;
        let mut told = 0;
        let mut sent = 0;
        for second in 0..600_u32 {
            let now = START.plus(Duration::from_secs(u64::from(second)));
            for number in 0..500 {
                refusals.count(refusal(now, AuditActorKind::Nobody, second * 1000 + number));
                sent += 1;
            }
            if second == 300 {
                refusals.count(refusal(now, AuditActorKind::IamUser, 7));
            }
            let due = refusals.take_due(now, false);
            if second == 300 {
                let insider = |it: &Due| {
                    it.refusal
                        .as_ref()
                        .is_some_and(|it| it.facts.actor.kind == AuditActorKind::IamUser)
                };
                assert!(due.iter().any(insider), "the insider's refusal is told");
                sent += 1;
            }
            entries += due.len();
            told += due.iter().map(|it| it.times).sum::<i64>();
            assert!(refusals.unknown.held.len() <= HELD);
        }
        assert!(entries <= 60 + 300 + 11 + 1, "{entries}");
        told += refusals
            .take_due(START.plus(WINDOW * 20), true)
            .iter()
            .map(|it| it.times)
            .sum::<i64>();
        assert_eq!(told, sent, "each is counted");
    }
}
