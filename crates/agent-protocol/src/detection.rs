use serde::{Deserialize, Serialize};

/// Deepest nesting of `all`, `any` and `not` that is accepted.
pub const MAX_RULE_DEPTH: usize = 8;

/// Largest rule, in bytes of JSON: it travels twice in a receipt.
pub const MAX_RULE_BYTES: usize = 16 * 1024;

/// Longest time a script of a rule may be given, in seconds; a detection is a question, not an installation.
pub const MAX_SCRIPT_SECS: u32 = 300;

/// Time a script has when its rule names none, in seconds.
pub const SCRIPT_SECS: u32 = 60;

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
    /// An RPM package is installed.
    RpmPackage {
        /// Package name.
        name: String,
        /// Exact version it must have: `VERSION-RELEASE`, with `EPOCH:` in front where the epoch is not 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// A script ends with one of these exit codes. It runs under the agent's supervisor, in the environment of
    /// installers.
    Script {
        /// What `/bin/sh` is given (PowerShell on Windows).
        script: String,
        /// Exit codes that mean that the app is there.
        #[serde(default = "zero")]
        exit_codes: Vec<i32>,
        /// Longest run, in seconds; `None`: [`SCRIPT_SECS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_limit_secs: Option<u32>,
    },
    /// A value stands in the Windows registry.
    RegistryValue {
        /// Key with its root: `HKLM\Software\...`.
        key: String,
        /// Name of the value; `None`: the key alone must be there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What it must be, as text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// Windows Installer has a product.
    MsiProduct {
        /// Product code, a GUID in braces.
        product_code: String,
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
            Self::DebianPackage { version, .. }
            | Self::RpmPackage { version, .. }
            | Self::MsiProduct { version, .. } => version.is_some(),
            // What a script or a value of the registry is about, nobody can tell.
            Self::Script { .. } | Self::RegistryValue { .. } => false,
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
            Self::RpmPackage { name, .. } => Self::RpmPackage {
                name: name.clone(),
                version: None,
            },
            Self::MsiProduct { product_code, .. } => Self::MsiProduct {
                product_code: product_code.clone(),
                version: None,
            },
            Self::RegistryValue { key, name, .. } => Self::RegistryValue {
                key: key.clone(),
                name: name.clone(),
                data: None,
            },
            Self::Script { .. } => self.clone(),
            Self::All(rules) => Self::All(each(rules)),
            Self::Any(rules) => Self::Any(each(rules)),
            Self::Not(rule) => Self::Not(rule.clone()),
        }
    }

    /// What is wrong with the rule, in words for the person who wrote it. `None` when nothing is.
    pub fn problem(&self) -> Option<String> {
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_RULE_BYTES {
            return Some(format!(
                "a rule may have at most {MAX_RULE_BYTES} bytes as JSON"
            ));
        }
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
            Self::RpmPackage { name, version } => {
                let is_name = !name.is_empty()
                    && !name.starts_with('-')
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
                if !is_name {
                    return Some(format!("{name:?} is no RPM package name"));
                }
                match version {
                    Some(version) if !is_rpm_version(version) => Some(format!(
                        "version {version:?} must be VERSION-RELEASE, as `rpm -q` shows it"
                    )),
                    _ => None,
                }
            }
            Self::Script {
                script,
                exit_codes,
                time_limit_secs,
            } => {
                if script.trim().is_empty() || script.contains('\0') {
                    return Some("script must not be blank".to_owned());
                }
                if exit_codes.is_empty() {
                    return Some("exit_codes needs at least one".to_owned());
                }
                time_limit_secs
                    .is_some_and(|secs| secs == 0 || secs > MAX_SCRIPT_SECS)
                    .then(|| format!("time_limit_secs must be 1 to {MAX_SCRIPT_SECS}"))
            }
            Self::RegistryValue { key, name, data } => {
                let (root, path) = key.split_once('\\').unwrap_or((key, ""));
                if !REGISTRY_ROOTS.contains(&root.to_ascii_uppercase().as_str())
                    || path.trim_matches('\\').is_empty()
                {
                    return Some(format!(
                        "key {key:?} must begin with one of {} and name a key below it",
                        REGISTRY_ROOTS.join(", ")
                    ));
                }
                (data.is_some() && name.is_none())
                    .then(|| "data needs the name of its value".to_owned())
            }
            Self::MsiProduct {
                product_code,
                version,
            } => {
                if !is_guid_in_braces(product_code) {
                    return Some(format!(
                        "product_code {product_code:?} must be a GUID in braces"
                    ));
                }
                match version {
                    Some(version)
                        if !version.split('.').all(|part| {
                            !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
                        }) =>
                    {
                        Some(format!(
                            "version {version:?} must be numbers with dots between"
                        ))
                    }
                    _ => None,
                }
            }
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

/// Roots that the system's account sees the same as everybody. Source: Microsoft, Predefined Keys.
const REGISTRY_ROOTS: &[&str] = &[
    "HKLM",
    "HKEY_LOCAL_MACHINE",
    "HKCR",
    "HKEY_CLASSES_ROOT",
    "HKU",
    "HKEY_USERS",
];

fn zero() -> Vec<i32> {
    vec![0]
}

/// `[EPOCH:]VERSION-RELEASE`. Source: rpm-version(7).
fn is_rpm_version(text: &str) -> bool {
    let rest = match text.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) && !epoch.is_empty() => {
            rest
        }
        Some(_) => return false,
        None => text,
    };
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._+~^".contains(&b))
    };
    rest.split_once('-')
        .is_some_and(|(version, release)| is_part(version) && is_part(release))
}

