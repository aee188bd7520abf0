//! Verifies receipts: the same for the server, which does it once for each, and for anybody with the root certificate.
//!
//! Guarantees: what [`verify`] answers was signed by the key of a certificate that the authority gave to the agent named
//! in the statement, and that was valid at some moment between the hand-out of the attempt and the arrival of its
//! result. Both moments are by the server's clock; that of the desktop decides nothing. [`about`] compares what was
//! stated with what the server asked; [`supports`] judges whether it carries the end that is claimed.
//! Does not: know revocations (the caller narrows the window), or whether the desktop's owner changed the agent.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

use std::time::Duration;

use outfitter_agent_protocol::Task;
pub use outfitter_agent_protocol::{Envelope, EnvelopeError, EnvelopeSignature, Statement};
use outfitter_domain::Millis;
use outfitter_domain::job::{Proof, Reason, SUCCEEDED, Verdict, judge};
use outfitter_ids::{AgentId, AttemptId, DesktopId, JobId, ProjectId};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// All keys of the authority and of agents are P-256.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[webpki::aws_lc_rs::ECDSA_P256_SHA256];

/// Why a receipt is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Nobody signed it.
    #[error("it is not signed")]
    Unsigned,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] EnvelopeError),
    /// The certificate beside it is another than the one that is named as the signer's.
    #[error("it names another certificate than the one at hand")]
    OtherCertificate,
    /// No certificate of that fingerprint was ever given out.
    #[error("it names a certificate that was never given out")]
    UnknownCertificate,
    /// A certificate cannot be read.
    #[error("a certificate cannot be read: {0}")]
    Certificate(String),
    /// The signature is over other bytes, or by another key.
    #[error("the signature is not that of the device's key over these bytes")]
    Signature,
    /// The certificate was not valid while the attempt went on.
    #[error("the certificate was not valid while the attempt went on")]
    Expired,
    /// The chain does not lead to a trusted root.
    #[error("the certificate does not lead to the authority's root: {0}")]
    Chain(String),
    /// The certificate is another agent's.
    #[error("the certificate is that of agent {0:?}, not of the agent that states it")]
    OtherAgent(String),
    /// It states something about another thing than the one asked about.
    #[error("it is about another {0}")]
    About(&'static str),
}

/// The certificates that a receipt is judged by, DER.
#[derive(Debug, Clone, Copy)]
pub struct Certificates<'a> {
    /// The signer's.
    pub leaf: &'a [u8],
    /// What leads from it to a root.
    pub intermediates: &'a [CertificateDer<'a>],
    /// The roots that are trusted.
    pub roots: &'a [CertificateDer<'a>],
}

/// When the attempt was in the agent's hands, by the server's clock, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// It was handed out.
    pub from: Millis,
    /// Its result arrived.
    pub to: Millis,
}

/// SHA-256 of a certificate (DER): its name in receipts and in the database.
pub fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// Verifies the signature, the signer's certificate and its chain; gives the statement.
///
/// # Errors
/// What is wrong, the first thing of it.
pub fn verify(
    envelope: &Envelope,
    certificates: Certificates<'_>,
    window: Window,
) -> Result<Statement, ReceiptError> {
    let signature = envelope.signature()?.ok_or(ReceiptError::Unsigned)?;
    if signature.certificate_sha256 != fingerprint(certificates.leaf) {
        return Err(ReceiptError::OtherCertificate);
    }
    let text = envelope.text()?;
    let unreadable = |error: &dyn std::fmt::Display| ReceiptError::Certificate(error.to_string());
    let der = CertificateDer::from(certificates.leaf);
    let leaf = EndEntityCert::try_from(&der).map_err(|error| unreadable(&error))?;
    leaf.verify_signature(
        webpki::aws_lc_rs::ECDSA_P256_SHA256,
        &outfitter_agent_protocol::signed_bytes(&envelope.payload_type, text.as_bytes()),
        &signature.bytes,
    )
    .map_err(|_| ReceiptError::Signature)?;

    let (_, facts) =
        X509Certificate::from_der(certificates.leaf).map_err(|error| unreadable(&error))?;
    let at = moment(&facts, window).ok_or(ReceiptError::Expired)?;
    let anchors = certificates
        .roots
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    leaf.verify_for_usage(
        ALGORITHMS,
        &anchors,
        certificates.intermediates,
        at,
        KeyUsage::client_auth(),
        None,
        None,
    )
    .map_err(|error| ReceiptError::Chain(error.to_string()))?;

    let statement = Statement::parse(&text)?;
    let common_name = facts
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .unwrap_or_default();
    if common_name != statement.agent.to_string() {
        return Err(ReceiptError::OtherAgent(common_name.to_owned()));
    }
    Ok(statement)
}

/// The first moment of the window at which the certificate was valid.
fn moment(certificate: &X509Certificate<'_>, window: Window) -> Option<UnixTime> {
    let (from, to) = (window.from.get() / 1000, window.to.get() / 1000);
    let validity = certificate.validity();
    let at = from.max(validity.not_before.timestamp());
    if at > to || at > validity.not_after.timestamp() {
        return None;
    }
    let seconds = u64::try_from(at).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// What a receipt has to be about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The project.
    pub project: ProjectId,
    /// The desktop.
    pub desktop: DesktopId,
    /// The agent that the certificate was given to.
    pub agent: AgentId,
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// What was asked.
    pub task: &'a Task,
}

/// Whether the statement is about that attempt on that desktop, and answers the very task that was sent. A statement
/// without a task (the journal was damaged) can carry failures only, see [`supports`].
///
/// # Errors
/// [`ReceiptError::About`].
pub fn about(statement: &Statement, subject: &Subject<'_>) -> Result<(), ReceiptError> {
    let evidence = &statement.evidence;
    let differs = [
        (statement.agent != subject.agent, "agent"),
        (statement.desktop != subject.desktop, "desktop"),
        (
            statement.project.is_some_and(|it| it != subject.project),
            "project",
        ),
        (evidence.job != subject.job, "job"),
        (evidence.attempt != subject.attempt, "attempt"),
        (
            match &statement.task {
                Some(task) => !subject.task.is_told_by(task),
                None => evidence.failure.is_none(),
            },
            "task",
        ),
    ];
    match differs.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(ReceiptError::About(what)),
        None => Ok(()),
    }
}

/// What a verified statement comes to, beside the end that the server recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// What it proves; `None`: no success.
    pub proof: Option<Proof>,
    /// The failure's reason and sentence, where it tells of one.
    pub failure: Option<(Reason, String)>,
    /// Whether it carries the recorded end.
    pub carries: bool,
}

/// Judges whether a verified statement carries a recorded outcome: `succeeded`, or the code of a reason.
pub fn supports(statement: &Statement, outcome: &str) -> Support {
    let Some(task) = &statement.task else {
        let reason = statement.evidence.failure.map(Reason::from);
        return Support {
            proof: None,
            failure: reason.map(|reason| (reason, reason.code().to_owned())),
            carries: reason.is_some_and(|reason| reason.code() == outcome),
        };
    };
    match judge(task, &statement.evidence) {
        Verdict::Succeeded(proof) => Support {
            proof: Some(proof),
            failure: None,
            carries: outcome == SUCCEEDED,
        },
        Verdict::Failed(failure) => Support {
            proof: None,
            carries: failure.reason.code() == outcome
                // The same seen from the server, which knows that the bytes came from a link.
                || (failure.reason == Reason::DigestMismatch
                    && outcome == Reason::LinkChanged.code()),
            failure: Some((failure.reason, failure.message())),
        },
    }
}

#[cfg(test)]
mod tests;
