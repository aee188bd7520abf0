//! What went wrong, where, in whose words, and what to do about it.

use std::fmt;
use std::time::Duration;

/// A part of a push, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A connection to the port.
    Connect,
    /// The key exchange, and whether the host is the one we know.
    HostKey,
    /// The user's login.
    Login,
    /// What the far side is: system, rights, room.
    Probe,
    /// The agent's program goes over.
    Upload,
    /// Its digest is checked there, and it is started once.
    Verify,
    /// Program and unit are put in place.
    Install,
    /// The agent gets its certificate.
    Enroll,
    /// The agent is started.
    Start,
    /// The agent itself connects.
    Connected,
}

impl Step {
    /// The word in codes and reasons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::HostKey => "host key",
            Self::Login => "login",
            Self::Probe => "probe",
            Self::Upload => "upload",
            Self::Verify => "verify",
            Self::Install => "install",
            Self::Enroll => "enroll",
            Self::Start => "start",
            Self::Connected => "wait for the agent",
        }
    }

    /// How far a push is when the step begins, in percent.
    pub const fn percent(self) -> u8 {
        match self {
            Self::Connect => 2,
            Self::HostKey => 5,
            Self::Login => 8,
            Self::Probe => 12,
            Self::Upload => 20,
            Self::Verify => 70,
            Self::Install => 75,
            Self::Enroll => 80,
            Self::Start => 90,
            Self::Connected => 95,
        }
    }
}

/// Longest text of the far side that is kept, in characters.
const WORDS_MAX: usize = 400;

/// Why a push ended without an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// Stable code, such as `host_key_changed`.
    pub code: &'static str,
    /// The far side's or the system's words, cut to a line.
    pub words: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.as_str(), self.words)?;
        if !self.hint.is_empty() {
            write!(f, ". {}.", self.hint)?;
        }
        Ok(())
    }
}

impl Failure {
    /// A failure whose hint follows from its code.
    pub fn new(step: Step, code: &str, words: impl AsRef<str>) -> Self {
        let (code, hint) = known(code);
        Self {
            step,
            code,
            words: one_line(words.as_ref()),
            hint,
        }
    }

    /// The far side took longer than it may.
    pub(crate) fn timed_out(step: Step, limit: Duration) -> Self {
        let (code, doing) = match step {
            Step::Connect => ("connect_timeout", "did not accept the connection"),
            Step::HostKey => (
                "handshake_timeout",
                "accepted the connection and did not answer",
            ),
            Step::Login => ("login_timeout", "did not decide about the login"),
            Step::Probe => (
                "probe_timeout",
                "let the user in and did not answer after that",
            ),
            Step::Upload => ("upload_stalled", "took no more bytes"),
            Step::Verify => ("verify_timeout", "did not finish checking the program"),
            Step::Install => (
                "install_timeout",
                "did not finish putting the program in place",
            ),
            Step::Enroll => ("enroll_timeout", "did not finish enrolling"),
            Step::Start => ("start_timeout", "did not finish starting the agent"),
            Step::Connected => ("agent_silent", "started the agent, but it did not connect"),
        };
        Self::new(
            step,
            code,
            format!("the host {doing} within {} s", limit.as_secs()),
        )
    }
}

/// Every code with its hint. A word of the far side that stands nowhere here is an answer we do not understand.
const CODES: &[(&str, &str)] = &[
    (
        "connect_refused",
        "Check address and port, and that sshd runs there",
    ),
    (
        "connect_timeout",
        "Check the address, that the machine is on, and firewalls in between",
    ),
    ("connect_failed", "Check the address"),
    (
        "jump_refused",
        "Check that the jump host may open connections to the desktop (AllowTcpForwarding)",
    ),
    (
        "handshake_timeout",
        "Something else than sshd may listen there, or the machine hangs",
    ),
    (
        "handshake_failed",
        "Check that an SSH server with today's algorithms listens there",
    ),
    (
        "host_key_changed",
        "Somebody may sit in between, or the machine was made anew: look at its key, then set the pin anew or forget it",
    ),
    ("login_refused", "Check user and key or password"),
    (
        "login_timeout",
        "The directory or name service of that machine may hang",
    ),
    ("key_unusable", "Set the reach anew with another key"),
    (
        "probe_timeout",
        "The user's start-up files or the disk may hang",
    ),
    (
        "no_shell",
        "The user needs a POSIX shell there and may not be confined to a command",
    ),
    ("not_root", "Log in as root, or set the reach with sudo"),
    ("no_sudo", "Install sudo there, or log in as root"),
    (
        "sudo_refused",
        "Let the user run sudo without a password, or store one that sudo accepts",
    ),
    ("wrong_system", "Only Linux desktops are reached over SSH"),
    (
        "no_binary",
        "Put an agent for that architecture into the folder of --agent-binaries",
    ),
    ("no_tools", "Install coreutils there"),
    ("no_room", "Free some space there"),
    (
        "upload_stalled",
        "Check the network to the desktop; the next try goes on where this one stopped",
    ),
    ("dropped", "Try again: an upload goes on where it stopped"),
    (
        "write_failed",
        "Free some space there, or mend the file system",
    ),
    (
        "digest_differs",
        "The bytes were changed on the way or on that disk: try again",
    ),
    ("verify_timeout", "The disk there may hang"),
    (
        "will_not_run",
        "The program does not run on that system; see the words above",
    ),
    ("install_failed", "See the words above"),
    ("install_timeout", "The disk there may hang"),
    ("enroll_refused", "See the words above"),
    (
        "enroll_unreachable",
        "The desktop must reach the agent listener: see --agent-public, firewalls and proxies",
    ),
    ("enroll_failed", "See the words above"),
    (
        "enroll_timeout",
        "The desktop must reach the agent listener: see --agent-public, firewalls and proxies",
    ),
    (
        "start_failed",
        "Look at `systemctl status outfitter-agent` there",
    ),
    (
        "start_timeout",
        "Look at `systemctl status outfitter-agent` there",
    ),
    (
        "agent_silent",
        "Run `outfitter-agent doctor --state-dir /var/lib/outfitter-agent` there",
    ),
    ("server", "Try again"),
];

fn known(code: &str) -> (&'static str, &'static str) {
    CODES
        .iter()
        .find(|(known, _)| *known == code)
        .copied()
        .unwrap_or((
            "not_understood",
            "The far side answered what is not understood",
        ))
}

/// Text of the far side as one bounded line without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_sides_words_become_one_bounded_line() {
        assert_eq!(one_line("  a\r\n\u{1b}b\tc. "), "a b c");
        let long = one_line(&"ä".repeat(WORDS_MAX + 1));
        assert_eq!(long.chars().count(), WORDS_MAX + 3);
    }

    #[test]
    fn a_reason_names_step_words_and_hint() {
        let failure = Failure::new(Step::Login, "login_refused", "no");
        assert_eq!(
            failure.to_string(),
            "login: no. Check user and key or password."
        );
        assert_eq!(
            Failure::new(Step::Probe, "what?", "x").code,
            "not_understood"
        );
    }

    #[test]
    fn every_limit_that_passes_has_a_code_of_its_own() {
        for step in [
            Step::Connect,
            Step::HostKey,
            Step::Login,
            Step::Probe,
            Step::Upload,
            Step::Verify,
            Step::Install,
            Step::Enroll,
            Step::Start,
            Step::Connected,
        ] {
            let failure = Failure::timed_out(step, Duration::from_secs(1));
            assert_ne!(failure.code, "not_understood", "{step:?}");
        }
    }
}
