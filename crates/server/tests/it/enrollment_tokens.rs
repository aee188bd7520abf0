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
