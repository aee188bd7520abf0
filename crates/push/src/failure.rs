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
    /// What to do about it; nothing where the words say all.
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

/// Every code with its hint in English and Chinese; none where the far side's own words say all. A word of the far side that stands nowhere here is an answer we do not understand.
const CODES: &[(&str, &str, &str)] = &[
    (
        "connect_refused",
        "Check address and port, and that sshd runs there",
        "请检查地址和端口，并确认该处运行着 sshd。",
    ),
    (
        "connect_timeout",
        "Check the address, that the machine is on, and firewalls in between",
        "请检查地址、机器是否已开机，以及途中的防火墙。",
    ),
    ("connect_failed", "Check the address", "请检查地址。"),
    (
        "jump_refused",
        "Check that the jump host may open connections to the desktop (AllowTcpForwarding)",
        "请确认跳板机允许打开到桌面的连接（AllowTcpForwarding）。",
    ),
    (
        "handshake_timeout",
        "Something else than sshd may listen there, or the machine hangs",
        "该处可能运行着 sshd 以外的程序，或机器无响应。",
    ),
    (
        "handshake_failed",
        "Check that an SSH server with today's algorithms listens there",
        "请确认该处运行着支持现行算法的 SSH 服务器。",
    ),
    (
        "host_key_changed",
        "Somebody may sit in between, or the machine was made anew: look at its key, then set the pin anew or forget it",
        "可能存在中间人攻击，或机器已重装：请核对其主机密钥，然后重新设置或清除已记住的密钥。",
    ),
    (
        "login_refused",
        "Check user and key or password",
        "请检查用户和密钥或密码。",
    ),
    (
        "login_timeout",
        "The directory or name service of that machine may hang",
        "该机器的目录服务或名称服务可能无响应。",
    ),
    (
        "key_unusable",
        "Set the reach anew with another key",
        "请用另一个密钥重新设置连接方式。",
    ),
    (
        "probe_timeout",
        "The user's start-up files or the disk may hang",
        "该用户的 shell 启动文件可能卡住，或磁盘无响应。",
    ),
    (
        "no_shell",
        "The user needs a POSIX shell there and may not be confined to a command",
        "该用户在那里需要 POSIX shell，且不能被限制为单个命令。",
    ),
    (
        "not_root",
        "Log in as root, or set the reach with sudo",
        "请以 root 登录，或在连接方式中设置 sudo。",
    ),
    (
        "no_sudo",
        "Install sudo there, or log in as root",
        "请在该机器上安装 sudo，或以 root 登录。",
    ),
    (
        "sudo_refused",
        "Let the user run sudo without a password, or store one that sudo accepts",
        "请允许该用户免密码运行 sudo，或保存 sudo 接受的密码。",
    ),
    (
        "wrong_system",
        "Only Linux desktops are reached over SSH",
        "只有 Linux 桌面可以通过 SSH 连接。",
    ),
    (
        "no_binary",
        "Put an agent for that architecture into the folder of --agent-binaries",
        "请将适用于该架构的代理放入 --agent-binaries 所指的文件夹。",
    ),
    (
        "no_tools",
        "Install coreutils there",
        "请在该机器上安装 coreutils。",
    ),
    (
        "no_room",
        "Free some space there",
        "请在该机器上释放磁盘空间。",
    ),
    (
        "upload_stalled",
        "Check the network to the desktop; the next try goes on where this one stopped",
        "请检查到桌面的网络；下次会从中断处继续。",
    ),
    (
        "dropped",
        "Try again: an upload goes on where it stopped",
        "请重试：上传会从中断处继续。",
    ),
    (
        "write_failed",
        "Free some space there, or mend the file system",
        "请释放该机器的磁盘空间，或修复文件系统。",
    ),
    (
        "digest_differs",
        "The bytes were changed on the way or on that disk: try again",
        "数据在传输途中或该磁盘上发生了变化，请重试。",
    ),
    (
        "verify_timeout",
        "The disk there may hang",
        "该机器的磁盘可能无响应。",
    ),
    (
        "will_not_run",
        "The program does not run on that system",
        "该程序无法在此系统上运行。",
    ),
    ("install_failed", "", ""),
    (
        "install_timeout",
        "The disk there may hang",
        "该机器的磁盘可能无响应。",
    ),
    ("enroll_refused", "", ""),
    (
        "enroll_unreachable",
        "The desktop must reach the agent listener: see --agent-public, firewalls and proxies",
        "桌面必须能访问代理监听地址：请检查 --agent-public、防火墙和代理服务器。",
    ),
    ("enroll_failed", "", ""),
    (
        "enroll_timeout",
        "The desktop must reach the agent listener: see --agent-public, firewalls and proxies",
        "桌面必须能访问代理监听地址：请检查 --agent-public、防火墙和代理服务器。",
    ),
    (
        "start_failed",
        "Look at `systemctl status outfitter-agent` there",
        "请在该机器上查看 `systemctl status outfitter-agent`。",
    ),
    (
        "start_timeout",
        "Look at `systemctl status outfitter-agent` there",
        "请在该机器上查看 `systemctl status outfitter-agent`。",
    ),
    (
        "agent_silent",
        "Run `outfitter-agent doctor --state-dir /var/lib/outfitter-agent` there",
        "请在该机器上运行 `outfitter-agent doctor --state-dir /var/lib/outfitter-agent`。",
    ),
    ("server", "Try again", "请重试。"),
];

/// What stands for every other code.
const NOT_UNDERSTOOD: (&str, &str, &str) = (
    "not_understood",
    "The far side answered what is not understood",
    "对方的应答无法识别。",
);

/// Every hint, with the same in Chinese.
pub fn hints() -> impl Iterator<Item = (&'static str, &'static str)> {
    let codes = CODES.iter().chain([&NOT_UNDERSTOOD]);
    codes
        .map(|(_, hint, chinese)| (*hint, *chinese))
        .filter(|(hint, _)| !hint.is_empty())
}

fn known(code: &str) -> (&'static str, &'static str) {
    let mut codes = CODES.iter();
    let (code, hint, _) = codes
        .find(|(known, ..)| *known == code)
        .unwrap_or(&NOT_UNDERSTOOD);
    (code, hint)
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
