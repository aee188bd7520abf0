use std::collections::BTreeMap;
use std::time::Duration;

use outfitter_agent_protocol::FailureCode;

use crate::Language;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sentence:literal, $hint:literal, $sentence_zh:literal, $hint_zh:literal;)+) => {
        /// Why a job is FAIL: a stable code, a sentence for the administrator, and what to do, both in every language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name),+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Stable code: stored, shown by native routes, safe to program against.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code),+
                }
            }

            /// Reads the code; `None` for any other text.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What happened, for the administrator. Ends with a full stop.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence),+
                }
            }

            /// What to do about it; empty where there is nothing to do.
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Self::$name => $hint),+
                }
            }

            /// What happened and what to do, in the reader's language.
            pub const fn words(self, language: Language) -> (&'static str, &'static str) {
                match language {
                    Language::English => (self.sentence(), self.hint()),
                    Language::Chinese => match self {
                        $(Self::$name => ($sentence_zh, $hint_zh)),+
                    },
                }
            }
        }
    };
}

reasons! {
    /// Found at hand-out or at release.
    NoLongerAuthorized = "no_longer_authorized",
        "No user of this desktop that the installation was meant for is authorized to the application any more.",
        "Authorize a user of the desktop, then retry.",
        "此桌面的目标用户均已不再获得该应用的授权。", "请为该桌面的用户授权，然后重试。";
    /// The app is gone.
    AppDeleted = "app_deleted",
        "The application was deleted.",
        "",
        "应用已被删除。", "";
    /// The desktop is gone.
    DesktopDeleted = "desktop_deleted",
        "The desktop was deleted.",
        "",
        "桌面已被删除。", "";
    /// The project may not act.
    ProjectDisabled = "project_disabled",
        "The project is disabled.",
        "Enable the project, then retry.",
        "项目已被禁用。", "请启用项目，然后重试。";
    /// The stored package is not there, or was refused.
    PackageMissing = "package_missing",
        "The application's package is not in the store, or was refused.",
        "Upload the package again, then retry.",
        "安装包不在存储中，或已被拒绝。", "请重新上传安装包，然后重试。";
    /// The revision has no command.
    CommandMissing = "command_missing",
        "The application has no command to run.",
        "Set the missing command (install_command or uninstall_command), then retry.",
        "应用没有可执行的命令。", "请补充缺少的命令（install_command 或 uninstall_command），然后重试。";
    /// The desktop never came while the job was INIT.
    ExpiredOffline = "expired_offline",
        "The desktop did not come online before the installation expired.",
        "Start the desktop, then retry.",
        "桌面未在任务到期前上线。", "请启动桌面，然后重试。";
    /// Server clock: the agent fell silent.
    NoSignOfLife = "no_sign_of_life",
        "The agent gave no sign of life for two hours after it had begun.",
        "Check that the desktop is running. The result is still accepted when it arrives.",
        "任务开始后，代理连续两小时没有响应。", "请确认桌面正在运行。结果到达后仍会被接受。";
    /// Server or agent clock: it ran too long.
    RunLimit = "run_limit",
        "The installer ran longer than the application's run limit.",
        "Look whether the installer asks a question, or raise the limit.",
        "安装程序运行时间超过上限。", "请检查安装程序是否在等待输入，或提高时间上限。";
    /// Exit code good, rule false.
    NotDetectedAfterInstall = "not_detected_after_install",
        "The installer reported success, but the application was not found afterwards.",
        "Check the detection rule and the install command.",
        "安装程序报告成功，但之后未检测到该应用。", "请检查检测规则和安装命令。";
    /// Exit code good, rule still true.
    StillDetectedAfterUninstall = "still_detected_after_uninstall",
        "The uninstaller reported success, but the application is still there.",
        "Check the detection rule and the uninstall command.",
        "卸载程序报告成功，但应用仍然存在。", "请检查检测规则和卸载命令。";
    /// Exit code outside the set.
    ExitCode = "exit_code",
        "The installer ended with an exit code that does not count as success.",
        "Read the installer's output in the receipt.",
        "安装程序的退出码不属于成功退出码。", "请查看回执中安装程序的输出。";
    /// The app's own map of exit codes says so.
    ExitCodeRetry = "exit_code_retry",
        "The installer asked to be run again later.",
        "Read the installer's output in the receipt.",
        "安装程序要求稍后重新运行。", "请查看回执中安装程序的输出。";
    /// The supervisor died with the installer.
    Interrupted = "interrupted",
        "The installation was cut off and its outcome is unknown.",
        "Look at the desktop, then retry.",
        "安装被中断，结果未知。", "请检查桌面，然后重试。";
    /// By an administrator.
    Cancelled = "cancelled",
        "The installation was cancelled.",
        "",
        "安装已取消。", "";
    /// What the agent sent does not hold together.
    EvidenceRefused = "evidence_refused",
        "The agent's report does not prove what it claims.",
        "Check the desktop and its agent, then retry.",
        "代理的报告不足以证明其结果。", "请检查桌面及其代理，然后重试。";
    /// The source said 401 or 403.
    DownloadForbidden = "download_forbidden",
        "The desktop was refused the package.",
        "Check the access rules of the download link.",
        "桌面下载安装包时被拒绝。", "请检查下载链接的访问权限。";
    /// The source said 404 or 410.
    DownloadGone = "download_gone",
        "The package is not where the application says it is.",
        "Correct the download link.",
        "安装包已不在应用所指定的位置。", "请更正下载链接。";
    /// The link, or where it led, is outside the operator's allow-list.
    LinkNotAllowed = "link_not_allowed",
        "The server's operator does not let desktops fetch from this address, so nothing was downloaded.",
        "Use a link to an address that is allowed, or upload the package.",
        "运维人员不允许桌面从此地址下载，未下载任何内容。", "请改用允许的地址，或直接上传安装包。";
    /// The source could not be reached.
    DownloadFailed = "download_failed",
        "The desktop could not download the package.",
        "Check the desktop's network and the address of the package.",
        "桌面无法下载安装包。", "请检查桌面的网络和安装包的地址。";
    /// Other bytes than recorded.
    DigestMismatch = "digest_mismatch",
        "The package is not the one that was recorded, so it was not run.",
        "If the vendor replaced the file, update the application.",
        "安装包与记录不符，未执行安装。", "如果厂商更换了文件，请更新应用。";
    /// Other bytes behind the link than were recorded.
    LinkChanged = "link_changed",
        "The content behind the link changed, so it was not run.",
        "If the vendor replaced the file, accept the new content as a new revision.",
        "链接的内容已变更，未执行安装。", "如果厂商更换了文件，请将新内容接受为新的修订版本。";
    /// No room.
    DiskFull = "disk_full",
        "The desktop has too little free space.",
        "Free some space, then retry.",
        "桌面的磁盘空间不足。", "请释放磁盘空间，然后重试。";
    /// The archive was refused.
    ArchiveRefused = "archive_refused",
        "The archive was refused because it is unsafe or would overwrite foreign files.",
        "Check the content of the package.",
        "压缩包不安全或会覆盖其他文件，已拒绝。", "请检查安装包的内容。";
    /// The command is none.
    CommandInvalid = "command_invalid",
        "The command cannot be understood on this desktop.",
        "Correct the install command.",
        "桌面无法解析该命令。", "请更正安装命令。";
    /// The command did not start.
    StartFailed = "start_failed",
        "The installer could not be started.",
        "Check that the package fits the desktop's system.",
        "无法启动安装程序。", "请确认安装包适用于该桌面的系统。";
    /// Another installer holds the lock.
    InstallerBusy = "installer_busy",
        "Another installer was busy on the desktop.",
        "Retry when it has ended.",
        "桌面上有其他安装程序正在运行。", "请在其结束后重试。";
    /// A program of the app would not end.
    ProgramRunning = "program_running",
        "A program of the application was running and did not end when it was asked to, so nothing was done.",
        "Have it closed on the desktop, then retry. A project may also have such programs stopped at once.",
        "应用的程序仍在运行且未按要求退出，未执行任何操作。", "请在桌面上关闭该程序，然后重试。也可在项目中设置为直接停止此类程序。";
    /// Its user sits at no screen of the desktop.
    NoSession = "no_session",
        "The installer asks questions, and nobody who asked for it sat at the desktop, so nothing was done.",
        "Log in at the desktop's screen, then install it there.",
        "安装程序需要交互，但发起者未在该桌面登录，未执行任何操作。", "请在该桌面的屏幕上登录，然后在那里安装。";
    /// Not on this system.
    NotSupported = "not_supported",
        "The agent cannot do this on the desktop's system.",
        "Update the agent, or choose another installation type.",
        "代理无法在该桌面的系统上执行此操作。", "请更新代理，或选择其他安装类型。";
    /// The agent's own fault.
    AgentFailure = "agent_failure",
        "The agent failed by itself.",
        "Read the agent's log on the desktop.",
        "代理自身出错。", "请查看桌面上的代理日志。";
}

