//! What verifying receipts says, and what follows from it.
//!
//! Guarantees: a receipt that does not hold is noted, takes the proof from its job, and leaves an entry in the audit log,
//! all in one transaction.

use std::sync::Arc;

use outfitter_agent_protocol::{Envelope, RECEIPT_TYPE};
use outfitter_domain::Millis;
use outfitter_domain::job::SUCCEEDED;
use outfitter_receipts::{Certificates, ReceiptError, Subject, Window, about, supports, verify};
use outfitter_store::{
    AttemptKey, AuditActor, AuditKind, AuditOutcome, NewAuditEntry, ReceiptRecord, StoreError,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use crate::services::Services;

/// What the audit log calls it.
const REFUSE: &str = "outfitter:receipts:refuse";

/// The roots that agents' certificates lead to.
pub(crate) fn roots(services: &Services) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(services.authority.get().roots_pem().as_bytes())
        .filter_map(Result::ok)
        .collect()
}

/// The envelope of a stored receipt; `None`: it came before receipts were signed.
pub(crate) fn envelope(record: &ReceiptRecord) -> Option<Envelope> {
    let statement = record.statement.as_deref()?;
    Some(Envelope::of_text(statement, record.signature.clone()))
}

/// When the attempt was in the agent's hands: until its result arrived, or its certificate was revoked.
pub(crate) fn window(record: &ReceiptRecord) -> Window {
    let revoked_at = record.signer.as_ref().and_then(|signer| signer.revoked_at);
    Window {
        from: record.leased_at,
        to: revoked_at.map_or(record.received_at, |at| at.min(record.received_at)),
    }
}

/// Judges a receipt by everything that the server knows.
///
/// # Errors
/// What is wrong with it.
fn judge(record: &ReceiptRecord, roots: &[CertificateDer<'_>]) -> Result<(), ReceiptError> {
    let envelope = envelope(record).ok_or(ReceiptError::Unsigned)?;
    let signer = record
        .signer
        .as_ref()
        .ok_or(ReceiptError::UnknownCertificate)?;
    if signer.desktop != record.desktop {
        return Err(ReceiptError::About("desktop"));
    }
    let leaf = signer
        .certificate
        .as_deref()
        .ok_or(ReceiptError::UnknownCertificate)?;
    let intermediates: Vec<CertificateDer<'_>> = signer
        .issuer
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let certificates = Certificates {
        leaf,
        intermediates: &intermediates,
        roots,
    };
    let statement = verify(&envelope, certificates, window(record))?;
    about(
        &statement,
        &Subject {
            project: record.project,
            desktop: record.desktop,
            agent: signer.agent,
            job: record.job,
            attempt: record.attempt,
            task: &record.task,
        },
    )?;
    // Failures may be the server's own (its clocks); a success is the agent's word or nothing.
    if record.outcome.as_deref() == Some(SUCCEEDED) && !supports(&statement, SUCCEEDED).carries {
        return Err(ReceiptError::About("end"));
    }
    Ok(())
}

/// What verifying some receipts said.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    hold: Vec<AttemptKey>,
    refused: Vec<(ReceiptRecord, String)>,
}

/// Judges receipts.
pub(crate) fn judge_all(records: Vec<ReceiptRecord>, roots: &[CertificateDer<'_>]) -> Judged {
    let mut judged = Judged::default();
    for record in records {
        match judge(&record, roots) {
            Ok(()) => judged.hold.push(record.attempt_key),
            Err(error) => judged.refused.push((record, error.to_string())),
        }
    }
    judged
}

/// Writes down what was said: those that hold at once, each other one with its entry in the audit log.
///
/// # Errors
/// When the database cannot.
pub(crate) async fn write_down(services: &Arc<Services>, judged: Judged) -> Result<(), StoreError> {
    let now = services.clock.now();
    if !judged.hold.is_empty() {
        let tx = services.store.write().await?;
        tx.receipts_hold(&judged.hold, now).await?;
        tx.commit().await?;
    }
    for (record, problem) in judged.refused {
        tracing::error!(
            desktop.name = record.desktop_name,
            job.id = %record.job,
            attempt.id = %record.attempt,
            problem,
            "a receipt does not verify"
        );
        let tx = services.store.write().await?;
        if tx.receipt_refute(&record, &problem, now).await? {
            tx.audit_insert(
                services.audit.key(),
                entry(services, &record, &problem, now),
            )
            .await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

fn entry(services: &Services, record: &ReceiptRecord, problem: &str, now: Millis) -> NewAuditEntry {
    NewAuditEntry {
        id: services.ids.uuid(now.get()),
        domain: Some(record.domain_key),
        project: Some(record.project_key),
        at: now,
        kind: AuditKind::Refusal,
        outcome: AuditOutcome::Refused,
        status: None,
        action: REFUSE.to_owned(),
        operation: "VerifyReceipt".to_owned(),
        actor: AuditActor::server(),
        on_behalf_of: None,
        address: None,
        request_id: None,
        resources: vec![
            format!("job:{}", record.job),
            format!("desktop:{}", record.desktop),
        ],
        resource_name: Some(record.desktop_name.clone()),
        times: 1,
        detail: json!({
            "reason": format!("the receipt of attempt {} does not verify: {problem}", record.number),
            "attempt": record.attempt.to_string(),
            "outcome": record.outcome,
            "payload_type": RECEIPT_TYPE,
            "certificate_sha256": record.signature.as_ref().map(|signature| &signature.keyid),
        }),
    }
}
