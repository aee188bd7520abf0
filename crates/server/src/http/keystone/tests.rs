use serde_json::{Value, json};

use crate::testing::{Answer, As, TestServer};

async fn log_in(server: &TestServer, user: Value, scope: Option<Value>) -> Answer {
    let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    server
        .call(
            As::Nobody,
            "POST",
            "/v3/auth/tokens",
            Some(json!({"auth": auth})),
        )
        .await
}

fn administrator(server: &TestServer) -> Value {
    json!({
        "name": server.bootstrap.user_name,
        "password": server.bootstrap.password.expose(),
        "domain": {"name": server.bootstrap.domain_name},
    })
}

#[tokio::test]
async fn a_password_gives_a_token_in_the_header_for_a_day() {
    let server = TestServer::start().await;
    let scope = json!({"project": {"name": "local-1", "domain": {"name": "OUTFITTER"}}});
    let answer = log_in(&server, administrator(&server), Some(scope)).await;
    assert_eq!(answer.status, 201);
    let header = answer.headers["x-subject-token"].to_str().unwrap();
    assert!(!answer.body.to_string().contains(header));
    assert!(answer.headers.contains_key("x-request-id"));
    assert!(answer.headers.contains_key("x-iam-trace-id"));
    let token = &answer.body["token"];
    assert_eq!(token["methods"], json!(["password"]));
    assert_eq!(token["issued_at"], "2026-01-10T08:30:15.000000Z");
    assert_eq!(token["expires_at"], "2026-01-11T08:30:15.000000Z");
    assert_eq!(token["user"]["name"], "administrator");
    assert_eq!(token["user"]["domain"]["name"], "outfitter");
    assert_eq!(token["project"]["id"], server.bootstrap.project_id);
    assert_eq!(token.get("domain"), None);
    assert_eq!(
        token["roles"],
        json!([{"id": "administrator", "name": "administrator"}])
    );
    assert_eq!(
        token["catalog"][0]["endpoints"][0]["url"],
        "http://127.0.0.1:8080/v3"
    );

    let projects = server
        .call(As::Token(header), "GET", "/v3/projects", None)
        .await;
    assert_eq!(projects.status, 200);
    assert_eq!(
        projects.body["projects"][0]["id"],
        server.bootstrap.project_id
    );
}

#[tokio::test]
async fn the_scope_may_be_left_out_or_be_the_account_and_the_user_an_id() {
    let server = TestServer::start().await;
    let first = log_in(&server, administrator(&server), None).await;
    let token = &first.body["token"];
    assert_eq!(token["domain"]["name"], "outfitter");
    assert_eq!(token.get("project"), None);
    let by_id = json!({
        "id": token["user"]["id"],
        "password": server.bootstrap.password.expose(),
    });
    let domain_id = &token["domain"]["id"];
    for scope in [
        json!({"domain": {"id": domain_id}}),
        json!({"domain": {"name": "outfitter"}, "project": null}),
        json!({"project": {"id": server.bootstrap.project_id}}),
    ] {
        let answer = log_in(&server, by_id.clone(), Some(scope.clone())).await;
        assert_eq!(answer.status, 201, "{scope}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_wrong_login_reads_the_same() {
    let server = TestServer::start().await;
    let change = |member: &str, value: Value| {
        let mut user = administrator(&server);
        user[member] = value;
        user
    };
    let mut answers = Vec::new();
    for user in [
        change("password", json!("wrong")),
        change("password", json!("")),
        change("name", json!("nobody")),
        change("domain", json!({"name": "nowhere"})),
        json!({"id": "nobody", "password": "wrong"}),
    ] {
        answers.push(log_in(&server, user, None).await);
    }
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    for scope in [
        json!({"project": {"name": "local-2"}}),
        json!({"project": {"id": unknown}}),
        json!({"project": {"name": "local-1", "domain": {"name": "nowhere"}}}),
        json!({"domain": {"id": unknown}}),
    ] {
        answers.push(log_in(&server, administrator(&server), Some(scope)).await);
    }
    for answer in answers {
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("x-subject-token"));
        assert_eq!(
            answer.body,
            json!({"error": {
                "code": 401,
                "message": "The username or password is wrong.",
                "title": "Unauthorized",
            }})
        );
    }
}

#[tokio::test]
async fn a_malformed_login_is_a_bad_request() {
    let server = TestServer::start().await;
    let both = json!({"project": {"name": "local-1"}, "domain": {"name": "outfitter"}});
    let mut no_domain = administrator(&server);
    no_domain.as_object_mut().unwrap().remove("domain");
    for answer in [
        log_in(&server, no_domain, None).await,
        log_in(&server, json!({"name": "a"}), None).await,
        log_in(&server, administrator(&server), Some(both)).await,
        log_in(
            &server,
            administrator(&server),
            Some(json!({"project": {}})),
        )
        .await,
        server
            .call(As::Nobody, "POST", "/v3/auth/tokens", Some(json!({})))
            .await,
    ] {
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.body["error"]["code"], 400);
        assert_eq!(answer.body["error"]["title"], "Bad Request");
    }
}

