//! Makes, from a schema of the contract, one value that fits and then cases around every bound of every member.
//!
//! The contract's own schema is the judge of each case, so a bound that the server lost or moved is noticed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::facts::follow;

/// What is tried on a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    AtLimit,
    BeyondLimit,
    Missing,
    Null,
    WrongType,
    KnownWord,
    UnknownWord,
    Pattern,
    Duplicate,
}

/// One value for a whole request, in which one member is special.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The member as refusals name it: `users[0].account`.
    pub(crate) member: String,
    pub(crate) kind: Kind,
    /// The whole body, or the query as an object.
    pub(crate) value: Value,
    /// Whether the contract accepts it.
    pub(crate) accepted: bool,
}

/// A schema with all it refers to.
pub(crate) struct Source<'a> {
    root: &'a Value,
    schema: Value,
    validator: jsonschema::Validator,
}

/// One step from a value to a part of it.
#[derive(Debug, Clone)]
enum Step {
    Member(String),
    Item,
}

impl<'a> Source<'a> {
    pub(crate) fn new(root: &'a Value, schema: &Value) -> Self {
        let mut whole = schema.clone();
        whole["components"] = root["components"].clone();
        Self {
            root,
            schema: schema.clone(),
            validator: jsonschema::draft202012::new(&whole).expect("the schema compiles"),
        }
    }

    /// Every case of every member, and the number of members.
    pub(crate) fn cases(&self) -> (Vec<Case>, usize) {
        let whole = self.fitting(&self.schema);
        let errors: Vec<_> = self
            .validator
            .iter_errors(&whole)
            .map(|it| it.to_string())
            .collect();
        assert!(
            errors.is_empty(),
            "the made value does not fit: {errors:?}: {whole}"
        );
        let mut walk = Walk {
            source: self,
            whole: &whole,
            cases: Vec::new(),
            members: 0,
        };
        walk.visit(&self.schema, &mut Vec::new());
        (walk.cases, walk.members)
    }

    fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// References followed, the choice between `null` and a schema as a list of types.
    fn plain(&self, schema: &Value) -> Value {
        let mut plain = Map::new();
        if schema.get("$ref").is_some()
            && let Value::Object(target) = self.plain(follow(self.root, schema))
        {
            plain = target;
        }
        for (keyword, value) in schema.as_object().expect("a schema") {
            if keyword != "$ref" {
                plain.insert(keyword.clone(), value.clone());
            }
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(Value::Array(choices)) = plain.get(choice).cloned() else {
                continue;
            };
            let mut rest = choices.iter().filter(|it| it["type"] != "null");
            if let (Some(only), None) = (rest.next(), rest.next())
                && let Value::Object(only) = self.plain(only)
            {
                plain.remove(choice);
                let mut types = types(&Value::Object(only.clone()));
                plain.extend(only);
                // A choice between shapes has no type of its own.
                if !types.is_empty() {
                    types.insert("null".to_owned());
                    plain.insert("type".to_owned(), json!(types));
                }
                break;
            }
        }
        if let Some(word) = plain.remove("const") {
            plain.insert("enum".to_owned(), json!([word]));
        }
        Value::Object(plain)
    }

