use std::sync::Arc;

use outfitter_api_types::workspace_jobs::ShowJobResponse;
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::WorkspaceJobId;
use outfitter_store::{Page, SubJobFilter};

use super::{time, wire};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowJobResponse>, ApiError> {
    let unknown = || ApiError::NotFound { noun: "job" };
    let access = call.project();
    let id = WorkspaceJobId::lookup(call.path("job_id")).ok_or_else(unknown)?;
    let db = services.store.db();
    let job = db
        .workspace_job_find(access.project, id)
        .await?
        .ok_or_else(unknown)?;
    let filter = SubJobFilter {
        job: Some(id),
        ..SubJobFilter::default()
    };
    let sub_jobs = db.sub_job_list(access.project, &filter, Page::ALL).await?;
    // The reason of a job is that of its last failure.
    let failure = sub_jobs
        .items
        .iter()
        .find(|sub_job| sub_job.outcome.status == SubJobStatus::Failed)
        .map(|sub_job| sub_job.outcome.clone());
    Ok(Reply::new(ShowJobResponse {
        id: Some(job.id.to_string()),
        job_type: Some(job.job_type),
        begin_time: Some(time(job.created_at)),
        end_time: job.ended_at.map(time),
        status: Some(job.status.as_str().to_owned()),
        job_error_code: failure
            .as_ref()
            .and_then(|outcome| outcome.error_code.clone()),
        fail_reason: failure.and_then(|outcome| outcome.fail_reason),
        sub_jobs_total: Some(sub_jobs.total),
        sub_jobs: Some(
            sub_jobs
                .items
                .into_iter()
                .map(|sub_job| wire(access.id, sub_job))
                .collect(),
        ),
    }))
}
