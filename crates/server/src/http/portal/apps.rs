use std::sync::Arc;

use outfitter_api_types::native::portal::{
    ListPortalAppsQuery, ListPortalAppsResponse, PortalApp, PortalAppReq,
};
use outfitter_store::{Page, PortalAppFilter};

use super::at;
use super::wire::app;
use crate::Services;
use crate::http::apps::wire::name_filter;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_apps(
    services: Arc<Services>,
    call: Call<(), ListPortalAppsQuery>,
) -> Result<Reply<ListPortalAppsResponse>, ApiError> {
    let at = at(&services, &call, &call.query.desktop_id).await?;
    let filter = PortalAppFilter {
        app: None,
        name: name_filter(call.query.name.clone())?,
    };
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = at.apps(&services, &filter, page).await?;
    Ok(Reply::new(ListPortalAppsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|seen| app(&services, at.user.user, seen))
            .collect(),
    }))
}

pub(super) async fn install_app(
    services: Arc<Services>,
    call: Call<PortalAppReq>,
) -> Result<Reply<PortalApp>, ApiError> {
    let at = at(&services, &call, &call.body.desktop_id).await?;
    let seen = at.install(&services, call.path("app_id")).await?;
    Ok(Reply::new(app(&services, at.user.user, seen)))
}

pub(super) async fn remove_app(
    services: Arc<Services>,
    call: Call<PortalAppReq>,
) -> Result<Reply<PortalApp>, ApiError> {
    let at = at(&services, &call, &call.body.desktop_id).await?;
    let seen = at.remove(&services, call.path("app_id")).await?;
    Ok(Reply::new(app(&services, at.user.user, seen)))
}
