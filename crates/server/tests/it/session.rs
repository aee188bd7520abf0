//! Browsers: log in, stay in, be refused, log out.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::server::TestServer;

const PATH: &str = "/api/v1/session";
const GUARD: &str = "x-outfitter-console";

async fn log_in(server: &TestServer, body: &Value) -> Response {
    server
        .anonymous(Method::POST, PATH)
        .header(GUARD, "1")
        .json(body)
        .send()
        .await
        .unwrap()
}

/// `Set-Cookie` of an answer: the pair a browser sends back, and the attributes.
fn set_cookie(response: &Response) -> (String, String) {
    let text = response.headers()["set-cookie"].to_str().unwrap();
    let (pair, attributes) = text.split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

#[tokio::test]
async fn a_browser_logs_in_and_its_cookie_is_the_credential() {
    let server = TestServer::start().await;
    let response = log_in(&server, &server.browser_login()).await;
    assert_eq!(response.status(), 201);
    let (cookie, attributes) = set_cookie(&response);
    let (fixed, age) = attributes.rsplit_once("; Max-Age=").unwrap();
    assert_eq!(fixed, "Path=/; HttpOnly; SameSite=Strict");
    let age: u64 = age.parse().unwrap();
    assert!((1..=3600).contains(&age), "{age}");
    let session: Value = response.json().await.unwrap();
    assert_eq!(session["user_name"], "administrator");
    assert_eq!(session["projects"][0]["id"], server.project);

    let apps = "/v1/{p}/app-center/apps";
    let reading = server
        .anonymous(Method::GET, apps)
        .header("cookie", &cookie);
    TestServer::send(reading).await.ok(200);
    let shown = server
        .anonymous(Method::GET, PATH)
        .header("cookie", &cookie);
    let shown = shown.send().await.unwrap();
    assert!(set_cookie(&shown).0.starts_with("outfitter_session="));
    assert!(shown.json::<Value>().await.unwrap()["expires_at"].is_string());

    // The session is good in the cookie only, a token in its header only.
    let text = cookie.split_once('=').unwrap().1;
    let as_token = server
        .anonymous(Method::GET, apps)
        .header("x-auth-token", text);
    TestServer::send(as_token)
        .await
        .refused(401, "APIGW.0301", "decrypt token fail");
    let token = server
        .token_for(json!({"project": {"id": server.project}}))
        .await;
    let as_cookie = server
        .anonymous(Method::GET, apps)
        .header("cookie", format!("outfitter_session={token}"));
    TestServer::send(as_cookie)
        .await
        .refused(401, "APIGW.0301", "decrypt token fail");
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let server = TestServer::start().await;
    let (cookie, _) = set_cookie(&log_in(&server, &server.browser_login()).await);
    let groups = || {
        server
            .anonymous(Method::POST, "/v2/{p}/groups")
            .header("cookie", &cookie)
            .json(&json!({"group_name": "staff", "platform_type": "LOCAL"}))
    };
    TestServer::send(groups())
        .await
        .refused(403, "APIGW.0302", "not made by the console");
    let foreign = groups()
        .header(GUARD, "1")
        .header("sec-fetch-site", "cross-site");
    TestServer::send(foreign)
        .await
        .refused(403, "APIGW.0302", "not made by the console");
    let ours = groups()
        .header(GUARD, "1")
        .header("sec-fetch-site", "same-origin");
    TestServer::send(ours).await.ok(201);

    let unguarded = server
        .anonymous(Method::POST, PATH)
        .json(&server.browser_login());
    TestServer::send(unguarded)
        .await
        .refused(403, "APIGW.0302", "not made by the console");
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_password_since_changed_end_at_the_door() {
    let server = TestServer::start().await;
    let wrong = json!({"user_name": "administrator", "password": "wrong"});
    let answer = log_in(&server, &wrong).await;
    assert_eq!(answer.status(), 401);
    assert!(!answer.headers().contains_key("set-cookie"));
    assert!(answer.headers().contains_key("x-request-id"));

    let made = server
        .post(
            "/api/v1/{p}/iam/users",
            json!({"name": "ana", "role": "read-only", "password": "a long one of hers"}),
        )
        .await
        .ok(201);
    let hers = json!({"user_name": "ana", "password": "a long one of hers"});
    let (cookie, _) = set_cookie(&log_in(&server, &hers).await);
    let id = made["user"]["id"].as_str().unwrap();
    server
        .patch(
            &format!("/api/v1/{{p}}/iam/users/{id}"),
            json!({"password": "another long one"}),
        )
        .await
        .ok(200);
    let shown = server
        .anonymous(Method::GET, PATH)
        .header("cookie", &cookie);
    TestServer::send(shown)
        .await
        .refused(401, "APIGW.0307", "must be updated");
    server.stop().await;
}

#[tokio::test]
async fn logging_out_takes_the_cookie_away() {
    let server = TestServer::start().await;
    let (cookie, _) = set_cookie(&log_in(&server, &server.browser_login()).await);
    let response = server
        .anonymous(Method::DELETE, PATH)
        .header("cookie", &cookie)
        .header(GUARD, "1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 204);
    let (cookie, attributes) = set_cookie(&response);
    assert_eq!(cookie, "outfitter_session=");
    assert!(attributes.ends_with("Max-Age=0"));
    server.stop().await;
}
