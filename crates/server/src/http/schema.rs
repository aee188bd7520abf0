//! Field rules: the JSON schema of a request type, compiled once, checked against the raw JSON before serde sees it.
//!
//! The schema that is served in `/openapi.json` is the schema that is enforced: there is no second list of bounds.

use std::collections::BTreeMap;

use jsonschema::Validator;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ComponentsBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::error::ApiError;

/// A request type's schema with everything it refers to.
pub struct RequestSchema {
    validator: Validator,
    /// The schema itself, references resolved one level: `properties` can be read.
    pub root: Value,
    /// Every named schema it needs, its own included.
    pub components: Vec<(String, RefOr<Schema>)>,
    /// Its own name.
    pub name: String,
}

impl RequestSchema {
    /// Compiles the schema of a type.
    pub fn of<T: ToSchema + PartialSchema>() -> Self {
        let mut components = Vec::new();
        T::schemas(&mut components);
        let name = T::name().into_owned();
        let own = T::schema();
        components.push((name.clone(), own.clone()));
        let document = ComponentsBuilder::new()
            .schemas_from_iter(components.iter().cloned())
            .build();
        let root = serde_json::to_value(&own).expect("a schema is JSON");
        let mut whole = Map::new();
        whole.insert(
            "components".to_owned(),
            serde_json::to_value(document).expect("schemas are JSON"),
        );
        match &root {
            Value::Object(members) => whole.extend(members.clone()),
            other => {
                whole.insert("allOf".to_owned(), Value::Array(vec![other.clone()]));
            }
        }
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .build(&Value::Object(whole))
            .unwrap_or_else(|error| panic!("the schema of {name} does not compile: {error}"));
        Self {
            validator,
            root,
            components,
            name,
        }
    }

    /// Checks a value; reports the first failing field in the order of the schema's own walk.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] naming the field.
    pub fn check(&self, value: &Value) -> Result<(), ApiError> {
        match self.validator.iter_errors(value).next() {
            None => Ok(()),
            Some(error) => Err(explain(&error)),
        }
    }

    /// Turns query text into JSON as the schema's properties want it, then checks it.
    ///
    /// A list may be given by repeating the parameter or comma separated, also mixed; unknown parameters
    /// are ignored; the last value of a repeated scalar counts.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] naming the parameter.
    pub fn query(&self, pairs: &[(String, String)]) -> Result<Value, ApiError> {
        let mut grouped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in pairs {
            grouped.entry(name).or_default().push(value);
        }
        let mut object = Map::new();
        let properties = self.root.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let Some(values) = grouped.get(name.as_str()) else {
                continue;
            };
            let value = if allows(schema, "array") {
                let items = schema.get("items").unwrap_or(&Value::Null);
                Value::Array(
                    values
                        .iter()
                        .flat_map(|text| text.split(','))
                        .filter(|text| !text.is_empty())
                        .map(|text| scalar(items, text))
                        .collect(),
                )
            } else {
                scalar(schema, values.last().copied().unwrap_or_default())
            };
            object.insert(name.clone(), value);
        }
        let value = Value::Object(object);
        refuse_nul(&value)?;
        self.check(&value)?;
        Ok(value)
    }
}

/// Why a text is refused that no database column, command line or file name can hold.
pub(super) const NO_NUL: &str = "must not hold the character U+0000";

/// Refuses a value in which a text or a member's name holds U+0000: PostgreSQL stores no such text, no command line
/// and no path can have it.
///
/// # Errors
/// [`ApiError::Invalid`] naming the first field.
pub fn refuse_nul(value: &Value) -> Result<(), ApiError> {
    match nul_below(value) {
        None => Ok(()),
        Some(pointer) => Err(ApiError::invalid(member_path(&pointer), NO_NUL)),
    }
}

