//! What a desktop's agent logged.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::WireTime;

/// The newest of an agent's log. It begins with the agent's process: the system's journal on the desktop has what was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowAgentLogResponse {
    /// Whole lines, the newest last; some 48 kilobytes at most.
    pub text: String,
    /// When the agent was asked.
    #[schema(value_type = String, format = DateTime)]
    pub read_at: WireTime,
}
