use std::sync::Arc;

use outfitter_api_types::jobs::BatchOperateJobsReq;
use outfitter_ids::JobId;
use outfitter_store::DeleteRefusal;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn batch_delete_jobs(
    services: Arc<Services>,
    call: Call<BatchOperateJobsReq>,
) -> Result<Reply, ApiError> {
    // Unknown ids are passed over (contract, section 5).
    let ids: Vec<JobId> = call
        .body
        .items
        .iter()
        .filter_map(|text| JobId::lookup(text))
        .collect();
    let tx = services.store.write().await?;
    tx.job_delete(call.project().project, &ids)
        .await?
        .map_err(|refusal| match refusal {
            DeleteRefusal::Running => {
                ApiError::conflict("WKS.00211203", "The job is running and cannot be deleted")
            }
        })?;
    tx.commit().await?;
    Ok(Reply::empty())
}
