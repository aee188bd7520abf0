use std::sync::Arc;

use outfitter_api_types::iam::KeystoneChangePasswordReq;
use outfitter_ids::IamUserId;
use secrecy::SecretString;

use crate::app::iam::password_change;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn change_password(
    services: Arc<Services>,
    call: Call<KeystoneChangePasswordReq>,
) -> Result<Reply, ApiError> {
    let caller = call.caller();
    if IamUserId::lookup(call.path("user_id")) != Some(caller.user_id) {
        return Err(ApiError::Forbidden {
            reason: "users change their own password only".to_owned(),
        });
    }
    let user = &call.body.user;
    password_change(
        &services,
        caller,
        SecretString::from(user.original_password.expose()),
        SecretString::from(user.password.expose()),
    )
    .await?;
    Ok(Reply::empty())
}
