use outfitter_agent_protocol::RunningPrograms;

/// How a project has running programs of an app closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosingMode {
    /// Their users are asked first.
    Ask,
    /// At once.
    Stop,
}

impl ClosingMode {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Stop => "stop",
        }
    }

    /// Reads the word; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ask, Self::Stop]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// What a project has done about programs of an app that run when the app is put on or taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProgramClosing {
    /// How.
    pub mode: ClosingMode,
    /// How long a user who is asked has, in seconds.
    pub wait_secs: u32,
}

/// Time a user has, in seconds, where the project says nothing else. Source: contract, semantics §5, On the desktop.
pub const CLOSE_WAIT_SECS: u32 = 600;

impl ProgramClosing {
    /// What an agent is told.
    pub const fn of_task(self) -> RunningPrograms {
        match self.mode {
            ClosingMode::Ask => RunningPrograms::Ask {
                wait_secs: self.wait_secs,
            },
            ClosingMode::Stop => RunningPrograms::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_what_the_project_says() {
        let closing = |mode| ProgramClosing {
            mode,
            wait_secs: 90,
        };
        for mode in [ClosingMode::Ask, ClosingMode::Stop] {
            assert_eq!(ClosingMode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(ClosingMode::parse("Ask"), None);
        assert_eq!(
            closing(ClosingMode::Ask).of_task(),
            RunningPrograms::Ask { wait_secs: 90 }
        );
        assert_eq!(closing(ClosingMode::Stop).of_task(), RunningPrograms::Stop);
    }
}
