use std::sync::Arc;

use outfitter_api_types::users::BatchDeleteUserReq;

use super::refused;
use crate::Services;
use crate::app::users;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let ids = [call.path("user_id").to_owned()];
    users::delete(&services, call.project().project, &ids)
        .await
        .map_err(|error| refused(error, ""))?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_delete(
    services: Arc<Services>,
    call: Call<BatchDeleteUserReq>,
) -> Result<Reply, ApiError> {
    users::delete(&services, call.project().project, &call.body.user_ids)
        .await
        .map_err(|error| refused(error, ""))?;
    Ok(Reply::new(()))
}
