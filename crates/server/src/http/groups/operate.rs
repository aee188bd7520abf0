use std::sync::Arc;

use outfitter_api_types::groups::{ActionsOfUsersInGroupRequest, GroupOperation};

use super::refused;
use crate::Services;
use crate::app::groups::{self, Membership};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn operate(
    services: Arc<Services>,
    call: Call<ActionsOfUsersInGroupRequest>,
) -> Result<Reply, ApiError> {
    let membership = match call.body.op_type {
        GroupOperation::Add => Membership::Join,
        GroupOperation::Delete => Membership::Leave,
    };
    groups::change_members(
        &services,
        call.project().project,
        call.path("group_id"),
        membership,
        &call.body.user_ids,
    )
    .await
    .map_err(refused)?;
    Ok(Reply::new(()))
}
