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
        assert_eq!(answer.status, if fits { 201 } else { 409 }, "{number}");
    }
}

async fn ask(
    server: &TestServer,
    caller: As<'_>,
    method: &str,
    target: &str,
    body: Value,
) -> Answer {
    let body = (method != "GET" && method != "DELETE").then_some(body);
    server.call(caller, method, target, body).await
}

/// A user without the role's rights: a policy of its own is all it holds.
async fn user_with_policy(server: &TestServer, name: &str, document: Value) -> Value {
    let project = &server.bootstrap.project_id;
    let made = make_user(server, server.administrator(), project, name, "read-only").await;
    assert_eq!(made.status, 201, "{}", made.body);
    let body = json!({"name": format!("{name}-policy"), "document": document});
    let policy = ask(
        server,
        server.administrator(),
        "POST",
        "/api/v1/iam/policies",
        body,
    )
    .await;
    assert_eq!(policy.status, 201, "{}", policy.body);
    let body = json!({"policy": policy.body["id"], "user_id": made.body["user"]["id"],
        "project_id": project});
    let attached = ask(
        server,
        server.administrator(),
        "POST",
        "/api/v1/iam/attachments",
        body,
    )
    .await;
    assert_eq!(attached.status, 200, "{}", attached.body);
    made.body
}

async fn make_app(server: &TestServer, name: &str, scope: &str) -> String {
    let target = format!("/v1/{}/app-center/apps", server.bootstrap.project_id);
    let body = json!({"name": name, "version": "1", "description": "", "authorization_type": scope,
        "app_file_store": {"store_type": "LINK", "file_link": "https://packages.example/a.exe"},
        "install_type": "QUIET_INSTALL", "install_command": "a.exe /S", "support_os": "Windows",
        "catalog_id": "1"});
    let made = ask(server, server.administrator(), "POST", &target, body).await;
    assert_eq!(made.status, 200, "{}", made.body);
    text(&made.body["id"]).to_owned()
}