fn is_guid_in_braces(text: &str) -> bool {
    let Some(guid) = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) else {
        return false;
    };
    let parts: Vec<&str> = guid.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
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
    fn rules_of_every_kind_are_checked_for_sense() {
        let read = |json: &str| serde_json::from_str::<DetectionRule>(json).expect("a rule");
        for (json, pins) in [
            (
                r#"{"rpm_package":{"name":"hello","version":"2.10-3.el9"}}"#,
                true,
            ),
            (
                r#"{"rpm_package":{"name":"gtk3+","version":"1:2.10-3"}}"#,
                true,
            ),
            (r#"{"rpm_package":{"name":"hello"}}"#, false),
            (r#"{"script":{"script":"test -e /opt/x"}}"#, false),
            (
                r#"{"script":{"script":"exit 3","exit_codes":[3],"time_limit_secs":300}}"#,
                false,
            ),
            (
                r#"{"registry_value":{"key":"HKLM\\Software\\X","name":"V","data":"1"}}"#,
                false,
            ),
            (
                r#"{"msi_product":{"product_code":"{01234567-89ab-CDEF-0123-456789abcdef}","version":"1.2.3"}}"#,
                true,
            ),
        ] {
            let rule = read(json);
            assert_eq!(rule.problem(), None, "{json}");
            assert_eq!(rule.pins_version(), pins, "{json}");
            assert!(!rule.of_any_version().pins_version(), "{json}");
        }
        for (json, words) in [
            (r#"{"rpm_package":{"name":"a b"}}"#, "no RPM package name"),
            (
                r#"{"rpm_package":{"name":"--root=/"}}"#,
                "no RPM package name",
            ),
            (
                r#"{"rpm_package":{"name":"a","version":"1.0"}}"#,
                "VERSION-RELEASE",
            ),
            (r#"{"script":{"script":" \n"}}"#, "blank"),
            (
                r#"{"script":{"script":"true","exit_codes":[]}}"#,
                "at least one",
            ),
            (
                r#"{"script":{"script":"true","time_limit_secs":301}}"#,
                "1 to 300",
            ),
            (
                r#"{"registry_value":{"key":"HKCU\\Software\\X"}}"#,
                "must begin with",
            ),
            (r#"{"registry_value":{"key":"HKLM\\"}}"#, "must begin with"),
            (
                r#"{"registry_value":{"key":"HKLM\\X","data":"1"}}"#,
                "name of its value",
            ),
            (r#"{"msi_product":{"product_code":"01234567"}}"#, "GUID"),
            (
                r#"{"msi_product":{"product_code":"{01234567-89ab-CDEF-0123-456789abcdef}","version":"v1"}}"#,
                "numbers",
            ),
        ] {
            let problem = read(json).problem().unwrap_or_default();
            assert!(problem.contains(words), "{json}: {problem}");
        }
        let long = format!(
            r#"{{"script":{{"script":"{}"}}}}"#,
            "x".repeat(MAX_RULE_BYTES)
        );
        assert!(
            read(&long)
                .problem()
                .is_some_and(|text| text.contains("bytes"))
        );
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
