//! Every bound of every member of every request, made from the contract and tried: first on the schemas that the
//! server enforces, then on a running server.

use std::collections::{BTreeMap, BTreeSet};

use outfitter_server::http::operation::{Access, BodyRule, Family, Operation};
use outfitter_server::http::routes::RouteEntry;
use outfitter_server::http::{ApiError, openapi, routes};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::apps::{linked, upload};
use crate::cases::{Case, Kind, Source, query_pairs, query_schema};
use crate::facts::{contract, follow};
use crate::server::TestServer;

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Objects that a refused call must leave as they are, by the path parameter that names them.
type Objects = BTreeMap<&'static str, String>;

async fn make_objects(server: &TestServer) -> Objects {
    let id = |made: Value| made["id"].as_str().unwrap().to_owned();
    let desktop = json!({"name": "Desk-1", "os_type": "Linux", "users": ["li"]});
    let user = json!({"user_name": "wang", "user_email": "wang@example.com"});
    let group = json!({"group_name": "Staff", "platform_type": "LOCAL"});
    let rule = json!({"scope": "PATH", "path_rule": {"path": "C:\\Games"}});
    let rule = json!({"name": "Games", "rule": rule});
    server.post("/v2/{p}/groups", group).await.ok(201);
    let groups = server.get("/v2/{p}/groups").await.ok(200);
    let desktop = server.post("/api/v1/{p}/desktops", desktop).await.ok(201);
    let user = server.post("/v2/{p}/users", user).await.ok(201);
    let rules = "/v1/{p}/app-center/app-rules";
    BTreeMap::from([
        ("app_id", upload(server, linked("Tool")).await),
        ("desktop_id", id(desktop)),
        ("user_id", id(user)),
        ("group_id", id(groups["user_groups"][0].clone())),
        ("rule_id", id(server.post(rules, rule).await.ok(200))),
    ])
}

/// The two documents a case can come from.
struct Documents {
    contract: Value,
    ours: Value,
}

impl Documents {
    fn new() -> Self {
        Self {
            contract: contract(),
            ours: serde_json::from_str(&openapi::document_text(&routes())).unwrap(),
        }
    }

    /// The contract's description of an operation, or ours of one that is ours alone, with the document it stands in.
    fn find(&self, operation: &Operation) -> (&Value, &Value) {
        let method = operation.method.as_str().to_ascii_lowercase();
        for root in [&self.contract, &self.ours] {
            let found = &root["paths"][operation.path][&method];
            if found.is_object() {
                return (root, found);
            }
        }
        panic!("{} is in no document", operation.id);
    }
}

/// Cases of an operation's body and query.
#[derive(Default)]
struct Cases {
    body: Vec<Case>,
    query: Vec<(Case, Vec<(String, String)>)>,
    members: usize,
}

fn cases_of(documents: &Documents, entry: &RouteEntry) -> Cases {
    let (root, described) = documents.find(&entry.operation);
    let mut cases = Cases::default();
    if entry.body.is_some() {
        let body = follow(root, &described["requestBody"]);
        let schema = &body["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{} has a body", entry.operation.id);
        let (made, members) = Source::new(root, schema).cases();
        cases.body = made;
        cases.members += members;
    }
    if let Some(schema) = query_schema(root, described) {
        let (made, members) = Source::new(root, &schema).cases();
        cases.members += members;
        let said = made
            .into_iter()
            .filter_map(|case| query_pairs(&case, &schema).map(|pairs| (case, pairs)));
        cases.query = said.collect();
    }
    cases
}

/// What the server's schema does with a case, when that is not what the contract says.
fn judge(id: &str, case: &Case, outcome: Result<(), ApiError>) -> Option<String> {
    let about = format!("{id} {:?} {}", case.kind, case.member);
    match (outcome, case.accepted) {
        (Ok(()), true) => None,
        (Ok(()), false) => Some(format!("{about} is accepted")),
        (Err(error), true) => Some(format!("{about} is refused: {error:?}")),
        (Err(ApiError::Invalid { field, .. }), false) if field == case.member => None,
        (Err(error), false) => Some(format!("{about}: another is named: {error:?}")),
    }
}

#[test]
fn every_bound_of_every_member_is_enforced_and_the_member_named() {
    let documents = Documents::new();
    let (mut operations, mut members) = (0, 0);
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in routes().entries() {
        let cases = cases_of(&documents, entry);
        if cases.members == 0 {
            continue;
        }
        operations += 1;
        members += cases.members;
        let id = entry.operation.id;
        for case in &cases.body {
            let schema = entry.body.as_ref().unwrap();
            wrong.extend(judge(id, case, schema.check(&case.value)));
            *kinds.entry(case.kind).or_default() += 1;
        }
        for (case, pairs) in &cases.query {
            let schema = entry.query.as_ref().unwrap();
            wrong.extend(judge(id, case, schema.query(pairs).map(drop)));
            *kinds.entry(case.kind).or_default() += 1;
        }
    }
    let total: usize = kinds.values().sum();
    println!("{operations} operations, {members} members, {total} cases: {kinds:?}");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(total > 10 * operations, "{total} cases are too few");
}

