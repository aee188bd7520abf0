//! Brings a schema of the contract and one of ours to one spelling, and holds what then differs against
//! `api/deviations.toml`. Shared by the tests of the types and of the server's document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(crate) fn api_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api")
}

pub(crate) fn contract() -> Value {
    let text = std::fs::read_to_string(api_folder().join("contract/openapi.json"))
        .expect("the contract is in the repository");
    serde_json::from_str(&text).expect("the contract is JSON")
}

pub(crate) fn operations(contract: &Value) -> impl Iterator<Item = (&str, &Value)> {
    contract["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|path| path.as_object().expect("a path item").values())
        .filter_map(|operation| Some((operation.get("operationId")?.as_str()?, operation)))
}

/// Follows `$ref` until something else is found.
pub(crate) fn follow<'a>(root: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        value = root
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere"));
    }
    value
}

/// One schema in the common spelling, keyed by where each fact stands (`/users/[]/account`).
/// A reference to another object of the contract stays a reference, since that one is compared
/// itself.
pub(crate) struct Facts<'a> {
    root: &'a Value,
    objects: &'a BTreeSet<String>,
    pub(crate) facts: BTreeMap<String, Value>,
    pub(crate) members: usize,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(root: &'a Value, objects: &'a BTreeSet<String>, schema: &Value) -> Self {
        let mut facts = Self {
            root,
            objects,
            facts: BTreeMap::new(),
            members: 0,
        };
        facts.add(schema, "");
        facts
    }

    fn add(&mut self, schema: &Value, at: &str) {
        let mut merged = Map::new();
        self.merge(schema, &mut merged);
        self.add_merged(merged, at);
    }

    fn add_merged(&mut self, mut schema: Map<String, Value>, at: &str) {
        if let Some(constant) = schema.remove("const") {
            schema.insert("enum".to_owned(), json!([constant]));
        }
        let mut types: BTreeSet<String> = match schema.remove("type") {
            Some(Value::String(name)) => BTreeSet::from([name]),
            Some(Value::Array(names)) => names
                .iter()
                .map(|name| name.as_str().expect("a type name").to_owned())
                .collect(),
            _ => BTreeSet::new(),
        };
        let is_nullable = types.remove("null") | (schema.remove("$nullable").is_some());
        if let Some(Value::Array(values)) = schema.remove("enum") {
            let values: BTreeSet<_> = values
                .iter()
                .filter(|value| !value.is_null())
                .map(Value::to_string)
                .collect();
            self.put(at, "enum", json!(values));
            for implied in ["minLength", "maxLength", "pattern"] {
                schema.remove(implied);
            }
        }
        self.put(at, "type", json!(types));
        self.put(at, "nullable", json!(is_nullable));
        for (keyword, value) in schema {
            match keyword.as_str() {
                "properties" => {
                    for (name, member) in value.as_object().expect("properties") {
                        self.members += 1;
                        self.put(&format!("{at}/{name}"), "present", json!(true));
                        self.add(member, &format!("{at}/{name}"));
                    }
                }
                "required" => {
                    for name in value.as_array().expect("required") {
                        let name = name.as_str().expect("a member name");
                        self.put(&format!("{at}/{name}"), "required", json!(true));
                    }
                }
                "items" => self.add(&value, &format!("{at}/[]")),
                "additionalProperties" => self.add(&value, &format!("{at}/*")),
                "alternatives" => {
                    for (index, alternative) in
                        value.as_array().expect("alternatives").iter().enumerate()
                    {
                        self.add(alternative, &format!("{at}/|{index}"));
                    }
                }
                "conditions" => {
                    let conditions: BTreeSet<_> = value
                        .as_array()
                        .expect("conditions")
                        .iter()
                        .map(|condition| plain_condition(condition).to_string())
                        .collect();
                    self.put(at, "conditions", json!(conditions));
                }
                "minLength" | "minItems" | "minProperties" if value == json!(0) => {}
                "uniqueItems" if value == json!(false) => {}
                "format" if value == json!("int64") => {}
                "propertyNames" if value == json!({"type": "string"}) => {}
                "description" | "example" | "examples" | "title" => {}
                extension if extension.starts_with("x-") => {}
                _ => self.put(at, &keyword, number_as_integer(value)),
            }
        }
    }

    /// Merges a schema, what it refers to and its `allOf` parts into one map. Nullable alternatives
    /// become `$nullable` and conditions are collected.
    fn merge(&self, schema: &Value, into: &mut Map<String, Value>) {
        let Some(object) = schema.as_object() else {
            return;
        };
        if object.contains_key("if") {
            let condition = json!({"if": object.get("if"), "then": object.get("then")});
            push(into, "conditions", condition);
        }
        for (keyword, value) in object {
            match keyword.as_str() {
                "$ref" => {
                    let name = value.as_str().expect("a reference").rsplit('/').next();
                    let name = name.expect("a reference has a last part");
                    if self.objects.contains(name) {
                        into.insert("$ref".to_owned(), json!(name));
                    } else {
                        self.merge(follow(self.root, schema), into);
                    }
                }
                "allOf" => {
                    for part in value.as_array().expect("allOf") {
                        self.merge(part, into);
                    }
                }
                "anyOf" | "oneOf" => {
                    let (null, rest): (Vec<&Value>, Vec<&Value>) = value
                        .as_array()
                        .expect("alternatives")
                        .iter()
                        .partition(|alternative| alternative["type"] == "null");
                    if !null.is_empty() {
                        into.insert("$nullable".to_owned(), json!(true));
                    }
                    match rest.as_slice() {
                        [only] => self.merge(only, into),
                        several if several.iter().all(|one| one.get("type").is_none()) => {
                            push(into, "conditions", json!({"anyOf": several}));
                        }
                        several => {
                            into.insert("alternatives".to_owned(), json!(several));
                        }
                    }
                }
                "if" | "then" => {}
                _ => {
                    into.insert(keyword.clone(), value.clone());
                }
            }
        }
    }

    fn put(&mut self, at: &str, fact: &str, value: Value) {
        let at = if at.is_empty() { "/" } else { at };
        self.facts.insert(format!("{at} {fact}"), value);
    }
}

