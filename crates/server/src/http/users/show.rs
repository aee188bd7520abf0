use std::sync::Arc;

use outfitter_api_types::time::WireTime;
use outfitter_api_types::users::{ListUserDetailResponse, UserDetail};
use outfitter_ids::UserId;

use super::{active_type_wire, refused};
use crate::Services;
use crate::app::users::UserError;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ListUserDetailResponse>, ApiError> {
    let user = match UserId::lookup(call.path("user_id")) {
        Some(id) => {
            services
                .store
                .db()
                .user_find(call.project().project, id)
                .await?
        }
        None => None,
    }
    .ok_or_else(|| refused(UserError::UserUnknown, ""))?;
    let profile = user.profile;
    let detail = UserDetail {
        description: Some(user.description),
        id: Some(user.id.to_string()),
        sam_account_name: Some(user.name.clone()),
        user_principal_name: Some(format!("{}@{}", user.name, user.domain)),
        full_name: profile.alias,
        user_name: Some(user.name),
        user_email: profile.email,
        user_phone: profile.phone,
        active_type: Some(active_type_wire(user.active_type)),
        account_type: Some(0),
        when_created: Some(WireTime::from_unix_millis(user.created_at.get())),
        account_expires: Some(profile.account_expires.map_or(0, |at| at.get())),
        is_pre_user: Some(false),
        user_expired: Some(
            profile
                .account_expires
                .is_some_and(|at| at <= services.clock.now()),
        ),
        locked: Some(false),
        // Both spellings: the SDK reads one, the published definition names the other (contract, decision 17).
        enable_change_password: Some(profile.enable_change_password),
        enabled_change_password: Some(profile.enable_change_password),
        password_never_expired: Some(profile.password_never_expired),
        next_login_change_password: Some(profile.next_login_change_password),
        disabled: Some(user.disabled),
        group_names: Some(user.groups),
        share_space_subscription: Some(false),
        share_space_desktops: Some(0),
        total_desktops: Some(user.desktops),
        ..UserDetail::default()
    };
    Ok(Reply::new(ListUserDetailResponse {
        user_detail: Some(detail),
    }))
}
