use std::sync::Arc;

use outfitter_api_types::tags::{
    ListProjectTagsQuery, ListProjectTagsResponse, ShowTagByDesktopIdResponse, TagsOut,
};
use outfitter_ids::DesktopId;
use outfitter_store::Page;

use crate::Services;
use crate::http::desktops::tags_wire;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_of_project(
    services: Arc<Services>,
    call: Call<(), ListProjectTagsQuery>,
) -> Result<Reply<ListProjectTagsResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let from_zero = |name: &str, number: Option<i64>| match number {
        Some(number) if number < 0 => Err(ApiError::invalid(name, "must be at least 0")),
        other => Ok(other.unwrap_or(0)),
    };
    let page = Page {
        offset: from_zero("offset", query.offset)?,
        limit: match from_zero("limit", query.limit)? {
            0 => Page::ALL.limit,
            limit => limit,
        },
    };
    let listed = services
        .store
        .db()
        .project_tags(project, query.key.as_deref(), query.value.as_deref(), page)
        .await?;
    Ok(Reply::new(ListProjectTagsResponse {
        tags: Some(
            listed
                .items
                .into_iter()
                .map(|tag| TagsOut {
                    key: Some(tag.key),
                    values: Some(tag.values),
                })
                .collect(),
        ),
        total_count: Some(listed.total),
    }))
}

pub(super) async fn list_of_desktop(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowTagByDesktopIdResponse>, ApiError> {
    let unknown = ApiError::NotFound { noun: "desktop" };
    let Some(id) = DesktopId::lookup(call.path("desktop_id")) else {
        return Err(unknown);
    };
    let desktop = services
        .store
        .db()
        .desktop_find(call.project().project, id)
        .await?
        .ok_or(unknown)?;
    Ok(Reply::new(ShowTagByDesktopIdResponse {
        tags: Some(tags_wire(desktop.tags)),
    }))
}
