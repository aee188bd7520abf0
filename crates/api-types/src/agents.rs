//! Pushing the agent onto desktops, and where it is installed.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// Body of `BatchInstallAgent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchInstallAgentReq {
    /// Desktop IDs to act on.
    #[schema(min_items = 1, max_items = 100, max_length = 255)]
    pub desktop_ids: Vec<String>,
}

/// Answer of `BatchInstallAgent`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchInstallAgentResponse {
    /// Job to poll with ShowJob or ListItaSubJobs.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
}

/// Answer of `ListAgentsInstallCondition`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAgentsInstallConditionResponse {
    /// One entry per desktop.
    #[schema(nullable = false)]
    pub agents_condition: Option<Vec<AgentsCondition>>,
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// Desktop with its agents.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentsCondition {
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub desktop_name: Option<String>,
    /// Desktop pool ID.
    #[schema(nullable = false)]
    pub desktop_pool_id: Option<String>,
    /// Status.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Task in progress on the desktop (for example scheduling, spawning, rebooting,
    /// rebuilding, powering-off, powering-on, deleting, deleteFailed, updating,
    /// desktopNetworkChanging); empty when idle.
    #[schema(nullable = false)]
    pub task_status: Option<String>,
    /// IP address.
    #[schema(nullable = false)]
    pub ip_address: Option<String>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Progress 0 to 100; null when the desktop has no task.
    #[serialize_always]
    pub process: Option<i64>,
    /// One entry per monitoring agent known on this desktop.
    #[schema(nullable = false)]
    pub agent_info: Option<Vec<AgentInfo>>,
}

/// Agent on a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentInfo {
    /// Agent name.
    #[schema(nullable = false)]
    pub agent_name: Option<String>,
    /// Agent version.
    #[schema(nullable = false)]
    pub agent_version: Option<String>,
    /// True when the agent is installed.
    #[schema(nullable = false)]
    pub is_installed: Option<bool>,
}

/// Query parameters of `ListAgentsInstallCondition`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAgentsInstallConditionQuery {
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub desktop_name: Option<String>,
    /// Desktop status.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// IP address.
    #[schema(nullable = false)]
    pub ip_address: Option<String>,
    /// Keep desktops whose agent is (true) or is not (false) installed.
    #[schema(nullable = false)]
    pub is_installed: Option<bool>,
    /// Desktop pool ID.
    #[schema(nullable = false)]
    pub desktop_pool_id: Option<String>,
    /// Page size.
    #[serde(default = "crate::defaults::thousand")]
    #[schema(default = 1000, minimum = 0, maximum = 1000)]
    pub limit: i64,
    /// Index of the first record, from 0.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
}
