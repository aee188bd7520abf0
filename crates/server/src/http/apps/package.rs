use std::sync::Arc;

use outfitter_ids::AppId;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn verify_app_package(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply, ApiError> {
    let id = AppId::lookup(call.path("app_id")).ok_or(ApiError::APP_NOT_FOUND)?;
    let app = services
        .store
        .db()
        .app_find(call.project().project, id)
        .await?
        .ok_or(ApiError::APP_NOT_FOUND)?;
    let tx = services.store.write().await?;
    let asked = tx
        .package_want_digest(app.key, services.clock.now())
        .await?;
    tx.commit().await?;
    if !asked {
        return Err(ApiError::conflict(
            "WKS.00211106",
            "The application's package is not in the bucket.",
        ));
    }
    services.background.nudge_digest();
    Ok(Reply::empty())
}
