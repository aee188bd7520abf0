//! Deployments: what one accepted install or uninstall request reached.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};
use crate::authorizations::{AccountInfo, AssignType};
use crate::jobs::JobStatus;
use crate::time::WireTime;

/// What a deployment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// Installs.
    Install,
    /// Uninstalls.
    Uninstall,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Jobs are still being opened.
    Expanding,
    /// All jobs are open, some have not ended.
    Running,
    /// Every job has ended.
    Ended,
}

/// Why a desktop in scope got no job for an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The application is for another operating system.
    OsMismatch,
    /// The desktop is recomposed at log-off.
    NotPersistent,
    /// A job of the same kind for the same revision is open there.
    JobInProgress,
    /// A job that does the opposite (uninstall, install) with the application is open there.
    OppositeInProgress,
    /// The desktop was named, and nobody who uses it is authorized to the application.
    NotAuthorized,
    /// The app was deleted after the request.
    AppDeleted,
}

/// How many of each a deployment has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentCounts {
    /// Jobs not handed out yet.
    #[schema(minimum = 0)]
    pub jobs_init: i64,
    /// Jobs handed out.
    #[schema(minimum = 0)]
    pub jobs_waiting: i64,
    /// Jobs that ended well.
    #[schema(minimum = 0)]
    pub jobs_success: i64,
    /// Those of the jobs that ended well whose success nothing but an exit code tells, or whose receipt proves nothing.
    #[schema(minimum = 0)]
    pub jobs_unverified: i64,
    /// Jobs that failed.
    #[schema(minimum = 0)]
    pub jobs_fail: i64,
    /// Desktops with at least one job.
    #[schema(minimum = 0)]
    pub desktops_reached: i64,
    /// Pairs of desktop and application without a job.
    #[schema(minimum = 0)]
    pub desktops_skipped: i64,
    /// Accounts the directory does not know.
    #[schema(minimum = 0)]
    pub accounts_unknown: i64,
    /// Authorizations the request added.
    #[schema(minimum = 0)]
    pub authorizations_widened: i64,
}

/// Desktop with jobs of the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedDesktop {
    /// Desktop ID.
    pub desktop_id: String,
    /// Desktop name.
    pub desktop_name: String,
    /// Jobs there.
    #[schema(minimum = 1)]
    pub jobs: i64,
    /// Attached users it also reaches although they are not in scope.
    #[schema(minimum = 0)]
    pub other_users: i64,
}

/// Desktop in scope without a job for an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedDesktop {
    /// Desktop ID.
    pub desktop_id: String,
    /// Desktop name.
    pub desktop_name: String,
    /// Application ID.
    pub app_id: String,
    /// Why.
    pub reason: SkipReason,
}

/// Authorization that the request added.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WidenedAuthorization {
    /// Application ID.
    pub app_id: String,
    /// Who was added; left out: the application became authorized to everyone.
    #[schema(nullable = false)]
    pub account: Option<AccountInfo>,
}

/// Page of the desktops reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedDesktops {
    /// How many there are, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<ReachedDesktop>,
}

/// Page of the desktops skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedDesktops {
    /// How many there are, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<SkippedDesktop>,
}

/// Page of the accounts the directory does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnknownAccounts {
    /// How many there are, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<AccountInfo>,
}

/// Page of the authorizations added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WidenedAuthorizations {
    /// How many there are, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<WidenedAuthorization>,
}

/// Failures of a deployment above which nothing more of it is handed out. What passes either limit halts it.
/// Desktops that never came online, and what people cancelled or deleted, do not count.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailLimit {
    /// Failed jobs.
    #[schema(minimum = 0, maximum = 1000000)]
    pub count: Option<i64>,
    /// Failed jobs in percent of all its jobs.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: Option<i64>,
}

/// Deployment in a list.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentSummary {
    /// Deployment ID, the `X-Deployment-Id` of the request.
    pub id: String,
    /// What it does.
    pub kind: DeploymentKind,
    /// How far it is.
    pub state: DeploymentState,
    /// Whom it was for.
    pub assign_scope: AssignType,
    /// The applications.
    pub app_ids: Vec<String>,
    /// Who asked.
    pub operator: String,
    /// When the request was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When jobs that could not be handed out fail.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WireTime,
    /// How many of each.
    pub counts: DeploymentCounts,
    /// Whether the command runs also where the application is there already.
    pub repair: bool,
    /// Failures above which nothing more is handed out.
    #[schema(nullable = false)]
    pub fail_limit: Option<FailLimit>,
    /// Since when nothing more is handed out, because that limit was passed.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub halted_at: Option<WireTime>,
}