impl Reason {
    /// Whether it says something about the app, so that it counts towards a deployment's limit of failures. A
    /// desktop that never came, a program that people kept open, and what they withdrew, do not.
    pub const fn counts_against_deployment(self) -> bool {
        !matches!(
            self,
            Self::ExpiredOffline
                | Self::Cancelled
                | Self::AppDeleted
                | Self::DesktopDeleted
                | Self::ProjectDisabled
                | Self::NoLongerAuthorized
                | Self::ProgramRunning
                | Self::NoSession
        )
    }

    /// Whether one of the server's clocks alone makes this FAIL, so that a late proof turns it into SUCCESS
    /// (contract, section 5). An agent's own `run_limit` comes with a receipt and is no clock of ours.
    pub const fn is_server_clock(self) -> bool {
        matches!(self, Self::NoSignOfLife | Self::RunLimit)
    }
}

impl From<FailureCode> for Reason {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::DownloadForbidden => Self::DownloadForbidden,
            FailureCode::DownloadGone => Self::DownloadGone,
            FailureCode::LinkNotAllowed => Self::LinkNotAllowed,
            FailureCode::PackageMissing => Self::PackageMissing,
            FailureCode::DownloadFailed => Self::DownloadFailed,
            FailureCode::DigestMismatch => Self::DigestMismatch,
            FailureCode::DiskFull => Self::DiskFull,
            FailureCode::ArchiveRefused => Self::ArchiveRefused,
            FailureCode::CommandInvalid => Self::CommandInvalid,
            FailureCode::StartFailed => Self::StartFailed,
            FailureCode::RunLimit => Self::RunLimit,
            FailureCode::Interrupted => Self::Interrupted,
            FailureCode::InstallerBusy => Self::InstallerBusy,
            FailureCode::ProgramRunning => Self::ProgramRunning,
            FailureCode::NoSession => Self::NoSession,
            FailureCode::Cancelled => Self::Cancelled,
            FailureCode::NotSupported => Self::NotSupported,
            FailureCode::AgentFailure => Self::AgentFailure,
        }
    }
}

