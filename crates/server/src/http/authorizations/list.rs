use std::sync::Arc;

use outfitter_api_types::authorizations::{
    ListAppAuthorizationsQuery, ListAppAuthorizationsResponse,
};
use outfitter_ids::AppId;
use outfitter_store::{AccountFilter, Page};

use crate::Services;
use crate::http::apps::wire::{Word, account_info, name_filter};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_app_authorizations(
    services: Arc<Services>,
    call: Call<(), ListAppAuthorizationsQuery>,
) -> Result<Reply<ListAppAuthorizationsResponse>, ApiError> {
    let project = call.project().project;
    let id = AppId::lookup(call.path("app_id"));
    let query = call.query;
    let filter = AccountFilter {
        name: name_filter(query.name)?,
        account_type: query.target_type.map(Word::word),
    };
    let db = services.store.db();
    let app = match id {
        Some(id) => db.app_find(project, id).await?,
        None => None,
    }
    .ok_or(ApiError::APP_NOT_FOUND)?;
    if query
        .assign_type
        .is_some_and(|wanted| app.members.authorization_type != wanted.word())
    {
        return Ok(Reply::new(ListAppAuthorizationsResponse {
            count: 0,
            items: Vec::new(),
        }));
    }
    let page = Page {
        offset: query.offset,
        limit: query.limit,
    };
    let listed = db.authorization_list(app.key, &filter, page).await?;
    Ok(Reply::new(ListAppAuthorizationsResponse {
        count: listed.total,
        items: listed.items.into_iter().map(account_info).collect(),
    }))
}
