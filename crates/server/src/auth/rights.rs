//! What a caller may do, and why not: the policies a caller holds, put to the evaluator of the domain.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use outfitter_domain::Millis;
use outfitter_domain::iam::condition::{USER_NAME, WIDENS_AUTHORIZATION};
use outfitter_domain::iam::{
    AccessRequest, Circumstances, Decision, Doubt, Pending, PolicyDocument, Statement, evaluate,
};
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use serde::{Deserialize, Serialize};

/// Name under which the policy of a temporary credential appears as the deciding one.
const SESSION_POLICY: &str = "policy of the temporary credential";

/// A policy that counts for a caller.
#[derive(Debug, Clone)]
pub struct HeldPolicy {
    /// Its name.
    pub name: String,
    /// The group that brings it.
    pub through: Option<String>,
    /// What it says.
    pub document: Cow<'static, PolicyDocument>,
}

/// Who asks, as refusals name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub domain: DomainId,
    /// The IAM user.
    pub user: IamUserId,
    /// The user's name.
    pub user_name: String,
}

/// What a caller may do in one project or, without a project, in the domain.
#[derive(Debug, Clone)]
pub struct Rights {
    pub(crate) principal: Principal,
    pub(crate) project: Option<ProjectId>,
    pub(crate) held: Vec<HeldPolicy>,
    /// Narrows what is held: both must allow.
    pub(crate) session: Option<Arc<PolicyDocument>>,
    pub(crate) source: IpAddr,
    pub(crate) now: Millis,
}

/// May this be done?
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The action.
    pub action: &'a str,
    /// What it is done to; `None` for everything in the project.
    pub resource: Option<&'a str>,
    /// What is known of the call.
    pub facts: &'a BTreeMap<String, String>,
    /// What will be known later.
    pub pending: Pending,
    /// How what is open counts.
    pub doubt: Doubt,
}

/// Why something may not be done. This is what `encoded_authorization_message` seals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRefusal {
    /// The account of the caller; only the same account may read the message.
    pub domain_id: String,
    /// The project, where the call named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Who was refused.
    pub user_id: String,
    /// Their name.
    pub user_name: String,
    /// What was attempted.
    pub action: String,
    /// On what; absent for everything in the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Whether a statement denies it; otherwise none allows it.
    pub explicit_deny: bool,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The statement that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<Statement>,
    /// All that in a sentence.
    pub reason: String,
}

/// How a question was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The decision.
    pub decision: Decision,
    /// What decided; `None` when no statement speaks of it.
    pub by: Option<DecidingStatement>,
}

/// The statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidingStatement {
    /// Name of its policy.
    pub policy: String,
    /// The group that brings the policy.
    pub through: Option<String>,
    /// Its place in the policy, from 1.
    pub number: usize,
    /// What it says.
    pub statement: Statement,
}

impl Rights {
    /// Whether nothing is held: no policy counts here.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether some policy looks at the tags of desktops.
    pub fn asks_for_tags(&self) -> bool {
        self.held
            .iter()
            .map(|held| held.document.as_ref())
            .chain(self.session.as_deref())
            .any(PolicyDocument::asks_for_tags)
    }