/// Every list of the project, and what is in it.
async fn lists(server: &TestServer) -> BTreeMap<&'static str, Value> {
    let mut lists = BTreeMap::new();
    for entry in routes().entries() {
        let operation = &entry.operation;
        let is_list = operation.method == Method::GET
            && operation.in_project()
            && operation.path_parameters().count() == 1
            && entry.answer.is_some()
            // Refusals are entries of the audit log, and how many agents are online is told with the time.
            && !operation.path.ends_with("/audit")
            && !operation.path.ends_with("/agents-online");
        if is_list {
            let path = operation.path.replace("{project_id}", "{p}");
            let answer = server.get(&path).await;
            lists.insert(operation.id, json!([answer.status, answer.body]));
        }
    }
    lists
}

/// The path with the objects' ids; `long` is a parameter with one character too many.
fn path_of(operation: &Operation, objects: &Objects, long: Option<&str>) -> String {
    operation
        .path_parameters()
        .fold(operation.path.to_owned(), |path, name| {
            let value = match (name, objects.get(name)) {
                ("project_id", _) => "{p}".to_owned(),
                _ if long == Some(name) => "a".repeat(operation.path_parameter_max(name) + 1),
                (_, Some(id)) => id.clone(),
                (_, None) => NOBODY.to_owned(),
            };
            path.replace(&format!("{{{name}}}"), &value)
        })
}

/// One refused call: what it is about, the member that must be named, and the call.
struct Refused {
    about: String,
    member: String,
    request: reqwest::RequestBuilder,
}

fn refused_calls(
    documents: &Documents,
    entry: &RouteEntry,
    objects: &Objects,
    call: impl Fn(Method, &str) -> reqwest::RequestBuilder,
) -> Vec<Refused> {
    let operation = &entry.operation;
    let path = path_of(operation, objects, None);
    let call = |path: &str| call(operation.method.clone(), path);
    let cases = cases_of(documents, entry);
    let mut calls = Vec::new();
    let mut add = |about: String, member: &str, request| {
        calls.push(Refused {
            about: format!("{} {about}", operation.id),
            member: member.to_owned(),
            request,
        });
    };
    for case in cases.body.iter().filter(|case| !case.accepted) {
        let request = call(&path).json(&case.value);
        add(
            format!("{:?} {}", case.kind, case.member),
            &case.member,
            request,
        );
    }
    // A good body, so that the query is what is refused.
    let good = cases
        .body
        .iter()
        .find(|case| case.accepted)
        .map(|case| &case.value);
    let with_body = |request: reqwest::RequestBuilder| match good {
        Some(body) => request.json(body),
        None => request,
    };
    for (case, pairs) in cases.query.iter().filter(|(case, _)| !case.accepted) {
        let request = with_body(call(&format!("{path}?{}", query_text(pairs))));
        add(
            format!("{:?} {}", case.kind, case.member),
            &case.member,
            request,
        );
    }
    for name in operation
        .path_parameters()
        .filter(|name| *name != "project_id")
    {
        let path = path_of(operation, objects, Some(name));
        add(format!("BeyondLimit {name}"), name, with_body(call(&path)));
    }
    if entry.body.is_some() {
        let request = call(&path).header("content-type", "application/json");
        add("broken JSON".to_owned(), "body", request.body("{"));
        let request = call(&path).header("content-type", "text/plain");
        add("other type".to_owned(), "Content-Type", request.body("{}"));
    }
    calls
}

/// A query; a space is `%20`, since the contract reads a plus sign as itself.
fn query_text(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn invalid_code(family: Family) -> &'static str {
    match family {
        Family::AppCenter | Family::Native => "WKS.00211102",
        Family::Workspace => "WKS.0001",
        Family::Iam | Family::Sts | Family::Discovery => "IAM.0011",
    }
}

#[tokio::test]
async fn a_refused_request_names_the_member_and_changes_nothing() {
    let documents = Documents::new();
    let server = TestServer::start().await;
    let objects = make_objects(&server).await;
    // A token for the whole domain: some operations are about no project.
    let domain = json!({"domain": {"name": "outfitter"}});
    let token = server.token_for(domain).await;
    let call = |method, path: &str| {
        server
            .anonymous(method, path)
            .header("x-auth-token", &token)
    };
    let before = lists(&server).await;
    assert!(before.len() > 3, "only {} lists", before.len());
    let (mut operations, mut sent) = (BTreeSet::new(), 0);
    let mut wrong = Vec::new();
    for entry in routes().entries() {
        let operation = &entry.operation;
        if operation.access == Access::EndUser {
            // They want another credential, which `portal.rs` has; their bounds are judged above like all others.
            continue;
        }
        for call in refused_calls(&documents, entry, &objects, call) {
            let answer = TestServer::send(call.request).await;
            let (code, message) = match operation.family {
                Family::Iam | Family::Discovery => (Value::Null, &answer.body["error"]["message"]),
                _ => (answer.body["error_code"].clone(), &answer.body["error_msg"]),
            };
            let message = message.as_str().unwrap_or_default();
            let is_right = answer.status == 400
                && (code.is_null() || code == invalid_code(operation.family))
                && message.contains(&format!("{}: ", call.member));
            if !is_right {
                wrong.push(format!("{}: {answer:?}", call.about));
            }
            operations.insert(operation.id);
            sent += 1;
        }
        if operation.body == BodyRule::Required {
            let path = path_of(operation, &objects, None);
            let answer = TestServer::send(call(operation.method.clone(), &path)).await;
            if answer.status != 400 {
                wrong.push(format!("{} without a body: {answer:?}", operation.id));
            }
            sent += 1;
        }
    }
    println!(
        "{} operations, {sent} refused requests, {} lists unchanged",
        operations.len(),
        before.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(lists(&server).await, before, "nothing has changed");
    server.stop().await;
}
