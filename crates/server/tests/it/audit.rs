//! The audit log over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outfitter_server::http::operation::Audited;
use outfitter_server::http::routes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::apps::{linked, upload};
use crate::server::TestServer;

/// The operations whose method is not `GET` and that leave no entry when they succeed, each with its reason. A new one
/// is a decision.
const NOT_AUDITED: &[(&str, &str)] = &[
    ("PreviewDeployment", "takes everything back"),
    ("PreviewUninstall", "takes everything back"),
    ("ListDesktopByTags", "reads"),
    ("ListDesktopsByTags", "reads"),
    ("DecodeAuthorizationMessage", "reads"),
    ("VerifyAudit", "reads"),
    ("TestLoginProvider", "reads"),
    ("TestStore", "takes everything back"),
    ("PruneAudit", "leaves entries of its own, one a page"),
];

const BATCH: &str = "/v1/{p}/app-center/apps/actions/batch-auto-install";

impl TestServer {
    async fn audit(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/{{p}}/audit?limit=100&{query}");
        let listed = self.get(&path).await.ok(200);
        listed["items"].as_array().unwrap().clone()
    }

    /// A call of the administrator for the whole domain.
    pub(crate) async fn in_domain(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> crate::server::Answer {
        let domain = json!({"domain": {"name": "outfitter"}});
        let mut request = self
            .anonymous(method, path)
            .header("x-auth-token", self.token_for(domain).await);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::send(request).await
    }

    async fn verify(&self) -> Value {
        self.in_domain(Method::POST, "/api/v1/audit/actions/verify", None)
            .await
            .ok(200)
    }

    /// Waits until everything is sealed.
    async fn sealed(&self) -> Value {
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, async {
            loop {
                let found = self.verify().await;
                // The log-in of the verification itself may be younger.
                if found["unsealed"].as_i64().unwrap() <= 1 {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .unwrap()
    }
}

#[test]
fn every_operation_that_is_no_get_is_audited_but_the_reviewed_ones() {
    let table = routes();
    let skipped: BTreeSet<_> = table
        .entries()
        .iter()
        .map(|entry| &entry.operation)
        .filter(|operation| operation.method != Method::GET && operation.audited == Audited::Never)
        .map(|operation| operation.id)
        .collect();
    let reviewed: BTreeSet<_> = NOT_AUDITED.iter().map(|(id, _)| *id).collect();
    assert_eq!(skipped, reviewed);
    assert!(
        table
            .entries()
            .iter()
            .all(|entry| entry.operation.method != Method::GET
                || entry.operation.audited == Audited::Never),
        "what reads leaves no entry"
    );
}

/// Whether a member holds a secret, by its name.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    [
        "password",
        "passwd",
        "secret",
        "passphrase",
        "private_key",
        "jump_key",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// A value of a schema with a marked text in every member that sounds secret; `marked` counts them.
fn filled(
    entry: &outfitter_server::http::routes::RouteEntry,
    schema: &Value,
    name: &str,
    depth: usize,
    marked: &mut usize,
) -> Value {
    if depth > 16 {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str() {
        let wanted = target.rsplit('/').next().unwrap();
        let components = &entry.body.as_ref().unwrap().components;
        let (_, found) = components.iter().find(|(it, _)| it == wanted).unwrap();
        let found = serde_json::to_value(found).unwrap();
        return filled(entry, &found, name, depth + 1, marked);
    }
    // Before the choices: rules about the members stand beside them.
    if let Some(members) = schema["properties"].as_object() {
        return members
            .iter()
            .map(|(name, member)| (name.clone(), filled(entry, member, name, depth + 1, marked)))
            .collect();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(shapes) = schema[choice].as_array() {
            let shape = shapes.iter().find(|it| it["type"] != "null");
            return shape.map_or(Value::Null, |it| filled(entry, it, name, depth + 1, marked));
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    let is = |kind: &str| {
        schema["type"] == kind
            || schema["type"]
                .as_array()
                .is_some_and(|it| it.contains(&json!(kind)))
    };
    if is("array") {
        return json!([filled(entry, &schema["items"], name, depth + 1, marked)]);
    }
    if is("string") {
        let is_private_key = name == "key" && entry.operation.id.ends_with("Reach");
        if sounds_secret(name) || is_private_key {
            *marked += 1;
            return json!("MARKED-SECRET");
        }
        if schema["format"] == "date-time" {
            return json!("2026-01-31T08:00:00Z");
        }
        return json!("a");
    }
    if is("integer") || is("number") {
        return json!(1);
    }
    if is("boolean") {
        return json!(true);
    }
    Value::Null
}

#[test]
fn no_secret_of_any_body_is_kept() {
    let (mut bodies, mut marks) = (0, BTreeMap::new());
    for entry in routes().entries() {
        let Some(schema) = &entry.body else { continue };
        let mut marked = 0;
        let body = filled(entry, &schema.root.clone(), "", 0, &mut marked);
        let shown = (entry.redact)(&body);
        assert!(
            !shown.to_string().contains("MARKED-SECRET"),
            "{}: {shown}",
            entry.operation.id
        );
        if marked > 0 {
            assert!(
                shown.to_string().contains("[secret]"),
                "{}: {shown}",
                entry.operation.id
            );
            marks.insert(entry.operation.id, marked);
        }
        bodies += 1;
    }
    println!("{bodies} bodies, those with secrets: {marks:?}");
    for known in [
        "CreateSession",
        "KeystoneCreateUserTokenByPassword",
        "SetDesktopReach",
        "CreateIamUser",
    ] {
        assert!(marks.contains_key(known), "{known}");
    }
}

#[tokio::test]
async fn a_call_leaves_who_what_from_where_before_and_after() {
    let server = TestServer::start().await;
    let group = json!({"group_name": "Staff", "platform_type": "LOCAL"});
    server.post("/v2/{p}/groups", group).await;
    let app = upload(&server, linked("Text Tools")).await;
    let path = format!("/v1/{{p}}/app-center/apps/{app}");
    server
        .patch(&path, json!({"description": "for everyone"}))
        .await
        .ok(200);

    let entries = server.audit(&format!("resource=app:{app}")).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    let entry = &entries[0];
    assert_eq!(entry["operation"], "UpdateUploadedApp");
    assert_eq!(entry["action"], "workspace:appcenter:updateApp");
    assert_eq!(entry["outcome"], "done");
    assert_eq!(entry["actor"]["name"], server.bootstrap["user_name"]);
    assert_eq!(entry["actor"]["credential"], "token");
    assert_eq!(entry["address"], "127.0.0.1");
    assert_eq!(entry["project_id"], server.project.as_str());
    assert_eq!(entry["resource_name"], "Text Tools");
    let id = entry["id"].as_str().unwrap();
    let shown = server
        .get(&format!("/api/v1/{{p}}/audit/{id}"))
        .await
        .ok(200);
    let told: Vec<_> = shown["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["member"].as_str().unwrap(), it["after"].clone()))
        .collect();
    assert_eq!(told, [("/description", json!("for everyone"))]);

    // By the id of the request, as the answer names it.
    let request = entry["request_id"].as_str().unwrap();
    assert_eq!(
        server.audit(&format!("request_id={request}")).await.len(),
        1
    );
    // What only reads, and what was refused for its state, leaves nothing.
    let before = server.audit("").await.len();
    server.get("/v1/{p}/app-center/apps").await.ok(200);
    let unknown = server
        .patch("/v1/{p}/app-center/apps/none", json!({"description": "x"}))
        .await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(server.audit("").await.len(), before);
    server.stop().await;
}

#[tokio::test]
async fn an_install_leaves_one_entry_and_one_more_for_what_it_widens() {
    let server = TestServer::start().await;
    server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": "DESK", "os_type": "Windows"}),
        )
        .await
        .ok(201);
    let mut app = linked("a");
    app["authorization_type"] = json!("ASSIGN_USER");
    let app = upload(&server, app).await;
    let before = server.audit("").await.len();
    let install = json!({"app_ids": [app], "assign_scope": "ALL_USER"});
    let answer = server.post(BATCH, install.clone()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let entries = server.audit("").await;
    assert_eq!(entries.len() - before, 2);
    assert_eq!(entries[0]["kind"], "widening");
    assert_eq!(entries[0]["resources"], json!([format!("app:{app}")]));
    assert_eq!(entries[0]["detail"]["widened"]["to"], "everybody");
    assert_eq!(entries[1]["kind"], "change");
    let about = entries[1]["resources"][0].as_str().unwrap();
    assert!(about.starts_with("deployment:"), "{about}");
    assert_eq!(entries[0]["request_id"], entries[1]["request_id"]);

    let answer = server.post(BATCH, install).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        server.audit("").await.len() - before,
        3,
        "nothing more was widened"
    );
    server.stop().await;
}

#[tokio::test]
async fn secrets_are_in_no_entry_and_logins_and_refusals_are() {
    let server = TestServer::start().await;
    let secret = "Not-4-the-log!";
    let user = json!({"name": "auditor", "role": "read-only", "password": secret});
    let made = server.post("/api/v1/{p}/iam/users", user).await.ok(201);
    let login = json!({"user_name": "auditor", "password": secret});
    let session = server
        .anonymous(Method::POST, "/api/v1/session")
        .header("x-outfitter-console", "1")
        .json(&login);
    TestServer::send(session).await.ok(201);
    let wrong = json!({"user_name": "auditor", "password": "Wrong-4-the-log!"});
    for _ in 0..3 {
        let session = server
            .anonymous(Method::POST, "/api/v1/session")
            .header("x-outfitter-console", "1")
            .json(&wrong);
        assert_eq!(TestServer::send(session).await.status, 401);
    }
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let listed = server
                .in_domain(Method::GET, "/api/v1/audit?limit=100&kind=refusal", None)
                .await
                .ok(200);
            if let Some(entry) = listed["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["operation"] == "CreateSession")
            {
                break entry.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(refused["actor"]["kind"], "nobody");
    assert_eq!(refused["actor"]["name"], "auditor");
    assert_eq!(refused["status"], 401);

    let whole = server
        .in_domain(Method::GET, "/api/v1/audit?limit=100", None)
        .await
        .ok(200)
        .to_string();
    for kept in [
        secret,
        "Wrong-4-the-log!",
        made["access_key"]["secret_key"]
            .as_str()
            .unwrap_or("no key at all"),
        server.bootstrap["password"].as_str().unwrap(),
        server.bootstrap["secret_key"].as_str().unwrap(),
    ] {
        assert!(!whole.contains(kept));
    }
    assert!(whole.contains("[secret]"));
    let logins = server
        .in_domain(
            Method::GET,
            "/api/v1/audit?limit=100&actor=auditor&outcome=done",
            None,
        )
        .await
        .ok(200);
    assert_eq!(logins["items"][0]["operation"], "CreateSession");
    assert_eq!(logins["items"][0]["actor"]["credential"], "password");
    // A log-in belongs to no project.
    assert_eq!(server.audit("actor=auditor").await, Vec::<Value>::new());
    server.stop().await;
}

async fn the_log_is_listed_exported_verified_and_shortened(server: TestServer) {
    for number in 0..5 {
        upload(&server, linked(&format!("app {number}"))).await;
    }
    let first = server.get("/api/v1/{p}/audit?limit=2").await.ok(200);
    let marker = first["next_marker"].as_str().unwrap();
    let rest = server
        .get(&format!("/api/v1/{{p}}/audit?limit=100&marker={marker}"))
        .await
        .ok(200);
    assert_eq!(rest["next_marker"], Value::Null);
    let all = server.audit("").await;
    let pages = [&first["items"], &rest["items"]];
    let paged: Vec<_> = pages.iter().flat_map(|it| it.as_array().unwrap()).collect();
    assert_eq!(
        paged.iter().map(|it| &it["id"]).collect::<Vec<_>>(),
        all.iter().map(|it| &it["id"]).collect::<Vec<_>>()
    );
    for (query, field) in [
        ("from=x", "from"),
        ("marker=x", "marker"),
        ("kind=x", "kind"),
    ] {
        let answer = server.get(&format!("/api/v1/{{p}}/audit?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.body["error_msg"].as_str().unwrap().contains(field),
            "{answer:?}"
        );
    }

    let export = server
        .request(Method::GET, "/api/v1/{p}/audit/export")
        .send()
        .await
        .unwrap();
    assert_eq!(export.headers()["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = export
        .text()
        .await
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), all.len());
    assert_eq!(lines.last().unwrap()["id"], all[0]["id"], "oldest first");

    let found = server.sealed().await;
    assert_eq!(found["whole"], true, "{found}");
    assert_eq!(found["checked"], found["sequence"]);
    let known = json!({"known": {"sequence": found["sequence"], "hash": found["hash"]}});
    server
        .sql("UPDATE audit_entry SET actor_name = 'somebody else' WHERE sequence = 2")
        .await;
    let found = server.verify().await;
    assert_eq!(found["whole"], false);
    assert_eq!(found["findings"][0]["problem"], "altered");
    assert_eq!(found["findings"][0]["sequence"], 2);

    let verify = "/api/v1/audit/actions/verify";
    let prune = "/api/v1/audit/actions/prune";
    // Rights in one project do not reach the whole log.
    assert_eq!(server.post(verify, json!({})).await.status, 403);
    assert_eq!(
        server
            .post(prune, json!({"before": "2026-01-01T00:00:00Z"}))
            .await
            .status,
        403
    );
    let future = json!({"before": "2999-01-01T00:00:00Z"});
    assert_eq!(
        server
            .in_domain(Method::POST, prune, Some(future))
            .await
            .status,
        400
    );
    let now = all[0]["time"].clone();
    let pruned = server
        .in_domain(Method::POST, prune, Some(json!({"before": now})))
        .await
        .ok(200);
    assert!(pruned["deleted"].as_i64().unwrap() >= 2, "{pruned}");
    let found = server
        .in_domain(Method::POST, verify, Some(known))
        .await
        .ok(200);
    assert_eq!(found["whole"], true, "the rest is provable: {found}");
    assert_eq!(found["deleted_to_sequence"], pruned["deleted_to_sequence"]);
    let retention = server
        .in_domain(Method::GET, "/api/v1/audit?kind=retention", None)
        .await
        .ok(200);
    assert_eq!(
        retention["items"][0]["detail"]["deleted"],
        pruned["deleted"]
    );
    server.stop().await;
}

#[tokio::test]
async fn the_log_is_listed_exported_verified_and_shortened_on_sqlite() {
    the_log_is_listed_exported_verified_and_shortened(TestServer::start().await).await;
}

#[tokio::test]
async fn the_log_is_listed_exported_verified_and_shortened_on_postgres() {
    the_log_is_listed_exported_verified_and_shortened(TestServer::start_on_postgres().await).await;
}