/// A reason with what was seen: what the contract's `error_message` is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What was seen: the far side's words, the exit code, the end of the output.
    pub detail: Option<String>,
    /// The rule held afterwards all the same.
    pub detected_afterwards: bool,
}

/// Longest `error_message`, in characters. Ours; as long as `error_msg` may be.
pub const MAX_MESSAGE_CHARS: usize = 1000;

impl Failure {
    /// Said where the rule held afterwards all the same.
    const DETECTED_AFTERWARDS: &'static str = "It was detected afterwards.";

    /// Every sentence that [`Failure::message`] is made of, with the same in Chinese.
    pub fn sentences() -> BTreeMap<&'static str, &'static str> {
        let said = |reason: &Reason| {
            let (sentence, hint) = reason.words(Language::Chinese);
            [(reason.sentence(), sentence), (reason.hint(), hint)]
        };
        let mut sentences: BTreeMap<_, _> = Reason::ALL.iter().flat_map(said).collect();
        sentences.remove("");
        sentences.insert(Self::DETECTED_AFTERWARDS, "之后检测到该应用。");
        sentences
    }

    /// A failure with nothing to add.
    pub fn bare(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            detected_afterwards: false,
        }
    }

    /// A failure with what was seen.
    pub fn seen(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::bare(reason)
        }
    }

    /// The text of `error_message`: sentence, what was seen, what to do, at most [`MAX_MESSAGE_CHARS`].
    pub fn message(&self) -> String {
        let mut text = self.reason.sentence().to_owned();
        if self.detected_afterwards {
            text.push(' ');
            text.push_str(Self::DETECTED_AFTERWARDS);
        }
        if !self.reason.hint().is_empty() {
            text.push(' ');
            text.push_str(self.reason.hint());
        }
        if let Some(detail) = self.detail.as_deref().map(str::trim)
            && !detail.is_empty()
        {
            text.push_str(" (");
            let room = MAX_MESSAGE_CHARS.saturating_sub(text.chars().count() + 1);
            // Control characters (a NUL above all, which PostgreSQL cannot store) become spaces.
            text.extend(
                detail
                    .chars()
                    .map(|character| {
                        if character.is_control() {
                            ' '
                        } else {
                            character
                        }
                    })
                    .take(room),
            );
            text.push(')');
        }
        text
    }
}

/// How a passing failure is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RetryPolicy {
    /// Longest wait before the first retry.
    first: Duration,
    /// How much longer it may be before each further one.
    factor: u32,
    /// Retries before the failure stands.
    limit: u32,
}

