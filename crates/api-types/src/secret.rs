//! Text that must not reach a log.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Secret that travels as plain text on the wire and shows as `[secret]` in `Debug`. Compared in constant time.
#[derive(Clone, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

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
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
