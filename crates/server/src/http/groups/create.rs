use std::sync::Arc;

use outfitter_api_types::authorizations::PlatformTypeEnum;
use outfitter_api_types::groups::CreateUserGroupReq;
use outfitter_domain::PlatformType;

use super::refused;
use crate::Services;
use crate::app::groups;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateUserGroupReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let platform_type = match call.body.platform_type {
        PlatformTypeEnum::Ad => PlatformType::Ad,
        PlatformTypeEnum::Local => PlatformType::Local,
    };
    groups::create(
        &services,
        project,
        call.body.group_name,
        platform_type,
        call.body.description.unwrap_or_default(),
    )
    .await
    .map_err(refused)?;
    Ok(Reply::new(()))
}
