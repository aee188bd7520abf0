//! Deleting old entries of the audit log.

use outfitter_domain::Millis;
use outfitter_store::{
    AuditActor, AuditFacts, AuditKind, AuditOutcome, AuditPruned, NewAuditEntry, StoreError,
};
use serde_json::json;

use crate::services::Services;

/// Entries deleted in one transaction, each of which leaves one entry that says so.
const PAGE: i64 = 2000;

/// What the log calls it.
pub(crate) const PRUNE: &str = "outfitter:audit:prune";

/// Deletes the entries from before an instant, page by page; each page leaves the chain provable and says in an entry
/// of its own what went. Answers how many went, and where the chain begins now.
///
/// # Errors
/// When the database cannot: earlier pages stand.
pub(crate) async fn prune(
    services: &Services,
    before: Millis,
    who: &AuditFacts,
) -> Result<AuditPruned, StoreError> {
    let mut whole = AuditPruned {
        entries: 0,
        cut_sequence: 0,
    };
    loop {
        let now = services.clock.now();
        let tx = services.store.write().await?;
        let page = tx
            .audit_prune(services.audit.key(), before, PAGE, now)
            .await?;
        whole.entries += page.entries;
        whole.cut_sequence = page.cut_sequence;
        if page.entries == 0 {
            return Ok(whole);
        }
        let entry = NewAuditEntry {
            id: services.ids.uuid(now.get()),
            domain: who.domain,
            project: None,
            at: now,
            kind: AuditKind::Retention,
            outcome: AuditOutcome::Done,
            status: None,
            action: PRUNE.to_owned(),
            operation: who.operation.clone(),
            actor: who.actor.clone(),
            on_behalf_of: None,
            address: who.address.clone(),
            request_id: who.request_id.clone(),
            resources: vec!["server:".to_owned()],
            resource_name: None,
            times: 1,
            detail: json!({
                "before": before.get(),
                "deleted": page.entries,
                "deleted_to_sequence": page.cut_sequence,
            }),
        };
        tx.audit_insert(services.audit.key(), entry).await?;
        tx.commit().await?;
    }
}

/// The server itself, as it deletes by age.
pub(crate) fn by_age(now: Millis) -> AuditFacts {
    AuditFacts {
        domain: None,
        project: None,
        at: now,
        action: PRUNE.to_owned(),
        operation: "AuditRetention".to_owned(),
        actor: AuditActor::server(),
        on_behalf_of: None,
        address: None,
        request_id: None,
    }
}
