//! Text that must not reach a log.

use std::cell::RefCell;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

/// What stands in the place of a secret.
const SHOWN: &str = "[secret]";

/// Secret that travels as plain text on the wire and shows as `[secret]` in `Debug`. Compared in constant time.
#[derive(Clone, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretText(String);

thread_local! {
    /// The secrets read since [`redacted`] began, while it reads.
    static READ: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        READ.with_borrow_mut(|read| {
            if let Some(read) = read {
                read.push(text.clone());
            }
        });
        Ok(Self(text))
    }
}

/// The JSON of a request in which every text that its type declares as [`SecretText`] is replaced. What cannot be read
/// as that type is not shown at all.
pub fn redacted<T: DeserializeOwned>(request: &Value) -> Value {
    if request.is_null() {
        return Value::Null;
    }
    READ.set(Some(Vec::new()));
    let read = serde_json::from_value::<T>(request.clone()).is_ok();
    let secrets = READ.take().unwrap_or_default();
    if !read {
        return Value::String(SHOWN.to_owned());
    }
    let mut shown = request.clone();
    replace(&mut shown, &secrets);
    shown
}

fn replace(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) if secrets.contains(text) => SHOWN.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, secrets)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| replace(member, secrets)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl SecretText {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Shows the secret; the caller must not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_by_its_type_is_not_shown() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "read, never looked at")]
        struct Request {
            name: String,
            password: Option<SecretText>,
            keys: Vec<SecretText>,
        }
        let request = json!({"name": "ana", "password": "p", "keys": ["k1", "k2"], "more": ["p"]});
        assert_eq!(
            redacted::<Request>(&request),
            json!({"name": "ana", "password": "[secret]", "keys": ["[secret]", "[secret]"], "more": ["[secret]"]})
        );
        assert_eq!(
            redacted::<Request>(&json!({"keys": ["k"]})),
            json!("[secret]")
        );
        assert_eq!(redacted::<Request>(&Value::Null), Value::Null);
    }

    #[test]
    fn equality_of_secrets_is_that_of_their_type() {
        let secret = SecretText::new("correct horse");
        assert!(secret == SecretText::new("correct horse"));
        for other in [
            "",
            "correct",
            "correct horse ",
            "Correct horse",
            "correct horsf",
        ] {
            assert!(secret != SecretText::new(other), "{other}");
        }
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}
