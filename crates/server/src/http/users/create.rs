use std::sync::Arc;

use outfitter_api_types::users::{
    ActiveType as WireActiveType, CreateDesktopUserResponse, CreateUserRequest,
};
use outfitter_domain::fleet::UserProfile;
use secrecy::SecretString;

use super::{account_expires, active_type, refused};
use crate::Services;
use crate::app::users::{self, UserDraft};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateUserRequest>,
) -> Result<Reply<CreateDesktopUserResponse>, ApiError> {
    let project = call.project().project;
    let draft = draft(call.body, "")?;
    let ids = users::create(&services, project, vec![draft])
        .await
        .map_err(|(_, error)| refused(error, ""))?;
    Ok(Reply::new(CreateDesktopUserResponse {
        id: ids.first().map(ToString::to_string),
    }))
}

pub(super) fn draft(body: CreateUserRequest, prefix: &str) -> Result<UserDraft, ApiError> {
    let defaults = UserProfile::default();
    Ok(UserDraft {
        name: body.user_name,
        domain: body.domain,
        description: body.description.unwrap_or_default(),
        active_type: active_type(body.active_type.unwrap_or(WireActiveType::UserActivate)),
        enterprise_project_id: body.enterprise_project_id,
        password: body
            .password
            .map(|password| SecretString::from(password.expose())),
        profile: UserProfile {
            email: body.user_email,
            phone: body.user_phone,
            alias: body.alias_name,
            user_info_map: body.user_info_map,
            account_expires: account_expires(
                &format!("{prefix}account_expires"),
                body.account_expires.as_deref(),
            )?,
            enable_change_password: body
                .enable_change_password
                .unwrap_or(defaults.enable_change_password),
            next_login_change_password: body
                .next_login_change_password
                .unwrap_or(defaults.next_login_change_password),
            password_never_expired: defaults.password_never_expired,
        },
        groups: body.group_ids.unwrap_or_default(),
    })
}