#[tokio::test]
async fn a_help_desk_installs_and_does_not_open_an_app_to_anyone() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let made = make_user(
        &server,
        server.administrator(),
        &project,
        "desk",
        "help-desk",
    )
    .await;
    assert_eq!(made.body["user"]["role"], "help-desk", "{}", made.body);
    let open = make_app(&server, "open", "ALL_USER").await;
    let closed = make_app(&server, "closed", "ASSIGN_USER").await;
    let install = format!("/v1/{project}/app-center/apps/actions/batch-auto-install");
    let of = |app: &str, scope: &str| {
        let users = json!([{"account": "ana", "account_type": "SIMPLE"}]);
        match scope {
            "ALL_USER" => json!({"app_ids": [app], "assign_scope": scope}),
            _ => json!({"app_ids": [app], "assign_scope": scope, "users": users}),
        }
    };
    for (app, scope, status) in [
        (&open, "ALL_USER", 200),
        (&open, "ASSIGN_USER", 200),
        (&closed, "ALL_USER", 403),
        (&closed, "ASSIGN_USER", 403),
    ] {
        let answer = ask(&server, key(&made.body), "POST", &install, of(app, scope)).await;
        assert_eq!(answer.status, status, "{app} {scope}: {}", answer.body);
    }
    // What was refused left nothing behind.
    let deployments = format!("/api/v1/{project}/deployments");
    let listed = ask(
        &server,
        server.administrator(),
        "GET",
        &deployments,
        Value::Null,
    )
    .await;
    assert_eq!(listed.body["count"], 2);
    let accounts = format!("/v1/{project}/app-center/apps/{closed}/authorizations");
    let listed = ask(
        &server,
        server.administrator(),
        "GET",
        &accounts,
        Value::Null,
    )
    .await;
    assert_eq!(listed.body["count"], 0);
    // Once somebody who may has authorized the account, the help desk installs.
    let answer = ask(
        &server,
        server.administrator(),
        "POST",
        &install,
        of(&closed, "ASSIGN_USER"),
    )
    .await;
    assert_eq!(answer.status, 200);
    let answer = ask(
        &server,
        key(&made.body),
        "POST",
        &install,
        of(&closed, "ASSIGN_USER"),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_policy_reaches_the_resources_it_names_and_a_deny_wins() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let (mine, other) = (
        make_app(&server, "mine", "ASSIGN_USER").await,
        make_app(&server, "other", "ASSIGN_USER").await,
    );
    let made = user_with_policy(
        &server,
        "owner",
        json!({"Version": "1.1", "Statement": [
            {"Effect": "Allow", "Action": ["workspace:appcenter:updateApp",
                "workspace:appcenter:batchDisableApps"], "Resource": [format!("app:{mine}")]},
            {"Effect": "Deny", "Action": ["workspace:appcenter:listJobs"],
                "Condition": {"IpAddress": {"g:SourceIp": ["127.0.0.0/8"]}}}]}),
    )
    .await;
    let app = |id: &str| format!("/v1/{project}/app-center/apps/{id}");
    let disable = format!("/v1/{project}/app-center/apps/actions/batch-disable");
    let unknown = "5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10";
    for (method, target, body, status) in [
        ("PATCH", app(&mine), json!({"description": "a"}), 200),
        ("PATCH", app(&other), json!({"description": "a"}), 403),
        // Whether it exists is not told to whom may not touch it.
        ("PATCH", app(unknown), json!({"description": "a"}), 403),
        ("POST", disable.clone(), json!({"items": [mine]}), 200),
        (
            "POST",
            disable.clone(),
            json!({"items": [mine, other]}),
            403,
        ),
        // The role still counts, the deny wins over it.
        (
            "GET",
            format!("/v1/{project}/app-center/apps"),
            Value::Null,
            200,
        ),
        (
            "GET",
            format!("/v1/{project}/app-center/jobs"),
            Value::Null,
            403,
        ),
    ] {
        let answer = ask(&server, key(&made), method, &target, body).await;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.body);
    }
    let explain = |action: &str, resource: &str| {
        format!("/api/v1/{project}/iam/explain?user=owner&action={action}&resource={resource}")
    };
    let target = explain("workspace:appcenter:updateApp", &format!("app:{mine}"));
    let told = ask(&server, server.administrator(), "GET", &target, Value::Null).await;
    assert_eq!(told.body["allowed"], true, "{}", told.body);
    assert_eq!(told.body["policy"], "owner-policy");
    assert_eq!(told.body["statement_number"], 1);
    let target = explain("workspace:appcenter:updateApp", &format!("app:{other}"));
    let told = ask(&server, server.administrator(), "GET", &target, Value::Null).await;
    assert_eq!(told.body["allowed"], false);
    assert_eq!(told.body.get("policy"), None);
}

