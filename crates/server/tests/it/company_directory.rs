//! The company directory of a project, as far as no directory is needed for it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::TestServer;

const DIRECTORY: &str = "/api/v1/{p}/directory";

fn authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["authority".to_owned()]).unwrap();
    parameters.self_signed(&key).unwrap().pem()
}

/// Nothing listens there.
fn directory() -> Value {
    json!({"kind": "AD", "url": "ldaps://127.0.0.1:9", "ca_pem": authority(), "bind_user": "sync@corp.example",
        "bind_password": "right horse", "base_dn": "DC=corp,DC=example", "sync_interval_seconds": 3600})
}

#[tokio::test]
async fn a_directory_is_set_shown_and_removed() {
    let server = TestServer::start().await;
    for (method, path) in [
        (Method::GET, DIRECTORY),
        (Method::DELETE, DIRECTORY),
        (Method::GET, "/api/v1/{p}/directory/status"),
        (Method::POST, "/api/v1/{p}/directory/test"),
        (Method::POST, "/api/v1/{p}/directory/sync"),
    ] {
        server
            .call(method, path, None)
            .await
            .refused(404, "WKS.00211902", "directory");
    }
    let set = server.put(DIRECTORY, directory()).await.ok(200);
    assert_eq!(set["domain"], "corp.example");
    assert_eq!(set["user_name_attribute"], "sAMAccountName");
    assert!(!set.to_string().contains("right horse"));
    assert_eq!(server.get(DIRECTORY).await.ok(200), set);

    // The first synchronisation is on its way; what is in its way is told.
    let asked = server
        .post("/api/v1/{p}/directory/sync", json!({"full": true}))
        .await
        .ok(202);
    assert_eq!(asked["users"], 0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let status = loop {
        let status = server.get("/api/v1/{p}/directory/status").await.ok(200);
        if status["pending"] == false && status["running"] == false {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status["stale"], true);
    assert_eq!(status["error_code"], "unreachable");
    assert!(status["last_success_at"].is_null() && status["hint"].is_string());
    let tested = server
        .post("/api/v1/{p}/directory/test", json!({}))
        .await
        .ok(200);
    assert_eq!(
        (&tested["ok"], &tested["error_code"]),
        (&json!(false), &json!("unreachable"))
    );

    server.delete(DIRECTORY).await.ok(204);
    server
        .get(DIRECTORY)
        .await
        .refused(404, "WKS.00211902", "directory");
    server.stop().await;
}

#[tokio::test]
async fn the_stored_bind_password_stays_where_it_was_meant_to_go() {
    let server = TestServer::start().await;
    let whole = directory();
    let mut without = whole.clone();
    without.as_object_mut().unwrap().remove("bind_password");
    server
        .put(DIRECTORY, without.clone())
        .await
        .refused(400, "WKS.00211102", "bind_password");
    server.put(DIRECTORY, whole).await.ok(200);
    server.put(DIRECTORY, without.clone()).await.ok(200);
    for (member, value) in [
        ("url", json!("ldaps://127.0.0.2:9")),
        ("ca_pem", json!(authority())),
        ("bind_user", json!("other@corp.example")),
    ] {
        let mut elsewhere = without.clone();
        elsewhere[member] = value;
        server
            .put(DIRECTORY, elsewhere)
            .await
            .refused(400, "WKS.00211102", "bind_password");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_the_directory_keeps_is_not_changed_here() {
    let server = TestServer::start().await;
    let user = json!({"user_name": "ana", "user_email": "ana@example.com"});
    let ana = server.post("/v2/{p}/users", user).await.ok(201)["id"].clone();
    let group = json!({"group_name": "staff", "platform_type": "AD"});
    server.post("/v2/{p}/groups", group).await.ok(201);
    let listed = server.get("/v2/{p}/groups").await.ok(200);
    let staff = listed["user_groups"][0]["id"].as_str().unwrap().to_owned();
    server
        .sql("UPDATE directory_user SET external_id = 'S-1-5-21-1-2-3-1104', external_disabled = 1")
        .await;
    server
        .sql("UPDATE directory_group SET external_id = 'S-1-5-21-1-2-3-1105'")
        .await;

    let user_path = format!("/v2/{{p}}/users/{}", ana.as_str().unwrap());
    let group_path = format!("/v2/{{p}}/groups/{staff}");
    for (method, path, body) in [
        (
            Method::PUT,
            &user_path,
            json!({"user_email": "other@example.com"}),
        ),
        (Method::PUT, &user_path, json!({"description": "other"})),
        (Method::DELETE, &user_path, json!({})),
        (Method::PUT, &group_path, json!({"description": "other"})),
        (Method::DELETE, &group_path, json!({})),
        (
            Method::POST,
            &format!("{group_path}/actions"),
            json!({"op_type": "ADD", "user_ids": [ana]}),
        ),
        (
            Method::POST,
            &"/v2/{p}/users".to_owned(),
            json!({"user_name": "ben", "user_email": "b@example.com", "group_ids": [staff]}),
        ),
    ] {
        server
            .call(method, path, Some(body))
            .await
            .refused(400, "WKS.0001", "company directory");
    }
    // What it does not say is ours: the account may be disabled here as well, and stays so whatever it says.
    server
        .put(
            &user_path,
            json!({"user_email": "ana@example.com", "disabled": false}),
        )
        .await
        .ok(200);
    let shown = server.get("/v2/{p}/users").await.ok(200);
    assert_eq!(
        shown["users"][0]["disabled"], true,
        "the directory has disabled it"
    );
    assert_eq!(shown["users"][0]["sid"], "S-1-5-21-1-2-3-1104");
    server
        .put(&user_path, json!({"disabled": true}))
        .await
        .ok(200);
    server
        .sql("UPDATE directory_user SET external_disabled = 0")
        .await;
    let shown = server.get("/v2/{p}/users").await.ok(200);
    assert_eq!(shown["users"][0]["disabled"], true);
    server.stop().await;
}
