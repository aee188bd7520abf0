use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::condition::{Operator, WIDENS_AUTHORIZATION};
use super::document::{Effect, PolicyDocument, Statement};

/// A policy that comes with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadyMadePolicy {
    /// Everything.
    Administrator,
    /// The catalogue, authorizations and installations; neither users of the directory nor IAM.
    AppOperator,
    /// Installs what a user may have already, and tries again; opens nothing to anyone.
    HelpDesk,
    /// What shows and changes nothing.
    ReadOnly,
}

static ADMINISTRATOR: LazyLock<PolicyDocument> = LazyLock::new(|| allow(&["*"]));

/// The verbs are those that the contract's reading actions begin with. Whoever was refused may read why,
/// hence the last one.
const READING: &[&str] = &[
    "workspace:*:get*",
    "workspace:*:list*",
    "workspace:*:show*",
    "outfitter:*:get*",
    "outfitter:*:list*",
    "outfitter:*:show*",
    "sts::decodeAuthorizationMessage",
];

static READ_ONLY: LazyLock<PolicyDocument> = LazyLock::new(|| allow(READING));

static APP_OPERATOR: LazyLock<PolicyDocument> = LazyLock::new(|| {
    allow(
        &[
            READING,
            &[
                "workspace:appcenter:*",
                "workspace:desktops:batchInstallAgents",
                "workspace:jobs:*",
                "outfitter:apps:*",
                "outfitter:packages:*",
                "outfitter:deployments:*",
                "outfitter:jobs:*",
            ],
        ]
        .concat(),
    )
});

static HELP_DESK: LazyLock<PolicyDocument> = LazyLock::new(|| {
    let installs = Statement {
        condition: Some(BTreeMap::from([(
            Operator::Bool,
            BTreeMap::from([(WIDENS_AUTHORIZATION.to_owned(), vec!["false".to_owned()])]),
        )])),
        ..statement(&[
            "workspace:appcenter:batchInstallApps",
            "workspace:appcenter:installApp",
        ])
    };
    let rest = statement(
        &[
            READING,
            &[
                "workspace:appcenter:retryJobs",
                "workspace:desktops:batchInstallAgents",
                "workspace:jobs:retry",
            ],
        ]
        .concat(),
    );
    document(vec![rest, installs])
});

impl ReadyMadePolicy {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Administrator,
        Self::AppOperator,
        Self::HelpDesk,
        Self::ReadOnly,
    ];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::AppOperator => "app-operator",
            Self::HelpDesk => "help-desk",
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

    /// What it is for, in words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Administrator => "Everything",
            Self::AppOperator => "The catalogue, authorizations and installations",
            Self::HelpDesk => "Installs what a user may have already, and tries again",
            Self::ReadOnly => "Reads everything and changes nothing",
        }
    }

    /// What it says.
    pub fn document(self) -> &'static PolicyDocument {
        match self {
            Self::Administrator => &ADMINISTRATOR,
            Self::AppOperator => &APP_OPERATOR,
            Self::HelpDesk => &HELP_DESK,
            Self::ReadOnly => &READ_ONLY,
        }
    }
}

fn allow(actions: &[&str]) -> PolicyDocument {
    document(vec![statement(actions)])
}

fn statement(actions: &[&str]) -> Statement {
    Statement {
        effect: Effect::Allow,
        action: actions.iter().map(|&action| action.to_owned()).collect(),
        resource: None,
        condition: None,
    }
}

fn document(statements: Vec<Statement>) -> PolicyDocument {
    PolicyDocument::new("1.1".to_owned(), statements)
        .expect("the ready-made policies keep the bounds of documents")
}

#[cfg(test)]
mod tests {
    use super::super::{AccessRequest, Circumstances, Doubt, Pending, evaluate};
    use super::*;
    use crate::Millis;

    fn allows_when(policy: ReadyMadePolicy, action: &str, facts: &[(&str, &str)]) -> bool {
        let circumstances = Circumstances {
            source: "192.0.2.1".parse().unwrap(),
            now: Millis::new(0),
            facts: facts
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            pending: Pending::Nothing,
        };
        let request = AccessRequest {
            action,
            resource: None,
            circumstances: &circumstances,
        };
        evaluate([policy.document()], request, Doubt::Refuses)
            .decision
            .is_allowed()
    }

    fn allows(policy: ReadyMadePolicy, action: &str) -> bool {
        allows_when(policy, action, &[])
    }

    #[test]
    fn a_help_desk_installs_and_opens_nothing() {
        let desk = ReadyMadePolicy::HelpDesk;
        let install = "workspace:appcenter:batchInstallApps";
        assert!(allows_when(
            desk,
            install,
            &[(WIDENS_AUTHORIZATION, "false")]
        ));
        assert!(!allows_when(
            desk,
            install,
            &[(WIDENS_AUTHORIZATION, "true")]
        ));
        assert!(allows(desk, "workspace:appcenter:retryJobs"));
        for action in [
            "workspace:appcenter:batchUpdateAppAuthorizations",
            "workspace:appcenter:createApp",
            "workspace:users:create",
            "outfitter:iamUsers:create",
        ] {
            assert!(!allows(desk, action), "{action}");
        }
    }

    #[test]
    fn an_app_operator_runs_the_app_center_and_nothing_else() {
        for action in [
            "workspace:appcenter:createApp",
            "workspace:appcenter:batchUpdateAppAuthorizations",
            "outfitter:packages:upload",
            "outfitter:apps:setDetectionRule",
            "workspace:users:list",
        ] {
            assert!(allows(ReadyMadePolicy::AppOperator, action), "{action}");
        }
        for action in [
            "workspace:users:create",
            "workspace:desktops:delete",
            "outfitter:iamUsers:create",
            "outfitter:accessKeys:create",
            "outfitter:enrollmentTokens:create",
        ] {
            assert!(!allows(ReadyMadePolicy::AppOperator, action), "{action}");
        }
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
