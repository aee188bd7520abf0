//! Holds the served document against `api/contract/openapi.json`, operation by operation: path, method, id,
//! parameters, body, codes, answers, permissions, and every schema both sides name.
//!
//! What differs must stand in `api/deviations.toml` with its reason, and every entry there must be needed.

use std::collections::{BTreeMap, BTreeSet};

use outfitter_server::http::{openapi, routes};
use serde_json::{Value, json};

use crate::facts::{Comparison, Facts, contract, follow, objects};

/// Codes that our document states for every operation. Source: the rules at the head of `api/deviations.toml`.
const ALLOWED_CODES: [&str; 8] = ["401", "403", "404", "405", "413", "429", "500", "503"];

/// One operation of a document.
#[derive(Clone, Copy)]
struct Described<'a> {
    path: &'a str,
    method: &'a str,
    operation: &'a Value,
}

fn by_id(document: &Value) -> BTreeMap<&str, Described<'_>> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path item") {
            let id = operation["operationId"].as_str().expect("an operationId");
            let described = Described {
                path,
                method,
                operation,
            };
            assert!(found.insert(id, described).is_none(), "{id} stands twice");
        }
    }
    found
}

/// What one side says at an operation, keyed by what it is about.
struct Sayings<'a> {
    root: &'a Value,
    objects: &'a BTreeSet<String>,
    facts: BTreeMap<String, Value>,
    members: usize,
}

