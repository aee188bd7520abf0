//! What browsers ask the bucket before a page of the console may upload, and where the console's pages may connect to.

use outfitter_server::config::ServeOptions;
use reqwest::{Method, Response, StatusCode};

use crate::server::TestServer;

/// Where the console's pages come from.
fn console(server: &TestServer) -> String {
    format!("http://{}", server.address())
}

fn bucket(server: &TestServer) -> &str {
    server.bootstrap["bucket_endpoint"].as_str().unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// What a browser asks before it puts a part.
async fn preflight(server: &TestServer, origin: &str) -> Response {
    let url = format!(
        "{}/nobodys-bucket/app-file/a.zip?partNumber=1&uploadId=x",
        bucket(server)
    );
    server
        .http
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "authorization,x-amz-content-sha256,x-amz-date,x-amz-security-token",
        )
        .send()
        .await
        .unwrap()
}

/// An upload that is refused: nobody signed it.
async fn put(server: &TestServer, origin: Option<&str>) -> Response {
    let request = server
        .http
        .put(format!("{}/nobodys-bucket/app-file/a.zip", bucket(server)))
        .body("abc");
    let request = match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_page_of_the_console_may_put_parts_and_reads_what_it_needs_of_every_answer() {
    let server = TestServer::start().await;
    let console = console(&server);
    let asked = preflight(&server, &console).await;
    assert!(asked.status().is_success());
    assert_eq!(header(&asked, "access-control-allow-origin"), console);
    assert!(
        header(&asked, "access-control-max-age")
            .parse::<u32>()
            .unwrap()
            > 0
    );
    let methods = header(&asked, "access-control-allow-methods");
    for method in ["GET", "PUT", "POST", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    let headers = header(&asked, "access-control-allow-headers");
    for name in [
        "authorization",
        "content-type",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ] {
        assert!(headers.contains(name), "{headers}");
    }

    let refused = put(&server, Some(&console)).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(&refused, "access-control-allow-origin"), console);
    assert!(header(&refused, "access-control-expose-headers").contains("etag"));
    assert!(header(&refused, "vary").contains("origin"));
    // The credential is in headers of ours: browsers need send, and are to send, none of their own.
    assert_eq!(header(&refused, "access-control-allow-credentials"), "");
    assert!(refused.text().await.unwrap().contains("AccessDenied"));
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing_and_clients_that_are_no_browser_are_as_before() {
    let server = TestServer::start().await;
    for origin in [
        "https://evil.example.com",
        &format!("https://{}", server.address()),
        &format!("{}.evil.example.com", console(&server)),
        "http://127.0.0.1",
        "null",
    ] {
        let asked = preflight(&server, origin).await;
        assert_eq!(
            header(&asked, "access-control-allow-origin"),
            "",
            "{origin}"
        );
        let refused = put(&server, Some(origin)).await;
        assert_eq!(
            header(&refused, "access-control-allow-origin"),
            "",
            "{origin}"
        );
    }
    let refused = put(&server, None).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(&refused, "access-control-allow-origin"), "");
    server.stop().await;
}

#[tokio::test]
async fn questions_of_browsers_count_for_their_address_and_a_page_reads_that_it_must_wait() {
    let server = TestServer::start_told(ServeOptions {
        requests_per_address: Some(1),
        ..ServeOptions::default()
    })
    .await;
    let console = console(&server);
    let mut refused = None;
    for _ in 0..100 {
        let asked = preflight(&server, &console).await;
        if asked.status() == StatusCode::SERVICE_UNAVAILABLE {
            refused = Some(asked);
            break;
        }
    }
    assert!(
        refused.is_some(),
        "a hundred questions at once are too many"
    );
    let told = put(&server, Some(&console)).await;
    assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&told, "access-control-allow-origin"), console);
    assert!(header(&told, "access-control-expose-headers").contains("retry-after"));
    assert!(told.text().await.unwrap().contains("SlowDown"));
    server.stop().await;
}

#[tokio::test]
async fn the_console_may_connect_to_the_bucket_and_the_portal_may_not() {
    let server = TestServer::start_told(ServeOptions {
        bucket_public: Some("https://bucket.example.com:8443/".to_owned()),
        ..ServeOptions::default()
    })
    .await;
    for (path, expected) in [
        (
            "/console/",
            "connect-src 'self' https://bucket.example.com:8443",
        ),
        (
            "/console/apps/add",
            "connect-src 'self' https://bucket.example.com:8443",
        ),
        ("/portal/", "connect-src 'self'"),
        ("/docs/api/", "connect-src 'self'"),
    ] {
        let page = server.anonymous(Method::GET, path).send().await.unwrap();
        let policy = header(&page, "content-security-policy");
        assert!(policy.ends_with(expected), "{path}: {policy}");
    }
    server.stop().await;
}
