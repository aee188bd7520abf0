//! Revisions of an application: its installable content, which never changes.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::apps::FileStoreLink;
use crate::native::detection::DetectionRule;
use crate::native::packages::PackageKind;
use crate::time::WireTime;

/// Whether a package may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageState {
    /// Not looked at yet.
    Pending,
    /// Looked at and recorded.
    Ready,
    /// Not what it should be.
    Refused,
    /// Removed: nothing needed it any more.
    Gone,
}

/// What was found when the bytes of a package were last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageCondition {
    /// As they came.
    Intact,
    /// Not there: installs are refused.
    Missing,
    /// Others than came: installs are refused.
    Altered,
}

/// Where a detection rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectionOrigin {
    /// From the package.
    Derived,
    /// By hand.
    Written,
}

/// Package of a revision.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisionPackage {
    /// Where it is.
    pub app_file_store: FileStoreLink,
    /// Whether it may be handed out.
    pub state: PackageState,
    /// Lower-case hex SHA-256, once known.
    #[schema(nullable = false)]
    pub sha256: Option<String>,
    /// Size in bytes, once known.
    #[schema(minimum = 0, nullable = false)]
    pub size_bytes: Option<i64>,
    /// What the file is, once known.
    #[schema(nullable = false)]
    pub kind: Option<PackageKind>,
    /// What was found when the bytes in the bucket were last looked at; left out for links.
    #[schema(nullable = false)]
    pub condition: Option<PackageCondition>,
    /// When they were last looked at, by size.
    #[schema(value_type = String, format = DateTime, nullable = false)]
    pub looked_at: Option<WireTime>,
    /// When they were last all read and digested.
    #[schema(value_type = String, format = DateTime, nullable = false)]
    pub digested_at: Option<WireTime>,
    /// Whether that was asked for and has not ended.
    #[schema(nullable = false)]
    pub is_digest_wanted: Option<bool>,
    /// Desktop whose download fixed the digest of a link given without one.
    #[schema(nullable = false)]
    pub pinned_by_desktop_id: Option<String>,
}

/// Version, package, commands and detection rule, taken together.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppRevision {
    /// Revision ID.
    pub id: String,
    /// Application ID.
    pub app_id: String,
    /// 1 for the first.
    #[schema(minimum = 1)]
    pub number: i64,
    /// Whether new jobs get this one.
    pub newest: bool,
    /// Version.
    pub version: String,
    /// The package.
    pub package: RevisionPackage,
    /// Install command.
    #[schema(nullable = false)]
    pub install_command: Option<String>,
    /// Uninstall command.
    #[schema(nullable = false)]
    pub uninstall_command: Option<String>,
    /// How a desktop tells that it is there.
    #[schema(nullable = false)]
    pub detection_rule: Option<DetectionRule>,
    /// Where the rule comes from; left out without one.
    #[schema(nullable = false)]
    pub detection_origin: Option<DetectionOrigin>,
    /// Exit codes that count as success.
    pub success_exit_codes: Vec<i64>,
    /// What exit codes mean for this application; others mean what `success_exit_codes` and their kind of installer say.
    pub exit_codes: Vec<ExitCode>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// What an exit code comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitOutcome {
    /// Done.
    Success,
    /// Done, and whole only after the desktop has restarted. Nothing restarts it but people.
    RebootNeeded,
    /// Not now: tried again by itself, three times.
    Retry,
    /// Not done.
    Failure,
}

/// What an exit code means for an application.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitCode {
    /// The code as the desktop's system gives it; on Linux ended by signal n is 128 + n.
    #[schema(minimum = -2147483648, maximum = 2147483647)]
    pub code: i64,
    /// What it comes to. A success still needs its detection rule.
    pub outcome: ExitOutcome,
    /// What it says, shown with the failure.
    #[schema(max_length = 255)]
    pub text: Option<String>,
}

/// Body of saying what exit codes mean for an application, which makes a new revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetExitCodesReq {
    /// All of them; an empty list leaves them to their kind of installer.
    #[schema(max_items = 64)]
    pub exit_codes: Vec<ExitCode>,
}

/// Body of setting the detection rule of an application, which makes a new revision.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetDetectionRuleReq {
    /// The rule. Absent or null: derive it from the package again.
    pub rule: Option<DetectionRule>,
}

/// Answer of listing the revisions of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppRevisionsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<AppRevision>,
}

/// Query parameters of listing the revisions of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppRevisionsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Body of accepting what lies behind an application's link.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptLinkReq {
    /// Lower-case hex SHA-256 that it has. Absent or null: what the next desktop finds there, unless the project wants
    /// digests.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: Option<String>,
}
