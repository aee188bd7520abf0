//! Live events of a project, as `text/event-stream`: what the data of each event is.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::jobs::AppInstallJob;
use crate::native::attempts::{AttemptPhase, Proof};
use crate::native::deployments::{DeploymentCounts, DeploymentKind, DeploymentState};
use crate::time::WireTime;

/// A job as it is now: data of a `job` event, and what our own lists of jobs show.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    /// As ListJobs shows it.
    #[serde(flatten)]
    pub job: AppInstallJob,
    /// What it does.
    pub kind: DeploymentKind,
    /// Its deployment.
    pub deployment_id: String,
    /// Stable code of why it failed, or why its last attempt did.
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// What proves a success.
    #[schema(nullable = false)]
    pub proof: Option<Proof>,
    /// Where its open attempt is.
    #[schema(nullable = false)]
    pub phase: Option<AttemptPhase>,
    /// Share of that phase done.
    #[schema(minimum = 0, maximum = 100, nullable = false)]
    pub percent: Option<i64>,
    /// Whether what it did is whole only after a restart of the desktop, which is still to come.
    pub restart_pending: bool,
}

/// Data of a `deployment` event: the deployment as it is now.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentEvent {
    /// Deployment ID.
    pub id: String,
    /// How far it is.
    pub state: DeploymentState,
    /// How many of each.
    pub counts: DeploymentCounts,
    /// Since when nothing more is handed out, because too many failed.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub halted_at: Option<WireTime>,
}

/// Data of a `ready` event, the first of a stream: what is listed after it misses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadyEvent {
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: WireTime,
}