#[tokio::test]
async fn nocatalog_leaves_the_catalog_out() {
    let server = TestServer::start().await;
    for (query, has_catalog) in [
        ("?nocatalog=true", false),
        ("?nocatalog=0", false),
        ("?nocatalog=", true),
        ("", true),
    ] {
        let user = administrator(&server);
        let auth =
            json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        let answer = server
            .call(
                As::Nobody,
                "POST",
                &format!("/v3/auth/tokens{query}"),
                Some(auth),
            )
            .await;
        assert_eq!(
            answer.body["token"].get("catalog").is_some(),
            has_catalog,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_user_without_rights_in_the_project_or_disabled_is_forbidden() {
    let server = TestServer::start().await;
    let made = server
        .call(
            server.administrator(),
            "POST",
            "/api/v1/projects",
            Some(json!({"name": "second"})),
        )
        .await;
    let user = json!({
        "name": "second-administrator",
        "password": made.body["password"],
        "domain": {"name": "outfitter"},
    });
    let scope = |name: &str| Some(json!({"project": {"name": name}}));
    assert_eq!(
        log_in(&server, user.clone(), scope("second")).await.status,
        201
    );
    let refused = log_in(&server, user.clone(), scope("local-1")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body["error"]["title"], "Forbidden");

    let target = format!(
        "/api/v1/{}/iam/users/{}",
        made.body["project"]["id"].as_str().unwrap(),
        made.body["administrator"]["id"].as_str().unwrap()
    );
    let changed = server
        .call(
            server.administrator(),
            "PATCH",
            &target,
            Some(json!({"enabled": false})),
        )
        .await;
    assert_eq!(changed.body["enabled"], false, "{}", changed.body);
    assert_eq!(log_in(&server, user, scope("second")).await.status, 403);
}

#[tokio::test]
async fn projects_are_filtered_as_sdks_ask() {
    let server = TestServer::start().await;
    let made = server
        .call(
            server.administrator(),
            "POST",
            "/api/v1/projects",
            Some(json!({"name": "local-10"})),
        )
        .await;
    let domain_id = made.body["project"]["domain_id"].as_str().unwrap();
    for (query, names) in [
        ("", &["local-1", "local-10"][..]),
        ("?name=local-1", &["local-1"]),
        ("?name=LOCAL-1", &[]),
        ("?enabled=true", &["local-1", "local-10"]),
        ("?enabled=false", &[]),
        ("?domain_id=other", &[]),
        ("?page=2&per_page=1", &["local-10"]),
        (&format!("?parent_id={domain_id}"), &["local-1", "local-10"]),
    ] {
        let target = format!("/v3/projects{query}");
        let answer = server
            .call(server.administrator(), "GET", &target, None)
            .await;
        let found: Vec<_> = answer.body["projects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|project| project["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, names, "{query}");
        assert!(answer.body["links"]["self"].is_string());
    }
    // Its own administrator sees that project alone.
    let key = &made.body["access_key"];
    let own = As::Key(
        key["access_key"].as_str().unwrap(),
        key["secret_key"].as_str().unwrap(),
    );
    let answer = server.call(own, "GET", "/v3/projects", None).await;
    assert_eq!(answer.body["projects"].as_array().unwrap().len(), 1);
    assert_eq!(answer.body["projects"][0]["name"], "local-10");
}

#[tokio::test]
async fn a_body_on_get_is_hashed_and_ignored() {
    let server = TestServer::start().await;
    let answer = server
        .call(
            server.administrator(),
            "GET",
            "/v3/projects?name=local-1",
            Some(json!({})),
        )
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn clients_discover_where_things_are() {
    let server = TestServer::start().await;
    let root = server.call(As::Nobody, "GET", "/", None).await;
    assert_eq!(root.status, 200);
    let version = &root.body["versions"]["values"][0];
    assert_eq!(version["id"], "v3.6");
    assert_eq!(version["links"][0]["href"], "http://127.0.0.1:8080/v3/");
    for target in ["/v3", "/v3/"] {
        let answer = server.call(As::Nobody, "GET", target, None).await;
        assert_eq!(answer.status, 200);
        assert_eq!(&answer.body["version"], version);
    }
    let catalog = server
        .call(server.administrator(), "GET", "/v3/auth/catalog", None)
        .await;
    let types: Vec<_> = catalog.body["catalog"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| &service["type"])
        .collect();
    assert_eq!(types, ["identity", "workspace"]);
    let domains = server
        .call(server.administrator(), "GET", "/v3/auth/domains", None)
        .await;
    let caller = server
        .call(server.administrator(), "GET", "/v5/caller-identity", None)
        .await;
    assert_eq!(domains.body["domains"].as_array().unwrap().len(), 1);
    assert_eq!(domains.body["domains"][0]["id"], caller.body["account_id"]);
    let refused = server.call(As::Nobody, "GET", "/v3/projects", None).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.body["error"]["code"], 401);
}

#[tokio::test]
async fn browsers_are_led_to_the_console() {
    use http::Request;
    use tower::ServiceExt as _;

    let server = TestServer::start().await;
    let request = Request::get("/")
        .header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = crate::http::router(&server.services)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "/console/");
}
