//! What is done about programs of an app that run when it is put on or taken off.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// How running programs of an application are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunningProgramsMode {
    /// Their users are asked to close them; when the time is over, the programs themselves are asked to end.
    Ask,
    /// They are asked to end at once, and ended soon after.
    Stop,
}

/// What a project has done about running programs of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningProgramsSettings {
    /// How they are closed.
    pub mode: RunningProgramsMode,
    /// How long a user who is asked has, in seconds.
    pub wait_seconds: i64,
}

/// Body of setting what is done about running programs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetRunningProgramsReq {
    /// How they are closed.
    pub mode: RunningProgramsMode,
    /// How long a user who is asked has, in seconds; 600 when left out.
    #[schema(minimum = 10, maximum = 7200)]
    pub wait_seconds: Option<i64>,
}