#[tokio::test]
async fn desktops_are_reached_by_their_tags() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let mut ids = Vec::new();
    for (name, department) in [("ana-desk", "finance"), ("ben-desk", "sales")] {
        let target = format!("/api/v1/{project}/desktops");
        let body = json!({"name": name, "os_type": "Linux"});
        let made = ask(&server, server.administrator(), "POST", &target, body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = text(&made.body["id"]).to_owned();
        let target = format!("/v2/{project}/desktops/{id}/tags");
        let body = json!({"tag": {"key": "department", "value": department}});
        let tagged = ask(&server, server.administrator(), "POST", &target, body).await;
        assert!(tagged.status.is_success(), "{}", tagged.body);
        ids.push(id);
    }
    let made = user_with_policy(
        &server,
        "finance-desk",
        json!({"Version": "5.0", "Statement": [{"Effect": "Allow",
            "Action": ["workspace:desktops:batchInstallAgents"], "Resource": ["desktop:*"],
            "Condition": {"StringEquals": {"g:ResourceTag/department": ["finance"]}}}]}),
    )
    .await;
    let target = format!("/v2/{project}/desktops/agents");
    let install = async |ids: &[&String]| {
        ask(
            &server,
            key(&made),
            "POST",
            &target,
            json!({"desktop_ids": ids}),
        )
        .await
    };
    let answer = install(&[&ids[0]]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let refused = install(&[&ids[0], &ids[1]]).await;
    assert_eq!(refused.status, 403);
    let sealed = &refused.body["encoded_authorization_message"];
    let opened = ask(
        &server,
        key(&made),
        "POST",
        "/v5/decode-authorization-message",
        json!({"encoded_message": sealed}),
    )
    .await;
    let refusal: Value = serde_json::from_str(text(&opened.body["decoded_message"])).unwrap();
    assert_eq!(refusal["resource"], format!("desktop:{}", ids[1]));
}

#[tokio::test]
async fn a_group_brings_its_policies_and_takes_them_away() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let made = make_user(
        &server,
        server.administrator(),
        &project,
        "reader",
        "read-only",
    )
    .await;
    let user = &made.body["user"]["id"];
    let administrator = async |method: &str, target: &str, body: Value| {
        ask(&server, server.administrator(), method, target, body).await
    };
    let group = administrator("POST", "/api/v1/iam/groups", json!({"name": "operators"})).await;
    assert_eq!(group.status, 201, "{}", group.body);
    let group = format!("/api/v1/iam/groups/{}", text(&group.body["id"]));
    let id = group.rsplit('/').next().unwrap();
    let attachment = json!({"policy": "app-operator", "group_id": id});
    let attached = administrator("POST", "/api/v1/iam/attachments", attachment.clone()).await;
    assert_eq!(attached.status, 200, "{}", attached.body);
    let disable = format!("/v1/{project}/app-center/apps/actions/batch-disable");
    let try_it = async || {
        let body = json!({"items": ["5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10"]});
        ask(&server, key(&made.body), "POST", &disable, body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(try_it().await, 403);
    let joined = administrator("PATCH", &group, json!({"add_user_ids": [user]})).await;
    assert_eq!(
        joined.body["members"][0]["user_name"], "reader",
        "{}",
        joined.body
    );
    assert_eq!(try_it().await, 404);
    let target = format!(
        "/api/v1/{project}/iam/explain?user=reader&action=workspace:appcenter:batchDisableApps"
    );
    let told = administrator("GET", &target, Value::Null).await;
    assert_eq!(told.body["through_group"], "operators");
    let listed = administrator("GET", "/api/v1/iam/attachments", Value::Null).await;
    assert_eq!(listed.body["items"][0]["policy_name"], "app-operator");
    let left = administrator("PATCH", &group, json!({"remove_user_ids": [user]})).await;
    assert_eq!(left.status, 200);
    assert_eq!(try_it().await, 403);
    administrator("PATCH", &group, json!({"add_user_ids": [user]})).await;
    assert_eq!(try_it().await, 404);
    let detached =
        administrator("POST", "/api/v1/iam/attachments/actions/detach", attachment).await;
    assert_eq!(detached.status, 200);
    assert_eq!(try_it().await, 403);
    assert_eq!(
        administrator("DELETE", &group, Value::Null).await.status,
        200
    );
}

#[tokio::test]
async fn nobody_gets_to_policies_from_within_a_project() {
    let server = TestServer::start().await;
    let made = make_project(&server, "second").await;
    let user = &made.body["administrator"]["id"];
    for (method, target, body) in [
        ("GET", "/api/v1/iam/policies", Value::Null),
        (
            "POST",
            "/api/v1/iam/policies",
            json!({"name": "mine", "document": {"Version": "1.1",
                "Statement": [{"Effect": "Allow", "Action": ["*"]}]}}),
        ),
        (
            "POST",
            "/api/v1/iam/attachments",
            json!({"policy": "administrator", "user_id": user}),
        ),
        ("POST", "/api/v1/iam/groups", json!({"name": "mine"})),
    ] {
        let answer = ask(&server, key(&made.body), method, target, body).await;
        assert_eq!(answer.status, 403, "{method} {target}");
    }
    // Who may make users but not give rights away makes none with rights.
    let maker = user_with_policy(
        &server,
        "maker",
        json!({"Version": "1.1", "Statement": [{"Effect": "Allow",
            "Action": ["outfitter:iamUsers:*"]}]}),
    )
    .await;
    let project = server.bootstrap.project_id.clone();
    let answer = make_user(&server, key(&maker), &project, "friend", "administrator").await;
    assert_eq!(answer.status, 403);
    let own = format!("/api/v1/{project}/iam/users/{}", text(&maker["user"]["id"]));
    let answer = ask(
        &server,
        key(&maker),
        "PATCH",
        &own,
        json!({"role": "administrator"}),
    )
    .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn policies_that_cannot_be_read_or_are_in_use_are_refused() {
    let server = TestServer::start().await;
    let administrator = async |method: &str, target: &str, body: Value| {
        ask(&server, server.administrator(), method, target, body).await
    };
    const POLICIES: &str = "/api/v1/iam/policies";
    let named = |name: &str, statement: Value| json!({"name": name, "document": {"Version": "1.1", "Statement": [statement]}});
    let good = json!({"Effect": "Allow", "Action": ["workspace:*:list*"]});
    for statement in [
        json!({"Effect": "Maybe", "Action": ["*"]}),
        json!({"Effect": "Allow", "Action": []}),
        json!({"Effect": "Allow", "Action": ["*"], "Condition": {"Bool": {"g:Sleeping": ["true"]}}}),
    ] {
        let answer = administrator("POST", POLICIES, named("bad", statement)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    let made = administrator("POST", POLICIES, named("listers", good.clone())).await;
    assert_eq!(made.status, 201);
    for name in ["Listers", "administrator"] {
        let answer = administrator("POST", POLICIES, named(name, good.clone())).await;
        assert_eq!(answer.status, 409, "{name}");
    }
    let project = &server.bootstrap.project_id;
    let user = make_user(
        &server,
        server.administrator(),
        project,
        "reader",
        "read-only",
    )
    .await;
    let body = json!({"policy": made.body["id"], "user_id": user.body["user"]["id"]});
    administrator("POST", "/api/v1/iam/attachments", body.clone()).await;
    let one = format!("{POLICIES}/{}", text(&made.body["id"]));
    assert_eq!(administrator("DELETE", &one, Value::Null).await.status, 409);
    administrator("POST", "/api/v1/iam/attachments/actions/detach", body).await;
    assert_eq!(administrator("DELETE", &one, Value::Null).await.status, 200);
    assert_eq!(administrator("GET", &one, Value::Null).await.status, 404);
    let listed = administrator("GET", POLICIES, Value::Null).await;
    assert_eq!(listed.body["count"], 4);
    let help_desk = administrator("GET", &format!("{POLICIES}/help-desk"), Value::Null).await;
    assert_eq!(help_desk.body["ready_made"], true);
}

async fn token_by_password(server: &TestServer, user: &str, password: &str) -> Answer {
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": user, "password": password, "domain": {"name": server.bootstrap.domain_name}}}}}});
    server
        .call(As::Nobody, "POST", "/v3/auth/tokens", Some(body))
        .await
}

fn token_of(answer: &Answer) -> String {
    answer.headers["x-subject-token"]
        .to_str()
        .unwrap()
        .to_owned()
}

const OWN_PASSWORD: &str = "/api/v1/iam/password";

#[tokio::test]
async fn users_change_their_own_password_and_everything_before_it_ends() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let made = make_user(
        &server,
        server.administrator(),
        &project,
        "ana",
        "read-only",
    )
    .await;
    let first = text(&made.body["password"]).to_owned();
    let id = text(&made.body["user"]["id"]).to_owned();
    let token = token_of(&token_by_password(&server, "ana", &first).await);
    let change = async |token: &str, original: &str, password: &str| {
        let body = json!({"original_password": original, "password": password});
        server
            .call(As::Token(token), "PUT", OWN_PASSWORD, Some(body))
            .await
    };
    let second = "a second long one";
    let wrong = change(&token, "not the first one", second).await;
    assert_eq!(wrong.status, 400);
    assert!(text(&wrong.body["error_msg"]).contains("original_password: "));
    let same = change(&token, &first, &first).await;
    assert_eq!(same.status, 400);
    assert!(text(&same.body["error_msg"]).contains("password: the new password is the old one"));
    assert_eq!(change(&token, &first, "short").await.status, 400);
    assert_eq!(change(&token, &first, second).await.status, 204);
    let ended = change(&token, second, &first).await;
    assert_eq!(
        (ended.status.as_u16(), text(&ended.body["error_code"])),
        (401, "APIGW.0307")
    );
    assert_eq!(token_by_password(&server, "ana", &first).await.status, 401);

    // As `openstack user password set` does it.
    let token = token_of(&token_by_password(&server, "ana", second).await);
    let keystone = async |id: &str, original: &str, password: &str| {
        let body = json!({"user": {"original_password": original, "password": password}});
        let path = format!("/v3/users/{id}/password");
        server
            .call(As::Token(&token), "POST", &path, Some(body))
            .await
    };
    let administrator = server
        .call(server.administrator(), "GET", "/v5/caller-identity", None)
        .await;
    let theirs = text(&administrator.body["principal_id"]);
    assert_eq!(
        keystone(theirs, second, "a third long one").await.status,
        403
    );
    assert_eq!(keystone(&id, second, "a third long one").await.status, 204);
    let third = token_by_password(&server, "ana", "a third long one").await;
    assert_eq!(third.status, 201);
}

#[tokio::test]
async fn six_wrong_passwords_lock_the_user_for_their_address_whoever_it_is() {
    let server = TestServer::start().await;
    let project = server.bootstrap.project_id.clone();
    let made = make_user(
        &server,
        server.administrator(),
        &project,
        "ana",
        "read-only",
    )
    .await;
    let password = text(&made.body["password"]).to_owned();
    let id = &made.body["user"]["id"];
    let by_id = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "id": id, "password": password}}}}});
    // Of a name that nobody has the answers are the same, so that the lock does not tell who exists.
    for name in ["ana", "nobody"] {
        for attempt in 0..6 {
            let wrong = token_by_password(&server, name, "wrong").await;
            assert_eq!(wrong.status, 401, "{name} {attempt}");
        }
        let locked = token_by_password(&server, name, &password).await;
        assert_eq!(locked.status, 429, "{name}: {}", locked.body);
        assert_eq!(locked.headers["retry-after"], "300");
    }
    // However the user is named, and wherever a password counts.
    let call =
        async |path: &str, body: Value| server.call(As::Nobody, "POST", path, Some(body)).await;
    assert_eq!(call("/v3/auth/tokens", by_id.clone()).await.status, 429);
    let own = json!({"original_password": password, "password": "another long one"});
    let own = server
        .call(key(&made.body), "PUT", OWN_PASSWORD, Some(own))
        .await;
    assert_eq!(own.status, 429);
    // Others are not locked, and the lock ends.
    let bootstrap = &server.bootstrap;
    let administrator =
        token_by_password(&server, &bootstrap.user_name, bootstrap.password.expose()).await;
    assert_eq!(administrator.status, 201);
    server.clock.advance(std::time::Duration::from_secs(299));
    assert_eq!(call("/v3/auth/tokens", by_id.clone()).await.status, 429);
    server.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(call("/v3/auth/tokens", by_id).await.status, 201);
}

#[tokio::test]
async fn guesses_sent_all_at_once_are_counted_like_others() {
    let server = TestServer::start().await;
    let bootstrap = &server.bootstrap;
    let guesses = (0..20).map(|number| {
        let server = &server;
        async move {
            let guess = format!("guess {number}");
            let answer = token_by_password(server, &server.bootstrap.user_name, &guess).await;
            answer.status.as_u16()
        }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let told_wrong = answers.iter().filter(|status| **status == 401).count();
    assert_eq!(told_wrong, 6, "{answers:?}");
    let right = token_by_password(&server, &bootstrap.user_name, bootstrap.password.expose()).await;
    assert_eq!(right.status, 429);
}
