//! What an end user sees of an app on a desktop of theirs, and what they may do with it (docs/adr/0025-end-users.md).

use std::time::Duration;

use outfitter_agent_protocol::TaskKind;

use crate::job::State;
use crate::time::Millis;

/// Longest time from the opening of a job to the moment until which it is put off. Ours: over a weekend, not for good.
pub const LONGEST_DEFERRAL: Duration = Duration::from_secs(72 * 60 * 60);

words! {
    /// Where an app is on a desktop.
    Standing {
        /// Not there.
        Absent = "absent",
        /// A job waits for its turn, for the desktop, or until it is due.
        Waiting = "waiting",
        /// It is being put on.
        Installing = "installing",
        /// It is being taken off.
        Removing = "removing",
        /// There, in the newest version.
        Installed = "installed",
        /// There, in an older version.
        UpdateAvailable = "update_available",
        /// The last try to put it on or take it off failed.
        Failed = "failed",
    }
}

words! {
    /// What the user may do with it now.
    Act {
        /// Put it on.
        Install = "install",
        /// Put the newest version on.
        Update = "update",
        /// Take it off.
        Remove = "remove",
        /// Stop what they asked for.
        Cancel = "cancel",
        /// Put off what an administrator sent.
        Defer = "defer",
    }
}

/// Who asked for something, seen from a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedBy {
    /// The user.
    ThisUser,
    /// Another user of the desktop.
    AnotherUser,
    /// An administrator.
    Administrator,
}

/// What a desktop has of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Whether it is the newest revision.
    pub is_newest: bool,
    /// Who asked for it.
    pub requested_by: RequestedBy,
}

/// The newest job for an app on a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestJob {
    /// On or off.
    pub kind: TaskKind,
    /// Where it is.
    pub state: State,
    /// Who asked for it.
    pub requested_by: RequestedBy,
    /// When it was opened.
    pub created_at: Millis,
    /// When it FAILs if it could not be handed out.
    pub expires_at: Millis,
}

/// An app on a desktop, as its user's view is decided from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalFacts {
    /// What the desktop has.
    pub installed: Option<Installed>,
    /// The newest job.
    pub job: Option<NewestJob>,
}

/// What the user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalView {
    /// Where the app is.
    pub standing: Standing,
    /// What they may do, in the order in which it is offered.
    pub acts: Vec<Act>,
}

/// Decides what a user sees and may do. What an administrator put on a desktop its users do not take off, nor stop.
pub fn decide_view(facts: &PortalFacts, now: Millis) -> PortalView {
    let live = facts.job.filter(|job| {
        matches!(
            job.state,
            State::Queued | State::Leased | State::Running | State::RetryWait
        )
    });
    if let Some(job) = live {
        let standing = match (job.state, job.kind) {
            (State::Running, TaskKind::Install) => Standing::Installing,
            (State::Running, TaskKind::Uninstall) => Standing::Removing,
            _ => Standing::Waiting,
        };
        let mut acts = Vec::new();
        match job.requested_by {
            RequestedBy::ThisUser => acts.push(Act::Cancel),
            RequestedBy::AnotherUser => {}
            RequestedBy::Administrator => {
                let may_wait = job.kind == TaskKind::Install
                    && job.state == State::Queued
                    && latest_deferral(&job) > now;
                acts.extend(may_wait.then_some(Act::Defer));
            }
        }
        return PortalView { standing, acts };
    }
    let failed = facts.job.is_some_and(|job| job.state == State::Failed);
    let standing = match (failed, facts.installed) {
        (true, _) => Standing::Failed,
        (false, None) => Standing::Absent,
        (false, Some(Installed { is_newest, .. })) if is_newest => Standing::Installed,
        (false, Some(_)) => Standing::UpdateAvailable,
    };
    let mut acts = Vec::new();
    match facts.installed {
        None => acts.push(Act::Install),
        Some(installed) => {
            acts.extend((!installed.is_newest).then_some(Act::Update));
            let is_theirs = installed.requested_by == RequestedBy::ThisUser;
            acts.extend(is_theirs.then_some(Act::Remove));
        }
    }
    PortalView { standing, acts }
}

/// Until when a job may be put off at the latest: never beyond half of its life, so that putting off does not end it.
fn latest_deferral(job: &NewestJob) -> Millis {
    let half = job.expires_at.since(job.created_at) / 2;
    job.created_at.plus(LONGEST_DEFERRAL.min(half))
}

