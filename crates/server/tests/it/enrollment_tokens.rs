use outfitter_agent::enroll::{EnrollError, Enrollment, enroll};
use outfitter_agent::proxy::Proxies;
use outfitter_agent_protocol::EnrollmentToken;
use serde_json::json;

use crate::server::TestServer;

#[tokio::test]
async fn a_token_is_shown_once_and_can_be_revoked() {
    let server = TestServer::start().await;
    let path = "/api/v1/{p}/enrollment-tokens";
    let made = server
        .post(path, json!({"name": "floor 2", "max_uses": 5}))
        .await
        .ok(201);
    let token = EnrollmentToken::parse(made["token"].as_str().unwrap()).unwrap();
    assert_eq!(token.secret.len(), 64);
    assert_eq!(token.root_pins.len(), 1);
    assert_eq!(made["enrollment_token"]["id"], token.id.to_string());
    assert_eq!(made["enrollment_token"]["may_attach"], false);

    // The one of the first start stands in the list too.
    let listed = server.get(path).await.ok(200);
    assert_eq!(listed["count"], 2);
    assert_eq!(listed["items"][0]["name"], "floor 2");
    assert_eq!(listed["items"][0]["uses"], 0);
    assert!(!listed.to_string().contains(&token.secret));

    let one = format!("{path}/{}", token.id);
    server.delete(&one).await.ok(204);
    server.delete(&one).await.ok(204);
    server.delete(&format!("{path}/no-such")).await.refused(
        404,
        "WKS.00211902",
        "enrollment token",
    );
    let listed = server.get(path).await.ok(200);
    assert!(listed["items"][0]["revoked_at"].is_string());
    server
        .post(path, json!({"name": "x", "max_uses": 0}))
        .await
        .refused(400, "WKS.00211102", "max_uses");
    server.stop().await;
}

#[tokio::test]
async fn a_token_for_networks_refuses_in_words_and_one_with_tags_sets_them() {
    let server = TestServer::start().await;
    let path = "/api/v1/{p}/enrollment-tokens";
    let server_address = server.bootstrap["agent_endpoint"].as_str().unwrap();
    let come = async |body: serde_json::Value| {
        let made = server.post(path, body).await.ok(201);
        let enrollment = Enrollment {
            server: server_address.parse().unwrap(),
            token: EnrollmentToken::parse(made["token"].as_str().unwrap()).unwrap(),
            name: "desk-1".to_owned(),
            user: None,
            sandbox_root: None,
            machine_id: "m".to_owned(),
            source_ip: None,
            proxies: Proxies::default(),
        };
        enroll(&enrollment).await
    };
    let elsewhere = json!({"name": "lab", "max_uses": 1, "networks": ["10.0.0.0/8"]});
    let Err(EnrollError::Refused { code, reason }) = come(elsewhere).await else {
        panic!("a desktop of another network came in");
    };
    assert_eq!(code, "other_network");
    assert!(
        reason.contains("network") && !reason.contains("10.0"),
        "{reason}"
    );
    let listed = server.get(path).await.ok(200);
    assert_eq!(listed["items"][0]["uses"], 0);
    assert_eq!(listed["items"][0]["networks"], json!(["10.0.0.0/8"]));

    let tags = json!([{"key": "floor", "value": "2"}, {"key": "lab", "value": ""}]);
    let here = json!({"name": "here", "networks": ["127.0.0.0/8", "::1/128"], "tags": tags});
    let desktop = come(here).await.unwrap().desktop;
    let shown = server
        .get(&format!("/v2/{{p}}/desktops/{desktop}/tags"))
        .await
        .ok(200);
    assert_eq!(shown["tags"], tags);
    assert_eq!(server.get(path).await.ok(200)["items"][0]["tags"], tags);
    server.stop().await;
}

#[tokio::test]
async fn scopes_that_make_no_sense_are_refused_by_name() {
    let server = TestServer::start().await;
    let make = |scope: serde_json::Value| {
        let mut body = json!({"name": "x"});
        body.as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        server.post("/api/v1/{p}/enrollment-tokens", body)
    };
    let many: Vec<_> = (0..33)
        .map(|number| format!("10.{number}.0.0/16"))
        .collect();
    let tags = |keys: &[&str]| -> Vec<_> { keys.iter().map(|key| json!({"key": key})).collect() };
    for (scope, named) in [
        (
            json!({"networks": ["10.0.0.0/8", "10.0.0.1/8"]}),
            "networks[1]",
        ),
        (json!({"networks": ["here"]}), "networks[0]"),
        (json!({"networks": many}), "networks"),
        (json!({"tags": tags(&["a", "b", "a"])}), "tags[2].key"),
        (json!({"tags": tags(&["_sys_a"])}), "tags[0].key"),
        (json!({"tags": vec![json!({"key": "a"}); 21]}), "tags"),
    ] {
        make(scope).await.refused(400, "WKS.00211102", named);
    }
    server.stop().await;
}
