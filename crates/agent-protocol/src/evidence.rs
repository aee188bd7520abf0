use outfitter_ids::{AttemptId, JobId};
use serde::{Deserialize, Serialize};

use crate::DetectionRule;

/// Where an attempt is on the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The rule is evaluated before anything is done.
    Detecting,
    /// Bytes are fetched.
    Downloading,
    /// Digest and size are compared.
    Verifying,
    /// A program of the app runs and is being closed, by its user or by the agent.
    ClosingPrograms,
    /// The installer (or the agent's own unpacking) runs.
    Running,
    /// The rule is evaluated again.
    Confirming,
}

/// When a phase began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMark {
    /// The phase.
    pub phase: Phase,
    /// The agent's clock, in milliseconds UTC.
    pub at_millis: i64,
}

/// Why the agent could not bring an attempt to a proper end. The server turns it into a reason that
/// administrators read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The source answered 401 or 403.
    DownloadForbidden,
    /// The source answered 404 or 410.
    DownloadGone,
    /// The link, or an address that it led to, is none that the server's operator lets desktops fetch from.
    LinkNotAllowed,
    /// The server has the package no longer.
    PackageMissing,
    /// The source could not be reached or broke off too often.
    DownloadFailed,
    /// The bytes are not those the server recorded.
    DigestMismatch,
    /// No room on the desktop.
    DiskFull,
    /// The archive was refused (absolute path, `..`, link, too large, overwrites foreign files, ...).
    ArchiveRefused,
    /// The command is no command here (cannot be split, empty, program missing).
    CommandInvalid,
    /// The command could not be started.
    StartFailed,
    /// The installer ran longer than allowed and was ended with its children.
    RunLimit,
    /// The supervisor died with the installer; what happened is unknown.
    Interrupted,
    /// Another installer holds the system's lock.
    InstallerBusy,
    /// A program of the app runs and did not end when it was asked to.
    ProgramRunning,
    /// The user is in no graphical session on the desktop.
    NoSession,
    /// The server asked to stop.
    Cancelled,
    /// This agent cannot do that on this system.
    NotSupported,
    /// The agent failed by itself (state folder unreadable and the like).
    AgentFailure,
}

/// What one evaluation of the rule saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Whether the rule held.
    pub holds: bool,
    /// What was seen, in words: `hello 2.10-3 is installed`, `/opt/x is missing`.
    pub seen: String,
}

/// What the agent saw of one attempt. It does not say "success": the server judges (invariant I3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The attempt.
    pub attempt: AttemptId,
    /// The job the attempt belongs to.
    pub job: JobId,
    /// Why the attempt could not be carried out, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// What is to be read beside the failure: the far side's words, the path, the missing program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_detail: Option<String>,
    /// The rule that was evaluated: the task's, the one derived from the verified package, or
    /// `None` where there is none. The agent's own manifest of an unpacked archive stands in `manifest_files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<DetectionRule>,
    /// Number of files in the agent's own manifest, where the attempt unpacked an archive or removed what was
    /// unpacked; the manifest then is the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_files: Option<u32>,
    /// The rule before anything was done. `None` when it was not evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Detection>,
    /// The rule after everything. `None` when it was not evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Detection>,
    /// The app was there already (a rule that pins the version held), so nothing was run.
    #[serde(default)]
    pub already_installed: bool,
    /// The app that was to be taken off was not there (the rule did not hold, nothing of it was unpacked), so nothing
    /// was run.
    #[serde(default)]
    pub already_absent: bool,
    /// Exit code of the installer: as the system gave it; ended by signal n is 128 + n. `None` when none
    /// ran or the code is unknown. Unpacking by the agent itself gives 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last of what the installer printed, at most [`crate::MAX_OUTPUT_TAIL_BYTES`], invalid UTF-8 replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output_tail: String,
    /// Lower-case hex SHA-256 of the bytes that were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_sha256: Option<String>,
    /// Size of those bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_size_bytes: Option<u64>,
    /// The command as it was run (after substitution).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<String>,
    /// Version of the agent that wrote this.
    pub agent_version: String,
    /// When each phase began, in order.
    #[serde(default)]
    pub phases: Vec<PhaseMark>,
    /// When the attempt ended by the agent's clock, in milliseconds UTC.
    pub ended_at_millis: i64,
}
