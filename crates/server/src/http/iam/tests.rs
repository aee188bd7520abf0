use serde_json::{Value, json};

use crate::testing::{Answer, As, TestServer};

fn key(made: &Value) -> As<'_> {
    let key = &made["access_key"];
    As::Key(
        key["access_key"].as_str().unwrap(),
        key["secret_key"].as_str().unwrap(),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn make_project(server: &TestServer, name: &str) -> Answer {
    server
        .call(
            server.administrator(),
            "POST",
            "/api/v1/projects",
            Some(json!({"name": name})),
        )
        .await
}

async fn make_user(
    server: &TestServer,
    caller: As<'_>,
    project: &str,
    name: &str,
    role: &str,
) -> Answer {
    server
        .call(
            caller,
            "POST",
            &format!("/api/v1/{project}/iam/users"),
            Some(json!({"name": name, "role": role})),
        )
        .await
}

#[tokio::test]
async fn a_project_comes_with_an_administrator_of_its_own() {
    let server = TestServer::start().await;
    let made = make_project(&server, "second").await;
    assert_eq!(made.status, 201);
    let project = text(&made.body["project"]["id"]);
    assert_eq!(made.body["administrator"]["role"], "administrator");
    assert!(text(&made.body["password"]).len() >= 12);

    let user = make_user(&server, key(&made.body), project, "reader", "read-only").await;
    assert_eq!(user.status, 201, "{}", user.body);
    let elsewhere = make_user(
        &server,
        key(&made.body),
        &server.bootstrap.project_id,
        "intruder",
        "administrator",
    )
    .await;
    assert_eq!(elsewhere.status, 403);
    let another = server
        .call(
            key(&made.body),
            "POST",
            "/api/v1/projects",
            Some(json!({"name": "third"})),
        )
        .await;
    assert_eq!(another.status, 403);

    let again = make_project(&server, "second").await;
    assert_eq!(again.status, 409);
    assert_eq!(again.body["error_code"], "WKS.0409");
    let listed = server
        .call(
            server.administrator(),
            "GET",
            "/api/v1/projects?limit=1",
            None,
        )
        .await;
    assert_eq!(listed.body["count"], 2);
    assert_eq!(listed.body["items"][0]["name"], "second");
}

#[tokio::test]
async fn a_read_only_user_changes_nothing() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.as_str();
    let made = make_user(
        &server,
        server.administrator(),
        project,
        "reader",
        "read-only",
    )
    .await;
    assert_eq!(made.status, 201);
    assert_eq!(made.body["user"]["role"], "read-only");
    let users = format!("/api/v1/{project}/iam/users");
    let listed = server.call(key(&made.body), "GET", &users, None).await;
    assert_eq!(listed.status, 200);
    assert_eq!(listed.body["count"], 2);
    assert_eq!(listed.body["items"][0]["name"], "reader");
    assert_eq!(listed.body["items"][1]["role"], "administrator");

    let own = format!("{users}/{}", text(&made.body["user"]["id"]));
    for (method, target, body) in [
        (
            "POST",
            users.clone(),
            Some(json!({"name": "a", "role": "read-only"})),
        ),
        ("PATCH", own.clone(), Some(json!({"role": "administrator"}))),
        ("POST", format!("{own}/access-keys"), None),
    ] {
        let answer = server.call(key(&made.body), method, &target, body).await;
        assert_eq!(answer.status, 403, "{method} {target}");
        assert_eq!(answer.body["error_code"], "WKS.00081102");
    }
}

