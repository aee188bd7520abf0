use std::sync::Arc;

use outfitter_api_types::native::audit::{
    AuditFinding, AuditProblem, AuditResults, VerifyAuditReq, VerifyAuditResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_store as store;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn verify(
    services: Arc<Services>,
    call: Call<VerifyAuditReq>,
) -> Result<Reply<VerifyAuditResponse>, ApiError> {
    let Ok(_one_at_a_time) = services.audit.check.try_acquire() else {
        return Err(ApiError::conflict(
            "WKS.0409",
            "The audit log is being verified already",
        ));
    };
    let known = call.body.known.as_ref();
    let check = services
        .store
        .db()
        .audit_check(
            services.audit.key(),
            known.map(|place| (place.sequence, place.hash.as_str())),
        )
        .await?;
    let is_sealed = check.chain.sequence > 0;
    Ok(Reply::new(VerifyAuditResponse {
        whole: check.is_whole(),
        checked: check.checked,
        sequence: check.chain.sequence,
        hash: check.chain.hash,
        sealed_at: is_sealed.then(|| WireTime::from_unix_millis(check.chain.sealed_at.get())),
        deleted_to_sequence: check.chain.cut_sequence,
        unsealed: check.unsealed,
        findings: check.findings.into_iter().map(wire).collect(),
        more_findings: check.more_findings,
        results: AuditResults {
            checked: check.results.checked,
            sequence: check.results.sequence,
            hash: check.results.hash,
            gone: check.results.gone,
            unsealed: check.results.unsealed,
        },
    }))
}

fn wire(finding: store::AuditFinding) -> AuditFinding {
    let at = |problem, sequence| AuditFinding {
        problem,
        sequence: Some(sequence),
        to_sequence: None,
        entry_id: None,
    };
    match finding {
        store::AuditFinding::Altered { sequence, id } => AuditFinding {
            problem: AuditProblem::Altered,
            sequence,
            to_sequence: None,
            entry_id: Some(id.hyphenated().to_string()),
        },
        store::AuditFinding::Missing { from, to } => AuditFinding {
            to_sequence: Some(to),
            ..at(AuditProblem::Missing, from)
        },
        store::AuditFinding::Moved { sequence, id } => AuditFinding {
            entry_id: Some(id.hyphenated().to_string()),
            ..at(AuditProblem::Moved, sequence)
        },
        store::AuditFinding::Head { sequence } => at(AuditProblem::Head, sequence),
        store::AuditFinding::Checkpoint { sequence } => at(AuditProblem::Checkpoint, sequence),
        store::AuditFinding::RolledBack { sequence } => at(AuditProblem::RolledBack, sequence),
        store::AuditFinding::ResultAltered { sequence } => {
            at(AuditProblem::ResultAltered, sequence)
        }
        store::AuditFinding::ResultsMissing { from, to } => AuditFinding {
            to_sequence: Some(to),
            ..at(AuditProblem::ResultsMissing, from)
        },
        store::AuditFinding::ResultsHead { from, to } => AuditFinding {
            to_sequence: Some(to),
            ..at(AuditProblem::ResultsHead, from)
        },
    }
}
