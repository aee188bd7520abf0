//! What callers send stays inside the lines that the server writes about it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::testing::{As, TestServer};

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn what_callers_send_begins_no_line_of_the_log_and_holds_no_control_character() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(kept.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    // A line of the log as an attacker would have it, and a terminal told to hide what was before.
    let forged = "x\r\nforged 2026-01-01T00:00:00Z INFO enrolled\u{1b}[2J\u{9b}2J\u{202e}";
    for (method, target, body) in [
        (
            "GET",
            "/v1/%0d%0aforged%1b%5b2J/app-center/apps".to_owned(),
            json!(null),
        ),
        (
            "GET",
            format!("/v1/{project}/app-center/apps?name=%0aforged%1b"),
            json!(null),
        ),
        (
            "POST",
            "/v3/auth/tokens".to_owned(),
            json!({"auth": {"identity": {
            "methods": ["password"], "password": {"user": {
                "name": forged, "password": forged, "domain": {"name": forged}}}}}}),
        ),
        (
            "POST",
            format!("/api/v1/{project}/iam/users"),
            json!({"name": forged, "role": "read-only"}),
        ),
        (
            "POST",
            "/api/v1/projects".to_owned(),
            json!({"name": forged}),
        ),
        (
            "POST",
            format!("/v2/{project}/groups"),
            json!({"group_name": forged, "platform_type": "LOCAL"}),
        ),
        (
            "POST",
            format!("/api/v1/{project}/desktops"),
            json!({"name": forged, "os_type": "Linux"}),
        ),
        (
            "POST",
            "/v5/decode-authorization-message".to_owned(),
            json!({"encoded_message": forged}),
        ),
        (
            "POST",
            format!("/v1/{project}/app-center/apps"),
            json!({"name": forged, "version": forged,
            "description": forged, "authorization_type": "ALL_USER", "install_type": "QUIET_INSTALL",
            "install_command": forged, "support_os": "Linux", "catalog_id": forged,
            "app_file_store": {"store_type": "LINK", "file_link": forged}}),
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        server
            .call(server.administrator(), method, &target, body.clone())
            .await;
        server
            .call(
                As::Token(&forged.replace(|it: char| !it.is_ascii_graphic(), "_")),
                method,
                &target,
                body,
            )
            .await;
    }
    // Headers hold no line ends, but bytes that terminals take for commands.
    let odd = http::HeaderValue::from_bytes(b"forged\x9b2J\ttab").unwrap();
    let mut request = Request::get("/nowhere").body(Body::empty()).unwrap();
    for name in [
        "x-request-id",
        "user-agent",
        "x-forwarded-for",
        "referer",
        "x-auth-token",
    ] {
        request.headers_mut().insert(name, odd.clone());
    }
    crate::http::router(&server.services)
        .oneshot(request)
        .await
        .unwrap();
    // An agent tells about itself before anybody knows it.
    let token = outfitter_ids::EnrollmentTokenId::new(server.services.ids.uuid(1));
    let body = json!({"protocol": 1, "token_id": token, "token_secret": forged, "name": forged,
        "csr_pem": forged, "machine_id": forged, "agent_version": forged, "os": forged, "arch": forged});
    let mut request = Request::post("/enroll")
        .body(Body::from(body.to_string()))
        .unwrap();
    let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 4711));
    request.extensions_mut().insert(ConnectInfo(peer));
    let listener = crate::agents::listener::router(Arc::clone(&server.services));
    listener.oneshot(request).await.unwrap();
    drop(guard);

    let log = kept.0.lock().unwrap().clone();
    let log = String::from_utf8(log).expect("the log is UTF-8");
    assert!(
        log.contains("forged"),
        "nothing of it was logged: the test shows nothing"
    );
    for line in log.lines() {
        let begins = line
            .chars()
            .next()
            .is_some_and(|first| first.is_ascii_digit());
        assert!(
            begins,
            "a line that begins with something else than its time: {line:?}\n{log}"
        );
        let control = line.chars().find(|it| it.is_control() && *it != '\t');
        assert!(control.is_none(), "{control:?} in {line:?}");
    }
}
