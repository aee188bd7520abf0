use outfitter_agent_protocol::DetectionRule;

/// Where an app's detection rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    /// From the package; derived again for each revision.
    Derived,
    /// From an administrator; kept by later revisions.
    Written,
}

impl RuleOrigin {
    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Derived => "derived",
            Self::Written => "written",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "derived" => Some(Self::Derived),
            "written" => Some(Self::Written),
            _ => None,
        }
    }
}

/// A detection rule and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRule {
    /// The rule.
    pub rule: DetectionRule,
    /// Where it comes from.
    pub origin: RuleOrigin,
}

impl AppRule {
    /// A rule that was derived from a package.
    pub fn derived(rule: DetectionRule) -> Self {
        Self {
            rule,
            origin: RuleOrigin::Derived,
        }
    }

    /// A rule that an administrator wrote.
    pub fn written(rule: DetectionRule) -> Self {
        Self {
            rule,
            origin: RuleOrigin::Written,
        }
    }
}

/// The rule of a revision that follows another: a written rule is kept, a derived one is derived again from
/// the new package (contract, section 3, Revisions).
pub fn rule_of_new_revision(
    previous: Option<&AppRule>,
    derived: Option<DetectionRule>,
) -> Option<AppRule> {
    match previous {
        Some(rule) if rule.origin == RuleOrigin::Written => Some(rule.clone()),
        Some(_) | None => derived.map(AppRule::derived),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb(version: &str) -> DetectionRule {
        DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: Some(version.to_owned()),
        }
    }

    #[test]
    fn only_a_written_rule_outlives_its_revision() {
        let written = AppRule::written(deb("1"));
        assert_eq!(
            rule_of_new_revision(Some(&written), Some(deb("2"))),
            Some(written.clone())
        );
        assert_eq!(
            rule_of_new_revision(Some(&AppRule::derived(deb("1"))), Some(deb("2"))),
            Some(AppRule::derived(deb("2")))
        );
        // The new package is not known (yet): the old version must not be looked for.
        assert_eq!(
            rule_of_new_revision(Some(&AppRule::derived(deb("1"))), None),
            None
        );
    }
}
