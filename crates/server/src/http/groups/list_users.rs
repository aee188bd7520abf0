use std::sync::Arc;

use outfitter_api_types::groups::{ListUsersOfGroupQuery, ListUsersOfGroupResponse, UserInGroup};
use outfitter_store::{Page, UserFilter};

use super::refused;
use crate::Services;
use crate::app::groups;
use crate::http::users::active_type;
use crate::http::{ApiError, Call, Reply};

/// The page when the request says 0 (contract, section 1).
const LIMIT_DEFAULT: i64 = 2000;

pub(super) async fn list_users(
    services: Arc<Services>,
    call: Call<(), ListUsersOfGroupQuery>,
) -> Result<Reply<ListUsersOfGroupResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let group = groups::find(db, project, call.path("group_id"))
        .await
        .map_err(refused)?;
    let query = call.query;
    let page = Page {
        offset: query.offset.unwrap_or(0),
        limit: match query.limit {
            0 => LIMIT_DEFAULT,
            limit => limit,
        },
    };
    let filter = UserFilter {
        group: Some(group.key),
        name_part: query.user_name,
        names: query.user_names,
        description_part: query.description,
        active_type: query.active_type.map(active_type),
        enterprise_project_id: query.enterprise_project_id,
        ..UserFilter::default()
    };
    let listed = db.user_list(project, &filter, page).await?;
    let users = listed
        .items
        .into_iter()
        .map(|user| UserInGroup {
            id: Some(user.id.to_string()),
            user_name: Some(user.name),
            domain: Some(user.domain),
            user_email: user.profile.email,
            user_phone: user.profile.phone,
            total_desktops: Some(user.desktops),
            enterprise_project_id: user.enterprise_project_id,
            description: Some(user.description),
        })
        .collect();
    Ok(Reply::new(ListUsersOfGroupResponse {
        users: Some(users),
        total_count: Some(listed.total),
    }))
}
