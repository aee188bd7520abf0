//! Jobs of both kinds, installs and uninstalls; the contract's list speaks of installs alone.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::jobs::JobStatus;
use crate::native::deployments::DeploymentKind;
use crate::native::events::JobEvent;

/// Answer of listing jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppJobsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<JobEvent>,
}

/// Query parameters of listing jobs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppJobsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Jobs that do this; left out: both.
    #[schema(nullable = false)]
    pub kind: Option<DeploymentKind>,
    /// Jobs on this desktop.
    #[schema(max_length = 128, nullable = false)]
    pub desktop_id: Option<String>,
    /// Jobs for this application.
    #[schema(max_length = 128, nullable = false)]
    pub app_id: Option<String>,
    /// Jobs for this user.
    #[schema(max_length = 128, nullable = false)]
    pub target: Option<String>,
    /// Jobs in this state.
    #[schema(nullable = false)]
    pub job_status: Option<JobStatus>,
    /// `true`: jobs alone that succeeded and that nothing verifies: an exit code tells it and no rule does, or the receipt
    /// proves nothing.
    #[serde(default)]
    #[schema(default = false)]
    pub unverified: bool,
}