pub(crate) fn push(into: &mut Map<String, Value>, key: &str, value: Value) {
    into.entry(key)
        .or_insert_with(|| json!([]))
        .as_array_mut()
        .expect("always an array")
        .push(value);
}

/// Spells `const` as `enum` inside a condition.
pub(crate) fn plain_condition(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| match key.as_str() {
                "const" => ("enum".to_owned(), json!([value])),
                _ => (key.clone(), plain_condition(value)),
            })
            .collect(),
        Value::Array(values) => values.iter().map(plain_condition).collect(),
        other => other.clone(),
    }
}

pub(crate) fn number_as_integer(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => json!(number as i64),
        _ => value,
    }
}

/// `api/deviations.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deviations {
    #[serde(default)]
    pub(crate) rule: Vec<Rule>,
    #[serde(default)]
    pub(crate) deviation: Vec<Deviation>,
    #[serde(default)]
    pub(crate) operation: Vec<OperationDeviation>,
    #[serde(default)]
    pub(crate) missing: Vec<Listed>,
    #[serde(default)]
    pub(crate) extra: Vec<Listed>,
}

impl Deviations {
    /// Reads the list; every entry has a reason.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(api_folder().join("deviations.toml"))
            .expect("the list of deviations is in the repository");
        let list: Self = toml::from_str(&text).expect("the list is well formed");
        let rules = list.rule.iter().map(|entry| &entry.reason);
        let schemas = list.deviation.iter().map(|entry| &entry.reason);
        let operations = list.operation.iter().map(|entry| &entry.reason);
        let names = list
            .missing
            .iter()
            .chain(&list.extra)
            .map(|entry| &entry.reason);
        for reason in rules.chain(schemas).chain(operations).chain(names) {
            assert!(!reason.trim().is_empty(), "every deviation has a reason");
        }
        list
    }
}

/// What the comparison allows everywhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) allows: String,
    pub(crate) reason: String,
}

