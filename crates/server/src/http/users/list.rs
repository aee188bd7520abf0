use std::sync::Arc;

use outfitter_api_types::time::WireTime;
use outfitter_api_types::users::{ListUsersQuery, ListUsersResponse, User as WireUser};
use outfitter_domain::fleet::ActiveType;
use outfitter_domain::{Millis, PlatformType};
use outfitter_store::{Page, User, UserFilter};

use super::active_type_wire;
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListUsersQuery>,
) -> Result<Reply<ListUsersResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let page = Page {
        offset: number("offset", query.offset.as_deref())?,
        limit: match number("limit", query.limit.as_deref())? {
            0 => Page::ALL.limit,
            limit => limit,
        },
    };
    let active_type = query
        .active_type
        .filter(|text| !text.is_empty())
        .map(|text| {
            ActiveType::parse(&text).ok_or_else(|| {
                ApiError::invalid("active_type", "must be USER_ACTIVATE or ADMIN_ACTIVATE")
            })
        })
        .transpose()?;
    let platform_type = query
        .platform_type
        .as_deref()
        .filter(|text| !text.is_empty());
    let filter = UserFilter {
        name_part: query.user_name,
        names: query.user_names,
        description_part: query.description,
        active_type,
        group_name: query.group_name,
        group: None,
        disabled: query.disabled,
        domain: query.domain,
        platform_type: platform_type.and_then(PlatformType::parse),
        enterprise_project_id: query.enterprise_project_id,
    };
    // UOS is a filter of the vendor's that no user of ours fits, like a subscription to collaboration.
    let nobody = match platform_type {
        Some("UOS") => true,
        Some(other) if filter.platform_type.is_none() => {
            return Err(ApiError::invalid(
                "platform_type",
                format!("must be AD, LOCAL or UOS, not {other}"),
            ));
        }
        _ => {
            query.share_space_subscription == Some(true) || query.share_space_desktops == Some(true)
        }
    };
    if nobody {
        return Ok(Reply::new(ListUsersResponse {
            total_count: Some(0),
            users: Some(Vec::new()),
        }));
    }
    let listed = services
        .store
        .db()
        .user_list(project, &filter, page)
        .await?;
    let with_desktops = query.is_query_total_desktops.unwrap_or(true);
    let now = services.clock.now();
    Ok(Reply::new(ListUsersResponse {
        total_count: Some(listed.total),
        users: Some(
            listed
                .items
                .into_iter()
                .map(|user| wire(user, with_desktops, now))
                .collect(),
        ),
    }))
}

/// A number that the contract sends as text; absent or empty is 0.
pub(in crate::http) fn number(name: &str, text: Option<&str>) -> Result<i64, ApiError> {
    match text {
        None | Some("") => Ok(0),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| ApiError::invalid(name, "must be a number from 0")),
    }
}

fn wire(user: User, with_desktops: bool, now: Millis) -> WireUser {
    let profile = user.profile;
    WireUser {
        id: Some(user.id.to_string()),
        user_name: Some(user.name),
        user_email: profile.email,
        total_desktops: with_desktops.then_some(user.desktops),
        user_phone: profile.phone,
        active_type: Some(active_type_wire(user.active_type)),
        is_pre_user: Some(false),
        account_expires: Some(profile.account_expires.map_or_else(
            || "0".to_owned(),
            |at| WireTime::from_unix_millis(at.get()).to_string(),
        )),
        password_never_expired: Some(profile.password_never_expired),
        account_expired: Some(profile.account_expires.is_some_and(|at| at <= now)),
        enable_change_password: Some(profile.enable_change_password),
        next_login_change_password: Some(profile.next_login_change_password),
        description: Some(user.description),
        locked: Some(false),
        disabled: Some(user.disabled),
        share_space_subscription: Some(false),
        share_space_desktops: Some(0),
        group_names: Some(user.groups),
        enterprise_project_id: user.enterprise_project_id,
        user_info_map: profile.user_info_map,
        domain: Some(user.domain),
        certificate_status: Some(false),
        sid: user.external_id.filter(|id| id.starts_with("S-1-")),
    }
}
