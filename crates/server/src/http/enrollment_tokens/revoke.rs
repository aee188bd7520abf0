use std::sync::Arc;

use outfitter_ids::EnrollmentTokenId;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn revoke(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let unknown = ApiError::NotFound {
        noun: "enrollment token",
    };
    let Some(id) = EnrollmentTokenId::lookup(call.path("token_id")) else {
        return Err(unknown);
    };
    let tx = services.store.write().await?;
    let found = tx
        .enrollment_token_revoke(call.project().project, id, services.clock.now())
        .await?;
    if !found {
        return Err(unknown);
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}
