//! The audit log.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// What an audit entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A call that succeeded.
    Change,
    /// A call that was refused for its credential or its rights.
    Refusal,
    /// An authorization that was widened.
    Widening,
    /// An agent that was let in.
    Enrollment,
    /// Entries that were deleted for their age.
    Retention,
    /// The head of the results of jobs.
    Results,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused, and nothing was changed.
    Refused,
}

/// Who acted.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditActor {
    /// `iamUser`, `endUser`, `agent`, `server` or `nobody`.
    pub kind: String,
    /// Its ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Its name; of nobody known the name that was claimed.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// What was shown: `token`, `session`, `password`, `access_key ID`, `enrollment_token ID`, `none`. Never a secret.
    pub credential: String,
}

/// One entry of the audit log.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Entry ID.
    pub id: String,
    /// The project it belongs to; left out: the domain.
    #[schema(nullable = false)]
    pub project_id: Option<String>,
    /// When the call came.
    #[schema(value_type = String, format = DateTime)]
    pub time: WireTime,
    /// What it tells of.
    pub kind: AuditKind,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// HTTP status of a refusal.
    #[schema(nullable = false)]
    pub status: Option<i64>,
    /// The action, as policies name it.
    pub action: String,
    /// The operation.
    pub operation: String,
    /// Who.
    pub actor: AuditActor,
    /// For whom, where that is somebody else.
    #[schema(nullable = false)]
    pub on_behalf_of: Option<String>,
    /// From where.
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// `X-Request-Id` of the answer.
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// What it is about, as policies name it (`app:ID`), the first first.
    pub resources: Vec<String>,
    /// Name of the first.
    #[schema(nullable = false)]
    pub resource_name: Option<String>,
    /// How many alike are told of in this one entry.
    #[schema(minimum = 1)]
    pub times: i64,
    /// The request without its secrets, and what was before and after.
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
    /// Place in the chain; left out: not sealed yet.
    #[schema(minimum = 1, nullable = false)]
    pub sequence: Option<i64>,
    /// The chain's hash there, SHA-256.
    #[schema(nullable = false)]
    pub hash: Option<String>,
}

/// One member that is another now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditDifference {
    /// The resource.
    pub resource: String,
    /// JSON pointer to the member; empty: the whole resource.
    pub member: String,
    /// What it was; null: it was not there.
    pub before: Value,
    /// What it is; null: it is not there any more.
    pub after: Value,
}

/// Answer of showing an audit entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShowAuditEntryResponse {
    /// The entry.
    pub entry: AuditEntry,
    /// What the call changed, member by member.
    pub differences: Vec<AuditDifference>,
}

/// Answer of listing audit entries.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListAuditEntriesResponse {
    /// This page, newest first.
    pub items: Vec<AuditEntry>,
    /// `marker` of the next page; left out: this is the last.
    #[schema(nullable = false)]
    pub next_marker: Option<String>,
}

/// Which audit entries are exported.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditFilterQuery {
    /// Not before this time (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<WireTime>,
    /// Before this time (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<WireTime>,
    /// ID, name or access key of who acted.
    #[schema(max_length = 255)]
    pub actor: Option<String>,
    /// The action; `workspace:users:*`: every one that begins so.
    #[schema(max_length = 255)]
    pub action: Option<String>,
    /// What it is about: `app:ID`; `app:`: any application.
    #[schema(max_length = 255)]
    pub resource: Option<String>,
    /// What it tells of.
    pub kind: Option<AuditKind>,
    /// How it ended.
    pub outcome: Option<AuditOutcome>,
    /// `X-Request-Id` of the answer.
    #[schema(max_length = 64)]
    pub request_id: Option<String>,
}

/// Query parameters of listing audit entries.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAuditEntriesQuery {
    /// Not before this time (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<WireTime>,
    /// Before this time (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<WireTime>,
    /// ID, name or access key of who acted.
    #[schema(max_length = 255)]
    pub actor: Option<String>,
    /// The action; `workspace:users:*`: every one that begins so.
    #[schema(max_length = 255)]
    pub action: Option<String>,
    /// What it is about: `app:ID`; `app:`: any application.
    #[schema(max_length = 255)]
    pub resource: Option<String>,
    /// What it tells of.
    pub kind: Option<AuditKind>,
    /// How it ended.
    pub outcome: Option<AuditOutcome>,
    /// `X-Request-Id` of the answer.
    #[schema(max_length = 64)]
    pub request_id: Option<String>,
    /// `next_marker` of the page before.
    #[schema(max_length = 128)]
    pub marker: Option<String>,
    /// Largest number of entries to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