#[tokio::test]
async fn a_projects_administrator_does_not_reach_users_with_rights_beyond_it() {
    let server = TestServer::start().await;
    let made = make_project(&server, "second").await;
    let project = text(&made.body["project"]["id"]);
    let users = format!("/api/v1/{project}/iam/users");
    let listed = server.call(key(&made.body), "GET", &users, None).await;
    let domain_administrator = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["name"] == "administrator")
        .unwrap();
    let target = format!("{users}/{}", text(&domain_administrator["id"]));
    for (method, target, body) in [
        (
            "PATCH",
            target.clone(),
            Some(json!({"password": "a-new-password"})),
        ),
        ("PATCH", target.clone(), Some(json!({"enabled": false}))),
        ("POST", format!("{target}/access-keys"), None),
        (
            "DELETE",
            format!("{target}/access-keys/{}", server.bootstrap.access_key),
            None,
        ),
    ] {
        let answer = server.call(key(&made.body), method, &target, body).await;
        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.body);
    }
    let still = server
        .call(server.administrator(), "GET", "/v3/auth/domains", None)
        .await;
    assert_eq!(still.status, 200);

    // Nor does anyone find the users of another project.
    let first = &server.bootstrap.project_id;
    let other = text(&made.body["administrator"]["id"]);
    let target = format!("/api/v1/{first}/iam/users/{other}");
    let answer = server
        .call(
            server.administrator(),
            "PATCH",
            &target,
            Some(json!({"enabled": false})),
        )
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_role_changes_at_once_and_nobody_disables_themselves() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.as_str();
    let made = make_user(
        &server,
        server.administrator(),
        project,
        "second",
        "administrator",
    )
    .await;
    let users = format!("/api/v1/{project}/iam/users");
    let own = format!("{users}/{}", text(&made.body["user"]["id"]));
    let answer = server
        .call(
            key(&made.body),
            "PATCH",
            &own,
            Some(json!({"enabled": false})),
        )
        .await;
    assert_eq!(answer.status, 400);
    let changed = server
        .call(
            server.administrator(),
            "PATCH",
            &own,
            Some(json!({"role": "read-only", "enabled": true})),
        )
        .await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["role"], "read-only");
    let refused = make_user(&server, key(&made.body), project, "third", "read-only").await;
    assert_eq!(refused.status, 403);

    let listed = server
        .call(server.administrator(), "GET", &users, None)
        .await;
    let administrator = text(&listed.body["items"][1]["id"]);
    let answer = server
        .call(
            server.administrator(),
            "PATCH",
            &format!("{users}/{administrator}"),
            Some(json!({"role": "read-only"})),
        )
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn access_keys_are_made_disabled_and_deleted() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.as_str();
    let user = make_user(
        &server,
        server.administrator(),
        project,
        "robot",
        "read-only",
    )
    .await;
    let keys = format!(
        "/api/v1/{project}/iam/users/{}/access-keys",
        text(&user.body["user"]["id"])
    );
    let made = server
        .call(server.administrator(), "POST", &keys, None)
        .await;
    assert_eq!(made.status, 201);
    let (access, secret) = (
        text(&made.body["access_key"]),
        text(&made.body["secret_key"]),
    );
    assert_eq!((access.len(), secret.len()), (20, 40));
    assert!(
        access
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    );
    let works = async || {
        server
            .call(As::Key(access, secret), "GET", "/v3/projects", None)
            .await
            .status
    };
    assert_eq!(works().await, 200);
    let services = &server.services;
    services
        .auth
        .flush_last_used(&services.store)
        .await
        .unwrap();
    let listed = server
        .call(server.administrator(), "GET", &keys, None)
        .await;
    assert_eq!(listed.body["count"], 2);
    assert_eq!(listed.body["items"][0]["access_key"], access);
    assert_eq!(
        listed.body["items"][0]["last_used_at"],
        "2026-01-10T08:30:15.000Z"
    );
    assert_eq!(listed.body["items"][1].get("last_used_at"), None);
    assert!(!listed.body.to_string().contains(secret));

    let one = format!("{keys}/{access}");
    let set = async |enabled: bool| {
        server
            .call(
                server.administrator(),
                "PATCH",
                &one,
                Some(json!({"enabled": enabled})),
            )
            .await
            .status
    };
    assert_eq!(set(false).await, 200);
    assert_eq!(works().await, 401);
    assert_eq!(set(true).await, 200);
    assert_eq!(works().await, 200);
    let delete = async || {
        server
            .call(server.administrator(), "DELETE", &one, None)
            .await
    };
    assert_eq!(delete().await.status, 200);
    assert_eq!(works().await, 401);
    let gone = delete().await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.body["error_msg"], "The access key does not exist");
}

#[tokio::test]
async fn a_user_has_no_more_than_twenty_keys() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.as_str();
    let user = make_user(
        &server,
        server.administrator(),
        project,
        "robot",
        "read-only",
    )
    .await;
    let keys = format!(
        "/api/v1/{project}/iam/users/{}/access-keys",
        text(&user.body["user"]["id"])
    );
    for number in 2..=crate::app::iam::MAX_ACCESS_KEYS + 1 {
        let answer = server
            .call(server.administrator(), "POST", &keys, None)
            .await;
        let fits = number <= crate::app::iam::MAX_ACCESS_KEYS;
        assert_eq!(answer.status, if fits { 201 } else { 400 }, "{number}");
    }
}
