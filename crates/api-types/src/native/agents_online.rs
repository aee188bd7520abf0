//! Agents online over time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::WireTime;

/// Query parameters of showing how many agents were online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowAgentsOnlineQuery {
    /// Hours back from now.
    #[serde(default = "day")]
    #[schema(default = 24, minimum = 1, maximum = 168)]
    pub hours: i64,
}

fn day() -> i64 {
    24
}

/// Agents online over time, and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentsOnline {
    /// Length of a place of the series, in seconds.
    #[schema(minimum = 1)]
    pub step_seconds: i64,
    /// The series, oldest first. A place in which nothing was counted is left out: no server ran, or no desktop had an agent.
    pub samples: Vec<AgentsOnlineSample>,
    /// As it is now.
    pub now: AgentsOnlineSample,
}

/// How many agents were online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentsOnlineSample {
    /// When its time begins.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// Fewest agents that were online in its time.
    #[schema(minimum = 0)]
    pub online: i64,
    /// Most desktops that had an agent in its time.
    #[schema(minimum = 0)]
    pub agents: i64,
}