/// Deployment in full. The query pages all four parts alike.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// Deployment ID, the `X-Deployment-Id` of the request.
    pub id: String,
    /// What it does.
    pub kind: DeploymentKind,
    /// How far it is.
    pub state: DeploymentState,
    /// Whom it was for.
    pub assign_scope: AssignType,
    /// The applications.
    pub app_ids: Vec<String>,
    /// Who asked.
    pub operator: String,
    /// When the request was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When jobs that could not be handed out fail.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WireTime,
    /// How many of each.
    pub counts: DeploymentCounts,
    /// Whether the command runs also where the application is there already.
    pub repair: bool,
    /// Failures above which nothing more is handed out.
    #[schema(nullable = false)]
    pub fail_limit: Option<FailLimit>,
    /// Since when nothing more is handed out, because that limit was passed.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub halted_at: Option<WireTime>,
    /// Desktops with jobs.
    pub desktops_reached: ReachedDesktops,
    /// Desktops without, and why.
    pub desktops_skipped: SkippedDesktops,
    /// Accounts the directory does not know.
    pub accounts_unknown: UnknownAccounts,
    /// Authorizations the request added.
    pub authorizations_widened: WidenedAuthorizations,
}

/// Query parameters of showing a deployment; they page each part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowDeploymentQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::part_limit")]
    #[schema(default = 100, minimum = 1, maximum = 1000)]
    pub limit: i64,
}

/// Answer of listing deployments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDeploymentsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<DeploymentSummary>,
}

/// Query parameters of listing deployments.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDeploymentsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Deployments of this application.
    #[schema(max_length = 128, nullable = false)]
    pub app_id: Option<String>,
    /// Deployments in this state.
    #[schema(nullable = false)]
    pub state: Option<DeploymentState>,
}

/// What an install call would do, found out by doing it and taking it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentPreview {
    /// Whether every desktop in scope was looked at; else each count is a lower bound.
    pub complete: bool,
    /// Jobs that would be opened.
    #[schema(minimum = 0)]
    pub jobs: i64,
    /// Desktops that would get jobs.
    pub desktops_reached: ReachedDesktops,
    /// Desktops that would not, and why.
    pub desktops_skipped: SkippedDesktops,
    /// Accounts the directory does not know.
    pub accounts_unknown: UnknownAccounts,
    /// Authorizations that would be added.
    pub authorizations_widened: WidenedAuthorizations,
}

/// Query parameters of listing the jobs of a deployment.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDeploymentJobsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::part_limit")]
    #[schema(default = 100, minimum = 1, maximum = 1000)]
    pub limit: i64,
    /// Jobs in this state.
    #[schema(nullable = false)]
    pub job_status: Option<JobStatus>,
}

amended! {
    /// Body of installing applications. Named are either `users` (users and groups), or `desktop_ids`, or everyone
    /// (`assign_scope` ALL_USER); nobody: whoever the one application is authorized to.
    pub struct CreateDeploymentReq {
        /// Applications to install.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub app_ids: Vec<String>,
        /// ALL_USER: every desktop; the applications become authorized to everyone.
        pub assign_scope: Option<AssignType>,
        /// Users and groups; authorizations they lack are added.
        #[schema(min_items = 1, max_items = 50)]
        pub users: Option<Vec<AccountInfo>>,
        /// Desktops; authorizations stay as they are.
        #[schema(min_items = 1, max_items = 100, min_length = 1, max_length = 128)]
        pub desktop_ids: Option<Vec<String>>,
        /// Whether the command runs also where the application is there already.
        pub repair: Option<bool>,
        /// Failures above which nothing more is handed out.
        pub fail_limit: Option<FailLimit>,
        /// Jobs that could not be handed out by then fail; 30 days if left out.
        #[schema(minimum = 60, maximum = 31536000)]
        pub expires_in_secs: Option<i64>,
        /// Command for this run. `${FILE_PATH}` stands for the package path on the desktop.
        #[schema(max_length = 8191)]
        pub install_command: Option<String>,
    }
    with [
        unique_items("app_ids"),
        unique_items("users"),
        unique_items("desktop_ids"),
    ]
}

amended! {
    /// Body of uninstalling applications. Named are either `users` (users and groups), or `desktop_ids`, or everyone
    /// (`assign_scope` ALL_USER).
    pub struct CreateUninstallReq {
        /// Applications to uninstall.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub app_ids: Vec<String>,
        /// ALL_USER: from every desktop.
        pub assign_scope: Option<AssignType>,
        /// From the desktops of these users and of members of these groups; authorizations stay as they are.
        #[schema(min_items = 1, max_items = 50)]
        pub users: Option<Vec<AccountInfo>>,
        /// From these desktops.
        #[schema(min_items = 1, max_items = 100, min_length = 1, max_length = 128)]
        pub desktop_ids: Option<Vec<String>>,
        /// Failures above which nothing more is handed out.
        pub fail_limit: Option<FailLimit>,
        /// Jobs that could not be handed out by then fail; 30 days if left out.
        #[schema(minimum = 60, maximum = 31536000)]
        pub expires_in_secs: Option<i64>,
        /// Command for this run. `${FILE_PATH}` stands for the package path on the desktop.
        #[schema(max_length = 8191)]
        pub uninstall_command: Option<String>,
    }
    with [
        unique_items("app_ids"),
        unique_items("users"),
        unique_items("desktop_ids"),
    ]
}

/// Answer of creating a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateDeploymentResponse {
    /// Deployment ID.
    pub id: String,
}
