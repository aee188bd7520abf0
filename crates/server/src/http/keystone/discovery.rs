use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::ACCEPT;
use outfitter_api_types::iam::{
    KeystoneMediaType, KeystoneVersion, KeystoneVersionLink, KeystoneVersionResponse,
    KeystoneVersions, KeystoneVersionsResponse,
};

use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// `GET /`: discovery for programs, the console for people. Programs do not name `text/html`.
pub(super) async fn list_versions(
    services: Arc<Services>,
    call: Call,
) -> Result<Response, ApiError> {
    let is_browser = call
        .context
        .headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
    if is_browser {
        return Ok(Redirect::to("/console/").into_response());
    }
    let versions = KeystoneVersionsResponse {
        versions: KeystoneVersions {
            values: vec![version(&services)],
        },
    };
    Ok(Json(versions).into_response())
}

/// `GET /v3` and `GET /v3/`: clients ask for either and follow no redirect.
pub(super) async fn show_version(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<KeystoneVersionResponse>, ApiError> {
    Ok(Reply::new(KeystoneVersionResponse {
        version: version(&services),
    }))
}

fn version(services: &Services) -> KeystoneVersion {
    KeystoneVersion {
        id: "v3.6".to_owned(),
        status: "stable".to_owned(),
        updated: Some("2016-04-04T00:00:00Z".to_owned()),
        media_types: Some(vec![KeystoneMediaType {
            base: Some("application/json".to_owned()),
            media_type: Some("application/vnd.openstack.identity-v3+json".to_owned()),
        }]),
        links: vec![KeystoneVersionLink {
            rel: Some("self".to_owned()),
            href: Some(format!("{}/", services.endpoints.iam_endpoint)),
        }],
    }
}
