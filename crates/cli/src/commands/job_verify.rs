//! `job verify`: is a receipt what its device signed, and does it carry the end of its job? Decided here, on this machine,
//! with the root certificate; what the server thinks of it is told beside.

use std::path::Path;

use outfitter_api_types::native::attempts::Proof;
use outfitter_api_types::native::receipts::{AgentRoots, JobReceipt};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::job::Proof as ProofOfJob;
use outfitter_receipts::{
    Certificates, Envelope, EnvelopeSignature, ReceiptError, Statement, Support, Window,
    fingerprint, supports, verify,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

use super::Session;
use crate::args::job::VerifyArgs;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Printer, View};

/// What was found, for `--json`.
#[derive(Debug, Serialize)]
struct Verdict {
    /// Signature, certificate and chain hold, it is about this job, and it carries the job's end.
    valid: bool,
    /// A success that is more than an exit code.
    proven: bool,
    /// The server found that it does not verify.
    refused: bool,
    job_id: String,
    attempt_id: String,
    attempt_number: i64,
    desktop_id: String,
    desktop_name: String,
    outcome: Option<String>,
    /// What the statement proves by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    /// Why it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// SHA-256 of the signer's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
    /// SHA-256 of the roots that were trusted.
    roots_sha256: Vec<String>,
    /// What the server's own verification said.
    server: String,
    /// What was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<Statement>,
}

/// Exports a receipt.
///
/// # Errors
/// The server.
pub(super) async fn export(
    job_id: &str,
    attempt: Option<i64>,
    session: &Session,
) -> Result<JobReceipt, CommandError> {
    let query: Vec<(&str, String)> = attempt
        .map(|number| ("attempt", number.to_string()))
        .into_iter()
        .collect();
    Ok(session.client.get(&paths::receipt(job_id), &query).await?)
}

