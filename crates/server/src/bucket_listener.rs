//! The bucket listener's service: who may ask from where, then the bucket itself.
//!
//! **Guarantees.** Every request counts for its address, also those with which browsers ask first. Browsers let only pages
//! of the console's own origins read answers; those pages read every answer, refusals too. **Does not** decide who may
//! upload: that is the credential's business, and an origin is none.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use outfitter_bucket::{Bucket, BucketParts, Source};
use tower_http::cors::CorsLayer;
use url::{Host, Url};

use crate::edge::RetryAfter;
use crate::http as api;
use crate::services::Services;

/// How long browsers may remember that they may ask. They cut it themselves: Chromium to two hours.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Whether a request is one too many of its address: an extension of it.
#[derive(Clone, Copy)]
struct Throttled(u32);

/// The service.
pub(crate) fn router(services: &Arc<Services>) -> Router {
    let bucket = Bucket::new(BucketParts {
        objects: Arc::clone(&services.objects),
        keys: Arc::clone(&services.bucket_keys),
        ids: Arc::clone(&services.ids),
        audit: Arc::clone(services.audit.key()),
        domain: api::buckets::host_name(&services.endpoints.bucket_endpoint).map(str::to_owned),
    });
    let parts = Arc::clone(services);
    Router::new()
        .fallback(move |request: Request| answer(bucket.clone(), Arc::clone(&parts), request))
        .layer(cors(&services.endpoints.endpoint))
        .layer(from_fn_with_state(Arc::clone(services), count))
}

async fn answer(bucket: Bucket, services: Arc<Services>, mut request: Request) -> Response {
    if let Some(Throttled(seconds)) = request.extensions().get() {
        return slow_down(*seconds);
    }
    let source = api::limits::source(&request);
    request.extensions_mut().insert(Source(source));
    let about = format!("{} {}", request.method(), request.uri().path());
    let response = bucket.handle(request).await.map(axum::body::Body::new);
    if matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        services
            .audit
            .refused_upload(&services, source, response.status(), &about);
    }
    response
}

/// Counts a request. One too many goes on, so that a page may read why it is refused; a mere question does not.
async fn count(
    services: axum::extract::State<Arc<Services>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(RetryAfter(seconds)) = services.edge.request_from(api::limits::source(&request)) {
        if request.method() == Method::OPTIONS {
            return slow_down(seconds);
        }
        request.extensions_mut().insert(Throttled(seconds));
    }
    next.run(request).await
}

/// What browsers are told: pages of the console may put packages in parts, and read the answers.
fn cors(endpoint: &str) -> CorsLayer {
    let amz = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(console_origins(endpoint))
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            amz("x-amz-content-sha256"),
            amz("x-amz-date"),
            amz("x-amz-security-token"),
        ])
        .expose_headers([ETAG, RETRY_AFTER, amz("x-amz-request-id")])
        .max_age(REMEMBERED)
}

/// Where the console's pages come from: the server's public address. A server for this machine alone has two names.
fn console_origins(endpoint: &str) -> Vec<HeaderValue> {
    let local = Url::parse(endpoint).ok().and_then(|mut address| {
        let is_local = matches!(address.host()?, Host::Ipv4(ip) if ip.is_loopback());
        address.set_host(Some("localhost")).ok()?;
        is_local.then(|| address.to_string())
    });
    [Some(endpoint), local.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(api::buckets::origin)
        .filter_map(|origin| HeaderValue::try_from(origin).ok())
        .collect()
}

/// What clients of the bucket's protocol take as a reason to wait and repeat. Source: S3, error responses.
fn slow_down(retry_after_secs: u32) -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [
            (RETRY_AFTER, HeaderValue::from(retry_after_secs)),
            (CONTENT_TYPE, HeaderValue::from_static("application/xml")),
        ],
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>\
         <Message>Please reduce your request rate.</Message></Error>",
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consoles_origins_are_those_of_its_public_address() {
        assert_eq!(
            console_origins("https://app.example.com"),
            ["https://app.example.com"]
        );
        assert_eq!(
            console_origins("http://127.0.0.1:8080"),
            ["http://127.0.0.1:8080", "http://localhost:8080"]
        );
        assert!(console_origins("no address").is_empty());
    }
}
