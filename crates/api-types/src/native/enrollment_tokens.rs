//! Tokens that let agents enroll.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::tags::{Tag, TagOut};
use crate::time::WireTime;

/// Body of making an enrollment token.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnrollmentTokenReq {
    /// What the token is for.
    #[schema(min_length = 1, max_length = 64, pattern = r"^(?! +$)[\S ]{1,64}$")]
    pub name: String,
    /// How many agents may enroll with it. Absent or null: any number.
    #[schema(minimum = 1, maximum = 1000000)]
    pub max_uses: Option<i64>,
    /// Lifetime in seconds.
    #[schema(minimum = 60, maximum = 31536000, default = 86400)]
    pub expires_in_seconds: Option<i64>,
    /// Whether an enrolling agent may name a user to attach.
    #[schema(default = false)]
    pub may_attach: Option<bool>,
    /// Whether a desktop with a live agent may be taken over.
    #[schema(default = false)]
    pub may_reenroll: Option<bool>,
    /// Networks that agents must call from, as the server sees their addresses: ADDRESS/LENGTH, bits of hosts zero.
    /// Absent, null or empty: any.
    #[schema(max_items = 32)]
    pub networks: Option<Vec<String>>,
    /// Tags that the desktops get at enrollment, each key once; the value of a key that a desktop has is replaced.
    /// Who names some needs the permission `workspace:desktops:tag` too.
    #[schema(max_items = 20)]
    pub tags: Option<Vec<Tag>>,
    /// Whether an administrator has to approve each agent before it comes in.
    #[schema(default = false)]
    pub needs_approval: Option<bool>,
}

/// Enrollment token, without its text.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrollmentToken {
    /// Token ID.
    pub id: String,
    /// What the token is for.
    pub name: String,
    /// How many agents may enroll with it; left out: any number.
    #[schema(minimum = 1, nullable = false)]
    pub max_uses: Option<i64>,
    /// How many have.
    #[schema(minimum = 0)]
    pub uses: i64,
    /// Whether an enrolling agent may name a user to attach.
    pub may_attach: bool,
    /// Whether a desktop with a live agent may be taken over.
    pub may_reenroll: bool,
    /// Networks that agents must call from; empty: any.
    pub networks: Vec<String>,
    /// Tags that the desktops get at enrollment.
    pub tags: Vec<TagOut>,
    /// Whether an administrator has to approve each agent before it comes in.
    pub needs_approval: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When it ends; left out: never.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub expires_at: Option<WireTime>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub revoked_at: Option<WireTime>,
}

/// Answer of making an enrollment token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnrollmentTokenResponse {
    /// The token.
    pub enrollment_token: EnrollmentToken,
    /// Its text, shown this once.
    #[schema(value_type = String)]
    pub token: SecretText,
}

/// Answer of listing enrollment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListEnrollmentTokensResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<EnrollmentToken>,
}

/// Query parameters of listing enrollment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListEnrollmentTokensQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// A program of the agent that the script for installing names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentInstallerProgram {
    /// The architecture, as `uname -m` says it.
    pub arch: String,
    /// Lower-case hex SHA-256.
    pub sha256: String,
    /// Size in bytes.
    #[schema(minimum = 0)]
    pub size_bytes: u64,
}

/// The script that installs the agent on a desktop, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentInstaller {
    /// Where desktops fetch it. What comes is judged by the digest, not by the certificate there.
    pub url: String,
    /// Lower-case hex SHA-256 of the script. It changes when another program of the agent is given out.
    pub sha256: String,
    /// One line for a POSIX shell on the desktop: fetches the script, compares its digest, and only then runs it with
    /// the enrollment token that it reads from standard input.
    pub command: String,
    /// The programs that it names, by architecture. None: there is nothing to install.
    pub programs: Vec<AgentInstallerProgram>,
}
