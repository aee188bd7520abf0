//! Text that clients may also send as a JSON integer; kept as text. Source: semantics.md section 3,
//! `catalog_id`.

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrInteger {
    Text(String),
    Integer(serde_json::Number),
}

impl From<TextOrInteger> for String {
    fn from(value: TextOrInteger) -> Self {
        match value {
            TextOrInteger::Text(text) => text,
            TextOrInteger::Integer(number) => number.to_string(),
        }
    }
}

pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    TextOrInteger::deserialize(deserializer).map(String::from)
}

pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Option::<TextOrInteger>::deserialize(deserializer).map(|value| value.map(String::from))
}
