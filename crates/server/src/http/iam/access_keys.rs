use std::sync::Arc;

use outfitter_api_types::native::iam::{
    AccessKey, CreateAccessKeyResponse, ListAccessKeysQuery, ListAccessKeysResponse,
    UpdateAccessKeyReq,
};
use outfitter_api_types::time::WireTime;

use super::{access_key, page, shown_once};
use crate::app::iam::{access_key_add, access_key_delete, access_key_list, access_key_set_enabled};
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) const CREATE: &str = "outfitter:accessKeys:create";
pub(super) const UPDATE: &str = "outfitter:accessKeys:update";
pub(super) const DELETE: &str = "outfitter:accessKeys:delete";

pub(super) async fn create(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<CreateAccessKeyResponse>, ApiError> {
    let user_id = call.path("user_id");
    let (made, stored) =
        access_key_add(&services, call.caller(), call.project(), user_id, CREATE).await?;
    Ok(Reply::new(CreateAccessKeyResponse {
        access_key: made.access,
        secret_key: shown_once(&made.secret),
        user_id: user_id.to_owned(),
        created_at: WireTime::from_unix_millis(stored.created_at.get()),
    }))
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListAccessKeysQuery>,
) -> Result<Reply<ListAccessKeysResponse>, ApiError> {
    let user_id = call.path("user_id");
    let keys = access_key_list(&services, call.caller(), call.project(), user_id).await?;
    let (count, keys) = page(keys, call.query.offset, call.query.limit);
    Ok(Reply::new(ListAccessKeysResponse {
        count,
        items: keys.map(|key| access_key(key, user_id)).collect(),
    }))
}

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<UpdateAccessKeyReq>,
) -> Result<Reply<AccessKey>, ApiError> {
    let user_id = call.path("user_id");
    let changed = access_key_set_enabled(
        &services,
        call.caller(),
        call.project(),
        user_id,
        call.path("access_key"),
        call.body.enabled,
        UPDATE,
    )
    .await?;
    Ok(Reply::new(access_key(changed, user_id)))
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply<()>, ApiError> {
    access_key_delete(
        &services,
        call.caller(),
        call.project(),
        call.path("user_id"),
        call.path("access_key"),
        DELETE,
    )
    .await?;
    Ok(Reply::empty())
}
