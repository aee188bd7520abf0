//! The files of the console and of the end users' portal, built by `scripts/build` and embedded in the binary.
//!
//! **Guarantees.** No script runs that is not one of these files: the policy allows no inline script and no other
//! origin. The console's pages may also connect to the places that upload credentials name, and to no other. Files whose name holds their digest are kept by browsers for a year; everything else is asked for again
//! each time, by digest. A path below `/console/` that is no file is a page of the console: it gets the start page.
//! The same holds below `/portal/`, whose page shares the files of the
//! console. Without a built console the placeholder says how to build one. **Does not** know who asks: the files are open,
//! what they ask for is not.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::portal::PORTAL_PATH;

/// Inline *styles* are allowed: the component library sets sizes and colours that way. Icons of apps may be data.
/// Ends with the places that pages may connect to, so that others can follow.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data: https:; font-src 'self'; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                      connect-src 'self'";

/// Folder of the files whose name holds their digest.
const DIGEST_NAMED: &str = "assets/";

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
struct Files;

/// The console's routes. Its pages may connect to `uploads` too: there they put packages.
pub(super) fn router(uploads: &[String]) -> Router {
    console_router(uploads).merge(portal_router())
}

fn portal_router() -> Router {
    Router::new()
        .route(
            "/portal",
            get(|| async { Redirect::permanent(PORTAL_PATH) }),
        )
        .route(PORTAL_PATH, get(portal_page))
        .route("/portal/{*path}", get(portal_page))
}

fn console_router(uploads: &[String]) -> Router {
    let policy = policy_with(uploads);
    Router::new()
        .route(
            "/console",
            get(|| async { Redirect::permanent("/console/") }),
        )
        .route(
            "/console/",
            get(|headers: HeaderMap| async move { start_page(&headers) }),
        )
        .route(
            "/console/{*path}",
            get(
                |Path(path): Path<String>, headers: HeaderMap| async move { answer(&path, &headers) },
            ),
        )
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            policy,
        ))
}

fn policy_with(uploads: &[String]) -> HeaderValue {
    let policy = [POLICY]
        .into_iter()
        .chain(uploads.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(POLICY))
}

fn answer(path: &str, headers: &HeaderMap) -> Response {
    match Files::get(path) {
        Some(file) => respond::<Files>(path, &file, headers),
        // A file of another build, not a page: the start page would be taken for a script.
        None if path.starts_with(DIGEST_NAMED) => {
            (StatusCode::NOT_FOUND, "no such file\n").into_response()
        }
        None => start_page(headers),
    }
}

async fn portal_page(headers: HeaderMap) -> Response {
    page("portal.html", &headers)
}

fn start_page(headers: &HeaderMap) -> Response {
    page("index.html", headers)
}

fn page(name: &str, headers: &HeaderMap) -> Response {
    [name, "placeholder.html"]
        .into_iter()
        .find_map(|path| Files::get(path).map(|file| respond::<Files>(path, &file, headers)))
        .unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// A file of a bundle of pages; the zipped one beside it for those who take it.
pub(super) fn respond<Bundle: RustEmbed>(
    path: &str,
    file: &EmbeddedFile,
    headers: &HeaderMap,
) -> Response {
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let caching = if path.starts_with(DIGEST_NAMED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let fixed: [(HeaderName, &str); 7] = [
        (CACHE_CONTROL, caching),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CONTENT_TYPE, media_type(path)),
        (REFERRER_POLICY, "same-origin"),
        (VARY, "Accept-Encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let zipped = accepts_gzip(headers)
        .then(|| Bundle::get(&format!("{path}.gz")))
        .flatten();
    let mut response = match (&zipped, known) {
        (_, true) => StatusCode::NOT_MODIFIED.into_response(),
        (Some(zipped), false) => {
            ([(CONTENT_ENCODING, "gzip")], zipped.data.to_vec()).into_response()
        }
        (None, false) => file.data.to_vec().into_response(),
    };
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|coding| {
            coding
                .split(';')
                .next()
                .is_some_and(|it| it.trim() == "gzip")
        })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "webmanifest") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_page_of_the_console_gets_the_start_page_and_no_inline_script() {
        let page = answer("apps/some-id", &HeaderMap::new());
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"));
    }

    #[tokio::test]
    async fn the_portal_is_a_page_under_the_same_policy() {
        let page = portal_page(HeaderMap::new()).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(page.headers()[CONTENT_SECURITY_POLICY], POLICY);
    }

    #[test]
    fn places_for_uploads_follow_what_pages_may_connect_to_anyway() {
        let policy = policy_with(&["https://bucket.example.com:8081".to_owned()]);
        let policy = policy.to_str().unwrap();
        assert!(policy.ends_with("; connect-src 'self' https://bucket.example.com:8081"));
        assert_eq!(policy_with(&[]), POLICY);
    }

    #[test]
    fn a_missing_file_is_no_page() {
        let missing = answer("assets/index-of-another-build.js", &HeaderMap::new());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = start_page(&HeaderMap::new());
        let tag = first.headers()[ETAG].clone();
        let again = start_page(&HeaderMap::from_iter([(IF_NONE_MATCH, tag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = start_page(&asking(IF_NONE_MATCH, "\"x\""));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        assert!(accepts_gzip(&asking(ACCEPT_ENCODING, "br, gzip;q=0.8")));
        assert!(!accepts_gzip(&asking(ACCEPT_ENCODING, "br")));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