    /// A value with every member.
    fn fitting(&self, schema: &Value) -> Value {
        let schema = self.plain(schema);
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        if let Some(shapes) = shapes(&schema) {
            return self.fitting(&shapes[0]);
        }
        let types = types(&schema);
        let is = |name: &str| types.contains(name);
        if is("string") {
            let least = schema["minLength"].as_u64().unwrap_or(0);
            let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
            text(&schema, 6.clamp(least, most))
                .or_else(|| text_of_any_length(&schema))
                .unwrap_or_else(|| panic!("no text fits {schema}"))
        } else if is("integer") {
            schema["minimum"].as_i64().unwrap_or(1).into()
        } else if is("boolean") {
            true.into()
        } else if is("array") {
            self.list(&schema, schema["minItems"].as_u64().unwrap_or(0).max(1))
        } else if let Some(more) = schema
            .get("additionalProperties")
            .filter(|it| it.is_object())
        {
            json!({"feature": self.fitting(more)})
        } else {
            let members = schema["properties"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            members
                .iter()
                .map(|(name, member)| (name.clone(), self.fitting(member)))
                .collect()
        }
    }

    /// A list of different entries; shorter where there are not so many.
    fn list(&self, schema: &Value, length: u64) -> Value {
        let item = self.fitting(&schema["items"]);
        let item_schema = self.plain(&schema["items"]);
        if let Some(words) = item_schema["enum"].as_array() {
            return words.iter().take(length as usize).cloned().collect();
        }
        (0..length)
            .map(|index| self.nth(&item_schema, &item, index))
            .collect()
    }

    /// Another value of the same kind.
    fn nth(&self, schema: &Value, like: &Value, index: u64) -> Value {
        match like {
            Value::String(_) => {
                let pattern = schema.get("pattern");
                let bound = |keyword: &str| schema[keyword].as_u64().map(|it| it as usize);
                let least = bound("minLength").unwrap_or(0);
                let most = bound("maxLength").unwrap_or(64);
                let number = index.to_string();
                let padding = 8usize.clamp(least, most).saturating_sub(number.len());
                let candidates = [
                    format!("{}{number}", "a".repeat(padding)),
                    format!("a{number}@b.cc"),
                ];
                let fits = |text: &String| text.len() <= most && matches(pattern, text);
                candidates
                    .into_iter()
                    .find(fits)
                    .map_or_else(|| like.clone(), Value::from)
            }
            Value::Number(_) => (schema["minimum"].as_i64().unwrap_or(1) + index as i64).into(),
            Value::Object(members) => {
                let mut other = members.clone();
                for (name, member) in &schema["properties"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default()
                {
                    let member = self.plain(member);
                    if members[name].is_string() && member.get("enum").is_none() {
                        other[name] = self.nth(&member, &members[name], index);
                    }
                }
                Value::Object(other)
            }
            _ => like.clone(),
        }
    }
}

fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(name) => BTreeSet::from([name.clone()]),
        Value::Array(names) => names
            .iter()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
        _ => BTreeSet::new(),
    }
}

/// The shapes between which a value may choose; the first is the one that is tried.
fn shapes(schema: &Value) -> Option<&Vec<Value>> {
    let choice = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    types(schema).is_empty().then(|| choice.as_array())?
}

fn matches(pattern: Option<&Value>, text: &str) -> bool {
    pattern.is_none_or(|pattern| {
        let schema = json!({"pattern": pattern});
        jsonschema::draft202012::is_valid(&schema, &json!(text))
    })
}

/// A text of that length, in characters.
fn text(schema: &Value, length: u64) -> Option<Value> {
    let length = usize::try_from(length).expect("short");
    let mut candidates: Vec<String> = ["a", "1", "é"].iter().map(|it| it.repeat(length)).collect();
    if let Some(rest) = length.checked_sub(4) {
        candidates.push(format!("1.2.{}", "3".repeat(rest)));
    }
    if let Some(rest) = length.checked_sub(4) {
        candidates.push(format!("a@b.{}", "c".repeat(rest)));
    }
    candidates
        .into_iter()
        .find(|text| matches(schema.get("pattern"), text))
        .map(Value::from)
}

fn text_of_any_length(schema: &Value) -> Option<Value> {
    let digest = "a".repeat(64);
    [
        "users",
        "true",
        "a@b.cc",
        "a",
        "",
        "/a",
        "08:30",
        "1.2.3",
        digest.as_str(),
    ]
    .into_iter()
    .find(|text| matches(schema.get("pattern"), text))
    .map(Value::from)
}

struct Walk<'a, 'b> {
    source: &'b Source<'a>,
    whole: &'b Value,
    cases: Vec<Case>,
    members: usize,
}

