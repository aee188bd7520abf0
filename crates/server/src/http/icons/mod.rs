//! Icons of apps, for whoever has their address: pages and clients show them without a credential.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use outfitter_ids::AppId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ApiError, Call, Family, Operation, Routes};
use crate::Services;
use crate::app::icons;

/// Query of an icon's address.
#[derive(Debug, Deserialize, ToSchema)]
struct IconQuery {
    /// Names the image; it may be cached for ever under this address.
    #[schema(max_length = 64, nullable = false)]
    v: Option<String>,
}

/// Adds the operation.
pub(super) fn register(routes: &mut Routes) {
    routes.add_raw(
        Operation::get("/icons/{app_id}", "ShowAppIcon")
            .open()
            .family(Family::Native)
            .codes(&[304, 404])
            .media("image/png")
            .headers(&["ETag"])
            .summary("The PNG of an application's icon."),
        show_app_icon,
    );
}

/// Whether an `If-None-Match` names the tag; the weak comparison. Source: RFC 9110, section 13.1.2.
fn is_among(known: &str, version: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| {
        tag == "*"
            || tag
                .strip_prefix("W/")
                .unwrap_or(tag)
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                == Some(version)
    })
}

async fn show_app_icon(
    services: Arc<Services>,
    call: Call<(), IconQuery>,
) -> Result<Response, ApiError> {
    const NOT_FOUND: ApiError = ApiError::NotFound { noun: "icon" };
    let id = AppId::lookup(call.path("app_id")).ok_or(NOT_FOUND)?;
    let (sha256, png) = services.store.db().app_icon(id).await?.ok_or(NOT_FOUND)?;
    let version = icons::version(&sha256);
    // Under an older address stands the newest image, which will change again.
    let caching = if call.query.v.as_deref() == Some(version) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let tag = HeaderValue::try_from(format!("\"{version}\"")).expect("hex is plain text");
    let unchanged = call
        .context
        .headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|known| known.to_str().ok())
        .any(|known| is_among(known, version));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/png")),
        (CACHE_CONTROL, HeaderValue::from_static(caching)),
        (ETAG, tag),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Foreign bytes under our own origin: nothing in them may run.
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    Ok(if unchanged {
        (StatusCode::NOT_MODIFIED, headers, Body::empty()).into_response()
    } else {
        (headers, png).into_response()
    })
}