/// One reviewed difference of a schema from the contract.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deviation {
    pub(crate) schema: String,
    pub(crate) fact: String,
    pub(crate) ours: Value,
    pub(crate) reason: String,
}

/// One reviewed difference of an operation; `ours` is left out where we do not have the fact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationDeviation {
    pub(crate) operation: String,
    pub(crate) fact: String,
    pub(crate) ours: Option<Value>,
    pub(crate) reason: String,
}

/// An operation that one side alone has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) operation: String,
    pub(crate) reason: String,
}

/// Collects what differs and is not allowed, and remembers which allowances were needed.
pub(crate) struct Comparison {
    pub(crate) list: Deviations,
    used_schemas: BTreeSet<usize>,
    used_operations: BTreeSet<usize>,
    pub(crate) differences: Vec<String>,
    pub(crate) members: usize,
}

impl Comparison {
    pub(crate) fn new() -> Self {
        Self {
            list: Deviations::read(),
            used_schemas: BTreeSet::new(),
            used_operations: BTreeSet::new(),
            differences: Vec::new(),
            members: 0,
        }
    }

    /// Compares a schema.
    pub(crate) fn schema(&mut self, name: &str, contract: &Facts, ours: &Facts) {
        self.members += contract.members;
        for (fact, theirs, ours) in differing(&contract.facts, &ours.facts) {
            let known = self.list.deviation.iter().position(|entry| {
                entry.schema == name && entry.fact == *fact && Some(&entry.ours) == ours
            });
            match known {
                Some(index) => {
                    self.used_schemas.insert(index);
                }
                None => self
                    .differences
                    .push(format!("{name}{fact}: contract {theirs:?}, ours {ours:?}")),
            }
        }
    }

    /// Compares what is said at an operation.
    pub(crate) fn operation(
        &mut self,
        id: &str,
        contract: &BTreeMap<String, Value>,
        ours: &BTreeMap<String, Value>,
    ) {
        for (fact, theirs, ours) in differing(contract, ours) {
            let known = self.list.operation.iter().position(|entry| {
                entry.operation == id && entry.fact == *fact && entry.ours.as_ref() == ours
            });
            match known {
                Some(index) => {
                    self.used_operations.insert(index);
                }
                None => self
                    .differences
                    .push(format!("{id} {fact}: contract {theirs:?}, ours {ours:?}")),
            }
        }
    }

    /// Fails when something differed unlisted.
    pub(crate) fn assert_equal(&self) {
        assert!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
    }

    /// Fails when a listed difference of a schema was not met.
    pub(crate) fn assert_schemas_needed(&self) {
        for (index, entry) in self.list.deviation.iter().enumerate() {
            assert!(
                self.used_schemas.contains(&index),
                "the deviation {} {} is not needed any more",
                entry.schema,
                entry.fact
            );
        }
    }

    /// Fails when a listed difference of an operation that `exists` was not met.
    pub(crate) fn assert_operations_needed(&self, exists: impl Fn(&str) -> bool) {
        for (index, entry) in self.list.operation.iter().enumerate() {
            assert!(
                self.used_operations.contains(&index) || !exists(&entry.operation),
                "the deviation {} {} is not needed any more",
                entry.operation,
                entry.fact
            );
        }
    }
}

/// The facts in which two sides differ.
fn differing<'a>(
    contract: &'a BTreeMap<String, Value>,
    ours: &'a BTreeMap<String, Value>,
) -> impl Iterator<Item = (&'a String, Option<&'a Value>, Option<&'a Value>)> {
    let facts: BTreeSet<_> = contract.keys().chain(ours.keys()).collect();
    facts
        .into_iter()
        .map(|fact| (fact, contract.get(fact), ours.get(fact)))
        .filter(|(_, theirs, ours)| theirs != ours)
}

/// Names of the contract's schemas that are objects: a reference to one of them stays a reference.
pub(crate) fn objects(contract: &Value) -> BTreeSet<String> {
    contract["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .iter()
        .filter(|(_, schema)| schema.get("properties").is_some())
        .map(|(name, _)| name.clone())
        .collect()
}
