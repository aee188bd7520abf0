//! A request whose end could be read in two ways ends its connection.
//!
//! A proxy that goes by `Content-Length` and a server that goes by `Transfer-Encoding` disagree where a request ends,
//! and what one takes for a body the other takes for a second request. Behind a chunked request nothing is read on
//! the connection, and one with both headers is refused. Source: RFC 9112, sections 6.1 and 6.3.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, Version};

use super::error::{ApiError, GatewayError};
use super::operation::Family;
use super::request_id::RequestId;

/// Wraps every operation.
pub(super) async fn one_request(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let chunked = request.version() <= Version::HTTP_11 && headers.contains_key(TRANSFER_ENCODING);
    if !chunked {
        return next.run(request).await;
    }
    let mut response = if headers.contains_key(CONTENT_LENGTH) {
        let family = Family::of_path(request.uri().path());
        let refused =
            GatewayError::new(StatusCode::BAD_REQUEST, "APIGW.0201", "API request error.");
        ApiError::Gateway(refused)
            .into_response(family, &RequestId::of(&request))
            .into_response()
    } else {
        next.run(request).await
    };
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
