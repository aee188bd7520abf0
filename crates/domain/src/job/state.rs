/// Where a job is. The wire shows [`State::wire`] alone.
///
/// ```text
/// Queued ─► Leased ─► Running ─► Succeeded
///    ▲        │          │  ▲
///    │◄─lapse─┘          ▼  │ go
///    │               RetryWait      any of these ─► Failed | Cancelled
///    └──────────── Failed, Cancelled (RetryJobs)
///                  Failed ─► Succeeded (late result of the attempt that a clock ended)
/// ```
///
/// A job that waits for an automatic retry stays in `RetryWait` while its next attempt is leased, because
/// the contract calls it WAITING until the real end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits to be handed out.
    Queued,
    /// Handed out, not yet acknowledged: shown as not handed out.
    Leased,
    /// Acknowledged by the agent and released by the server.
    Running,
    /// An attempt failed for a passing reason; the next one follows by itself.
    RetryWait,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by an administrator.
    Cancelled,
}

words! {
    /// The contract's four states (`job_status`).
    WireState {
        /// Not handed out.
        Init = "INIT",
        /// Handed out, until the real end.
        Waiting = "WAITING",
        /// Ended well.
        Success = "SUCCESS",
        /// Ended badly.
        Fail = "FAIL",
    }
}

impl State {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Queued,
        Self::Leased,
        Self::Running,
        Self::RetryWait,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The number in the database. Never reused.
    pub const fn number(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Leased => 1,
            Self::Running => 2,
            Self::RetryWait => 3,
            Self::Succeeded => 4,
            Self::Failed => 5,
            Self::Cancelled => 6,
        }
    }

    /// Reads the number; `None` for any other.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|state| state.number() == number)
    }

    /// What the contract calls it.
    pub const fn wire(self) -> WireState {
        match self {
            Self::Queued | Self::Leased => WireState::Init,
            Self::Running | Self::RetryWait => WireState::Waiting,
            Self::Succeeded => WireState::Success,
            Self::Failed | Self::Cancelled => WireState::Fail,
        }
    }

    /// Whether the job may go to `next` from here.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Leased | Self::Failed | Self::Cancelled),
            Self::Leased => matches!(
                next,
                Self::Queued | Self::Running | Self::Failed | Self::Cancelled
            ),
            Self::Running => matches!(
                next,
                Self::RetryWait | Self::Succeeded | Self::Failed | Self::Cancelled
            ),
            Self::RetryWait => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Failed => matches!(next, Self::Queued | Self::Succeeded),
            Self::Cancelled => matches!(next, Self::Queued),
            Self::Succeeded => false,
        }
    }
}

impl WireState {
    /// The number in the database.
    pub const fn number(self) -> i64 {
        match self {
            Self::Init => 0,
            Self::Waiting => 1,
            Self::Success => 2,
            Self::Fail => 3,
        }
    }

    /// Reads the number; `None` for any other.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|state| state.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_number(state.number()), Some(*state));
        }
        for state in WireState::ALL {
            assert_eq!(WireState::from_number(state.number()), Some(*state));
            assert_eq!(WireState::parse(state.as_str()), Some(*state));
        }
        assert_eq!(State::from_number(7), None);
    }

    /// The contract's table of transitions (semantics, section 5), on the folded states.
    #[test]
    fn the_folded_transitions_are_those_of_the_contract() {
        use WireState::{Fail, Init, Success, Waiting};
        let allowed = [
            (Init, Waiting),
            (Init, Fail),
            (Waiting, Success),
            (Waiting, Fail),
            (Fail, Init),
            (Fail, Success),
        ];
        for from in State::ALL {
            for to in State::ALL {
                let (wire_from, wire_to) = (from.wire(), to.wire());
                if from.may_become(*to) && wire_from != wire_to {
                    assert!(
                        allowed.contains(&(wire_from, wire_to)),
                        "{from:?} -> {to:?}"
                    );
                }
            }
        }
        for (from, to) in allowed {
            assert!(State::ALL.iter().any(|a| {
                a.wire() == from
                    && State::ALL
                        .iter()
                        .any(|b| b.wire() == to && a.may_become(*b))
            }));
        }
        assert!(!State::Cancelled.may_become(State::Succeeded));
    }
}
