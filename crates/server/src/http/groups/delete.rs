use std::sync::Arc;

use outfitter_api_types::groups::BatchDeleteUserGroupsReq;

use super::refused;
use crate::Services;
use crate::app::groups;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let ids = [call.path("group_id").to_owned()];
    groups::delete(&services, call.project().project, &ids)
        .await
        .map_err(refused)?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_delete(
    services: Arc<Services>,
    call: Call<BatchDeleteUserGroupsReq>,
) -> Result<Reply, ApiError> {
    groups::delete(&services, call.project().project, &call.body.group_ids)
        .await
        .map_err(refused)?;
    Ok(Reply::new(()))
}
