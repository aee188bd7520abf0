use std::time::Duration;

use outfitter_signing::Signer;
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

const TEMPORARY_KEYS: &str = "/v3.0/OS-CREDENTIAL/securitytokens";

async fn project_token(server: &TestServer) -> String {
    let bootstrap = &server.bootstrap;
    let answer = server
        .call(
            As::Nobody,
            "POST",
            "/v3/auth/tokens",
            Some(json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": {
                    "name": bootstrap.user_name, "password": bootstrap.password.expose(),
                    "domain": {"name": bootstrap.domain_name}}}},
                "scope": {"project": {"id": bootstrap.project_id}}}})),
        )
        .await;
    answer.headers["x-subject-token"]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn temporary_key(server: &TestServer, identity: serde_json::Value) -> serde_json::Value {
    let answer = server
        .call(
            As::Nobody,
            "POST",
            TEMPORARY_KEYS,
            Some(json!({"auth": {"identity": identity}})),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["credential"].clone()
}

fn signer(credential: &serde_json::Value) -> Signer {
    let text = |member: &str| credential[member].as_str().unwrap().to_owned();
    Signer::new(text("access"), text("secret")).with_security_token(text("securitytoken"))
}

#[tokio::test]
async fn a_temporary_key_signs_with_its_security_token_only_and_ends() {
    let server = TestServer::start().await;
    let token = project_token(&server).await;
    let apps = format!("/v1/{}/app-center/apps", server.bootstrap.project_id);
    let made = temporary_key(
        &server,
        json!({"methods": ["token"], "token": {"id": token, "duration_seconds": 3600}}),
    )
    .await;
    assert_eq!(made["expires_at"], "2026-01-10T09:30:15.000000Z");
    let call = async |signer: Signer| server.call(As::Signer(signer), "GET", &apps, None).await;
    assert_eq!(call(signer(&made)).await.status, 200);

    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    let without = call(Signer::new(text("access"), text("secret"))).await;
    let other = temporary_key(
        &server,
        json!({"methods": ["token"], "token": {"id": token}}),
    )
    .await;
    let swapped = call(
        Signer::new(text("access"), text("secret"))
            .with_security_token(other["securitytoken"].as_str().unwrap()),
    )
    .await;
    let permanent = call(
        Signer::new(
            server.bootstrap.access_key.as_str(),
            server.bootstrap.secret_key.expose(),
        )
        .with_security_token(text("securitytoken")),
    )
    .await;
    let forged =
        call(Signer::new(text("access"), "guessed").with_security_token(text("securitytoken")))
            .await;
    for answer in [&without, &swapped, &permanent, &forged] {
        assert_eq!(answer.status, 401);
        let message = answer.body["error_msg"].as_str().unwrap();
        assert!(message.ends_with("verify aksk signature fail"), "{message}");
    }

    // What belongs to no project is out of reach of a credential for one.
    let projects = server
        .call(
            As::Signer(signer(&made)),
            "POST",
            "/api/v1/projects",
            Some(json!({"name": "another"})),
        )
        .await;
    assert_eq!(projects.status, 403);

    server.clock.advance(Duration::from_secs(15 * 60));
    let ended = call(signer(&other)).await;
    assert_eq!(ended.status, 401);
    let message = ended.body["error_msg"].as_str().unwrap();
    assert!(message.contains("token expires"), "{message}");
    assert_eq!(call(signer(&made)).await.status, 200);

    let user = server
        .services
        .store
        .db()
        .iam_user_by_name(&server.bootstrap.domain_name, &server.bootstrap.user_name)
        .await
        .unwrap()
        .unwrap();
    let tx = server.services.store.write().await.unwrap();
    tx.iam_user_set_password(
        user.key,
        user.password_hash.as_ref().unwrap(),
        server.services.clock.now(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let revoked = call(signer(&made)).await;
    assert_eq!(
        (revoked.status.as_u16(), &revoked.body["error_code"]),
        (401, &json!("APIGW.0307"))
    );
}

#[tokio::test]
async fn a_temporary_key_wants_a_token_and_may_be_narrowed() {
    let server = TestServer::start().await;
    let token = project_token(&server).await;
    let ask = async |caller: As<'_>, identity: serde_json::Value| {
        server
            .call(
                caller,
                "POST",
                TEMPORARY_KEYS,
                Some(json!({"auth": {"identity": identity}})),
            )
            .await
    };
    let plain = json!({"methods": ["token"]});
    assert_eq!(ask(As::Nobody, plain.clone()).await.status, 401);
    assert_eq!(ask(As::Token("guessed"), plain.clone()).await.status, 401);
    assert_eq!(ask(As::Token(&token), plain).await.status, 201);
    for (identity, part) in [
        (json!({"methods": []}), "methods"),
        (
            json!({"methods": ["token"], "token": {"duration_seconds": 899}}),
            "duration_seconds",
        ),
        (
            json!({"methods": ["token"], "policy": {"Version": "1.1", "Statement": [
                {"Effect": "Allow", "Action": ["*"], "Condition": {"Never": {"g:UserName": ["a"]}}}]}}),
            "policy",
        ),
    ] {
        let answer = ask(As::Token(&token), identity).await;
        assert_eq!(answer.status, 400);
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    let narrowed = temporary_key(
        &server,
        json!({"methods": ["token"], "token": {"id": token}, "policy": {"Version": "1.1",
            "Statement": [{"Effect": "Allow", "Action": ["workspace:*:list*"]}]}}),
    )
    .await;
    let project = &server.bootstrap.project_id;
    let listed = server
        .call(
            As::Signer(signer(&narrowed)),
            "GET",
            &format!("/v1/{project}/app-center/apps"),
            None,
        )
        .await;
    assert_eq!(listed.status, 200);
    let group = server
        .call(
            As::Signer(signer(&narrowed)),
            "POST",
            &format!("/v2/{project}/groups"),
            Some(json!({"group_name": "sales", "platform_type": "LOCAL"})),
        )
        .await;
    assert_eq!(group.status, 403);
}

#[tokio::test]
async fn a_refusal_of_v2_is_sealed_and_opened_by_its_own_account() {
    const DECODE: &str = "/v5/decode-authorization-message";
    let server = TestServer::start().await;
    let project = &server.bootstrap.project_id;
    let made = server
        .call(
            server.administrator(),
            "POST",
            &format!("/api/v1/{project}/iam/users"),
            Some(json!({"name": "reader", "role": "read-only"})),
        )
        .await;
    let key = &made.body["access_key"];
    let reader = || {
        As::Key(
            key["access_key"].as_str().unwrap(),
            key["secret_key"].as_str().unwrap(),
        )
    };
    let refused = server
        .call(
            reader(),
            "POST",
            &format!("/v2/{project}/desktops/agents"),
            Some(json!({"desktop_ids": ["5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10"]})),
        )
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body["error_code"], "WKS.0403");
    let sealed = refused.body["encoded_authorization_message"]
        .as_str()
        .unwrap();
    let opened = server
        .call(
            reader(),
            "POST",
            DECODE,
            Some(json!({"encoded_message": sealed})),
        )
        .await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    let refusal: serde_json::Value =
        serde_json::from_str(opened.body["decoded_message"].as_str().unwrap()).unwrap();
    assert_eq!(refusal["action"], "workspace:desktops:batchInstallAgents");
    assert_eq!(refusal["user_name"], "reader");
    assert_eq!(refusal["explicit_deny"], false);
    assert_eq!(&refusal["project_id"], project.as_str());

    for text in ["x", "", &sealed[..sealed.len() - 2]] {
        let answer = server
            .call(
                reader(),
                "POST",
                DECODE,
                Some(json!({"encoded_message": text})),
            )
            .await;
        assert_eq!(answer.status, 400, "{text}");
    }
    let other_account = crate::auth::PolicyRefusal {
        domain_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        ..serde_json::from_value(refusal).unwrap()
    };
    let foreign = crate::app::refusals::seal(server.services.auth.sealer(), &other_account);
    let answer = server
        .call(
            reader(),
            "POST",
            DECODE,
            Some(json!({"encoded_message": foreign})),
        )
        .await;
    assert_eq!(answer.status, 403);

    // Another project is refused without a reason.
    let answer = server
        .call(
            reader(),
            "GET",
            "/v2/01890a5d-ac96-774b-bcce-b302099a8057/desktops",
            None,
        )
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body.get("encoded_authorization_message"), None);
}
