//! Batch work on desktops: jobs and their sub-jobs.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, one_of_members};
use crate::time::JobTime;

/// What to do with a workspace job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobAction {
    /// Run what failed again.
    Retry,
}

/// Body of `RunActionsOnWorkspaceJob`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobActionsReq {
    /// Only retry is defined.
    pub op_type: JobAction,
}

/// How a sub-job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubJobEndStatus {
    /// Ended well.
    Success,
    /// Failed.
    Failed,
}

amended! {
    /// Body of `BatchDeleteSubJobs`.
    pub struct DeleteSubJobsReq {
        /// Sub-job IDs (not parent job IDs). Only SUCCESS and FAILED ones can go. Give this or
        /// delete_by_status.
        #[schema(min_items = 1, max_items = 10, max_length = 255)]
        pub job_ids: Option<Vec<String>>,
        /// Delete every sub-job in this end state: SUCCESS or FAILED. Give this or job_ids.
        pub delete_by_status: Option<SubJobEndStatus>,
    }
    with [
        one_of_members(&[&[("job_ids", "array")], &[("delete_by_status", "string")]]),
    ]
}

/// Answer of `ShowJob`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowJobResponse {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Job type.
    #[schema(nullable = false)]
    pub job_type: Option<String>,
    /// When the job was created or started.
    #[schema(value_type = Option<String>, nullable = false)]
    pub begin_time: Option<JobTime>,
    /// When the job ended.
    #[schema(value_type = Option<String>, nullable = false)]
    pub end_time: Option<JobTime>,
    /// WAITING, RUNNING, SUCCESS or FAILED.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Error code of the job.
    #[schema(nullable = false)]
    pub job_error_code: Option<String>,
    /// Why the job failed.
    #[schema(nullable = false)]
    pub fail_reason: Option<String>,
    /// Number of sub-jobs.
    #[schema(nullable = false)]
    pub sub_jobs_total: Option<i64>,
    /// Sub-jobs.
    #[schema(nullable = false)]
    pub sub_jobs: Option<Vec<JobDetailInfo>>,
}

/// Sub-job of a workspace job.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobDetailInfo {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Job type.
    #[schema(nullable = false)]
    pub job_type: Option<String>,
    /// What the job acted on.
    #[schema(nullable = false)]
    pub entities: Option<JobEntities>,
    /// When the job was created or started.
    #[schema(value_type = Option<String>, nullable = false)]
    pub begin_time: Option<JobTime>,
    /// When the job ended.
    #[schema(value_type = Option<String>, nullable = false)]
    pub end_time: Option<JobTime>,
    /// WAITING, RUNNING, SUCCESS or FAILED.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Error code of the failure.
    #[schema(nullable = false)]
    pub error_code: Option<String>,
    /// Why the job failed.
    #[schema(nullable = false)]
    pub fail_reason: Option<String>,
    /// IP address of the server that ran the job.
    #[schema(nullable = false)]
    pub host: Option<String>,
    /// Project ID.
    #[schema(nullable = false)]
    pub project_id: Option<String>,
    /// ID of the parent job.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
    /// Progress of the sub-job, 0 to 100.
    #[schema(nullable = false)]
    pub process: Option<i64>,
    /// User linked to the sub-job.
    #[schema(nullable = false)]
    pub attach_user: Option<String>,
    /// Object acted on.
    #[schema(nullable = false)]
    pub entity: Option<String>,
    /// IP address.
    #[schema(nullable = false)]
    pub ip_address: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub desktop_name: Option<String>,
    /// Mac address.
    #[schema(nullable = false)]
    pub mac_address: Option<String>,
    /// Message.
    #[schema(nullable = false)]
    pub message: Option<String>,
}

/// What a sub-job works on.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEntities {
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Product ID.
    #[schema(nullable = false)]
    pub product_id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub desktop_name: Option<String>,
    /// IP address.
    #[schema(nullable = false)]
    pub ip_address: Option<String>,
}

/// Answer of `RunActionsOnWorkspaceJob`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunActionsOnWorkspaceJobResponse {
    /// Job ID.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
}

/// Answer of `ListItaSubJobs`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListItaSubJobsResponse {
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
    /// Sub-jobs.
    #[schema(nullable = false)]
    pub jobs: Option<Vec<JobDetailInfo>>,
}

/// Query parameters of `ListItaSubJobs`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListItaSubJobsQuery {
    /// SUCCESS, RUNNING, FAILED or WAITING.
    #[schema(max_length = 255, nullable = false)]
    pub status: Option<String>,
    /// Parent job ID. The reference advises giving job_type or job_id.
    #[schema(max_length = 255, nullable = false)]
    pub job_id: Option<String>,
    /// Job type. The reference advises giving job_type or job_id.
    #[schema(max_length = 255, nullable = false)]
    pub job_type: Option<String>,
    /// Desktop pool ID.
    #[schema(max_length = 255, nullable = false)]
    pub desktop_pool_id: Option<String>,
    /// Page size, 0 to 1000, default 1000.
    #[serde(default = "crate::defaults::thousand")]
    #[schema(default = 1000, minimum = 0, maximum = 1000)]
    pub limit: i64,
    /// Index of the first record, from 0.
    #[schema(minimum = 0, maximum = 10000, nullable = false)]
    pub offset: Option<i64>,
}
