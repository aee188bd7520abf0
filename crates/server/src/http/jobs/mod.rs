//! Install jobs: list, retry, delete; their attempts.

mod attempts;
mod batch_delete;
mod cancel;
mod list;
mod receipt;
mod retry;

pub(super) use attempts::phase;
pub(super) use cancel::answer as cancel_answer;
pub(super) use list::{live_job, wire_state};

use super::operation::Named;
use super::{Family, Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v1/{project_id}/app-center/jobs", "ListJobs")
                .action("workspace:appcenter:listJobs")
                .family(Family::AppCenter)
                .summary("List install jobs."),
            list::list_jobs,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/jobs/actions/retry",
                "RetryJobs",
            )
            .action("workspace:appcenter:retryJobs")
            .names(&[Named::Ids("job", "items[]")])
            .family(Family::AppCenter)
            .codes(&[404, 409])
            .summary("Queue failed install jobs again, all or none."),
            retry::retry_jobs,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/jobs/actions/batch-delete",
                "BatchDeleteJobs",
            )
            .action("workspace:appcenter:batchDeleteJobs")
            .names(&[Named::Ids("job", "items[]")])
            .family(Family::AppCenter)
            .codes(&[409])
            .summary("Delete the records of install jobs."),
            batch_delete::batch_delete_jobs,
        )
        .add(
            Operation::post("/api/v1/{project_id}/jobs/actions/cancel", "CancelJobs")
                .action("outfitter:jobs:cancel")
                .names(&[Named::Ids("job", "items[]")])
                .codes(&[404])
                .summary(
                    "Cancel jobs, all or none: what waits ends at once, what runs is asked to stop safely.",
                ),
            cancel::cancel_jobs,
        )
        .add(
            Operation::get("/api/v1/{project_id}/jobs", "ListAppJobs")
                .action("outfitter:jobs:list")
                .family(Family::Native)
                .summary("List jobs, installs and uninstalls, newest first."),
            list::list_app_jobs,
        )
        .add(
            Operation::get("/api/v1/{project_id}/jobs/{job_id}", "ShowAppJob")
                .action("outfitter:jobs:get")
                .family(Family::Native)
                .codes(&[404])
                .summary("Show a job, an install or an uninstall."),
            list::show_app_job,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/jobs/{job_id}/attempts",
                "ListJobAttempts",
            )
            .action("outfitter:jobs:listAttempts")
            .family(Family::Native)
            .codes(&[404])
            .summary("List the attempts of an install job with the evidence each left."),
            attempts::list_attempts,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/jobs/{job_id}/receipt",
                "ShowJobReceipt",
            )
            .action("outfitter:jobs:getReceipt")
            .family(Family::Native)
            .codes(&[404])
            .summary("Export the signed receipt of a job, to be verified by anybody."),
            receipt::show_job_receipt,
        )
        .add(
            Operation::get("/api/v1/{project_id}/agent-roots", "ShowAgentRoots")
                .action("outfitter:agents:showRoots")
                .family(Family::Native)
                .summary("Show the root certificates that agents' certificates lead to."),
            receipt::show_agent_roots,
        );
}
