//! The document that `GET /openapi.json` answers: whole, without contradictions, and the one that is committed.

use std::collections::{BTreeMap, BTreeSet};

use outfitter_server::http::{openapi, routes};
use serde_json::Value;

use crate::facts::{api_folder, contract};
use crate::server::TestServer;

fn document() -> Value {
    serde_json::from_str(&openapi::document_text(&routes())).unwrap()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            // The shapes of errors stand there for whoever reads the document.
            let is_error = kind == "schemas" && name.ends_with("Error");
            assert!(
                is_error || found.contains(reference.as_str()),
                "{name} is not used"
            );
        }
    }
}

#[test]
fn a_schema_name_means_one_thing() {
    let table = routes();
    let mut known: BTreeMap<&str, (&str, Value)> = BTreeMap::new();
    for entry in table.entries() {
        let body = entry.body.iter().flat_map(|it| &it.components);
        let query = entry.query.iter().flat_map(|it| &it.components);
        let answer = entry.answer.iter().flat_map(|it| &it.components);
        for (name, schema) in body.chain(query).chain(answer) {
            let schema = serde_json::to_value(schema).unwrap();
            let (first, other) = known
                .entry(name)
                .or_insert_with(|| (entry.operation.id, schema.clone()));
            assert_eq!(
                *other, schema,
                "{name} of {} and of {first}",
                entry.operation.id
            );
        }
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_a_summary() {
    let table = routes();
    let mut ids = BTreeSet::new();
    for entry in table.entries() {
        let operation = &entry.operation;
        assert!(ids.insert(operation.id), "{} stands twice", operation.id);
        assert!(
            !operation.summary.is_empty(),
            "{} has no summary",
            operation.id
        );
    }
}

#[derive(serde::Deserialize)]
struct Clients {
    client: Vec<Client>,
}

#[derive(serde::Deserialize)]
struct Client {
    name: String,
    files: Vec<String>,
    operations: BTreeSet<String>,
}

/// That they are called indeed is shown where they are run, in tests/python/compatibility.py.
#[test]
fn every_operation_a_client_is_said_to_be_run_against_is_the_contracts() {
    let text = std::fs::read_to_string(api_folder().join("clients.toml")).unwrap();
    let Clients { client: clients } = toml::from_str(&text).unwrap();
    let contract = contract();
    let items = contract["paths"].as_object().unwrap().values();
    let known: BTreeSet<&str> = items
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    for client in &clients {
        for file in &client.files {
            let path = api_folder().join("..").join(file);
            assert!(path.exists(), "{}: there is no {file}", client.name);
        }
        for operation in &client.operations {
            assert!(
                known.contains(operation.as_str()),
                "{}: the contract has no {operation}",
                client.name
            );
        }
    }
}

#[test]
fn the_committed_document_is_the_current_one() {
    let committed = std::fs::read_to_string(api_folder().join("openapi.json")).unwrap();
    assert!(
        committed == openapi::document_text(&routes()),
        "api/openapi.json is out of date: run `cargo xtask gen`"
    );
}

#[tokio::test]
async fn the_server_serves_the_document_to_anyone() {
    let server = TestServer::start().await;
    let request = server.anonymous(reqwest::Method::GET, "/openapi.json");
    let answer = TestServer::send(request).await.ok(200);
    assert_eq!(answer, document());
    assert_eq!(answer["openapi"], "3.1.0");
    server.stop().await;
}
