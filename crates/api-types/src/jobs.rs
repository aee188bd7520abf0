//! Install jobs: list, retry, delete.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};
use crate::time::WireTime;

/// State of an install job. Source: semantics.md section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Not handed out yet (also deferred, or outside its window).
    Init,
    /// Handed out, until the real end, automatic retries included.
    Waiting,
    /// Ended well.
    Success,
    /// Failed.
    Fail,
}

/// Installation of one application on one desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppInstallJob {
    /// Install job ID.
    pub id: String,
    /// Application ID.
    pub app_id: String,
    /// Application name.
    #[schema(nullable = false)]
    pub app_name: Option<String>,
    /// Application version; while INIT that of the newest revision.
    #[schema(nullable = false)]
    pub app_version: Option<String>,
    /// Desktop (or app-streaming instance) ID.
    #[schema(nullable = false)]
    pub instance_id: Option<String>,
    /// SID of the instance.
    #[schema(nullable = false)]
    pub instance_sid: Option<String>,
    /// Name of the instance.
    #[schema(nullable = false)]
    pub instance_name: Option<String>,
    /// Who started it.
    #[schema(nullable = false)]
    pub operator: Option<String>,
    /// User it is installed for; left out when the desktop has no user.
    #[schema(nullable = false)]
    pub target: Option<String>,
    /// State.
    pub job_status: JobStatus,
    /// Why it failed; only for FAIL.
    #[schema(nullable = false)]
    pub error_message: Option<String>,
    /// UTC, for example 2024-12-25T06:58:19.765Z.
    #[schema(value_type = String, format = DateTime)]
    pub create_time: WireTime,
    /// UTC, for example 2024-12-25T06:58:19.765Z.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub update_time: Option<WireTime>,
}

/// Answer of `ListJobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListJobsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Install jobs on this page.
    pub items: Vec<AppInstallJob>,
}

amended! {
    /// Body of `BatchDeleteJobs`.
    pub struct BatchOperateJobsReq {
        /// Install job IDs.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
    }
    with [
        unique_items("items"),
    ]
}

/// Query parameters of `ListJobs`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListJobsQuery {
    /// Index of the first record.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Page size.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Desktop ID.
    #[schema(max_length = 128, nullable = false)]
    pub instance_id: Option<String>,
    /// Application ID.
    #[schema(max_length = 128, nullable = false)]
    pub app_id: Option<String>,
    /// User the installation is for.
    #[schema(max_length = 128, nullable = false)]
    pub target: Option<String>,
    /// Job status.
    #[schema(nullable = false)]
    pub job_status: Option<JobStatus>,
}
