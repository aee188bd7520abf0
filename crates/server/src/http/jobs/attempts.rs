use std::sync::Arc;

use outfitter_agent_protocol::{Detection, Phase};
use outfitter_api_types::native::attempts::{
    Attempt, AttemptPhase, AttemptState, DetectionResult, ListAttemptsQuery, ListAttemptsResponse,
    PhaseMark, Proof, Receipt, SignatureState,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::job::{Proof as ProofOfJob, Verification};
use outfitter_ids::JobId;
use outfitter_store::{AttemptState as State, AttemptView, Receipt as StoredReceipt};

use crate::Services;
use crate::http::apps::revisions::wire_rule;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_attempts(
    services: Arc<Services>,
    call: Call<(), ListAttemptsQuery>,
) -> Result<Reply<ListAttemptsResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let job = match JobId::lookup(call.path("job_id")) {
        Some(id) => db.job_find(project, id).await?,
        None => None,
    }
    .ok_or(ApiError::NotFound { noun: "job" })?;
    let (count, attempts) = db
        .attempt_list(job, call.query.offset, call.query.limit)
        .await?;
    Ok(Reply::new(ListAttemptsResponse {
        count,
        items: attempts
            .into_iter()
            .map(attempt)
            .collect::<Result<_, _>>()?,
    }))
}

/// Rate of a download under way: as the agent said, else the mean from the share that was done when it was last
/// heard of.
fn bytes_per_second(view: &AttemptView) -> Option<i64> {
    let (Some(Phase::Downloading), State::Running) = (view.phase, view.state) else {
        return None;
    };
    if view.bytes_per_second.is_some() {
        return view.bytes_per_second;
    }
    let millis = view.seen_at.get() - view.phase_at?.get();
    let done = i64::try_from(view.package_size_bytes?).ok()? / 100 * view.percent?;
    (millis > 0).then(|| done.saturating_mul(1000) / millis)
}

fn attempt(view: AttemptView) -> Result<Attempt, ApiError> {
    Ok(Attempt {
        bytes_per_second: bytes_per_second(&view),
        phase_started_at: view.phase_at.map(time),
        percent: view.percent,
        cancel_requested_at: view.cancel_requested_at.map(time),
        id: view.id.to_string(),
        number: view.number,
        state: match view.state {
            State::Leased => AttemptState::Leased,
            State::Running => AttemptState::Running,
            State::Ended => AttemptState::Ended,
        },
        phase: view.phase.map(phase),
        app_revision_id: view.revision.to_string(),
        app_version: view.version,
        outcome: view.outcome,
        leased_at: time(view.leased_at),
        started_at: view.started_at.map(time),
        seen_at: time(view.seen_at),
        ended_at: view.ended_at.map(time),
        receipt: view.receipt.map(receipt).transpose()?,
    })
}

fn receipt(stored: StoredReceipt) -> Result<Receipt, ApiError> {
    let evidence = stored.evidence;
    Ok(Receipt {
        proof: stored.proof.map(proof),
        signature: signature(stored.verification),
        signature_problem: stored.problem,
        already_installed: evidence.already_installed,
        already_absent: evidence.already_absent,
        failure: evidence.failure.map(word).transpose()?,
        failure_detail: evidence.failure_detail,
        detection_rule: evidence.rule.as_ref().map(wire_rule).transpose()?,
        manifest_files: evidence.manifest_files.map(i64::from),
        detected_before: evidence.before.map(detected),
        detected_after: evidence.after.map(detected),
        wants_restart: stored.wants_restart,
        exit_code: evidence.exit_code.map(i64::from),
        output_tail: Some(evidence.output_tail).filter(|text| !text.is_empty()),
        command: evidence.command,
        package_sha256: evidence.package_sha256,
        package_size_bytes: evidence
            .package_size_bytes
            .and_then(|bytes| i64::try_from(bytes).ok()),
        sandbox_root: evidence.sandbox_root,
        agent_version: evidence.agent_version,
        phases: evidence
            .phases
            .into_iter()
            .map(|mark| PhaseMark {
                phase: phase(mark.phase),
                started_at: WireTime::from_unix_millis(mark.at_millis),
            })
            .collect(),
        ended_at: WireTime::from_unix_millis(evidence.ended_at_millis),
        received_at: time(stored.received_at),
    })
}

/// A code as the agent sent it.
fn word(code: outfitter_agent_protocol::FailureCode) -> Result<String, ApiError> {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        other => Err(ApiError::internal(
            "write a failure code",
            format!("{other:?} is no text"),
        )),
    }
}

fn detected(detection: Detection) -> DetectionResult {
    DetectionResult {
        holds: detection.holds,
        seen: detection.seen,
    }
}

/// What proves a success, as the wire has it.
pub(in crate::http) fn proof(proof: ProofOfJob) -> Proof {
    match proof {
        ProofOfJob::Rule => Proof::DetectionRule,
        ProofOfJob::Manifest => Proof::Manifest,
        ProofOfJob::AlreadyInstalled => Proof::AlreadyInstalled,
        ProofOfJob::ExitCodeOnly => Proof::ExitCodeOnly,
        ProofOfJob::AlreadyAbsent => Proof::AlreadyAbsent,
        ProofOfJob::ReceiptInvalid => Proof::ReceiptInvalid,
    }
}

/// What verifying a receipt said, as the wire has it.
pub(super) fn signature(verification: Verification) -> SignatureState {
    match verification {
        Verification::Unsigned => SignatureState::Unsigned,
        Verification::Pending => SignatureState::Pending,
        Verification::Valid => SignatureState::Valid,
        Verification::Invalid => SignatureState::Invalid,
    }
}

/// Where an attempt is, as the wire has it.
pub(in crate::http) fn phase(phase: Phase) -> AttemptPhase {
    match phase {
        Phase::Detecting => AttemptPhase::Detecting,
        Phase::Downloading => AttemptPhase::Downloading,
        Phase::Verifying => AttemptPhase::Verifying,
        Phase::ClosingPrograms => AttemptPhase::ClosingPrograms,
        Phase::Running => AttemptPhase::Running,
        Phase::Confirming => AttemptPhase::Confirming,
    }
}

fn time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}