    /// Decides.
    pub fn rule(&self, question: &Question<'_>) -> Ruling {
        let circumstances = Circumstances {
            source: self.source,
            now: self.now,
            facts: {
                let mut facts = question.facts.clone();
                facts.insert(USER_NAME.to_owned(), self.principal.user_name.clone());
                facts
            },
            pending: question.pending,
        };
        let request = AccessRequest {
            action: question.action,
            resource: question.resource,
            circumstances: &circumstances,
        };
        let held = evaluate(
            self.held.iter().map(|held| held.document.as_ref()),
            request,
            question.doubt,
        );
        let by = held.by.map(|(place, number)| {
            let policy = &self.held[place];
            DecidingStatement {
                policy: policy.name.clone(),
                through: policy.through.clone(),
                number: number + 1,
                statement: policy.document.statements()[number].clone(),
            }
        });
        let ruling = Ruling {
            decision: held.decision,
            by,
        };
        match (&self.session, ruling.decision) {
            (Some(session), Decision::Allowed) => {
                let narrowed = evaluate([session.as_ref()], request, question.doubt);
                match narrowed.decision {
                    Decision::Allowed => ruling,
                    decision => Ruling {
                        decision,
                        by: narrowed.by.map(|(_, number)| DecidingStatement {
                            policy: SESSION_POLICY.to_owned(),
                            through: None,
                            number: number + 1,
                            statement: session.statements()[number].clone(),
                        }),
                    },
                }
            }
            _ => ruling,
        }
    }

    /// Whether it may be done.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, question: &Question<'_>) -> Result<(), Box<PolicyRefusal>> {
        let ruling = self.rule(question);
        if ruling.decision.is_allowed() {
            return Ok(());
        }
        let Principal {
            domain,
            user,
            user_name,
        } = &self.principal;
        let action = question.action;
        let what = question
            .resource
            .map_or_else(|| action.to_owned(), |name| format!("{action} on {name}"));
        let explicit_deny = ruling.decision == Decision::Denied;
        let (policy, statement) = ruling.by.map(|by| (by.policy, by.statement)).unzip();
        let reason = match &policy {
            Some(policy) => {
                format!("{user_name} may not {what}: a statement of {policy} denies it")
            }
            None => format!("{user_name} may not {what}: no statement allows it"),
        };
        Err(Box::new(PolicyRefusal {
            domain_id: domain.to_string(),
            project_id: self.project.map(|id| id.to_string()),
            user_id: user.to_string(),
            user_name: user_name.clone(),
            action: action.to_owned(),
            resource: question.resource.map(str::to_owned),
            explicit_deny,
            policy,
            statement,
            reason,
        }))
    }

    /// Whether an action is allowed on everything, nothing else being known.
    ///
    /// # Errors
    /// Why not.
    pub fn check_action(&self, action: &str) -> Result<(), Box<PolicyRefusal>> {
        self.check(&Question {
            action,
            resource: None,
            facts: &BTreeMap::new(),
            pending: Pending::Nothing,
            doubt: Doubt::Refuses,
        })
    }
}

/// Whether a call lets somebody have an app who might not have had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widening {
    /// It does.
    Widens,
    /// It does not.
    Keeps,
}

impl Widening {
    /// From a fact.
    pub const fn when(widens: bool) -> Self {
        if widens { Self::Widens } else { Self::Keeps }
    }
}

/// A check that waits until it is known whether the call widens authorizations. Who may widen them has the last
/// word inside the transaction that does, by [`WideningCheck::settle`].
#[derive(Debug, Clone)]
pub struct WideningCheck {
    pub(crate) rights: Rights,
    pub(crate) action: &'static str,
    pub(crate) facts: BTreeMap<String, String>,
    /// What the call names; empty means everything.
    pub(crate) resources: Vec<String>,
}

impl WideningCheck {
    /// Checks once more, with everything known.
    ///
    /// # Errors
    /// Why not: the transaction must be dropped.
    pub fn settle(&self, widening: Widening) -> Result<(), Box<PolicyRefusal>> {
        let mut facts = self.facts.clone();
        let word = match widening {
            Widening::Widens => "true",
            Widening::Keeps => "false",
        };
        facts.insert(WIDENS_AUTHORIZATION.to_owned(), word.to_owned());
        let ask = |resource| {
            self.rights.check(&Question {
                action: self.action,
                resource,
                facts: &facts,
                pending: Pending::Nothing,
                doubt: Doubt::Refuses,
            })
        };
        if self.resources.is_empty() {
            return ask(None);
        }
        self.resources
            .iter()
            .try_for_each(|resource| ask(Some(resource)))
    }
}
