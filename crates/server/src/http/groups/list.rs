use std::sync::Arc;

use outfitter_api_types::authorizations::PlatformTypeEnum;
use outfitter_api_types::groups::{ListUserGroupsQuery, ListUserGroupsResponse, UserGroupInfo};
use outfitter_api_types::time::WireTime;
use outfitter_domain::PlatformType;
use outfitter_store::{Group, GroupFilter, Page};

use crate::Services;
use crate::http::users::number;
use crate::http::{ApiError, Call, Reply};

/// Largest page, and the page when the request does not say (contract, section 1).
const LIMIT_MAX: i64 = 100;

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListUserGroupsQuery>,
) -> Result<Reply<ListUserGroupsResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let page = match number("limit", query.limit.as_deref())? {
        0 => Page {
            offset: 0,
            limit: LIMIT_MAX,
        },
        limit if limit > LIMIT_MAX => {
            return Err(ApiError::invalid("limit", "must be at most 100"));
        }
        limit => Page {
            offset: number("offset", query.offset.as_deref())?,
            limit,
        },
    };
    let platform_types = query.platform_type.filter(|words| !words.is_empty());
    if let Some(word) = platform_types
        .iter()
        .flatten()
        .find(|word| !matches!(word.as_str(), "AD" | "LOCAL" | "UOS"))
    {
        return Err(ApiError::invalid(
            "platform_type",
            format!("must be AD, LOCAL or UOS, not {word}"),
        ));
    }
    let filter = GroupFilter {
        name_part: query.keyword,
        domain: query.domain,
        platform_types,
    };
    let listed = services
        .store
        .db()
        .group_list(project, &filter, page)
        .await?;
    Ok(Reply::new(ListUserGroupsResponse {
        total_count: Some(listed.total),
        user_groups: Some(listed.items.into_iter().map(wire).collect()),
    }))
}

fn wire(group: Group) -> UserGroupInfo {
    UserGroupInfo {
        name: Some(group.name),
        id: Some(group.id.to_string()),
        create_time: Some(WireTime::from_unix_millis(group.created_at.get())),
        description: Some(group.description),
        user_quantity: Some(group.users),
        platform_type: Some(match group.platform_type {
            PlatformType::Ad => PlatformTypeEnum::Ad,
            PlatformType::Local => PlatformTypeEnum::Local,
        }),
        domain: Some(group.domain),
        total_desktops: Some(group.desktops),
        ..UserGroupInfo::default()
    }
}