impl ListAuditEntriesQuery {
    /// What it filters by.
    pub fn filter(&self) -> AuditFilterQuery {
        AuditFilterQuery {
            from: self.from,
            to: self.to,
            actor: self.actor.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            kind: self.kind,
            outcome: self.outcome,
            request_id: self.request_id.clone(),
        }
    }
}

/// A place in the chain that was noted earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPlace {
    /// The place.
    #[schema(minimum = 1)]
    pub sequence: i64,
    /// The chain's hash there, 64 hex digits.
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
}

/// Body of verifying the audit log.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyAuditReq {
    /// A place noted earlier, outside the server: a log that was rolled back to before it is found.
    pub known: Option<AuditPlace>,
}

/// What is wrong with one place of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditProblem {
    /// The entry is another than was written.
    Altered,
    /// Entries are gone.
    Missing,
    /// The entry is whole, and not in the place where it was sealed.
    Moved,
    /// The end of the chain was written by somebody else.
    Head,
    /// The checkpoint of retention was written by somebody else.
    Checkpoint,
    /// The place noted earlier is not in this chain.
    RolledBack,
    /// The result of a job is another than was sealed.
    ResultAltered,
    /// Results of jobs are gone that no server deleted.
    ResultsMissing,
    /// Results of jobs together are others than the log says.
    ResultsHead,
}

/// Something that is wrong.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditFinding {
    /// What.
    pub problem: AuditProblem,
    /// The place, of a `result` among results; left out: the entry is not sealed yet.
    #[schema(nullable = false)]
    pub sequence: Option<i64>,
    /// The last missing place.
    #[schema(nullable = false)]
    pub to_sequence: Option<i64>,
    /// ID of the entry.
    #[schema(nullable = false)]
    pub entry_id: Option<String>,
}

/// What was found of the results of jobs, whose heads the log holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditResults {
    /// Results that were computed again.
    #[schema(minimum = 0)]
    pub checked: i64,
    /// Up to which place: the end of their chain when the check began. 0: nothing was sealed yet.
    #[schema(minimum = 0)]
    pub sequence: i64,
    /// The chain's hash there.
    pub hash: String,
    /// Results that were deleted with their jobs: their digests are checked alone.
    #[schema(minimum = 0)]
    pub gone: i64,
    /// Results that wait to be sealed.
    #[schema(minimum = 0)]
    pub unsealed: i64,
}

/// Answer of verifying the audit log.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyAuditResponse {
    /// Whether nothing is wrong.
    pub whole: bool,
    /// Sealed entries that were checked.
    #[schema(minimum = 0)]
    pub checked: i64,
    /// Up to which place: the end of the chain when the check began. 0: nothing was sealed yet.
    #[schema(minimum = 0)]
    pub sequence: i64,
    /// The chain's hash there: note it outside the server.
    pub hash: String,
    /// When that was sealed.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub sealed_at: Option<WireTime>,
    /// Entries up to this place were deleted for their age.
    #[schema(minimum = 0)]
    pub deleted_to_sequence: i64,
    /// Entries that wait to be sealed.
    #[schema(minimum = 0)]
    pub unsealed: i64,
    /// What is wrong, in order; at most 100.
    pub findings: Vec<AuditFinding>,
    /// How many more are wrong.
    #[schema(minimum = 0)]
    pub more_findings: i64,
    /// The results of jobs.
    pub results: AuditResults,
}

/// Body of deleting old audit entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneAuditReq {
    /// Entries from before this time go (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub before: WireTime,
}

/// Answer of deleting old audit entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneAuditResponse {
    /// Entries that are gone.
    #[schema(minimum = 0)]
    pub deleted: i64,
    /// Place of the last one: the chain goes on behind it.
    #[schema(minimum = 0)]
    pub deleted_to_sequence: i64,
}
