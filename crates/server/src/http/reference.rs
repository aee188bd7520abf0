//! The reference page of `/openapi.json` at `/docs/api`, built from `reference/` by `scripts/build` and embedded.
//!
//! **Guarantees.** As for the console (`console.rs`): no script but these files, no other origin. **Does not** know
//! who asks; a call that the page runs carries the token that was logged in for, which the page keeps in memory.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use rust_embed::RustEmbed;

use super::console::respond;

#[derive(RustEmbed)]
#[folder = "../../reference/dist"]
struct Files;

/// The page's routes.
pub(super) fn router() -> Router {
    Router::new()
        .route(
            "/docs/api",
            get(|| async { Redirect::permanent("/docs/api/") }),
        )
        .route(
            "/docs/api/",
            get(|headers: HeaderMap| async move { start_page(&headers) }),
        )
        .route(
            "/docs/api/{*path}",
            get(
                |Path(path): Path<String>, headers: HeaderMap| async move { file(&path, &headers) },
            ),
        )
}

/// The page; without a built one, how to build it.
fn start_page(headers: &HeaderMap) -> Response {
    if Files::get("index.html").is_some() {
        file("index.html", headers)
    } else {
        file("placeholder.html", headers)
    }
}

fn file(path: &str, headers: &HeaderMap) -> Response {
    match Files::get(path) {
        Some(file) => respond::<Files>(path, &file, headers),
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

    use super::*;

    #[test]
    fn the_page_is_there_built_or_not_and_runs_no_inline_script() {
        let page = start_page(&HeaderMap::new());
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';"), "{policy}");
    }

    #[test]
    fn without_a_built_page_one_reads_how_to_build_it() {
        let page = Files::get("placeholder.html").unwrap();
        let text = std::str::from_utf8(&page.data).unwrap();
        assert!(text.contains("scripts/build"), "{text}");
        let missing = file("no-such-file.js", &HeaderMap::new());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }
}
