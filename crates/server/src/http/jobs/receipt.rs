use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outfitter_api_types::native::receipts::{
    AgentRoots, JobReceipt, ReceiptEnvelope, ReceiptSignature, ShowJobReceiptQuery,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::job::{SUCCEEDED, Verification};
use outfitter_ids::JobId;
use outfitter_receipts::{fingerprint, supports};

use super::attempts::{proof, signature};
use crate::Services;
use crate::app::receipts;
use crate::http::{ApiError, Call, Reply};

const RECEIPT: ApiError = ApiError::NotFound { noun: "receipt" };

pub(super) async fn show_job_receipt(
    services: Arc<Services>,
    call: Call<(), ShowJobReceiptQuery>,
) -> Result<Reply<JobReceipt>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let job = match JobId::lookup(call.path("job_id")) {
        Some(id) => db.job_find(project, id).await?,
        None => None,
    }
    .ok_or(ApiError::NotFound { noun: "job" })?;
    let record = db
        .receipt_of_job(job, call.query.attempt)
        .await?
        .ok_or(RECEIPT)?;
    let envelope = receipts::envelope(&record);
    let proven = match (&envelope, record.outcome.as_deref(), record.verification) {
        (Some(_), Some(SUCCEEDED), Verification::Invalid) => {
            Some(outfitter_domain::job::Proof::ReceiptInvalid)
        }
        (Some(envelope), Some(outcome @ SUCCEEDED), _) => envelope
            .statement()
            .ok()
            .and_then(|statement| supports(&statement, outcome).proof),
        _ => None,
    };
    let time = |at: outfitter_domain::Millis| WireTime::from_unix_millis(at.get());
    let signer = record.signer.as_ref();
    let certificates: String = signer
        .into_iter()
        .flat_map(|signer| [&signer.certificate, &signer.issuer])
        .flatten()
        .map(|der| pem(der))
        .collect();
    Ok(Reply::new(JobReceipt {
        project_id: record.project.to_string(),
        desktop_id: record.desktop.to_string(),
        desktop_name: record.desktop_name.clone(),
        job_id: record.job.to_string(),
        attempt_id: record.attempt.to_string(),
        attempt_number: record.number,
        outcome: record.outcome.clone(),
        proof: proven.map(proof),
        signature: signature(record.verification),
        signature_problem: record.problem.clone(),
        leased_at: time(record.leased_at),
        received_at: time(record.received_at),
        revoked_at: signer.and_then(|signer| signer.revoked_at).map(time),
        envelope: envelope.map(|envelope| ReceiptEnvelope {
            payload_type: envelope.payload_type,
            payload: envelope.payload,
            signatures: envelope
                .signatures
                .into_iter()
                .map(|one| ReceiptSignature {
                    keyid: one.keyid,
                    sig: one.sig,
                })
                .collect(),
        }),
        certificates_pem: Some(certificates).filter(|pem| !pem.is_empty()),
    }))
}

pub(super) async fn show_agent_roots(
    services: Arc<Services>,
    _: Call<(), ()>,
) -> Result<Reply<AgentRoots>, ApiError> {
    Ok(Reply::new(AgentRoots {
        roots_pem: services.authority.get().roots_pem().to_owned(),
        fingerprints: receipts::roots(&services)
            .iter()
            .map(|root| hex::encode(fingerprint(root)))
            .collect(),
    }))
}

/// A certificate as PEM. Source: RFC 7468, lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
