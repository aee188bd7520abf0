//! Every route, from the table: without a credential, with one of another project, and with another method.

use std::collections::{BTreeMap, BTreeSet};

use outfitter_server::http::operation::{Access, Family, Operation};
use outfitter_server::http::routes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, TestServer};

/// The operations that anyone may call, each with its reason. A new one is a decision.
const OPEN: &[(&str, &str)] = &[
    (
        "KeystoneListVersions",
        "discovery comes before there is a credential",
    ),
    (
        "KeystoneShowVersion",
        "discovery comes before there is a credential",
    ),
    (
        "KeystoneShowVersionWithSlash",
        "discovery comes before there is a credential",
    ),
    (
        "KeystoneCreateUserTokenByPassword",
        "it is how a credential is got",
    ),
    ("CreateSession", "it is how a browser's session is got"),
    (
        "CreatePortalSession",
        "it is how an end user's session is got",
    ),
    (
        "ListPortalLoginMethods",
        "a login page asks before anybody is logged in; it tells whether a project has a directory",
    ),
    (
        "ListLoginMethods",
        "a login page asks before anybody is logged in; it tells a name and a path of ours",
    ),
    (
        "CreateTemporaryAccessKeyByToken",
        "it takes its token in the body too, and checks it itself",
    ),
    (
        "ShowAppIcon",
        "app_icon_url is an ordinary address, fetched by browsers and desktops",
    ),
];

/// The path with an id in the place of every parameter but the project.
pub(crate) fn path_of(operation: &Operation) -> String {
    operation
        .path_parameters()
        .filter(|name| *name != "project_id")
        .fold(
            operation.path.replace("{project_id}", "{p}"),
            |path, name| {
                path.replace(
                    &format!("{{{name}}}"),
                    "5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10",
                )
            },
        )
}

/// Code and message of a refusal in the shape of its family.
fn refusal(family: Family, answer: &Answer) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match family {
        Family::Iam | Family::Discovery => {
            let error = &answer.body["error"];
            text(&error["title"])?;
            Some((error["code"].to_string(), text(&error["message"])?))
        }
        _ => Some((
            text(&answer.body["error_code"])?,
            text(&answer.body["error_msg"])?,
        )),
    }
}

#[tokio::test]
async fn every_route_but_the_reviewed_ones_wants_a_credential() {
    let server = TestServer::start().await;
    let mut wrong = Vec::new();
    let (mut asked, mut open) = (0, BTreeSet::new());
    for entry in routes().entries() {
        let operation = &entry.operation;
        if matches!(operation.access, Access::Open | Access::TokenInBody) {
            open.insert(operation.id);
            continue;
        }
        asked += 1;
        let request = server.anonymous(operation.method.clone(), &path_of(operation));
        let answer = TestServer::send(request).await;
        let expected = match operation.family {
            Family::Iam | Family::Discovery => "401",
            _ => "APIGW.0301",
        };
        let is_right = answer.status == 401
            && refusal(operation.family, &answer).is_some_and(|(code, message)| {
                code == expected && message.ends_with("x-auth-token not found")
            });
        if !is_right {
            wrong.push(format!("{}: {answer:?}", operation.id));
        }
    }
    println!("{asked} operations asked without a credential");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reviewed: BTreeSet<_> = OPEN.iter().map(|(id, _)| *id).collect();
    assert_eq!(open, reviewed, "the operations that anyone may call");
    server.stop().await;
}

#[tokio::test]
async fn every_route_of_a_project_refuses_the_credential_of_another() {
    let server = TestServer::start().await;
    let domain = json!({"domain": {"name": "outfitter"}});
    let request = server
        .anonymous(Method::POST, "/api/v1/projects")
        .header("x-auth-token", server.token_for(domain).await)
        .json(&json!({"name": "other"}));
    let other = TestServer::send(request).await.ok(201);
    let id = &other["project"]["id"];
    let token = server.token_for(json!({"project": {"id": id}})).await;
    let mut wrong = Vec::new();
    let mut asked = 0;
    for entry in routes().entries() {
        let operation = &entry.operation;
        if !operation.in_project() {
            continue;
        }
        asked += 1;
        let request = server
            .anonymous(operation.method.clone(), &path_of(operation))
            .header("x-auth-token", &token);
        let answer = TestServer::send(request).await;
        let expected = match operation.family {
            Family::Workspace => "WKS.0403",
            Family::Iam => "403",
            _ => "WKS.00081102",
        };
        let is_right = answer.status == 403
            && refusal(operation.family, &answer).is_some_and(|(code, _)| code == expected);
        if !is_right {
            wrong.push(format!("{}: {answer:?}", operation.id));
        }
    }
    println!("{asked} operations asked with the credential of another project");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn every_path_answers_other_methods_with_405_and_says_which_it_has() {
    let server = TestServer::start().await;
    let mut paths: BTreeMap<&str, (Operation, BTreeSet<String>)> = BTreeMap::new();
    let table = routes();
    for entry in table.entries() {
        let operation = &entry.operation;
        let (_, methods) = paths
            .entry(operation.path)
            .or_insert_with(|| (operation.clone(), BTreeSet::new()));
        methods.insert(operation.method.to_string());
        if operation.method == Method::GET {
            methods.insert("HEAD".to_owned());
        }
    }
    let mut wrong = Vec::new();
    for (path, (operation, methods)) in &paths {
        let other = [
            Method::GET,
            Method::PUT,
            Method::PATCH,
            Method::POST,
            Method::DELETE,
        ]
        .into_iter()
        .find(|method| !methods.contains(method.as_str()))
        .unwrap();
        let response = server
            .anonymous(other, &path_of(operation))
            .send()
            .await
            .unwrap();
        let allow = response
            .headers()
            .get("allow")
            .and_then(|it| it.to_str().ok());
        let allowed: BTreeSet<String> = allow
            .unwrap_or_default()
            .split(", ")
            .map(str::to_owned)
            .collect();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        let answer = Answer { status, body };
        if status != 405 || allowed != *methods || refusal(operation.family, &answer).is_none() {
            wrong.push(format!("{path}: {allowed:?} {answer:?}"));
        }
    }
    println!("{} paths asked with a method they do not have", paths.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop().await;
}
