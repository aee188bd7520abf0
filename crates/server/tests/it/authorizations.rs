use serde_json::{Value, json};

use crate::apps::{APPS, linked, upload, with};
use crate::server::TestServer;

fn user(name: &str) -> Value {
    json!({"account": name, "account_type": "SIMPLE", "domain": null, "platform_type": null})
}

fn grant(users: &[Value]) -> Value {
    json!({"authorization_type": "ASSIGN_USER", "users": users})
}

async fn names(server: &TestServer, id: &str, query: &str) -> Vec<String> {
    let page = server
        .get(&format!("{APPS}/{id}/authorizations{query}"))
        .await
        .ok(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!(page["count"], items.len());
    items
        .iter()
        .map(|item| item["account"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn accounts_are_granted_revoked_and_filtered() {
    let server = TestServer::start().await;
    let id = upload(&server, linked("a")).await;
    let assign = format!("{APPS}/{id}/actions/assign-authorizations");
    let group = json!({"account": "ops", "account_type": "USER_GROUP", "domain": "corp.example"});
    assert!(names(&server, &id, "").await.is_empty());

    let answer = server
        .post(&assign, grant(&[user("li"), user("wu"), group]))
        .await;
    assert_eq!((answer.status, &answer.body), (200, &Value::Null));
    let page = server
        .get(&format!("{APPS}/{id}/authorizations?limit=1&offset=2"))
        .await
        .ok(200);
    assert_eq!(
        page,
        json!({"count": 3, "items": [{"account": "li", "domain": "local.com",
            "account_type": "SIMPLE", "platform_type": "LOCAL"}]})
    );
    assert_eq!(names(&server, &id, "?name=L").await, ["li"]);
    assert_eq!(
        names(&server, &id, "?target_type=USER_GROUP").await,
        ["ops"]
    );

    // While everyone may, changes of the list are applied all the same.
    let all = json!({"authorization_type": "ALL_USER", "users": [user("he"), user("wu")],
        "del_users": [user("WU")]});
    server.post(&assign, all).await.ok(200);
    assert_eq!(names(&server, &id, "").await, ["he", "ops", "li"]);
    assert_eq!(names(&server, &id, "?assign_type=ALL_USER").await.len(), 3);
    assert!(
        names(&server, &id, "?assign_type=ASSIGN_USER")
            .await
            .is_empty()
    );
    let none = json!({"authorization_type": "ASSIGN_USER", "users": null, "del_users": []});
    server.post(&assign, none).await.ok(200);
    assert_eq!(
        names(&server, &id, "?assign_type=ASSIGN_USER").await.len(),
        3
    );

    for (body, field) in [
        (grant(&[user("a"), user("A")]), "users"),
        (
            json!({"authorization_type": "ALL_USER", "del_users": [user("a"), user("a")]}),
            "del_users",
        ),
        (json!({"users": []}), "authorization_type"),
        (grant(&[json!({"account": "a"})]), "account_type"),
        (grant(&[user("a\u{0}")]), "users"),
    ] {
        server
            .post(&assign, body)
            .await
            .refused(400, "WKS.00211102", field);
    }
    server
        .post(
            &format!("{APPS}/no-such/actions/assign-authorizations"),
            grant(&[]),
        )
        .await
        .refused(404, "WKS.00211902", "application");
    server
        .get(&format!("{APPS}/no-such/authorizations"))
        .await
        .refused(404, "WKS.00211902", "application");
    server.stop().await;
}

#[tokio::test]
async fn a_batch_changes_all_apps_or_none() {
    let server = TestServer::start().await;
    let batch = format!("{APPS}/actions/batch-assign-authorization");
    let first = upload(&server, linked("a")).await;
    let second = upload(&server, linked("b")).await;
    let to = |ids: &[&str]| with(grant(&[user("li")]), json!({"app_ids": ids}));

    server
        .post(&batch, to(&[&first, "no-such"]))
        .await
        .refused(404, "WKS.00211902", "application");
    assert!(names(&server, &first, "").await.is_empty());
    server.post(&batch, to(&[&first, &second])).await.ok(200);
    assert_eq!(names(&server, &second, "").await, ["li"]);
    let many: Vec<String> = (0..21).map(|number| format!("app-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server
        .post(&batch, to(&many))
        .await
        .refused(400, "WKS.00211102", "app_ids");
    server.stop().await;
}

#[tokio::test]
async fn parallel_grants_all_arrive() {
    let server = TestServer::start().await;
    let batch = format!("{APPS}/actions/batch-assign-authorization");
    let mut ids = vec![
        upload(&server, linked("a")).await,
        upload(&server, linked("b")).await,
    ];
    let mut calls = Vec::new();
    for number in 0..16 {
        ids.reverse();
        let users = [user("shared"), user(&format!("user-{number}"))];
        calls.push(server.post(&batch, with(grant(&users), json!({"app_ids": ids}))));
    }
    for answer in futures_util::future::join_all(calls).await {
        answer.ok(200);
    }
    for id in &ids {
        assert_eq!(names(&server, id, "?limit=100").await.len(), 17);
    }
    server.stop().await;
}
