use std::sync::Arc;

use outfitter_api_types::users::BatchCreateUsersReq;

use super::create::draft;
use super::refused;
use crate::Services;
use crate::app::users;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn batch_create(
    services: Arc<Services>,
    call: Call<BatchCreateUsersReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let drafts = call
        .body
        .users
        .into_iter()
        .enumerate()
        .map(|(index, user)| draft(user, &format!("users[{index}].")))
        .collect::<Result<Vec<_>, _>>()?;
    users::create(&services, project, drafts)
        .await
        .map_err(|(index, error)| refused(error, &format!("users[{index}].")))?;
    Ok(Reply::new(()))
}