impl Walk<'_, '_> {
    fn visit(&mut self, schema: &Value, at: &mut Vec<Step>) {
        let schema = self.source.plain(schema);
        if let Some(shapes) = shapes(&schema) {
            return self.visit(&shapes[0], at);
        }
        self.try_wrong_types(&schema, at);
        self.try_words(&schema, at);
        let types = types(&schema);
        if types.contains("string") && schema.get("enum").is_none() {
            self.try_texts(&schema, at);
        }
        if types.contains("integer") {
            self.try_numbers(&schema, at);
        }
        if types.contains("array") {
            self.try_lists(&schema, at);
            at.push(Step::Item);
            self.visit(&schema["items"], at);
            at.pop();
        }
        if let Some(more) = schema
            .get("additionalProperties")
            .filter(|it| it.is_object())
        {
            self.members += 1;
            at.push(Step::Member("feature".to_owned()));
            self.visit(more, at);
            at.pop();
        }
        let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, member) in schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default()
        {
            self.members += 1;
            let is_required = required.contains(&Value::from(name.as_str()));
            at.push(Step::Member(name));
            self.try_absence(is_required, at);
            self.visit(&member, at);
            at.pop();
        }
    }

    fn add(&mut self, kind: Kind, at: &[Step], value: Value, expected: Option<bool>) {
        let accepted = self.source.accepts(&value);
        let member = name(at);
        if let Some(expected) = expected {
            assert_eq!(accepted, expected, "{kind:?} {member}: {value}");
        }
        self.cases.push(Case {
            member,
            kind,
            value,
            accepted,
        });
    }

    fn replace(&mut self, kind: Kind, at: &[Step], value: Value, expected: Option<bool>) {
        let mut whole = self.whole.clone();
        *place(&mut whole, at) = value;
        self.add(kind, at, whole, expected);
    }

    /// A required member may neither be absent nor null; for an optional one both are the same.
    fn try_absence(&mut self, is_required: bool, at: &[Step]) {
        let expected = is_required.then_some(false);
        self.replace(Kind::Null, at, Value::Null, expected);
        let mut whole = self.whole.clone();
        let (Some(Step::Member(last)), rest) = (at.last(), &at[..at.len() - 1]) else {
            panic!("a member has a name");
        };
        place(&mut whole, rest)
            .as_object_mut()
            .expect("an object")
            .remove(last);
        self.add(Kind::Missing, at, whole, expected);
    }

    fn try_wrong_types(&mut self, schema: &Value, at: &[Step]) {
        let types = types(schema);
        for (kind, value) in [
            ("object", json!({})),
            ("array", json!([])),
            ("boolean", json!(true)),
            ("integer", json!(7)),
            ("number", json!(1.5)),
            ("string", json!("seven")),
        ] {
            let is_right = types.contains(kind) || (kind == "integer" && types.contains("number"));
            if !is_right && !types.is_empty() {
                self.replace(Kind::WrongType, at, value, Some(false));
            }
        }
    }

    fn try_words(&mut self, schema: &Value, at: &[Step]) {
        let Some(words) = schema["enum"].as_array() else {
            return;
        };
        for word in words.iter().filter(|it| !it.is_null()) {
            self.replace(Kind::KnownWord, at, word.clone(), None);
            if let Some(text) = word.as_str() {
                self.replace(
                    Kind::UnknownWord,
                    at,
                    json!(format!("{text}_")),
                    Some(false),
                );
            }
        }
        let unknown = if words[0].is_i64() {
            json!(7777)
        } else {
            json!("outfitter")
        };
        self.replace(Kind::UnknownWord, at, unknown, Some(false));
    }

    fn try_texts(&mut self, schema: &Value, at: &[Step]) {
        if let Some(most) = schema["maxLength"].as_u64() {
            if let Some(value) = text(schema, most) {
                self.replace(Kind::AtLimit, at, value, Some(true));
            }
            let longer = text(schema, most + 1)
                .unwrap_or_else(|| "a".repeat(usize::try_from(most + 1).expect("short")).into());
            self.replace(Kind::BeyondLimit, at, longer, Some(false));
        }
        if let Some(least) = schema["minLength"].as_u64().filter(|least| *least > 0) {
            if let Some(value) = text(schema, least) {
                self.replace(Kind::AtLimit, at, value, Some(true));
            }
            let shorter = "a".repeat(usize::try_from(least - 1).expect("short"));
            self.replace(Kind::BeyondLimit, at, shorter.into(), Some(false));
        }
        if let Some(pattern) = schema.get("pattern") {
            let broken = ["!", "^", "/", "*", "   "]
                .into_iter()
                .find(|text| !matches(Some(pattern), text));
            let broken = broken.unwrap_or_else(|| panic!("{pattern} refuses nothing"));
            self.replace(Kind::Pattern, at, broken.into(), Some(false));
        }
    }

    fn try_numbers(&mut self, schema: &Value, at: &[Step]) {
        for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
            if let Some(limit) = schema[bound].as_f64() {
                let limit = limit as i64;
                self.replace(Kind::AtLimit, at, limit.into(), Some(true));
                self.replace(Kind::BeyondLimit, at, (limit + beyond).into(), Some(false));
            }
        }
    }

    fn try_lists(&mut self, schema: &Value, at: &[Step]) {
        if let Some(most) = schema["maxItems"].as_u64() {
            self.replace(
                Kind::AtLimit,
                at,
                self.source.list(schema, most),
                Some(true),
            );
            let mut longer = self.source.list(schema, most + 1);
            let list = longer.as_array_mut().expect("a list");
            // Of an enum there are not so many different entries.
            while list.len() <= usize::try_from(most).expect("short") {
                list.push(list[0].clone());
            }
            self.replace(Kind::BeyondLimit, at, longer, Some(false));
        }
        if let Some(least) = schema["minItems"].as_u64().filter(|least| *least > 0) {
            self.replace(
                Kind::AtLimit,
                at,
                self.source.list(schema, least),
                Some(true),
            );
            self.replace(
                Kind::BeyondLimit,
                at,
                self.source.list(schema, least - 1),
                Some(false),
            );
        }
        let entry = self.source.fitting(&schema["items"]);
        let expected = (schema["uniqueItems"] == true).then_some(false);
        self.replace(Kind::Duplicate, at, json!([entry, entry]), expected);
    }
}