impl<'a> Sayings<'a> {
    fn of(root: &'a Value, objects: &'a BTreeSet<String>, described: Described<'_>) -> Self {
        let mut sayings = Self {
            root,
            objects,
            facts: BTreeMap::new(),
            members: 0,
        };
        let operation = described.operation;
        sayings.put("path", described.path);
        sayings.put("method", described.method);
        for member in ["tags", "x-iam-action", "security"] {
            if let Some(value) = operation.get(member) {
                sayings.put(member, value.clone());
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            sayings.add_parameter(follow(root, parameter));
        }
        if let Some(body) = operation.get("requestBody") {
            sayings.put("body required", body["required"] == true);
            sayings.add_content("body", body);
        }
        for (code, response) in operation["responses"].as_object().expect("responses") {
            sayings.add_response(code, follow(root, response));
        }
        sayings
    }

    fn put(&mut self, fact: impl Into<String>, value: impl Into<Value>) {
        self.facts.insert(fact.into(), value.into());
    }

    fn add_parameter(&mut self, parameter: &Value) {
        let place = parameter["in"].as_str().expect("a place");
        // Those of the credential: see the rules at the head of `api/deviations.toml`.
        if place == "header" {
            return;
        }
        let name = parameter["name"].as_str().expect("a name");
        let about = format!("{place} parameter {name}");
        self.put(format!("{about} required"), parameter["required"] == true);
        if parameter["schema"]["type"] == "array" {
            self.put(format!("{about} style"), parameter["style"].clone());
            self.put(format!("{about} explode"), parameter["explode"].clone());
        }
        self.members += 1;
        self.add_schema(&about, &parameter["schema"]);
    }

    fn add_content(&mut self, about: &str, holder: &Value) {
        for (media, content) in holder["content"].as_object().into_iter().flatten() {
            self.add_schema(&format!("{about} as {media}"), &content["schema"]);
        }
    }

    fn add_response(&mut self, code: &str, response: &Value) {
        let about = format!("answer {code}");
        self.put(about.clone(), true);
        for name in response["headers"].as_object().into_iter().flatten() {
            self.put(format!("{about} header {}", name.0), true);
        }
        self.add_content(&about, response);
    }

    fn add_schema(&mut self, about: &str, schema: &Value) {
        let facts = Facts::of(self.root, self.objects, schema);
        self.members += facts.members;
        for (fact, value) in facts.facts {
            self.put(format!("{about}: {fact}"), value);
        }
    }

    /// Leaves of a code that the other side does not have the code alone.
    fn without_details_of_codes(&mut self, other: &BTreeMap<String, Value>) {
        self.facts.retain(|fact, _| match code_of(fact) {
            Some(code) => fact.len() == "answer ".len() + code.len() || answers(other, code),
            None => true,
        });
    }

    /// Drops what the rules at the head of `api/deviations.toml` allow beside what the contract says.
    fn without_allowed(&mut self, contract: &BTreeMap<String, Value>) {
        self.facts.retain(|fact, _| {
            let Some(code) = code_of(fact) else {
                return true;
            };
            let is_allowed = ALLOWED_CODES.contains(&code)
                || (answers(contract, "default") && !is_success(code));
            let is_header = fact.contains(" header ") && !contract.contains_key(fact);
            !is_header && (answers(contract, code) || !is_allowed)
        });
    }

    /// Where the contract has several codes of success, one of them is ours.
    fn without_other_successes(&mut self, ours: &BTreeMap<String, Value>) {
        self.facts.retain(|fact, _| match code_of(fact) {
            Some(code) => !is_success(code) || answers(ours, code),
            None => true,
        });
    }
}

/// The code that a fact is about.
fn code_of(fact: &str) -> Option<&str> {
    let rest = fact.strip_prefix("answer ")?;
    Some(&rest[..rest.find([' ', ':']).unwrap_or(rest.len())])
}

fn is_success(code: &str) -> bool {
    code.starts_with(['2', '3'])
}

fn answers(facts: &BTreeMap<String, Value>, code: &str) -> bool {
    facts.contains_key(&format!("answer {code}"))
}

#[test]
fn every_operation_is_the_contracts() {
    let contract = contract();
    let objects = objects(&contract);
    let ours: Value = serde_json::from_str(&openapi::document_text(&routes())).expect("JSON");
    let (theirs_by_id, ours_by_id) = (by_id(&contract), by_id(&ours));
    let mut comparison = Comparison::new();
    let (mut operations, mut members) = (0, 0);
    for (id, described) in &theirs_by_id {
        let missing = comparison.list.missing.iter().any(|it| it.operation == *id);
        let Some(mine) = ours_by_id.get(id) else {
            if !missing {
                comparison.differences.push(format!("{id} is missing"));
            }
            continue;
        };
        if missing {
            let text = format!("{id} is there: take it out of [[missing]]");
            comparison.differences.push(text);
        }
        let mut theirs = Sayings::of(&contract, &objects, *described);
        let mut mine = Sayings::of(&ours, &objects, *mine);
        mine.without_allowed(&theirs.facts);
        theirs.without_other_successes(&mine.facts);
        theirs.without_details_of_codes(&mine.facts);
        mine.without_details_of_codes(&theirs.facts);
        if !theirs
            .facts
            .keys()
            .any(|fact| code_of(fact).is_some_and(is_success))
        {
            let text = format!("{id} has no success of the contract's");
            comparison.differences.push(text);
        }
        comparison.operation(id, &theirs.facts, &mine.facts);
        operations += 1;
        members += theirs.members;
    }
    for (id, described) in &ours_by_id {
        let known = theirs_by_id.contains_key(id)
            || described.path.starts_with("/api/v1/")
            || comparison.list.extra.iter().any(|it| it.operation == *id);
        if !known {
            let text = format!("{id} {} is not of the contract", described.path);
            comparison.differences.push(text);
        }
    }

    let schemas = contract["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let mine = ours["components"]["schemas"].as_object().expect("schemas");
    let mut compared = 0;
    for (name, schema) in schemas {
        if let Some(mine) = mine.get(name) {
            let theirs = Facts::of(&contract, &objects, schema);
            comparison.schema(name, &theirs, &Facts::of(&ours, &objects, mine));
            compared += 1;
        }
    }

    println!(
        "compared {operations} of {} operations with {members} parameters and members of their own, \
         and {compared} schemas with {} members",
        theirs_by_id.len(),
        comparison.members
    );
    comparison.assert_equal();
    comparison.assert_operations_needed(|id| ours_by_id.contains_key(id));
    for entry in comparison.list.missing.iter() {
        let id = entry.operation.as_str();
        assert!(theirs_by_id.contains_key(id), "the contract has no {id}");
    }
    for entry in comparison.list.extra.iter() {
        let id = entry.operation.as_str();
        assert!(ours_by_id.contains_key(id), "there is no {id} any more");
    }
}

#[test]
fn the_comparison_notices_anything_taken_away_from_an_operation() {
    let contract = contract();
    let objects = objects(&contract);
    let mut taken = 0;
    for (id, described) in by_id(&contract) {
        let whole = Sayings::of(&contract, &objects, described);
        let facts = whole.facts.clone();
        let members = described.operation.as_object().expect("an operation");
        for member in [
            "tags",
            "x-iam-action",
            "security",
            "requestBody",
            "responses",
        ] {
            if !members.contains_key(member) {
                continue;
            }
            let mut changed = described.operation.clone();
            match member {
                "responses" => changed["responses"] = json!({}),
                _ => {
                    changed.as_object_mut().expect("an object").remove(member);
                }
            }
            let described = Described {
                operation: &changed,
                ..described
            };
            let less = Sayings::of(&contract, &objects, described).facts;
            assert_ne!(less, facts, "{id} {member}");
            taken += 1;
        }
        let parameters = described.operation["parameters"].as_array();
        for (index, parameter) in parameters.into_iter().flatten().enumerate() {
            if follow(&contract, parameter)["in"] == "header" {
                continue;
            }
            let mut changed = described.operation.clone();
            changed["parameters"]
                .as_array_mut()
                .expect("a list")
                .remove(index);
            let described = Described {
                operation: &changed,
                ..described
            };
            let less = Sayings::of(&contract, &objects, described).facts;
            assert_ne!(less, facts, "{id} parameter {index}");
            taken += 1;
        }
    }
    assert!(taken > 500, "only {taken}");
}