pub(super) async fn run(
    args: VerifyArgs,
    printer: Printer,
    session: impl FnOnce() -> Result<Session, CommandError>,
) -> Result<Outcome, CommandError> {
    let session = match (&args.file, &args.root) {
        // Nothing is asked of any server.
        (Some(_), Some(_)) => None,
        _ => Some(session()?),
    };
    let receipt = match (&args.file, &args.job, &session) {
        (Some(file), _, _) => read_receipt(file)?,
        (None, Some(job), Some(session)) => export(job, args.attempt, session).await?,
        _ => return Err(CommandError::usage("name a job, or a receipt with --file")),
    };
    let roots_pem = match (&args.root, &session) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|error| CommandError::file("read", file, error))?,
        (None, Some(session)) => {
            let roots: AgentRoots = session.client.get(paths::AGENT_ROOTS, &[]).await?;
            roots.roots_pem
        }
        (None, None) => return Err(CommandError::usage("name the root certificate with --root")),
    };
    let roots = certificates(&roots_pem)?;
    if roots.is_empty() {
        return Err(CommandError::usage(
            "there is no root certificate in the file",
        ));
    }
    let asked = args.job.as_deref();
    let judged = judge(&receipt, &roots, asked);
    let verdict = verdict(receipt, &roots, judged);
    printer.show(&verdict, || view(&verdict));
    Ok(if verdict.valid {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

fn read_receipt(file: &Path) -> Result<JobReceipt, CommandError> {
    let text =
        std::fs::read_to_string(file).map_err(|error| CommandError::file("read", file, error))?;
    serde_json::from_str(&text).map_err(|error| CommandError::file("understand", file, error))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CommandError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| CommandError::because("cannot read the certificates", error))
}

/// A verified statement with what it comes to.
type Judged = (Statement, Support);

fn judge(
    receipt: &JobReceipt,
    roots: &[CertificateDer<'_>],
    asked: Option<&str>,
) -> Result<Judged, String> {
    let Some(envelope) = &receipt.envelope else {
        return Err(ReceiptError::Unsigned.to_string());
    };
    let envelope = Envelope {
        payload_type: envelope.payload_type.clone(),
        payload: envelope.payload.clone(),
        signatures: envelope
            .signatures
            .iter()
            .map(|one| EnvelopeSignature {
                keyid: one.keyid.clone(),
                sig: one.sig.clone(),
            })
            .collect(),
    };
    let chain = certificates(receipt.certificates_pem.as_deref().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(ReceiptError::UnknownCertificate.to_string());
    };
    let at = |time: WireTime| Millis::new(time.unix_millis());
    // The wire has whole seconds.
    let end = receipt.received_at.unix_millis().saturating_add(999);
    let window = Window {
        from: at(receipt.leased_at),
        to: receipt.revoked_at.map_or(Millis::new(end), |revoked| {
            at(revoked).min(Millis::new(end))
        }),
    };
    let certificates = Certificates {
        leaf,
        intermediates,
        roots,
    };
    let statement = verify(&envelope, certificates, window).map_err(|error| error.to_string())?;
    let evidence = &statement.evidence;
    let about = [
        (evidence.job.to_string() == receipt.job_id, "job"),
        (
            evidence.attempt.to_string() == receipt.attempt_id,
            "attempt",
        ),
        (
            statement.desktop.to_string() == receipt.desktop_id,
            "desktop",
        ),
        (
            statement
                .project
                .is_none_or(|project| project.to_string() == receipt.project_id),
            "project",
        ),
        (
            asked.is_none_or(|asked| asked == evidence.job.to_string()),
            "job",
        ),
    ];
    if let Some((_, what)) = about.into_iter().find(|(same, _)| !same) {
        return Err(ReceiptError::About(what).to_string());
    }
    let support = supports(&statement, receipt.outcome.as_deref().unwrap_or_default());
    Ok((statement, support))
}

fn verdict(
    receipt: JobReceipt,
    roots: &[CertificateDer<'_>],
    judged: Result<Judged, String>,
) -> Verdict {
    let certificate_sha256 = receipt
        .envelope
        .as_ref()
        .and_then(|envelope| envelope.signatures.first())
        .map(|signature| signature.keyid.clone());
    let (statement, support, problem) = match judged {
        Ok((statement, support)) => (Some(statement), Some(support), None),
        Err(problem) => (None, None, Some(problem)),
    };
    let carries = support.as_ref().is_some_and(|support| support.carries);
    let proof = support.as_ref().and_then(|support| support.proof);
    let problem = problem.or_else(|| {
        let support = support.as_ref().filter(|support| !support.carries)?;
        Some(match &support.failure {
            Some((_, sentence)) => format!("the evidence says otherwise: {sentence}"),
            None => "the evidence says that it succeeded".to_owned(),
        })
    });
    // What the server says of itself may only make it worse.
    let refused_there = receipt.proof == Some(Proof::ReceiptInvalid);
    Verdict {
        valid: carries,
        refused: refused_there,
        proven: carries && !refused_there && proof.is_some_and(ProofOfJob::is_verified),
        job_id: receipt.job_id,
        attempt_id: receipt.attempt_id,
        attempt_number: receipt.attempt_number,
        desktop_id: receipt.desktop_id,
        desktop_name: receipt.desktop_name,
        outcome: receipt.outcome,
        proof: proof.map(ProofOfJob::as_str),
        problem,
        certificate_sha256,
        roots_sha256: roots.iter().map(|root| hex(root)).collect(),
        server: super::word(&receipt.signature),
        statement,
    }
}

fn hex(certificate: &[u8]) -> String {
    hex::encode(fingerprint(certificate))
}

fn view(verdict: &Verdict) -> View {
    let holds = match (&verdict.problem, verdict.proven) {
        (Some(problem), _) => format!("NOT VALID: {problem}"),
        (None, true) => "valid, and it proves the success".to_owned(),
        (None, false) if verdict.refused => {
            "valid here, but the server found that it does not verify: the success is unverified"
                .to_owned()
        }
        (None, false) if verdict.proof.is_some() => {
            "valid, but the success is unverified: the exit code alone".to_owned()
        }
        (None, false) => "valid, and it tells of the failure".to_owned(),
    };
    let mut members = vec![
        ("receipt", holds),
        ("job", verdict.job_id.clone()),
        (
            "attempt",
            format!("{} ({})", verdict.attempt_number, verdict.attempt_id),
        ),
        (
            "desktop",
            format!("{} ({})", verdict.desktop_name, verdict.desktop_id),
        ),
        (
            "ended",
            verdict
                .outcome
                .clone()
                .unwrap_or_default()
                .replace('_', " "),
        ),
        (
            "signed by",
            verdict.certificate_sha256.clone().unwrap_or_default(),
        ),
        ("under root", verdict.roots_sha256.join(", ")),
        ("the server says", verdict.server.clone()),
    ];
    if let Some(statement) = &verdict.statement {
        let evidence = &statement.evidence;
        if let Some(task) = &statement.task {
            members.push(("app", format!("{} {}", task.app_name, task.app_version)));
            members.push(("revision", task.revision.to_string()));
        }
        if let Some(command) = &evidence.command {
            members.push(("command", command.clone()));
        }
        if let (Some(sha256), Some(size)) = (&evidence.package_sha256, evidence.package_size_bytes)
        {
            members.push(("package", format!("{sha256}, {size} bytes")));
        }
        if let Some(code) = evidence.exit_code {
            members.push(("exit code", code.to_string()));
        }
        for (name, seen) in [
            ("seen before", &evidence.before),
            ("seen after", &evidence.after),
        ] {
            if let Some(seen) = seen {
                members.push((name, seen.seen.clone()));
            }
        }
        members.push((
            "where",
            match &evidence.sandbox_root {
                Some(root) => format!("in the folder {root} that plays a desktop"),
                None => "on the desktop itself".to_owned(),
            },
        ));
    }
    View::Card(members)
}
