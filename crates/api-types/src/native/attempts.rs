//! Attempts of an install job, with the evidence each left.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::native::detection::DetectionRule;
use crate::time::WireTime;

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Handed out, not begun.
    Leased,
    /// Released by the server.
    Running,
    /// Over.
    Ended,
}

/// Where an attempt is on the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptPhase {
    /// The rule is evaluated before anything is done.
    Detecting,
    /// Bytes are fetched.
    Downloading,
    /// Digest and size are compared.
    Verifying,
    /// A program of the application runs and is being closed, by its user or by the agent.
    ClosingPrograms,
    /// The installer runs.
    Running,
    /// The rule is evaluated again.
    Confirming,
}

/// What proves a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The rule held afterwards.
    DetectionRule,
    /// The files of the unpacked archive are there.
    Manifest,
    /// The rule held before, nothing was run.
    AlreadyInstalled,
    /// The exit code alone: unverified.
    ExitCodeOnly,
    /// There was nothing to uninstall; nothing was run.
    AlreadyAbsent,
    /// Nothing: the receipt does not verify.
    ReceiptInvalid,
}

/// What verifying the signature of a receipt said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// Nobody signed it.
    Unsigned,
    /// It was not verified yet.
    Pending,
    /// The device signed it.
    Valid,
    /// It is not what it says.
    Invalid,
}

/// What one evaluation of the rule saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectionResult {
    /// Whether the rule held.
    pub holds: bool,
    /// What was seen, in words.
    pub seen: String,
}

/// When a phase began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhaseMark {
    /// The phase.
    pub phase: AttemptPhase,
    /// By the clock of the desktop.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: WireTime,
}

/// Evidence of an attempt, as the agent reported it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// What proves the success; left out: it did not succeed.
    #[schema(nullable = false)]
    pub proof: Option<Proof>,
    /// Whether the device's signature over it holds.
    pub signature: SignatureState,
    /// Why the signature does not hold.
    #[schema(nullable = false)]
    pub signature_problem: Option<String>,
    /// The application was there before, nothing was run.
    pub already_installed: bool,
    /// What was to be uninstalled was not there, nothing was run.
    pub already_absent: bool,
    /// Stable code of what kept the agent from carrying it out.
    #[schema(nullable = false)]
    pub failure: Option<String>,
    /// What is to be read beside the code.
    #[schema(nullable = false)]
    pub failure_detail: Option<String>,
    /// The rule that was evaluated.
    #[schema(nullable = false)]
    pub detection_rule: Option<DetectionRule>,
    /// Files of the unpacked archive.
    #[schema(minimum = 0, nullable = false)]
    pub manifest_files: Option<i64>,
    /// The rule before.
    #[schema(nullable = false)]
    pub detected_before: Option<DetectionResult>,
    /// The rule afterwards.
    #[schema(nullable = false)]
    pub detected_after: Option<DetectionResult>,
    /// Exit code of the installer; left out: none ran or unknown.
    #[schema(nullable = false)]
    pub exit_code: Option<i64>,
    /// Whether it asked for a restart: what it did is whole only then.
    pub wants_restart: bool,
    /// The last of what the installer printed.
    #[schema(nullable = false)]
    pub output_tail: Option<String>,
    /// The command as it was run.
    #[schema(nullable = false)]
    pub command: Option<String>,
    /// Lower-case hex SHA-256 of the bytes that were run.
    #[schema(nullable = false)]
    pub package_sha256: Option<String>,
    /// Size of those bytes.
    #[schema(minimum = 0, nullable = false)]
    pub package_size_bytes: Option<i64>,
    /// The folder that played the desktop, where one did.
    #[schema(nullable = false)]
    pub sandbox_root: Option<String>,
    /// Version of the agent.
    pub agent_version: String,
    /// When each phase began, in order.
    pub phases: Vec<PhaseMark>,
    /// When it ended by the clock of the desktop.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: WireTime,
    /// When the server recorded it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: WireTime,
}

/// One try of a job.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Attempt ID.
    pub id: String,
    /// 1 for the first.
    #[schema(minimum = 1)]
    pub number: i64,
    /// How far it is.
    pub state: AttemptState,
    /// Where it was last seen.
    #[schema(nullable = false)]
    pub phase: Option<AttemptPhase>,
    /// Since when, by the server's clock.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub phase_started_at: Option<WireTime>,
    /// Share of that phase done, where known.
    #[schema(minimum = 0, maximum = 100, nullable = false)]
    pub percent: Option<i64>,
    /// Rate of the download at last, while it runs; 0 while it waits for its turn or for the network.
    #[schema(minimum = 0, nullable = false)]
    pub bytes_per_second: Option<i64>,
    /// When an administrator asked to stop it.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub cancel_requested_at: Option<WireTime>,
    /// The revision it is about.
    pub app_revision_id: String,
    /// Version of that revision.
    pub app_version: String,
    /// Why it ended: `succeeded` or a stable reason code.
    #[schema(nullable = false)]
    pub outcome: Option<String>,
    /// When it was handed out.
    #[schema(value_type = String, format = DateTime)]
    pub leased_at: WireTime,
    /// When the server released it.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub started_at: Option<WireTime>,
    /// Last sign of life.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: WireTime,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub ended_at: Option<WireTime>,
    /// The evidence, once it has arrived.
    #[schema(nullable = false)]
    pub receipt: Option<Receipt>,
}

/// Answer of listing the attempts of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAttemptsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<Attempt>,
}

/// Query parameters of listing the attempts of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAttemptsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
