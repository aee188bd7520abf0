use std::sync::Arc;

use outfitter_api_types::workspace_jobs::{DeleteSubJobsReq, SubJobEndStatus};
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::WorkspaceSubJobId;
use outfitter_store::{Page, SubJobFilter};

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn delete(
    services: Arc<Services>,
    call: Call<DeleteSubJobsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let now = services.clock.now();
    let tx = services.store.write().await?;
    // Both given: the ids win (contract, section 10).
    match (call.body.job_ids, call.body.delete_by_status) {
        (Some(texts), _) => {
            let ids: Vec<WorkspaceSubJobId> = texts
                .iter()
                .filter_map(|text| WorkspaceSubJobId::lookup(text))
                .collect();
            let filter = SubJobFilter {
                ids: Some(ids.clone()),
                ..SubJobFilter::default()
            };
            let found = tx.db().sub_job_list(project, &filter, Page::ALL).await?;
            if found
                .items
                .iter()
                .any(|sub_job| !sub_job.outcome.status.is_ended())
            {
                return Err(ApiError::invalid("job_ids", "a sub-job has not ended"));
            }
            tx.sub_jobs_delete(project, &ids, now).await?;
        }
        (None, Some(status)) => {
            let status = match status {
                SubJobEndStatus::Success => SubJobStatus::Success,
                SubJobEndStatus::Failed => SubJobStatus::Failed,
            };
            tx.sub_jobs_delete_by_status(project, status, now).await?;
        }
        (None, None) => {
            return Err(ApiError::invalid(
                "job_ids",
                "give job_ids or delete_by_status",
            ));
        }
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}
