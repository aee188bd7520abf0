use std::sync::Arc;

use outfitter_api_types::tags::{
    ListDesktopByTagsResponse, ListDesktopsByTagsResponse, QueryDesktopByTagReq, TagQueryAction,
    TagResource, Tags,
};
use outfitter_store::{
    Desktop, DesktopFilter, DesktopOrder, Page, ProjectKey, TagMatch, TagSearch,
};

use crate::Services;
use crate::http::desktops::tags_wire;
use crate::http::users::number;
use crate::http::{ApiError, Call, Reply};

/// Largest page, and the page when the request does not say (contract, section 11).
const LIMIT_MAX: i64 = 1000;

/// What a search found.
struct Found {
    offset: i64,
    total: i64,
    /// Absent when only the number was asked for.
    resources: Option<Vec<TagResource>>,
}

pub(super) async fn search(
    services: Arc<Services>,
    call: Call<QueryDesktopByTagReq>,
) -> Result<Reply<ListDesktopByTagsResponse>, ApiError> {
    let project = call.project().project;
    let found = find(&services, project, call.body).await?;
    Ok(Reply::new(ListDesktopByTagsResponse {
        offset: Some(found.offset),
        resources: found.resources,
        total_count: Some(found.total),
    }))
}

pub(super) async fn search_newer(
    services: Arc<Services>,
    call: Call<QueryDesktopByTagReq>,
) -> Result<Reply<ListDesktopsByTagsResponse>, ApiError> {
    let project = call.project().project;
    let found = find(&services, project, call.body).await?;
    Ok(Reply::new(ListDesktopsByTagsResponse {
        offset: Some(found.offset),
        resources: found.resources,
        total_count: Some(found.total),
    }))
}

async fn find(
    services: &Services,
    project: ProjectKey,
    body: QueryDesktopByTagReq,
) -> Result<Found, ApiError> {
    let offset = number("offset", body.offset.as_deref())?;
    let limit = match number("limit", body.limit.as_deref())? {
        0 => LIMIT_MAX,
        limit if limit > LIMIT_MAX => {
            return Err(ApiError::invalid("limit", "must be at most 1000"));
        }
        limit => limit,
    };
    let count_only = body.action == Some(TagQueryAction::Count);
    let mut name_part = None;
    for (index, wanted) in body.matches.unwrap_or_default().into_iter().enumerate() {
        if wanted.key != "resource_name" || name_part.is_some() {
            return Err(ApiError::invalid(
                format!("matches[{index}].key"),
                "must be resource_name, once",
            ));
        }
        name_part = Some(wanted.value);
    }
    let filter = DesktopFilter {
        name_part,
        without_any_tag: body.without_any_tag,
        tags: TagSearch {
            all: matches("tags", body.tags)?,
            any: matches("tags_any", body.tags_any)?,
            not_all: matches("not_tags", body.not_tags)?,
            none: matches("not_tags_any", body.not_tags_any)?,
        },
        ..DesktopFilter::default()
    };
    let page = Page {
        offset,
        limit: if count_only { 0 } else { limit },
    };
    let listed = services
        .store
        .db()
        .desktop_list(project, &filter, DesktopOrder::NewestFirst, page)
        .await?;
    Ok(Found {
        offset,
        total: listed.total,
        resources: (!count_only).then(|| listed.items.into_iter().map(wire).collect()),
    })
}

fn matches(field: &str, tags: Option<Vec<Tags>>) -> Result<Vec<TagMatch>, ApiError> {
    tags.unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, tag)| match tag.key {
            Some(key) => Ok(TagMatch {
                key,
                values: tag.values.unwrap_or_default(),
            }),
            None => Err(ApiError::invalid(
                format!("{field}[{index}].key"),
                "is required",
            )),
        })
        .collect()
}

fn wire(desktop: Desktop) -> TagResource {
    TagResource {
        resource_detail: None,
        resource_id: Some(desktop.id.to_string()),
        resource_name: Some(desktop.name),
        tags: Some(tags_wire(desktop.tags)),
    }
}
