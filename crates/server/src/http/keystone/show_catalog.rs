use std::sync::Arc;

use outfitter_api_types::iam::{
    CatalogEndpoint, CatalogService, KeystoneCatalogResponse, KeystoneSelfLink,
};

use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn show_catalog(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<KeystoneCatalogResponse>, ApiError> {
    Ok(Reply::new(KeystoneCatalogResponse {
        catalog: catalog(&services),
        links: KeystoneSelfLink {
            this: Some(format!("{}/auth/catalog", services.endpoints.iam_endpoint)),
        },
    }))
}

/// The services of this server, all at the addresses others reach it by.
pub(super) fn catalog(services: &Services) -> Vec<CatalogService> {
    let service = |kind: &str, name: &str, url: &str| CatalogService {
        service_type: Some(kind.to_owned()),
        id: Some(name.to_owned()),
        name: Some(name.to_owned()),
        endpoints: Some(vec![CatalogEndpoint {
            url: Some(url.to_owned()),
            region: Some(services.region.clone()),
            region_id: Some(services.region.clone()),
            interface: Some("public".to_owned()),
            id: Some(format!("{name}-public")),
        }]),
    };
    let endpoints = &services.endpoints;
    vec![
        service("identity", "keystone", &endpoints.iam_endpoint),
        service("workspace", "workspace", &endpoints.endpoint),
    ]
}
