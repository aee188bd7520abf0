//! Limits that need no credential and come before the route: how long a request's target and headers may be.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;

use super::error::{ApiError, GatewayError};
use super::operation::Family;
use super::request_id::RequestId;

/// Longest path with query, in bytes. The longest ones that clients send list a few hundred ids.
const MAX_TARGET_BYTES: usize = 32 * 1024;

/// Largest sum of header names and values, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Refuses what is too long (contract, `errors.md`, section 4).
pub(super) async fn check(request: Request, next: Next) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let (status, message) = if target > MAX_TARGET_BYTES {
        (StatusCode::URI_TOO_LONG, "Request URI too large.")
    } else if headers > MAX_HEADER_BYTES {
        (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request headers too large.",
        )
    } else {
        return next.run(request).await;
    };
    ApiError::Gateway(GatewayError::new(status, "APIGW.0201", message)).into_response(
        Family::of_path(request.uri().path()),
        &RequestId::of(&request),
    )
}
