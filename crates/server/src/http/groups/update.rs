use std::sync::Arc;

use outfitter_api_types::groups::EditUserGroupRequest;

use super::refused;
use crate::Services;
use crate::app::groups;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<EditUserGroupRequest>,
) -> Result<Reply, ApiError> {
    groups::update(
        &services,
        call.project().project,
        call.path("group_id"),
        call.body.group_name.clone(),
        call.body.description.clone(),
    )
    .await
    .map_err(refused)?;
    Ok(Reply::new(()))
}
