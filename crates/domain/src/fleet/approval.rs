//! Enrollments that wait for an administrator.

use std::time::Duration;

use crate::time::Millis;

/// How long a request waits to be decided, and how long its agent may take to come back once it is. Ours: a week holds
/// a holiday.
pub const REQUEST_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Most requests of a project that nobody has decided about; who comes then is refused. Ours: more than a person looks
/// through.
pub const REQUESTS_UNDECIDED_MAX: i64 = 1_000;

/// Shortest and longest time until a waiting agent asks again. Ours: somebody who sits beside it, and 1,000 of them at
/// three handshakes a second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided.
    Waiting,
    /// An administrator said yes; its agent has yet to come back.
    Approved,
    /// An administrator said no.
    Refused,
    /// Its agent is in.
    Enrolled,
}

/// The state that follows from the decision, `None` for none, and from whether an agent came of it.
pub const fn request_state(approved: Option<bool>, has_agent: bool) -> RequestState {
    match (approved, has_agent) {
        (None, _) => RequestState::Waiting,
        (Some(false), _) => RequestState::Refused,
        (Some(true), false) => RequestState::Approved,
        (Some(true), true) => RequestState::Enrolled,
    }
}

/// How long an agent that waits since `asked_at` is to wait before it asks again: a tenth of what it waited.
pub fn waiting_pause(asked_at: Millis, now: Millis) -> Duration {
    let waited = u64::try_from(now.get().saturating_sub(asked_at.get())).unwrap_or(0);
    let (shortest, longest) = PAUSE;
    Duration::from_millis(waited / 10).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_waited_the_rarer_it_asks() {
        let asked = Millis::new(1_000);
        for (waited_secs, pause_secs) in [(0, 10), (99, 10), (600, 60), (86_400, 300), (-5, 10)] {
            let now = Millis::new(1_000 + waited_secs * 1_000);
            assert_eq!(
                waiting_pause(asked, now),
                Duration::from_secs(pause_secs),
                "{waited_secs}"
            );
        }
    }

    #[test]
    fn an_agent_comes_of_approval_alone() {
        assert_eq!(request_state(None, false), RequestState::Waiting);
        assert_eq!(request_state(Some(false), false), RequestState::Refused);
        assert_eq!(request_state(Some(true), false), RequestState::Approved);
        assert_eq!(request_state(Some(true), true), RequestState::Enrolled);
    }
}
