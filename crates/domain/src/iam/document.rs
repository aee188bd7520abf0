use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::condition::{self, Conditions};

/// Versions of the policy language that are read. Source: the vendor's IAM, 1.1 for custom policies and
/// 5.0 for identity policies; what is read here means the same in both.
const VERSIONS: [&str; 2] = ["1.1", "5.0"];

/// Most statements in one document.
const MAX_STATEMENTS: usize = 64;

/// Most actions, and most resources, in one statement.
const MAX_PATTERNS: usize = 100;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 512;

/// Whether a statement gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Gives what nobody denies.
    Allow,
    /// Takes, whatever is allowed elsewhere.
    Deny,
}

/// One rule of a document. Members that are not known are refused: a condition that is passed over would
/// give more than was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// Gives or takes.
    pub effect: Effect,
    /// Patterns of actions with `*` and `?`.
    pub action: Vec<String>,
    /// Patterns of resources with `*` and `?`; absent means every resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Vec<String>>,
    /// What must be true of the call; absent means nothing further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Conditions>,
}

/// A policy document that kept its bounds when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: String,
    statement: Vec<Statement>,
}

/// Why a text is no policy document.
#[derive(Debug, Error)]
pub enum InvalidPolicy {
    /// Not JSON of the right shape; unknown members too.
    #[error("the policy document cannot be read")]
    Json(#[source] serde_json::Error),
    /// A rule of the language is broken.
    #[error("{member} of the policy document {rule}")]
    Rule {
        /// Which member.
        member: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Unchecked {
    version: String,
    statement: Vec<Statement>,
}

impl TryFrom<Unchecked> for PolicyDocument {
    type Error = InvalidPolicy;

    fn try_from(given: Unchecked) -> Result<Self, InvalidPolicy> {
        Self::new(given.version, given.statement)
    }
}

impl PolicyDocument {
    /// Reads a document.
    ///
    /// # Errors
    /// Malformed JSON, an unknown member or version, no statement or action, or a bound passed: 64
    /// statements, 100 actions or resources in each, 512 bytes a pattern (all ours).
    pub fn parse(json: &str) -> Result<Self, InvalidPolicy> {
        let Unchecked { version, statement } =
            serde_json::from_str(json).map_err(InvalidPolicy::Json)?;
        Self::new(version, statement)
    }

    /// Makes a document from its members.
    ///
    /// # Errors
    /// As [`PolicyDocument::parse`], syntax aside.
    pub fn new(version: String, statement: Vec<Statement>) -> Result<Self, InvalidPolicy> {
        let broken = |member, rule| Err(InvalidPolicy::Rule { member, rule });
        if !VERSIONS.contains(&version.as_str()) {
            return broken("Version", "must be 1.1 or 5.0");
        }
        if !(1..=MAX_STATEMENTS).contains(&statement.len()) {
            return broken("Statement", "must have 1 to 64 entries");
        }
        let fits = |patterns: &[String]| {
            (1..=MAX_PATTERNS).contains(&patterns.len())
                && patterns
                    .iter()
                    .all(|pattern| (1..=MAX_PATTERN_BYTES).contains(&pattern.len()))
        };
        for rule in &statement {
            if !fits(&rule.action) {
                return broken("Action", "must have 1 to 100 entries of 1 to 512 bytes");
            }
            if rule
                .resource
                .as_ref()
                .is_some_and(|resources| !fits(resources))
            {
                return broken("Resource", "must have 1 to 100 entries of 1 to 512 bytes");
            }
            for (operator, keys) in rule.condition.iter().flatten() {
                for (key, values) in keys {
                    if key.len() > MAX_PATTERN_BYTES || !fits(values) {
                        return broken("Condition", "must have 1 to 100 values of 1 to 512 bytes");
                    }
                    if let Some(rule) = condition::problem(*operator, key, values) {
                        return broken("Condition", rule);
                    }
                }
            }
        }
        Ok(Self { version, statement })
    }

    /// Whether some statement looks at the tags of a resource.
    pub fn asks_for_tags(&self) -> bool {
        self.statement
            .iter()
            .flat_map(|rule| rule.condition.iter().flatten())
            .flat_map(|(_, keys)| keys.keys())
            .any(|key| key.starts_with(condition::RESOURCE_TAG))
    }

    /// The rules, in the order written; order has no meaning.
    pub fn statements(&self) -> &[Statement] {
        &self.statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_back_as_written() {
        let json = r#"{"Version":"1.1","Statement":[{"Effect":"Allow","Action":["workspace:*:get*"]},{"Effect":"Deny","Action":["*"],"Resource":["desktop:1"]}]}"#;
        let document = PolicyDocument::parse(json).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), json);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let statement = |text: &str| format!(r#"{{"Version":"1.1","Statement":[{text}]}}"#);
        for json in [
            "".to_owned(),
            "[]".to_owned(),
            r#"{"Version":"1.1","Statement":[]}"#.to_owned(),
            r#"{"Version":"2","Statement":[{"Effect":"Allow","Action":["*"]}]}"#.to_owned(),
            r#"{"Statement":[{"Effect":"Allow","Action":["*"]}]}"#.to_owned(),
            statement(r#"{"Effect":"allow","Action":["*"]}"#),
            statement(r#"{"Effect":"Allow","Action":[]}"#),
            statement(r#"{"Effect":"Allow","Action":[""]}"#),
            statement(r#"{"Effect":"Allow","Action":["*"],"Resource":[]}"#),
            statement(r#"{"Effect":"Allow","NotAction":["*"]}"#),
            statement(
                r#"{"Effect":"Allow","Action":["*"],"Condition":{"StringEquals":{"a":["b"]}}}"#,
            ),
            statement(
                r#"{"Effect":"Allow","Action":["*"],"Condition":{"Equals":{"g:UserName":["b"]}}}"#,
            ),
            statement(
                r#"{"Effect":"Allow","Action":["*"],"Condition":{"IpAddress":{"g:SourceIp":[]}}}"#,
            ),
            statement(&format!(
                r#"{{"Effect":"Allow","Action":["{}"]}}"#,
                "a".repeat(513)
            )),
        ] {
            assert!(PolicyDocument::parse(&json).is_err(), "{json}");
        }
    }
}
