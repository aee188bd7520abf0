use std::sync::Arc;

use outfitter_api_types::native::enrollment_requests::DecideEnrollmentRequestsReq;
use outfitter_ids::EnrollmentRequestId;
use outfitter_store::RequestDecision;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn approve(
    services: Arc<Services>,
    call: Call<DecideEnrollmentRequestsReq>,
) -> Result<Reply, ApiError> {
    decide(&services, &call, true).await
}

pub(super) async fn refuse(
    services: Arc<Services>,
    call: Call<DecideEnrollmentRequestsReq>,
) -> Result<Reply, ApiError> {
    decide(&services, &call, false).await
}

async fn decide(
    services: &Services,
    call: &Call<DecideEnrollmentRequestsReq>,
    approve: bool,
) -> Result<Reply, ApiError> {
    let unknown = || ApiError::NotFound {
        noun: "enrollment request",
    };
    let ids = call
        .body
        .items
        .iter()
        .map(|text| EnrollmentRequestId::lookup(text))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(unknown)?;
    let tx = services.store.write().await?;
    let project = call.project().project;
    let now = services.clock.now();
    match tx
        .enrollment_request_decide(project, &ids, approve, now)
        .await?
    {
        RequestDecision::Made => tx.commit().await?,
        RequestDecision::Unknown => return Err(unknown()),
        RequestDecision::Decided => {
            return Err(ApiError::conflict(
                "WKS.0409",
                "At least one of the enrollments is decided already",
            ));
        }
    }
    Ok(Reply::new(()))
}
