//! Prints a generated file: `generate openapi`, `compatibility`, `operations` or `sentences`. `cargo xtask gen` commits what it prints.

#![expect(clippy::print_stdout, reason = "the answer of a command-line tool")]

#[path = "../../api-types/tests/facts/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use facts::{Deviations, api_folder, contract, follow};
use outfitter_server::http::operation::{Access, Operation};
use outfitter_server::http::{openapi, refusals, routes, sentences};
use serde::Deserialize;
use serde_json::Value;

/// `api/clients.toml`.
#[derive(Deserialize)]
struct Clients {
    client: Vec<Client>,
}

#[derive(Deserialize)]
struct Client {
    name: String,
    /// Absent where requests are replayed.
    version: Option<String>,
    how: String,
    files: Vec<String>,
    operations: BTreeSet<String>,
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("openapi") => print!("{}", openapi::document_text(&routes())),
        Some("compatibility") => print!("{}", compatibility()),
        Some("operations") => print!("{}", refusals::document(&routes())),
        Some("sentences") => println!("{}", sentences()),
        _ => panic!("usage: generate openapi | compatibility | operations | sentences"),
    }
}

/// What the console says to who reads Chinese, by what the server says.
fn sentences() -> String {
    serde_json::to_string_pretty(&sentences::in_chinese()).expect("texts are JSON")
}

fn compatibility() -> String {
    let contract = contract();
    let list = Deviations::read();
    let text = std::fs::read_to_string(api_folder().join("clients.toml"))
        .expect("the list of clients is in the repository");
    let clients: Clients = toml::from_str(&text).expect("the list is well formed");
    let table = routes();
    let ours: BTreeMap<&str, &Operation> = table
        .entries()
        .iter()
        .map(|entry| (entry.operation.id, &entry.operation))
        .collect();

    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    let (mut exact, mut deviating, mut missing) = (0, 0, 0);
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, described) in item.as_object().expect("a path item") {
            let id = described["operationId"].as_str().expect("an id");
            let state = match ours.get(id) {
                None => {
                    missing += 1;
                    let reason = list.missing.iter().find(|it| it.operation == id);
                    format!("not built yet: {}", reason.map_or("", |it| &it.reason))
                }
                Some(_) => {
                    let reasons = deviations(&contract, &list, id, described);
                    if reasons.is_empty() {
                        exact += 1;
                        "exact".to_owned()
                    } else {
                        deviating += 1;
                        format!("deviates: {}", reasons.join(" "))
                    }
                }
            };
            let action = match ours.get(id).map(|operation| operation.access) {
                Some(Access::Action(action) | Access::ActionSomewhere(action)) => {
                    format!("`{action}`")
                }
                Some(Access::Credential) => "any credential".to_owned(),
                Some(Access::TokenInBody) => "any token".to_owned(),
                Some(Access::EndUser) => "a session of an end user".to_owned(),
                Some(Access::Open) => "open".to_owned(),
                None => described["x-iam-action"]
                    .as_str()
                    .map_or_else(String::new, |action| format!("`{action}`")),
            };
            let run: Vec<&str> = clients
                .client
                .iter()
                .filter(|client| client.operations.contains(id) && ours.contains_key(id))
                .map(|client| client.name.as_str())
                .collect();
            let tag = described["tags"][0].as_str().expect("a tag");
            let method = method.to_uppercase();
            writeln!(
                rows.entry(tag).or_default(),
                "| {id} | `{method} {path}` | {action} | {state} | {} |",
                run.join(", ")
            )
            .expect("a text can be written to");
        }
    }

    let mut page = format!(
        "# Compatibility\n\n\
         <!-- Written by `cargo xtask gen` from the route table, api/deviations.toml and api/clients.toml. -->\n\n\
         The operations of `api/contract/openapi.json`: {exact} exact, {deviating} deviating, {missing} not built yet. \
         *Exact* means that path, method, parameters, body, bounds, codes, answer and permission are the contract's, \
         which `cargo test -p outfitter-server --test it conformance` shows. Operations of our own are in \
         `api/openapi.json`, below `/api/v1`.\n\n\
         ## Everywhere\n\n"
    );
    for rule in &list.rule {
        page.push_str(&format!("- {} {}\n", rule.allows, rule.reason));
    }
    page.push_str(
        "\n## Clients\n\nEach named at an operation below was run against it by `make test`, and got a success; \
         the server's own counters say so.\n\n",
    );
    for client in &clients.client {
        let built = client
            .operations
            .iter()
            .filter(|id| ours.contains_key(id.as_str()));
        let version = client.version.iter().map(|version| format!(" {version}"));
        page.push_str(&format!(
            "- **{}**{}: {}; {} operations, in `{}`.\n",
            client.name,
            version.collect::<String>(),
            client.how,
            built.count(),
            client.files.join("`, `")
        ));
    }
    for (tag, rows) in rows {
        page.push_str(&format!(
            "\n## {tag}\n\n| Operation | Call | Action | State | Run against it |\n|---|---|---|---|---|\n{rows}"
        ));
    }
    page
}

/// The reasons for which an operation, or a schema it needs, differs.
fn deviations<'a>(
    contract: &Value,
    list: &'a Deviations,
    id: &str,
    described: &Value,
) -> Vec<&'a str> {
    let mut schemas = BTreeSet::new();
    collect(contract, &described["requestBody"], &mut schemas);
    for response in described["responses"].as_object().into_iter().flatten() {
        collect(contract, response.1, &mut schemas);
    }
    let own = list.operation.iter().filter(|it| it.operation == id);
    let query = format!("{id}Query");
    let of_schemas = list
        .deviation
        .iter()
        .filter(|it| it.schema == query || schemas.contains(&it.schema));
    own.map(|it| it.reason.as_str())
        .chain(of_schemas.map(|it| it.reason.as_str()))
        .collect()
}

/// The names of all schemas that a value refers to, directly or not.
fn collect(contract: &Value, value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let name = reference.rsplit('/').next().expect("a last part");
                if names.insert(name.to_owned()) {
                    collect(contract, follow(contract, value), names);
                }
            }
            for member in members.values() {
                collect(contract, member, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(contract, item, names)),
        _ => {}
    }
}