/// Until when a job is put off by somebody who wants it put off for so long: as long as is left. `None`: nothing is.
pub fn decide_deferral(job: &NewestJob, wanted: Duration, now: Millis) -> Option<Millis> {
    let until = now.plus(wanted).min(latest_deferral(job));
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::new(1_000_000_000);

    fn job(kind: TaskKind, state: State, requested_by: RequestedBy) -> Option<NewestJob> {
        Some(NewestJob {
            kind,
            state,
            requested_by,
            created_at: NOW,
            expires_at: NOW.plus(Duration::from_secs(30 * 24 * 3600)),
        })
    }

    #[test]
    fn a_user_sees_where_an_app_is_and_what_they_may_do() {
        use Act::{Cancel, Defer, Install, Remove, Update};
        use RequestedBy::{Administrator, AnotherUser, ThisUser};
        let put = TaskKind::Install;
        let off = TaskKind::Uninstall;
        let has = |is_newest, requested_by| {
            Some(Installed {
                is_newest,
                requested_by,
            })
        };
        let cases: Vec<(_, _, Standing, Vec<Act>)> = vec![
            (None, None, Standing::Absent, vec![Install]),
            (
                None,
                job(put, State::Queued, ThisUser),
                Standing::Waiting,
                vec![Cancel],
            ),
            (
                None,
                job(put, State::Queued, Administrator),
                Standing::Waiting,
                vec![Defer],
            ),
            (
                None,
                job(put, State::Queued, AnotherUser),
                Standing::Waiting,
                vec![],
            ),
            (
                None,
                job(put, State::Leased, Administrator),
                Standing::Waiting,
                vec![],
            ),
            (
                None,
                job(put, State::Running, ThisUser),
                Standing::Installing,
                vec![Cancel],
            ),
            (
                None,
                job(put, State::Running, Administrator),
                Standing::Installing,
                vec![],
            ),
            (
                None,
                job(put, State::RetryWait, ThisUser),
                Standing::Waiting,
                vec![Cancel],
            ),
            (
                None,
                job(put, State::Failed, ThisUser),
                Standing::Failed,
                vec![Install],
            ),
            (
                None,
                job(put, State::Cancelled, ThisUser),
                Standing::Absent,
                vec![Install],
            ),
            (
                has(true, ThisUser),
                job(put, State::Succeeded, ThisUser),
                Standing::Installed,
                vec![Remove],
            ),
            (
                has(true, Administrator),
                job(put, State::Succeeded, Administrator),
                Standing::Installed,
                vec![],
            ),
            (
                has(false, Administrator),
                None,
                Standing::UpdateAvailable,
                vec![Update],
            ),
            (
                has(false, ThisUser),
                job(put, State::Failed, ThisUser),
                Standing::Failed,
                vec![Update, Remove],
            ),
            (
                has(true, ThisUser),
                job(off, State::Running, ThisUser),
                Standing::Removing,
                vec![Cancel],
            ),
            (
                has(true, Administrator),
                job(off, State::Queued, Administrator),
                Standing::Waiting,
                vec![],
            ),
            (
                has(true, ThisUser),
                job(off, State::Failed, ThisUser),
                Standing::Failed,
                vec![Remove],
            ),
            (
                None,
                job(off, State::Succeeded, ThisUser),
                Standing::Absent,
                vec![Install],
            ),
        ];
        for (installed, job, standing, acts) in cases {
            let facts = PortalFacts { installed, job };
            assert_eq!(
                decide_view(&facts, NOW),
                PortalView { standing, acts },
                "{facts:?}"
            );
        }
    }

    #[test]
    fn what_waits_is_put_off_for_three_days_in_all() {
        let hour = Duration::from_secs(3600);
        let job = job(TaskKind::Install, State::Queued, RequestedBy::Administrator).unwrap();
        assert_eq!(decide_deferral(&job, hour, NOW), Some(NOW.plus(hour)));
        let late = NOW.plus(71 * hour);
        assert_eq!(
            decide_deferral(&job, 24 * hour, late),
            Some(NOW.plus(72 * hour))
        );
        let end = NOW.plus(72 * hour);
        assert_eq!(decide_deferral(&job, hour, end), None);
        let facts = PortalFacts {
            installed: None,
            job: Some(job),
        };
        assert_eq!(decide_view(&facts, end).acts, []);
        // Nor so long that it would never run.
        let short = NewestJob {
            expires_at: NOW.plus(hour),
            ..job
        };
        assert_eq!(
            decide_deferral(&short, 2 * hour, NOW),
            Some(NOW.plus(hour / 2))
        );
    }
}