impl Reason {
    /// How it is tried again; `None`: not by itself.
    const fn retry_policy(self) -> Option<RetryPolicy> {
        match self {
            // The other installer is a matter of minutes.
            Self::InstallerBusy | Self::ExitCodeRetry => Some(RetryPolicy {
                first: Duration::from_secs(120),
                factor: 2,
                limit: 3,
            }),
            // Whoever would not close it now may have gone home later.
            Self::ProgramRunning => Some(RetryPolicy {
                first: Duration::from_secs(1800),
                factor: 2,
                limit: 3,
            }),
            // A network that is away may be so for longer.
            Self::DownloadFailed => Some(RetryPolicy {
                first: Duration::from_secs(60),
                factor: 4,
                limit: 4,
            }),
            _ => None,
        }
    }
}

/// How long to wait before the automatic retry number `retry` (from 1): anything from a second up to the policy's
/// ceiling for that retry (full jitter), drawn from `spread` (any number, such as the job's key), so that desktops
/// that failed together do not come back together. `None`: no further retry.
pub fn automatic_retry(reason: Reason, retry: i64, spread: i64) -> Option<Duration> {
    let policy = reason.retry_policy()?;
    let retry = u32::try_from(retry).ok().filter(|retry| *retry >= 1)?;
    if retry > policy.limit {
        return None;
    }
    let ceiling = policy.first * policy.factor.pow(retry - 1);
    let millis = u64::try_from(ceiling.as_millis()).ok()?;
    let drawn = mixed(spread.cast_unsigned() ^ (u64::from(retry) << 56)) % millis;
    Some(Duration::from_millis(drawn.max(1000)))
}

/// SplitMix64's finisher: neighbouring numbers come out far apart. Source: Steele, Lea, Flood 2014.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_sentences_are_sentences() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(reason.sentence().ends_with('.'), "{reason:?}");
            assert!(reason.hint().is_empty() || reason.hint().ends_with('.'));
            assert!(reason.code().len() <= 32);
            let (sentence, hint) = reason.words(Language::Chinese);
            assert!(sentence.ends_with('。'), "{reason:?}");
            assert_eq!(hint.is_empty(), reason.hint().is_empty(), "{reason:?}");
            assert!(hint.is_empty() || hint.ends_with('。'), "{reason:?}");
        }
        assert_eq!(Reason::from_code("succeeded"), None);
    }

    #[test]
    fn a_message_is_bounded_and_storable() {
        let failure = Failure::seen(
            Reason::ExitCode,
            format!("exit code 5\0{}", "é".repeat(5000)),
        );
        let message = failure.message();
        assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
        assert!(message.contains("exit code 5 é") && !message.contains('\0'));
    }

    #[test]
    fn passing_reasons_are_retried_with_full_jitter_up_to_their_limit() {
        assert_eq!(automatic_retry(Reason::ExitCode, 1, 0), None);
        for (reason, ceilings) in [
            (Reason::InstallerBusy, vec![120, 240, 480]),
            (Reason::ExitCodeRetry, vec![120, 240, 480]),
            (Reason::ProgramRunning, vec![1800, 3600, 7200]),
            (Reason::DownloadFailed, vec![60, 240, 960, 3840]),
        ] {
            for (retry, ceiling) in (1..).zip(&ceilings) {
                let waits: Vec<u64> = (-500..500)
                    .filter_map(|job| automatic_retry(reason, retry, job))
                    .map(|wait| wait.as_secs())
                    .collect();
                assert_eq!(waits.len(), 1000);
                assert!(
                    waits.iter().all(|wait| (1..*ceiling).contains(wait)),
                    "{waits:?}"
                );
                // Over the whole range, evenly enough: every tenth of it has its share.
                for tenth in 0..10 {
                    let range = ceiling * tenth / 10..ceiling * (tenth + 1) / 10;
                    let share = waits.iter().filter(|wait| range.contains(wait)).count();
                    assert!(
                        (50..200).contains(&share),
                        "{reason:?} {retry} {tenth}: {share}"
                    );
                }
            }
            let beyond = i64::try_from(ceilings.len()).expect("few") + 1;
            assert_eq!(automatic_retry(reason, beyond, 0), None);
            assert_eq!(automatic_retry(reason, 0, 0), None);
        }
    }

    /// Every code is documented for administrators, with the words they see, and nothing else is.
    #[test]
    fn every_reason_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reasons.md");
        let text = std::fs::read_to_string(path).expect("docs/reasons.md");
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let expected: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| {
                let retried = match reason.retry_policy() {
                    Some(policy) => format!("{} times", policy.limit),
                    None => "no".to_owned(),
                };
                format!(
                    "| `{}` | {} | {} | {retried} |",
                    reason.code(),
                    reason.sentence(),
                    reason.hint()
                )
            })
            .collect();
        assert_eq!(
            rows,
            expected,
            "docs/reasons.md, in this order:\n{}",
            expected.join("\n")
        );
    }
}
