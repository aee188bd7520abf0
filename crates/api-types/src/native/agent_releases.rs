//! Newer programs of the agent, and how far each is handed out.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// A program of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentProgram {
    /// Lower-case hex SHA-256.
    pub sha256: String,
    /// System it is for.
    pub os: String,
    /// Architecture it is for, as `uname -m` says it.
    pub arch: String,
    /// Version that the program itself bears.
    pub version: String,
    /// Size in bytes.
    #[schema(minimum = 1)]
    pub size_bytes: i64,
}

/// Body of making a release from uploaded programs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateAgentReleaseReq {
    /// Version, as in semantic versioning; every program bears it.
    #[schema(
        min_length = 5,
        max_length = 39,
        pattern = r"^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$"
    )]
    pub version: String,
    /// SHA-256 of the programs, at most one for each system and architecture.
    #[schema(min_items = 1, max_items = 16)]
    pub programs: Vec<String>,
    /// Seconds for which agents follow it.
    #[schema(minimum = 3600, maximum = 315360000, default = 31536000)]
    pub expires_in_seconds: Option<i64>,
}

/// Body of setting how far a release is handed out; what is left out stays.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollOutAgentReleaseReq {
    /// Share of the desktops that it is offered to; always the same ones, and more when it is raised.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: Option<i64>,
    /// Whether it is offered to nobody for now. Desktops that have it keep it.
    pub halted: Option<bool>,
    /// Desktops on which it may fail before it halts by itself.
    #[schema(minimum = 1, maximum = 1000000)]
    pub halt_after_failures: Option<i64>,
    /// Seconds that the new program may take until it is connected; then the old one comes back.
    #[schema(minimum = 5, maximum = 3600)]
    pub trial_limit_seconds: Option<i64>,
    /// Whether desktops on which it failed or was refused are to try again.
    #[schema(default = false)]
    pub retry_failed: Option<bool>,
}

/// A desktop on which a release failed or was refused.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentUpdateFailure {
    /// Desktop ID.
    pub desktop_id: String,
    /// Its name.
    pub desktop_name: String,
    /// Whether the agent refused it without running it.
    pub refused: bool,
    /// Why, in the agent's words.
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// When it said so.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
}

/// A release of the agent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRelease {
    /// Version.
    pub version: String,
    /// Its programs.
    pub programs: Vec<AgentProgram>,
    /// Who made it.
    pub operator: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When agents stop following it.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WireTime,
    /// Share of the desktops that it is offered to.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: i64,
    /// Whether it is offered to nobody for now.
    pub halted: bool,
    /// Why, where it halted by itself.
    #[schema(nullable = false)]
    pub halt_reason: Option<String>,
    /// Desktops on which it may fail before it halts by itself.
    #[schema(minimum = 1)]
    pub halt_after_failures: i64,
    /// Seconds that the new program may take until it is connected.
    #[schema(minimum = 5)]
    pub trial_limit_seconds: i64,
    /// Desktops on which it is on trial.
    #[schema(minimum = 0)]
    pub trying: i64,
    /// Desktops that run it.
    #[schema(minimum = 0)]
    pub done: i64,
    /// Desktops on which it failed; the old program is back there.
    #[schema(minimum = 0)]
    pub failed: i64,
    /// Desktops that refused it.
    #[schema(minimum = 0)]
    pub refused: i64,
    /// The latest of those; in the answer about one release only.
    #[schema(nullable = false)]
    pub failures: Option<Vec<AgentUpdateFailure>>,
}

/// Answer of listing releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAgentReleasesResponse {
    /// How many there are.
    #[schema(minimum = 0)]
    pub count: i64,
    /// The page, newest first.
    pub items: Vec<AgentRelease>,
}

/// Query parameters of listing releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAgentReleasesQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
