use std::sync::Arc;

use outfitter_api_types::native::cancel::{CancelJobsReq, CancelResponse};
use outfitter_ids::JobId;
use outfitter_store::CancelOutcome;

use crate::Services;
use crate::app::cancel;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn cancel_jobs(
    services: Arc<Services>,
    call: Call<CancelJobsReq>,
) -> Result<Reply<CancelResponse>, ApiError> {
    let unknown = || ApiError::NotFound { noun: "job" };
    let ids = call
        .body
        .items
        .iter()
        .map(|text| JobId::lookup(text))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(unknown)?;
    let outcome = cancel::cancel_jobs(&services, call.project().project, &ids)
        .await?
        .ok_or_else(unknown)?;
    Ok(Reply::new(answer(&outcome)))
}

/// The outcome as the wire has it.
pub(in crate::http) fn answer(outcome: &CancelOutcome) -> CancelResponse {
    CancelResponse {
        cancelled: outcome.cancelled,
        stopping: i64::try_from(outcome.stopping.len()).unwrap_or(i64::MAX),
        ended: outcome.ended,
    }
}
