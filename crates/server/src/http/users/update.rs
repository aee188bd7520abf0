use std::sync::Arc;

use outfitter_api_types::users::{EditUserReq, UpdateUserInfoResponse};

use super::{account_expires, active_type, refused};
use crate::Services;
use crate::app::users::{self, UserPatch};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<EditUserReq>,
) -> Result<Reply<UpdateUserInfoResponse>, ApiError> {
    let body = &call.body;
    let patch = UserPatch {
        description: body.description.clone(),
        active_type: body.active_type.map(active_type),
        disabled: body.disabled,
        email: body.user_email.clone(),
        phone: body.user_phone.clone(),
        account_expires: body
            .account_expires
            .as_deref()
            .map(|text| account_expires("account_expires", Some(text)))
            .transpose()?,
        enable_change_password: body.enable_change_password,
        next_login_change_password: body.next_login_change_password,
        password_never_expired: body.password_never_expired,
        user_info_map: body.user_info_map.clone(),
    };
    let id = users::update(
        &services,
        call.project().project,
        call.path("user_id"),
        patch,
    )
    .await
    .map_err(|error| refused(error, ""))?;
    Ok(Reply::new(UpdateUserInfoResponse {
        id: Some(id.to_string()),
    }))
}
