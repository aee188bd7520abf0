//! Categories of apps.

use std::sync::Arc;

use outfitter_api_types::apps::{Catalog as WireCatalog, ListAppCatalogsResponse};
use outfitter_domain::app::CATALOGS;

use super::{ApiError, Call, Family, Operation, Reply, Routes};
use crate::Services;

/// Adds the operation.
pub(super) fn register(routes: &mut Routes) {
    routes.add(
        Operation::get(
            "/v1/{project_id}/app-center/app-catalogs",
            "ListAppCatalogs",
        )
        .action("workspace:appcenter:listAppCatalogs")
        .family(Family::AppCenter)
        .summary("List the categories of applications."),
        list_app_catalogs,
    );
}

async fn list_app_catalogs(
    _services: Arc<Services>,
    _call: Call,
) -> Result<Reply<ListAppCatalogsResponse>, ApiError> {
    Ok(Reply::new(ListAppCatalogsResponse {
        items: CATALOGS
            .iter()
            .map(|catalog| WireCatalog {
                id: catalog.id.to_owned(),
                catalog_zh: catalog.name_zh.to_owned(),
                catalog_en: catalog.name_en.to_owned(),
            })
            .collect(),
    }))
}
