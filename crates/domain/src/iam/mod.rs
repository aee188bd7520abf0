//! Who may do what: IAM policy documents, the ready-made ones, and the rule that decides.
//!
//! An action is named `service:resource:verb`, as the contract's `x-iam-action` members do; actions of the
//! native routes are `outfitter:resource:verb` in the same style. An explicit Deny wins over every Allow,
//! and what nobody allowed is refused. Conditions are not understood yet, so a document that has one is
//! refused rather than read without it.

mod document;
mod evaluate;
mod pattern;
mod ready_made;

pub use document::{Effect, InvalidPolicy, PolicyDocument, Statement};
pub use evaluate::{AccessRequest, Decision, evaluate};
pub use ready_made::ReadyMadePolicy;
