use std::sync::Arc;

use outfitter_api_types::native::cancel::CancelResponse;
use outfitter_ids::DeploymentId;
use outfitter_store::DeploymentView;

use crate::Services;
use crate::app::cancel;
use crate::http::jobs::cancel_answer;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn cancel_deployment(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<CancelResponse>, ApiError> {
    let deployment = named(&services, &call).await?;
    let outcome = cancel::cancel_deployment(&services, deployment.key).await?;
    Ok(Reply::new(cancel_answer(&outcome)))
}

pub(super) async fn resume_deployment(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply, ApiError> {
    let deployment = named(&services, &call).await?;
    let tx = services.store.write().await?;
    tx.deployment_resume(deployment.key).await?;
    tx.commit().await?;
    Ok(Reply::empty())
}

/// The deployment that the path names.
pub(super) async fn named<B, Q>(
    services: &Services,
    call: &Call<B, Q>,
) -> Result<DeploymentView, ApiError> {
    match DeploymentId::lookup(call.path("deployment_id")) {
        Some(id) => {
            services
                .store
                .db()
                .deployment_find(call.project().project, id)
                .await?
        }
        None => None,
    }
    .ok_or(ApiError::NotFound { noun: "deployment" })
}
