//! App control: rules that say which programs may not run, and the restriction settings. Source: contract,
//! section 7.

use serde::{Deserialize, Serialize};

words! {
    /// What a rule matches by.
    RuleScope {
        /// Signature fields.
        Product = "PRODUCT",
        /// A path and everything below it.
        Path = "PATH",
    }
}

/// Signature fields; all given ones must match, an empty one or `*` matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProductRule {
    /// Which field the rule mainly identifies by, as the caller wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identify_condition: Option<String>,
    /// Signing publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// Process name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_name: Option<String>,
    /// Operating systems, free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_os: Option<String>,
    /// Version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Product version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_version: Option<String>,
}

/// A path without wildcards; it covers everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathRule {
    /// The path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What a rule matches: `scope` picks the member that counts, the other is stored and shown. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRuleBody {
    /// Which member counts.
    pub scope: RuleScope,
    /// Signature fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_rule: Option<ProductRule>,
    /// Path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_rule: Option<PathRule>,
}

/// Why a rule matches nothing or everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppRuleError {
    /// PRODUCT without a field that narrows it.
    #[error(
        "scope PRODUCT needs at least one of publisher, product_name and process_name that is neither empty nor *"
    )]
    ProductMatchesEverything,
    /// PATH without a path.
    #[error("scope PATH needs a path that is not empty")]
    PathMissing,
    /// A wildcard in a path.
    #[error("a path has no *")]
    PathWildcard,
}

impl AppRuleError {
    /// The member that breaks the rule.
    pub const fn field(self) -> &'static str {
        match self {
            Self::ProductMatchesEverything => "rule.product_rule",
            Self::PathMissing | Self::PathWildcard => "rule.path_rule.path",
        }
    }
}

impl AppRuleBody {
    /// Checks that the member that counts narrows what is matched.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn check(&self) -> Result<(), AppRuleError> {
        match self.scope {
            RuleScope::Product => {
                let narrows = |field: &Option<String>| {
                    field
                        .as_deref()
                        .is_some_and(|text| !text.is_empty() && text != "*")
                };
                let product = self.product_rule.as_ref();
                if product.is_some_and(|rule| {
                    narrows(&rule.publisher)
                        || narrows(&rule.product_name)
                        || narrows(&rule.process_name)
                }) {
                    Ok(())
                } else {
                    Err(AppRuleError::ProductMatchesEverything)
                }
            }
            RuleScope::Path => {
                let path = self
                    .path_rule
                    .as_ref()
                    .and_then(|rule| rule.path.as_deref());
                match path {
                    None | Some("") => Err(AppRuleError::PathMissing),
                    Some(path) if path.contains('*') => Err(AppRuleError::PathWildcard),
                    Some(_) => Ok(()),
                }
            }
        }
    }
}

/// How app control works in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restriction {
    /// Master switch.
    pub enabled: bool,
    /// 0: listed programs may not run; the only mode.
    pub control_mode: i64,
    /// Whether desktops check from time to time.
    pub periodic: bool,
    /// Minutes between checks, at least 5.
    pub periodic_interval_minutes: i64,
    /// Whether matching programs that run already are ended.
    pub force_kill: bool,
}

impl Default for Restriction {
    /// The state of a project that never set any (contract, section 7).
    fn default() -> Self {
        Self {
            enabled: false,
            control_mode: 0,
            periodic: false,
            periodic_interval_minutes: 5,
            force_kill: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(publisher: &str) -> AppRuleBody {
        AppRuleBody {
            scope: RuleScope::Product,
            product_rule: Some(ProductRule {
                publisher: Some(publisher.to_owned()),
                ..ProductRule::default()
            }),
            path_rule: None,
        }
    }

    fn path(path: Option<&str>) -> AppRuleBody {
        AppRuleBody {
            scope: RuleScope::Path,
            product_rule: None,
            path_rule: Some(PathRule {
                path: path.map(str::to_owned),
            }),
        }
    }

    #[test]
    fn only_the_member_of_the_scope_counts_and_it_must_narrow() {
        assert_eq!(product("Acme").check(), Ok(()));
        for empty in ["", "*"] {
            assert_eq!(
                product(empty).check(),
                Err(AppRuleError::ProductMatchesEverything)
            );
        }
        assert_eq!(path(Some("C:\\Games")).check(), Ok(()));
        assert_eq!(path(None).check(), Err(AppRuleError::PathMissing));
        assert_eq!(path(Some("")).check(), Err(AppRuleError::PathMissing));
        assert_eq!(
            path(Some("/opt/*")).check(),
            Err(AppRuleError::PathWildcard)
        );
        let other_member = AppRuleBody {
            scope: RuleScope::Path,
            ..product("Acme")
        };
        assert_eq!(other_member.check(), Err(AppRuleError::PathMissing));
    }
}
