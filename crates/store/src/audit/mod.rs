//! The audit log: who did what, written in the transaction that did it.
//!
//! **Guarantees.** Every write transaction that is committed within [`AuditScope::run`] leaves one entry, in the same
//! transaction: what writes there need not think of it. Each entry carries a MAC from the
//! start, so that one that was made or changed beside the servers is found even before it is sealed. One sealer at a
//! time ([`crate::Tx::audit_seal`]) gives entries their place and chains them, and so does it with the results of jobs,
//! whose head is an entry ([`crate::Tx::audit_seal_results`]); [`crate::Db::audit_check`] finds what was changed, removed or
//! moved of both. **Wakes it:** callers; the server's task `audit_seal`. **On a crash** an entry is there exactly when its
//! change is. **Does not** write of work outside a scope, nor hide that entries of the last second and results of the last
//! ten may be removed unnoticed by who may write to the database; see docs/adr/0013-audit.md and 0021.

mod chain;
mod entry;
mod list;
mod results;
mod scope;
mod snapshot;

pub use chain::{AuditChain, AuditCheck, AuditFinding, AuditPruned, AuditSealed};
pub use entry::{
    AuditActor, AuditActorKind, AuditEntry, AuditKey, AuditKind, AuditOutcome, NewAuditEntry,
};
pub use list::{AuditFilter, AuditReach};
pub use results::{AuditResultsCheck, WaitingResults};
pub use scope::{AuditFacts, AuditScope, AuditTarget, NewAuditScope};

pub(crate) use scope::AuditPart;
pub use snapshot::strip_link_secrets;
