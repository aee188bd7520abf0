use std::sync::Arc;

use outfitter_api_types::apps::{ListAppsQuery, ListAppsResponse};
use outfitter_store::{AppFilter, Page};

use super::wire::{application, name_filter};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_apps(
    services: Arc<Services>,
    call: Call<(), ListAppsQuery>,
) -> Result<Reply<ListAppsResponse>, ApiError> {
    let owner = call.caller().domain_id;
    let project = call.project().project;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let filter = AppFilter {
        name: name_filter(call.query.name)?,
    };
    let listed = services.store.db().app_list(project, &filter, page).await?;
    Ok(Reply::new(ListAppsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|app| application(&services, owner, app))
            .collect(),
    }))
}
