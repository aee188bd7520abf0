use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::document::{Effect, PolicyDocument, Statement};

/// A policy that comes with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyMadePolicy {
    /// Everything.
    Administrator,
    /// What shows and changes nothing.
    ReadOnly,
}

static ADMINISTRATOR: LazyLock<PolicyDocument> = LazyLock::new(|| allow(&["*"]));

/// The verbs are those that the contract's reading actions begin with. Whoever was refused may read why,
/// hence the last one.
static READ_ONLY: LazyLock<PolicyDocument> = LazyLock::new(|| {
    allow(&[
        "workspace:*:get*",
        "workspace:*:list*",
        "workspace:*:show*",
        "outfitter:*:get*",
        "outfitter:*:list*",
        "outfitter:*:show*",
        "sts::decodeAuthorizationMessage",
    ])
});

impl ReadyMadePolicy {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Administrator, Self::ReadOnly];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::ReadOnly => "read-only",
        }
    }

    /// Reads the name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|policy| policy.as_str() == text)
    }

    /// What it says.
    pub fn document(self) -> &'static PolicyDocument {
        match self {
            Self::Administrator => &ADMINISTRATOR,
            Self::ReadOnly => &READ_ONLY,
        }
    }
}

fn allow(actions: &[&str]) -> PolicyDocument {
    let statement = Statement {
        effect: Effect::Allow,
        action: actions.iter().map(|&action| action.to_owned()).collect(),
        resource: None,
    };
    PolicyDocument::new("1.1".to_owned(), vec![statement])
        .expect("the ready-made policies keep the bounds of documents")
}

#[cfg(test)]
mod tests {
    use super::super::{AccessRequest, evaluate};
    use super::*;

    fn allows(policy: ReadyMadePolicy, action: &str) -> bool {
        let request = AccessRequest {
            action,
            resource: None,
        };
        evaluate([policy.document()], request).is_allowed()
    }

    #[test]
    fn reading_actions_of_the_contract_are_read_only() {
        for action in [
            "workspace:appcenter:getRuleRestriction",
            "workspace:appcenter:listAppAuthorizations",
            "workspace:appcenter:listAppCatalogs",
            "workspace:appcenter:listAppRule",
            "workspace:appcenter:listApps",
            "workspace:appcenter:listJobs",
            "workspace:appcenter:listTenantProfiles",
            "workspace:desktops:get",
            "workspace:desktops:list",
            "workspace:desktops:listByTags",
            "workspace:jobs:listSubJobs",
            "workspace:userGroups:listUsers",
            "workspace:users:get",
            "outfitter:deployments:get",
            "outfitter:enrollmentTokens:list",
        ] {
            assert!(allows(ReadyMadePolicy::ReadOnly, action), "{action}");
            assert!(allows(ReadyMadePolicy::Administrator, action), "{action}");
        }
    }

    #[test]
    fn changing_actions_are_for_administrators() {
        for action in [
            "workspace:appcenter:addRestrictedRule",
            "workspace:appcenter:batchInstallApps",
            "workspace:appcenter:createBucketCredential",
            "workspace:appcenter:setRuleRestriction",
            "workspace:appcenter:retryJobs",
            "workspace:desktops:batchInstallAgents",
            "workspace:desktops:tag",
            "workspace:jobs:deleteSubJobRecords",
            "workspace:userGroups:operate",
            "outfitter:enrollmentTokens:create",
            "outfitter:accessKeys:delete",
        ] {
            assert!(!allows(ReadyMadePolicy::ReadOnly, action), "{action}");
            assert!(allows(ReadyMadePolicy::Administrator, action), "{action}");
        }
    }

    #[test]
    fn names_read_back() {
        for policy in ReadyMadePolicy::ALL {
            assert_eq!(ReadyMadePolicy::parse(policy.as_str()), Some(*policy));
        }
        assert_eq!(ReadyMadePolicy::parse("Administrator"), None);
    }
}
