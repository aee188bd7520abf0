use std::sync::Arc;

use outfitter_api_types::native::iam::ChangePasswordReq;
use secrecy::SecretString;

use crate::app::iam::password_change;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn change(
    services: Arc<Services>,
    call: Call<ChangePasswordReq>,
) -> Result<Reply, ApiError> {
    password_change(
        &services,
        call.caller(),
        SecretString::from(call.body.original_password.expose()),
        SecretString::from(call.body.password.expose()),
    )
    .await?;
    Ok(Reply::empty())
}
