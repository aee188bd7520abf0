//! `/v2/{project_id}/workspace-jobs` and `/workspace-sub-jobs`: batch work on desktops.

mod delete;
mod list;
mod retry;
mod show;

use outfitter_api_types::time::JobTime;
use outfitter_api_types::workspace_jobs::{JobDetailInfo, JobEntities};
use outfitter_domain::Millis;
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::ProjectId;
use outfitter_store::SubJob;

use super::operation::Named;
use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v2/{project_id}/workspace-jobs/{job_id}", "ShowJob")
                .action("workspace:jobs:get")
                .codes(&[404])
                .summary("Show a job with its sub-jobs."),
            show::show,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/workspace-jobs/{job_id}/actions",
                "RunActionsOnWorkspaceJob",
            )
            .action("workspace:jobs:retry")
            .codes(&[404])
            .summary("Retry a failed installAgents job."),
            retry::retry,
        )
        .add(
            Operation::get("/v2/{project_id}/workspace-sub-jobs", "ListItaSubJobs")
                .action("workspace:jobs:listSubJobs")
                .summary("List sub-jobs."),
            list::list,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/workspace-sub-jobs/batch-delete",
                "BatchDeleteSubJobs",
            )
            .action("workspace:jobs:deleteSubJobRecords")
            .names(&[Named::Ids("subJob", "job_ids[]")])
            .summary("Delete records of ended sub-jobs; unknown ones are ignored."),
            delete::delete,
        );
}

fn time(at: Millis) -> JobTime {
    JobTime::from_unix_millis(at.get())
}

fn wire(project: ProjectId, sub_job: SubJob) -> JobDetailInfo {
    // What is said of a success is a note, not the reason of a failure.
    let said = sub_job.outcome.fail_reason;
    let (fail_reason, message) = match sub_job.outcome.status {
        SubJobStatus::Success => (None, said),
        SubJobStatus::Waiting | SubJobStatus::Running | SubJobStatus::Failed => (said, None),
    };
    JobDetailInfo {
        id: Some(sub_job.id.to_string()),
        job_type: Some(sub_job.job_type),
        entities: Some(JobEntities {
            desktop_id: Some(sub_job.desktop_id.to_string()),
            desktop_name: Some(sub_job.desktop_name.clone()),
            user_name: sub_job.attach_user.clone(),
            ip_address: sub_job.ip_address.clone(),
            product_id: None,
        }),
        begin_time: Some(time(sub_job.begun_at)),
        end_time: sub_job.ended_at.map(time),
        status: Some(sub_job.outcome.status.as_str().to_owned()),
        process: Some(if sub_job.outcome.status.is_ended() {
            100
        } else {
            sub_job.percent.unwrap_or(0)
        }),
        error_code: sub_job.outcome.error_code,
        fail_reason,
        message,
        project_id: Some(project.to_string()),
        job_id: Some(sub_job.job_id.to_string()),
        attach_user: sub_job.attach_user,
        entity: Some(sub_job.desktop_id.to_string()),
        ip_address: sub_job.ip_address,
        desktop_name: Some(sub_job.desktop_name),
        ..JobDetailInfo::default()
    }
}
