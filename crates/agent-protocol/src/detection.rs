use serde::{Deserialize, Serialize};

/// Deepest nesting of `all`, `any` and `not` that is accepted.
pub const MAX_RULE_DEPTH: usize = 8;

/// How a desktop tells whether an app is there. Evaluated by the agent alone, before and after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DetectionRule {
    /// A regular file exists at an absolute path (below the sandbox root, where there is one).
    File {
        /// Absolute path on the desktop.
        path: String,
        /// Lower-case hex SHA-256 the content must have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Size in bytes the file must have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
    },
    /// A Debian package is in state `installed`.
    DebianPackage {
        /// Package name.
        name: String,
        /// Exact version it must have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// All of the rules hold (at least one).
    All(Vec<DetectionRule>),
    /// At least one of the rules holds.
    Any(Vec<DetectionRule>),
    /// The rule does not hold.
    Not(Box<DetectionRule>),
}

impl DetectionRule {
    /// Whether the rule, when true, can only be true of one content: a digest or an exact version.
    /// Only such a rule proves "already installed" for a new revision (contract, section 3, Revisions).
    pub fn pins_version(&self) -> bool {
        match self {
            Self::File { sha256, .. } => sha256.is_some(),
            Self::DebianPackage { version, .. } => version.is_some(),
            Self::All(rules) => rules.iter().any(Self::pins_version),
            Self::Any(rules) => !rules.is_empty() && rules.iter().all(Self::pins_version),
            Self::Not(_) => false,
        }
    }

    /// The rule that is true as long as the app is there in *any* version or content: what has to be false before
    /// the app counts as gone. What a `not` denies stays as it is.
    #[must_use]
    pub fn of_any_version(&self) -> Self {
        let each = |rules: &[Self]| rules.iter().map(Self::of_any_version).collect();
        match self {
            Self::File { path, .. } => Self::File {
                path: path.clone(),
                sha256: None,
                size_bytes: None,
            },
            Self::DebianPackage { name, .. } => Self::DebianPackage {
                name: name.clone(),
                version: None,
            },
            Self::All(rules) => Self::All(each(rules)),
            Self::Any(rules) => Self::Any(each(rules)),
            Self::Not(rule) => Self::Not(rule.clone()),
        }
    }

    /// What is wrong with the rule, in words for the person who wrote it. `None` when nothing is.
    pub fn problem(&self) -> Option<String> {
        self.problem_at(0)
    }

    fn problem_at(&self, depth: usize) -> Option<String> {
        if depth >= MAX_RULE_DEPTH {
            return Some(format!("rules may be nested at most {MAX_RULE_DEPTH} deep"));
        }
        match self {
            Self::File { path, sha256, .. } => {
                if !is_absolute(path) || path.split(['/', '\\']).any(|part| part == "..") {
                    return Some(format!("path {path:?} must be absolute, without `..`"));
                }
                match sha256 {
                    Some(digest)
                        if digest.len() != 64
                            || !digest
                                .bytes()
                                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
                    {
                        Some("sha256 must be 64 lower-case hex digits".to_owned())
                    }
                    _ => None,
                }
            }
            Self::DebianPackage { name, .. } => (name.is_empty()
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b)))
            .then(|| format!("{name:?} is no Debian package name")),
            Self::All(rules) | Self::Any(rules) => {
                if rules.is_empty() {
                    return Some("a list of rules needs at least one".to_owned());
                }
                rules.iter().find_map(|rule| rule.problem_at(depth + 1))
            }
            Self::Not(rule) => rule.problem_at(depth + 1),
        }
    }
}

fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || (bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/'))
        || path.starts_with('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb(version: Option<&str>) -> DetectionRule {
        DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: version.map(str::to_owned),
        }
    }

    #[test]
    fn a_rule_pins_the_version_only_when_it_can_be_true_of_one_content() {
        assert!(deb(Some("1.0")).pins_version());
        assert!(!deb(None).pins_version());
        assert!(DetectionRule::All(vec![deb(None), deb(Some("1"))]).pins_version());
        assert!(!DetectionRule::Any(vec![deb(None), deb(Some("1"))]).pins_version());
        assert!(!DetectionRule::Not(Box::new(deb(Some("1")))).pins_version());
    }

    #[test]
    fn a_rule_of_any_version_asks_for_no_content() {
        let file = DetectionRule::File {
            path: "/opt/x".to_owned(),
            sha256: Some("a".repeat(64)),
            size_bytes: Some(1),
        };
        let not = DetectionRule::Not(Box::new(deb(Some("0.9"))));
        let rule = DetectionRule::All(vec![
            deb(Some("1.0")),
            DetectionRule::Any(vec![file]),
            not.clone(),
        ]);
        let bare = DetectionRule::File {
            path: "/opt/x".to_owned(),
            sha256: None,
            size_bytes: None,
        };
        assert_eq!(
            rule.of_any_version(),
            DetectionRule::All(vec![deb(None), DetectionRule::Any(vec![bare]), not])
        );
        assert!(!rule.of_any_version().pins_version());
    }

    #[test]
    fn bad_rules_say_what_is_wrong() {
        let climbing = DetectionRule::File {
            path: "/opt/../etc/passwd".to_owned(),
            sha256: None,
            size_bytes: None,
        };
        assert!(climbing.problem().is_some_and(|text| text.contains("..")));
        assert!(DetectionRule::All(vec![]).problem().is_some());
        let mut deep = deb(None);
        for _ in 0..MAX_RULE_DEPTH {
            deep = DetectionRule::Not(Box::new(deep));
        }
        assert!(deep.problem().is_some_and(|text| text.contains("nested")));
        assert_eq!(deb(Some("1")).problem(), None);
    }
}
