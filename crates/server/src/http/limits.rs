//! Limits that need no credential and come before the route: how long a request's target and headers may be, and
//! how many requests an address may make.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;

use super::error::{ApiError, GatewayError};
use super::operation::Family;
use super::request_id::RequestId;
use crate::edge::RetryAfter;
use crate::services::Services;

/// Longest path with query, in bytes. The longest ones that clients send list a few hundred ids.
const MAX_TARGET_BYTES: usize = 32 * 1024;

/// Largest sum of header names and values, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Whose address a request comes from; calls without a connection (tests of parts) count as of this machine.
pub(crate) fn source<B>(request: &http::Request<B>) -> IpAddr {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(Ipv4Addr::LOCALHOST.into(), |info| info.0.ip())
}

/// Refuses what is too long or comes too often (contract, `errors.md`, section 4).
pub(super) async fn check(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let too_large = |status, message| GatewayError::new(status, "APIGW.0201", message);
    let refusal = if target > MAX_TARGET_BYTES {
        too_large(StatusCode::URI_TOO_LONG, "Request URI too large.")
    } else if headers > MAX_HEADER_BYTES {
        too_large(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request headers too large.",
        )
    } else if let Err(RetryAfter(seconds)) = services.edge.request_from(source(&request)) {
        GatewayError::throttled(seconds)
    } else {
        return next.run(request).await;
    };
    ApiError::Gateway(refusal).into_response(
        Family::of_path(request.uri().path()),
        &RequestId::of(&request),
    )
}
