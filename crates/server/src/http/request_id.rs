//! `X-Request-Id`: on every answer, in every log line about it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;

use crate::services::Services;

/// The id of one request: 32 lower-case hex digits.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    /// The id that [`assign`] gave; empty where no id was given.
    pub fn of<B>(request: &http::Request<B>) -> String {
        request
            .extensions()
            .get::<Self>()
            .map_or_else(String::new, |id| id.0.clone())
    }
}

/// Gives every request an id and every answer its header.
pub(super) async fn assign(
    State(services): State<Arc<Services>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = services
        .ids
        .uuid(services.clock.now().get())
        .simple()
        .to_string();
    let is_iam = request.uri().path().starts_with("/v3");
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        method = %request.method(),
        path = request.uri().path(),
    );
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        if is_iam {
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-iam-trace-id"), value.clone());
        }
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}
