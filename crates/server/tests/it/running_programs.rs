use reqwest::Method;
use serde_json::json;

use crate::server::TestServer;

const PROGRAMS: &str = "/api/v1/{p}/running-programs";

#[tokio::test]
async fn a_project_says_what_is_done_about_running_programs() {
    let server = TestServer::start().await;
    let ask = json!({"mode": "ask", "wait_seconds": 600});
    assert_eq!(server.get(PROGRAMS).await.ok(200), ask);
    for (body, field) in [
        (json!({}), "mode"),
        (json!({"mode": "kill"}), "mode"),
        (json!({"mode": "ask", "wait_seconds": 9}), "wait_seconds"),
        (json!({"mode": "ask", "wait_seconds": 7201}), "wait_seconds"),
    ] {
        server
            .put(PROGRAMS, body)
            .await
            .refused(400, "WKS.00211102", field);
    }
    assert_eq!(server.get(PROGRAMS).await.ok(200), ask);

    let stop = json!({"mode": "stop", "wait_seconds": 7200});
    assert_eq!(server.put(PROGRAMS, stop.clone()).await.ok(200), stop);
    assert_eq!(server.get(PROGRAMS).await.ok(200), stop);

    let entries = server
        .get("/api/v1/{p}/audit?limit=10&action=outfitter:runningPrograms:set&outcome=done")
        .await
        .ok(200);
    let change = &entries["items"][0]["detail"]["changes"][0];
    let member = |side: &str, name: &str| change[side][name].clone();
    assert_eq!(member("before", "running_programs"), "ask");
    assert_eq!(member("after", "running_programs"), "stop");
    assert_eq!(member("after", "close_wait_secs"), 7200);

    // Whoever may only read sees it and does not change it.
    let user = json!({"name": "ana", "role": "read-only", "password": "a long one of hers"});
    server.post("/api/v1/{p}/iam/users", user).await.ok(201);
    let login = server
        .anonymous(Method::POST, "/v3/auth/tokens")
        .json(&json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "ana", "password": "a long one of hers", "domain": {"name": "outfitter"}}}},
            "scope": {"project": {"id": server.project}}}}))
        .send()
        .await
        .unwrap();
    let token = login.headers()["x-subject-token"].clone();
    let path = PROGRAMS.replace("{p}", &server.project);
    let hers = |method| {
        let request = server.anonymous(method, &path);
        request.header("x-auth-token", &token)
    };
    assert_eq!(TestServer::send(hers(Method::GET)).await.ok(200), stop);
    TestServer::send(hers(Method::PUT).json(&ask))
        .await
        .refused(403, "WKS.00081102", "");
    // Without a time it is the ordinary one again.
    let answer = server.put(PROGRAMS, json!({"mode": "ask"})).await;
    assert_eq!(answer.ok(200), ask);
    server.stop().await;
}
