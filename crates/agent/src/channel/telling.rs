//! When the desktop is looked at for its inventory, and which parts the server has yet to hear. Part of the machine, and
//! as pure: see [`super::machine`].

use std::time::Duration;

use outfitter_agent_protocol::{InventoryAsk, InventoryKind};

use super::machine::{Moment, SplitMix};

/// Shortest time between two looks that nothing asked for; as much as a third is added by chance.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);

/// How long after an attempt the desktop is looked at: several in a row are one look.
const LOOK_AFTER_ATTEMPT: Duration = Duration::from_secs(10);

/// How long a part rests that was not noted.
const RESEND: Duration = Duration::from_secs(120);

/// Longest time that a server may have a first part put off.
const SPREAD_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What a look found, by the digests of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryDigests {
    /// Of the facts.
    pub facts: String,
    /// Of the software.
    pub software: String,
}

/// What there is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Look,
    Send(InventoryKind),
}

#[derive(Debug, Default)]
pub(super) struct Telling {
    look_at: Moment,
    /// What the last look found.
    found: Option<InventoryDigests>,
    /// What the server of this channel has.
    kept: Option<InventoryAsk>,
    facts_at: Moment,
    software_at: Moment,
}

impl Telling {
    /// A server said what it has.
    pub(super) fn asked(&mut self, ask: Option<InventoryAsk>, now: Moment, random: &mut SplitMix) {
        self.kept = ask;
        let Some(ask) = &self.kept else { return };
        let spread = Duration::from_secs(ask.within_secs.into()).min(SPREAD_LIMIT);
        let begin = now + random.up_to(spread);
        self.look_at = self.look_at.max(begin);
        self.facts_at = begin;
        self.software_at = begin;
    }

    /// What may have changed the desktop ended.
    pub(super) fn attempt_ended(&mut self, now: Moment) {
        self.look_at = self.look_at.min(now + LOOK_AFTER_ATTEMPT);
    }

    /// The desktop was looked at.
    pub(super) fn looked(&mut self, found: InventoryDigests, now: Moment) {
        self.found = Some(found);
        self.facts_at = now;
        self.software_at = now;
    }

    /// What the last look found is not there any more.
    pub(super) fn lost(&mut self, now: Moment) {
        self.found = None;
        self.look_at = now;
    }

    /// The server has a part. Which one it is of what was found last, if any: it need not be kept any longer.
    pub(super) fn noted(&mut self, digest: String) -> Option<InventoryKind> {
        let (found, kept) = (self.found.as_ref()?, self.kept.as_mut()?);
        if digest == found.facts {
            kept.facts = digest;
            Some(InventoryKind::Facts)
        } else if digest == found.software {
            kept.software = digest;
            Some(InventoryKind::Software)
        } else {
            None
        }
    }

    /// The server wants a part later.
    pub(super) fn put_off(&mut self, digest: &str, until: Moment) {
        match &self.found {
            Some(found) if found.facts == digest => self.facts_at = until,
            Some(found) if found.software == digest => self.software_at = until,
            _ => {}
        }
    }

    /// When there is something to do in this channel.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.kept.as_ref()?;
        self.wanted().map(|(_, at)| at).chain([self.look_at]).min()
    }

    /// What is to be done now; it is taken as done.
    pub(super) fn due(&mut self, now: Moment, random: &mut SplitMix) -> Vec<Due> {
        let mut due = Vec::new();
        if self.kept.is_none() {
            return due;
        }
        if self.look_at <= now {
            self.look_at = now + LOOK_EVERY + random.up_to(LOOK_EVERY / 3);
            due.push(Due::Look);
        }
        let ready: Vec<InventoryKind> = self
            .wanted()
            .filter(|(_, at)| *at <= now)
            .map(|(kind, _)| kind)
            .collect();
        for kind in ready {
            match kind {
                InventoryKind::Facts => self.facts_at = now + RESEND,
                InventoryKind::Software => self.software_at = now + RESEND,
            }
            due.push(Due::Send(kind));
        }
        due
    }

    /// Parts that the server has in another state, and when they may be sent.
    fn wanted(&self) -> impl Iterator<Item = (InventoryKind, Moment)> {
        let both = self.found.as_ref().zip(self.kept.as_ref());
        let facts = both
            .filter(|(found, kept)| found.facts != kept.facts)
            .map(|_| (InventoryKind::Facts, self.facts_at));
        let software = both
            .filter(|(found, kept)| found.software != kept.software)
            .map(|_| (InventoryKind::Software, self.software_at));
        facts.into_iter().chain(software)
    }
}
