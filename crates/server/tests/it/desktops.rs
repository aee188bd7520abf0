use serde_json::json;

use crate::server::TestServer;

#[tokio::test]
async fn a_desktop_is_registered_with_its_users_and_deleted() {
    let server = TestServer::start().await;
    let path = "/api/v1/{p}/desktops";
    let made = server
        .post(
            path,
            json!({"name": "Desk-1", "os_type": "Linux", "users": ["li", "wang"]}),
        )
        .await
        .ok(201);
    assert_eq!(made["name"], "Desk-1");
    assert_eq!(made["persistent"], true);
    assert_eq!(made["users"][1]["account"], "wang");
    assert!(made.get("agent").is_none());

    server
        .post(path, json!({"name": "dESK-1", "os_type": "Windows"}))
        .await
        .refused(409, "WKS.0409", "dESK-1");
    for (body, field) in [
        (json!({"name": "1desk", "os_type": "Linux"}), "name"),
        (json!({"name": "desk-", "os_type": "Linux"}), "name"),
        (
            json!({"name": "abcdefghijklmnop", "os_type": "Linux"}),
            "name",
        ),
        (json!({"name": "a", "os_type": "BeOS"}), "os_type"),
        (json!({"os_type": "Linux"}), "name"),
        (
            json!({"name": "a", "os_type": "Linux", "users": ["li", " "]}),
            "users[1]",
        ),
        (
            json!({"name": "a", "os_type": "Linux", "users": ["li", "LI"]}),
            "users[1]",
        ),
    ] {
        server
            .post(path, body)
            .await
            .refused(400, "WKS.00211102", field);
    }
    let users = server.get("/v2/{p}/users").await.ok(200);
    assert_eq!(users["total_count"], 2, "a refused call made no user");

    let listed = server.get(&format!("{path}?name=dESK")).await.ok(200);
    assert_eq!(listed["count"], 1);
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    server.delete(&one).await.ok(204);
    server
        .delete(&one)
        .await
        .refused(404, "WKS.00211902", "desktop");
    assert_eq!(server.get(path).await.ok(200)["count"], 0);
    server.stop().await;
}
