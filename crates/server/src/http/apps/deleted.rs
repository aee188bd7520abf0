use std::sync::Arc;

use outfitter_api_types::apps::Application;
use outfitter_api_types::native::housekeeping::{
    DeletedApp, ListDeletedAppsQuery, ListDeletedAppsResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_ids::AppId;
use outfitter_store::Page;

use super::wire::application;
use crate::Services;
use crate::app::apps;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_deleted_apps(
    services: Arc<Services>,
    call: Call<(), ListDeletedAppsQuery>,
) -> Result<Reply<ListDeletedAppsResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services
        .store
        .db()
        .app_list_deleted(
            call.project().project,
            services.clock.now().minus(RESTORE_PERIOD),
            page,
        )
        .await?;
    Ok(Reply::new(ListDeletedAppsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|app| DeletedApp {
                id: app.id.to_string(),
                name: app.name,
                version: app.version,
                deleted_at: WireTime::from_unix_millis(app.deleted_at.get()),
                restorable_until: WireTime::from_unix_millis(
                    app.deleted_at.plus(RESTORE_PERIOD).get(),
                ),
            })
            .collect(),
    }))
}

pub(super) async fn restore_app(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<Application>, ApiError> {
    let owner = call.caller().domain_id;
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    let app = apps::restore(&services, project, id, call.widening()).await?;
    Ok(Reply::new(application(&services, owner, app)))
}
