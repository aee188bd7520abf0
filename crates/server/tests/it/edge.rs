//! The edge of a running server: limits by address and by credential, and whose address counts.

use outfitter_server::config::ServeOptions;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::server::TestServer;

const APPS: &str = "/v1/{p}/app-center/apps";

/// A server that takes this machine for a proxy.
fn behind_a_proxy() -> ServeOptions {
    ServeOptions {
        trusted_proxy: Some(vec!["127.0.0.0/8".parse().unwrap()]),
        ..ServeOptions::default()
    }
}

fn from(request: RequestBuilder, address: &str) -> RequestBuilder {
    request.header("x-forwarded-for", address)
}

/// Status, code and `Retry-After` of an answer.
async fn told(request: RequestBuilder) -> (u16, Value, Option<u32>) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let wait = response
        .headers()
        .get("retry-after")
        .map(|value| value.to_str().unwrap().parse().unwrap());
    let body: Value = response.json().await.unwrap_or_default();
    (status, body["error_code"].clone(), wait)
}

/// Repeats a request until it is refused for coming too often; answers how often it was let through.
async fn until_throttled(mut request: impl FnMut() -> RequestBuilder) -> usize {
    for passed in 0..2_000 {
        let (status, code, wait) = told(request()).await;
        if status == 429 {
            assert_eq!(code, "APIGW.0308");
            assert!(wait.is_some_and(|seconds| seconds >= 1), "{wait:?}");
            return passed;
        }
    }
    panic!("never throttled");
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back_before_anything_else() {
    let server = TestServer::start_told(ServeOptions {
        requests_per_address: Some(3),
        ..behind_a_proxy()
    })
    .await;
    let nowhere = || from(server.anonymous(Method::GET, "/nowhere"), "192.0.2.1");
    let passed = until_throttled(nowhere).await;
    assert!(passed >= 30, "ten seconds' worth at once, not {passed}");
    // With a good credential too, and whatever is asked: the address comes first.
    let good = from(server.request(Method::GET, APPS), "192.0.2.1");
    assert_eq!(told(good).await.0, 429);
    let other = from(server.request(Method::GET, APPS), "192.0.2.2");
    assert_eq!(told(other).await.0, 200);
    let metrics = server.http.get(format!("{}/metrics", server.endpoint));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("outfitter_requests_throttled_total{limit=\"Address\"}"),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_credential_is_limited_wherever_it_is_used_and_a_wrong_one_is_refused_first() {
    let server = TestServer::start_told(ServeOptions {
        requests_per_credential: Some(1),
        ..behind_a_proxy()
    })
    .await;
    let mut last = 0_u8;
    let passed = until_throttled(|| {
        last = last.wrapping_add(1);
        from(
            server.request(Method::GET, APPS),
            &format!("192.0.2.{last}"),
        )
    })
    .await;
    assert!(passed >= 10, "{passed}");
    // Its limit comes right after the credential: before the project is looked at.
    let elsewhere = server.request(Method::GET, "/v1/nowhere/app-center/apps");
    assert_eq!(told(elsewhere).await.0, 429);
    let wrong = server
        .anonymous(Method::GET, APPS)
        .header("x-auth-token", "guessed");
    assert_eq!(told(wrong).await.0, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_credential_costs_its_address_more_than_a_right_one() {
    let server = TestServer::start_told(ServeOptions {
        requests_per_address: Some(10),
        ..behind_a_proxy()
    })
    .await;
    let guesses = until_throttled(|| {
        let request = server.anonymous(Method::GET, APPS);
        from(request.header("x-auth-token", "guessed"), "192.0.2.1")
    })
    .await;
    let calls = until_throttled(|| from(server.request(Method::GET, APPS), "192.0.2.2")).await;
    assert!(guesses * 5 < calls, "{guesses} guesses, {calls} calls");
    server.stop().await;
}

#[tokio::test]
async fn guessing_a_password_locks_the_account_for_the_guessers_address_alone() {
    let server = TestServer::start_told(behind_a_proxy()).await;
    let log_in = |user: &str, password: &str, address: &str| {
        let identity = json!({"methods": ["password"], "password": {"user": {
            "name": user, "password": password,
            "domain": {"name": server.bootstrap["domain_name"]}}}});
        let request = server.anonymous(Method::POST, "/v3/auth/tokens");
        let request = request.json(&json!({"auth": {"identity": identity}}));
        told(from(request, address))
    };
    let name = server.bootstrap["user_name"].as_str().unwrap();
    let password = server.bootstrap["password"].as_str().unwrap();
    // Nobody of that name is locked alike: the answer does not tell who exists.
    for user in [name, "nobody"] {
        for _ in 0..6 {
            assert_eq!(log_in(user, "guessed", "192.0.2.1").await.0, 401, "{user}");
        }
        let (status, code, wait) = log_in(user, "guessed", "192.0.2.1").await;
        assert_eq!((status, code), (429, json!("APIGW.0308")), "{user}");
        assert!(wait.is_some_and(|seconds| (1..=300).contains(&seconds)));
    }
    assert_eq!(log_in(name, password, "192.0.2.1").await.0, 429);
    assert_eq!(log_in(name, password, "192.0.2.2").await.0, 201);
    // Logged in already, one goes on working from there.
    let working = from(server.request(Method::GET, APPS), "192.0.2.1");
    assert_eq!(told(working).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_runs_out_of_passwords() {
    let server = TestServer::start_told(ServeOptions {
        wrong_passwords_per_minute: Some(1),
        ..behind_a_proxy()
    })
    .await;
    let mut number = 0;
    let log_in = |user: String, address: &str| {
        let body = json!({"user_name": user, "password": "Summer2026"});
        let request = server.anonymous(Method::POST, "/api/v1/session");
        let request = request.header("x-outfitter-console", "1").json(&body);
        from(request, address)
    };
    let tried = until_throttled(|| {
        number += 1;
        log_in(format!("user{number}"), "192.0.2.1")
    })
    .await;
    assert!((10..40).contains(&tried), "{tried}");
    assert_eq!(told(log_in("ana".to_owned(), "192.0.2.2")).await.0, 401);
    server.stop().await;
}

/// A user whose policy counts from one network only.
async fn user_of_one_network(server: &TestServer) -> String {
    let domain = json!({"domain": {"name": server.bootstrap["domain_name"]}});
    let administrator = server.token_for(domain).await;
    let post = |path: &str, body: Value| {
        let request = server.anonymous(Method::POST, path);
        TestServer::send(request.header("x-auth-token", &administrator).json(&body))
    };
    let user = json!({"name": "ana", "role": "read-only", "password": "a long one of hers"});
    let user = post("/api/v1/{p}/iam/users", user).await.ok(201);
    let document = json!({"Version": "1.1", "Statement": [{"Effect": "Deny", "Action": ["*"],
        "Condition": {"NotIpAddress": {"g:SourceIp": ["203.0.113.0/24"]}}}]});
    let policy = json!({"name": "from-the-office", "document": document});
    let policy = post("/api/v1/iam/policies", policy).await.ok(201);
    let attached = json!({"policy": policy["id"], "user_id": user["user"]["id"],
        "project_id": server.project});
    post("/api/v1/iam/attachments", attached).await.ok(200);
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": "ana", "password": "a long one of hers",
        "domain": {"name": server.bootstrap["domain_name"]}}}},
        "scope": {"project": {"id": server.project}}}});
    let request = server
        .anonymous(Method::POST, "/v3/auth/tokens")
        .json(&body);
    let answer = request.send().await.unwrap();
    answer.headers()["x-subject-token"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_policy_sees_whom_a_proxy_of_ours_saw_and_nobody_can_claim_an_address() {
    for (options, claimed, status) in [
        (behind_a_proxy(), "203.0.113.5", 200),
        // The caller's invention stands left of what the proxy saw.
        (behind_a_proxy(), "203.0.113.5, 198.51.100.9", 403),
        (behind_a_proxy(), "198.51.100.9, 203.0.113.5", 200),
        // No proxy is named: the header is anybody's.
        (ServeOptions::default(), "203.0.113.5", 403),
    ] {
        let server = TestServer::start_told(options).await;
        let hers = user_of_one_network(&server).await;
        let request = server
            .anonymous(Method::GET, APPS)
            .header("x-auth-token", hers)
            .header("forwarded", "for=203.0.113.5")
            .header("x-real-ip", "203.0.113.5");
        let (heard, _, _) = told(from(request, claimed)).await;
        assert_eq!(heard, status, "{claimed}");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_bucket_asks_a_hasty_client_to_slow_down() {
    let server = TestServer::start_told(ServeOptions {
        requests_per_address: Some(3),
        ..ServeOptions::default()
    })
    .await;
    let bucket = server.bootstrap["bucket_endpoint"].as_str().unwrap();
    let mut slowed = None;
    for _ in 0..2_000 {
        let response = server.http.get(bucket).send().await.unwrap();
        if response.status() == 503 {
            assert!(response.headers().contains_key("retry-after"));
            slowed = Some(response.text().await.unwrap());
            break;
        }
    }
    assert!(slowed.unwrap().contains("<Code>SlowDown</Code>"));
    server.stop().await;
}
