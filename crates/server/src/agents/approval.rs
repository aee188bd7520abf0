//! `POST /enroll/approval`: what became of an enrollment that waits for an administrator.
//!
//! Who asks shows the key that the request was made with; the desktop is made from what the request says, which is what
//! the administrator saw. An agent that missed the answer asks again and gets another certificate for its key.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use outfitter_agent_protocol::{ApprovalRequest, EnrollPending};
use outfitter_domain::Millis;
use outfitter_domain::fleet::{DesktopName, EnrollmentRefusal, LocalUserName, RequestState};
use outfitter_ids::{AgentId, DesktopId, UserId};
use outfitter_store::{
    ClaimProof, CopyOf, EnrollmentClaim, EnrollmentRequest, NewAgent, StoreError,
};

use super::enroll::{
    EnrollAnswer, certificate, check_protocol, counted, issue, issue_again, let_in, os_type,
    pause_secs,
};
use super::pki::Issued;
use super::refusal::Refusal;
use crate::services::Services;

/// Answers an agent that waits.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn collect(
    State(services): State<Arc<Services>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<EnrollAnswer, Refusal> {
    let source = address.ip();
    let answered = counted(&services, source, answer(&services, source, &body));
    Box::pin(answered).await
}

async fn answer(
    services: &Services,
    source: IpAddr,
    body: &Bytes,
) -> Result<EnrollAnswer, Refusal> {
    let asked: ApprovalRequest = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request("request_invalid", error.to_string()))?;
    check_protocol(asked.protocol)?;
    let failed = |error: StoreError| Refusal::busy("look an enrollment request up", &error);
    let unknown = || Refusal::enrollment(EnrollmentRefusal::RequestUnknown);
    let now = services.clock.now();
    let request = services
        .store
        .db()
        .enrollment_request_find(asked.request, now)
        .await
        .map_err(failed)?
        .ok_or_else(unknown)?;
    let agent_id = request.agent.as_ref().map_or_else(
        || AgentId::new(services.ids.uuid(now.get())),
        |agent| agent.id,
    );
    let issued = issue(services, &asked.csr_pem, agent_id, now)?;
    if issued.key_digest != request.key_digest {
        return Err(unknown());
    }
    stand_of(services, &request, &issued, source, now).await
}

/// Tells who shows the key of a request how it stands, and lets it in where it was approved.
pub(super) async fn stand_of(
    services: &Services,
    request: &EnrollmentRequest,
    issued: &Issued,
    source: IpAddr,
    now: Millis,
) -> Result<EnrollAnswer, Refusal> {
    let failed = |error: StoreError| Refusal::busy("look an enrollment request up", &error);
    if request.state == RequestState::Refused {
        return Err(Refusal::enrollment(EnrollmentRefusal::ApprovalRefused));
    }
    if let Some(agent) = &request.agent {
        if !agent.live {
            return Err(Refusal::enrollment(EnrollmentRefusal::RequestUnknown));
        }
        return issue_again(services, agent.clone(), issued, now)
            .await
            .map_err(failed);
    }
    if request.state == RequestState::Waiting || !request.project_enabled {
        let tx = services.store.write().await.map_err(failed)?;
        tx.enrollment_request_seen(request.key, now)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        return Ok(EnrollAnswer::Waits(
            EnrollPending {
                request: request.id,
                expires_at_millis: request.expires_at.get(),
            },
            pause_secs(request.asked_at, now),
        ));
    }
    let claim = claim(services, request, issued, source, now)?;
    let_in(services, &claim, issued, None, now).await
}

/// The claim that a request makes once it is approved.
fn claim(
    services: &Services,
    request: &EnrollmentRequest,
    issued: &Issued,
    source: IpAddr,
    now: Millis,
) -> Result<EnrollmentClaim, Refusal> {
    let invalid = |reason: String| Refusal::forbidden("name_invalid", reason);
    let name = DesktopName::parse(&request.name).map_err(|error| invalid(error.to_string()))?;
    Ok(EnrollmentClaim {
        token_id: request.token_id,
        proof: ClaimProof::Approval(request.key),
        peer: source,
        os_type: os_type(&request.os),
        user: request
            .user
            .as_deref()
            .map(LocalUserName::parse)
            .transpose()
            .map_err(|error| invalid(error.to_string()))?,
        new_user_id: UserId::new(services.ids.uuid(now.get())),
        new_desktop_id: DesktopId::new(services.ids.uuid(now.get())),
        copy: request.copy.as_ref().map(|copy| CopyOf {
            agent: copy.agent,
            desktop: copy.desktop,
            desktop_name: copy.desktop_name.clone(),
            told: copy.told.clone(),
            spare_names: name.spares(&issued.key_digest),
        }),
        name,
        marks: request.marks.clone(),
        rival: None,
        agent: NewAgent {
            id: issued.agent,
            machine_id: request.machine_id.clone(),
            version: request.agent_version.clone(),
            os: request.os.clone(),
            arch: request.arch.clone(),
            sandbox_root: request.sandbox_root.clone(),
            certificate: certificate(issued),
        },
    })
}
