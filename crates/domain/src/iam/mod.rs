//! Who may do what: IAM policy documents, the ready-made ones, and the rule that decides.
//!
//! An action is named `service:resource:verb`, as the contract's `x-iam-action` members do; actions of the
//! native routes are `outfitter:resource:verb` in the same style. An explicit Deny wins over every Allow,
//! and what nobody allowed is refused. A document with a member, operator or key that is not known is refused
//! rather than read without it.
//!
//! A call is judged more than once: when only the caller is known, again when its body is, and for a call that
//! may widen authorizations once more when the apps were read. What a step does not know yet is left open
//! ([`Pending`]); the last step leaves nothing open.

pub mod condition;
mod document;
mod evaluate;
mod pattern;
mod ready_made;

pub use condition::{Circumstances, Pending};
pub use document::{Effect, InvalidPolicy, PolicyDocument, Statement};
pub use evaluate::{AccessRequest, Decision, Doubt, Verdict, evaluate};
pub use ready_made::ReadyMadePolicy;
