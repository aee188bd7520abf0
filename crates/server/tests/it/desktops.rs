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

#[tokio::test]
async fn desktops_are_filtered_and_exported_alike() {
    let server = TestServer::start().await;
    let path = "/api/v1/{p}/desktops";
    for (name, os_type, user) in [
        ("a-1", "Linux", "li"),
        ("b-2", "Windows", "wang"),
        ("c-3", "Windows", "li"),
    ] {
        let body = json!({"name": name, "os_type": os_type, "users": [user]});
        server.post(path, body).await.ok(201);
    }
    for (query, names) in [
        ("agent=none", vec!["c-3", "b-2", "a-1"]),
        ("agent=online", vec![]),
        ("agent=offline", vec![]),
        ("os_type=Windows&user=LI", vec!["c-3"]),
        ("restart_needed=false&name=b", vec!["b-2"]),
        ("agent_version=1", vec![]),
        ("has_copy=true", vec![]),
        ("has_copy=false&os_type=Linux", vec!["a-1"]),
    ] {
        let listed = server.get(&format!("{path}?{query}")).await.ok(200);
        let shown: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].clone())
            .collect();
        assert_eq!(shown, names, "{query}");
        assert_eq!(listed["count"], names.len());
        let answer = server
            .request(reqwest::Method::GET, &format!("{path}/export?{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], "text/csv");
        let text = answer.text().await.unwrap();
        let exported: Vec<_> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(1).unwrap())
            .collect();
        assert_eq!(exported, names, "{query}");
    }
    server
        .get(&format!("{path}?agent=asleep"))
        .await
        .refused(400, "WKS.00211102", "agent");
    server.stop().await;
}

#[tokio::test]
async fn agents_online_are_shown_now_and_over_time() {
    let server = TestServer::start().await;
    let shown = server.get("/api/v1/{p}/agents-online").await.ok(200);
    assert_eq!(shown["step_seconds"], 300);
    assert_eq!(shown["samples"], json!([]));
    assert_eq!(
        (&shown["now"]["online"], &shown["now"]["agents"]),
        (&json!(0), &json!(0))
    );
    let week = server
        .get("/api/v1/{p}/agents-online?hours=168")
        .await
        .ok(200);
    assert_eq!(week["step_seconds"], 2100);
    server
        .get("/api/v1/{p}/agents-online?hours=169")
        .await
        .refused(400, "WKS.00211102", "hours");
    server.stop().await;
}
