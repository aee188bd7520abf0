use std::sync::Arc;

use outfitter_api_types::jobs::BatchOperateJobsReq;
use outfitter_ids::JobId;
use outfitter_store::RetryRefusal;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn retry_jobs(
    services: Arc<Services>,
    call: Call<BatchOperateJobsReq>,
) -> Result<Reply, ApiError> {
    let ids = call
        .body
        .items
        .iter()
        .map(|text| JobId::lookup(text))
        .collect::<Option<Vec<_>>>()
        .ok_or(ApiError::NotFound { noun: "job" })?;
    let tx = services.store.write().await?;
    let desktops = tx
        .job_retry(call.project().project, &ids, services.clock.now())
        .await?
        .map_err(refused)?;
    tx.commit().await?;
    services.background.look_at(desktops);
    Ok(Reply::empty())
}

fn refused(refusal: RetryRefusal) -> ApiError {
    match refusal {
        RetryRefusal::UnknownJob => ApiError::NotFound { noun: "job" },
        RetryRefusal::AppDeleted => ApiError::APP_NOT_FOUND,
        RetryRefusal::NotAuthorized { app_name } => ApiError::conflict(
            "WKS.00211107",
            format!("Application '{app_name}' is not authorized"),
        ),
        RetryRefusal::NotSupported => ApiError::conflict("WKS.00211202", "Retry not supported"),
    }
}