/// JSON pointer of the first text with U+0000. As deep as the parser lets values be.
fn nul_below(value: &Value) -> Option<String> {
    let below = |name: &str, inner: &Value| {
        let rest = nul_below(inner)?;
        let name = name.replace('~', "~0").replace('/', "~1");
        Some(format!("/{name}{rest}"))
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, inner)| below(&index.to_string(), inner)),
        Value::Object(members) => members.iter().find_map(|(name, inner)| {
            if name.contains('\0') {
                return Some(String::new());
            }
            below(name, inner)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a schema allows a type by name.
fn allows(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(text)) => text == kind,
        Some(Value::Array(kinds)) => kinds.iter().any(|text| text == kind),
        _ => false,
    }
}

fn scalar(schema: &Value, text: &str) -> Value {
    if allows(schema, "string") {
        return text.into();
    }
    if allows(schema, "integer")
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    if allows(schema, "boolean") {
        if text.eq_ignore_ascii_case("true") {
            return true.into();
        }
        if text.eq_ignore_ascii_case("false") {
            return false.into();
        }
    }
    text.into()
}

/// Reads a checked value.
///
/// # Errors
/// [`ApiError::Invalid`] where the type knows a rule that its schema does not state.
pub fn read<T: DeserializeOwned>(mut value: Value) -> Result<T, ApiError> {
    whole_numbers(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(
            if path == "." { "body".to_owned() } else { path },
            error.inner().to_string(),
        )
    })
}

/// Writes `30.0` as `30`: to JSON Schema both are integers, to serde only the latter is.
pub(super) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            // Beyond 2^53 a float no longer says which integer is meant.
            const LARGEST: f64 = 9_007_199_254_740_992.0;
            if let Some(float) = number.as_f64().filter(|_| number.is_f64())
                && float.fract() == 0.0
                && float.abs() <= LARGEST
            {
                #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
                let whole = float as i64;
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn explain(error: &jsonschema::ValidationError<'_>) -> ApiError {
    let mut field = member_path(error.instance_path().as_str());
    let reason = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let member = property.as_str().unwrap_or_default();
            field = if field == "body" {
                member.to_owned()
            } else {
                format!("{field}.{member}")
            };
            "is required".to_owned()
        }
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters")
        }
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} entries"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} entries"),
        ValidationErrorKind::MaxProperties { limit } => {
            format!("must have at most {limit} members")
        }
        ValidationErrorKind::MinProperties { limit } => {
            format!("must have at least {limit} members")
        }
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::UniqueItems => "must not hold an entry twice".to_owned(),
        ValidationErrorKind::Enum { options } => format!("must be one of {}", words(options)),
        ValidationErrorKind::Type { kind } => format!("must be {}", kinds(kind)),
        ValidationErrorKind::PropertyNames { error } => {
            format!("a member's name is not allowed: {error}")
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            return closest(error, context, field);
        }
        other => format!("breaks the rule `{}`", other.keyword()),
    };
    ApiError::Invalid { field, reason }
}

/// A nullable member is a choice between `null` and a schema: what the schema says is what helps.
fn closest(
    error: &jsonschema::ValidationError<'_>,
    context: &[Vec<jsonschema::ValidationError<'static>>],
    field: String,
) -> ApiError {
    let useful = context.iter().flatten().find(|inner| {
        !matches!(inner.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(kind) }
            if kind.to_string() == "null")
    });
    match useful {
        Some(inner) => explain(inner),
        None => ApiError::Invalid {
            field,
            reason: format!("breaks the rule `{}`", error.kind().keyword()),
        },
    }
}

fn words(options: &Value) -> String {
    options.as_array().map_or_else(String::new, |list| {
        list.iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    })
}

fn kinds(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(kinds) => kinds
            .iter()
            .map(|kind| kind.to_string())
            .filter(|kind| kind != "null")
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// `/users/3/account` to `users[3].account`.
fn member_path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    if path.is_empty() {
        "body".to_owned()
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_whole_by_its_value() {
        assert_eq!(
            read::<Vec<i64>>(json!([30.0, -1e3, 7])).unwrap(),
            [30, -1000, 7]
        );
        for other in [json!(30.5), json!(1e300)] {
            assert!(read::<i64>(other).is_err());
        }
    }
}