fn place<'v>(value: &'v mut Value, at: &[Step]) -> &'v mut Value {
    at.iter().fold(value, |value, step| match step {
        Step::Member(name) => &mut value[name.as_str()],
        Step::Item => &mut value[0],
    })
}

/// A member as refusals name it.
fn name(at: &[Step]) -> String {
    let mut name = String::new();
    for step in at {
        match step {
            Step::Member(member) if name.is_empty() => name.push_str(member),
            Step::Member(member) => {
                name.push('.');
                name.push_str(member);
            }
            Step::Item => name.push_str("[0]"),
        }
    }
    if name.is_empty() {
        "body".to_owned()
    } else {
        name
    }
}

/// The query parameters of an operation as one object schema.
pub(crate) fn query_schema(root: &Value, operation: &Value) -> Option<Value> {
    let parameters: Vec<&Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| follow(root, parameter))
        .filter(|parameter| parameter["in"] == "query")
        .collect();
    if parameters.is_empty() {
        return None;
    }
    let name = |parameter: &Value| parameter["name"].as_str().expect("a name").to_owned();
    let properties: Map<_, _> = parameters
        .iter()
        .map(|parameter| (name(parameter), parameter["schema"].clone()))
        .collect();
    let required: Vec<_> = parameters
        .iter()
        .filter(|parameter| parameter["required"] == true)
        .map(|parameter| name(parameter))
        .collect();
    Some(json!({"type": "object", "properties": properties, "required": required}))
}

/// A query's object as text, where it can be said in a query and means the same.
pub(crate) fn query_pairs(case: &Case, schema: &Value) -> Option<Vec<(String, String)>> {
    // There is no null, no type but text, and no empty list in a query.
    if case.member == "body"
        || case.kind == Kind::Null
        || case.member.ends_with("[0]") && !case.accepted && case.kind == Kind::WrongType
    {
        return None;
    }
    let mut pairs = Vec::new();
    for (name, value) in case.value.as_object()? {
        let is_text = types(&schema["properties"][name]).contains("string");
        if case.kind == Kind::WrongType && case.member == *name && (is_text || !value.is_string()) {
            return None;
        }
        match value {
            Value::Array(items) => {
                if items.is_empty() {
                    return None;
                }
                for item in items {
                    pairs.push((name.clone(), scalar(item)?));
                }
            }
            other => pairs.push((name.clone(), scalar(other)?)),
        }
    }
    // A list of one is what a text is.
    let about_list = types(&schema["properties"][&case.member]).contains("array");
    if case.kind == Kind::WrongType && about_list {
        return None;
    }
    Some(pairs)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
