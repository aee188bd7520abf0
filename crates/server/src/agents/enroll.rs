//! `POST /enroll`: a token becomes a certificate, or a request that waits for an administrator
//! ([`approval`](super::approval)).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use outfitter_agent_protocol::{
    EnrollPending, EnrollRequest, EnrollResponse, PROTOCOL_FLOOR, are_marks_bounded,
};
use outfitter_domain::fleet::{
    DesktopName, EnrollmentRefusal, LocalUserName, Presence, REQUEST_LIFE, Takeover,
    is_same_hardware, waiting_pause,
};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{AgentId, DesktopId, EnrollmentRequestId, UserId};
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKind, AuditScope, AuditTarget, ClaimProof,
    Enrolled, EnrollmentClaim, NewAgent, NewAuditScope, NewCertificate, RequestAgent, Rival,
    SecretDigest, StoreError, Tx,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::pki::{Issued, PkiError};
use super::refusal::Refusal;
use crate::app::desktops::presence_grace;
use crate::audit::refusals;
use crate::edge::RetryAfter;
use crate::services::Services;

/// What the audit log calls it.
const ENROLL: &str = "outfitter:agents:enroll";

/// Longest free text an agent reports about itself, in characters.
const MAX_REPORTED: usize = 256;

/// Longest path an agent reports, in characters. Source: Linux, `PATH_MAX`.
const MAX_REPORTED_PATH: usize = 4096;

/// Lets an agent in.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn enroll(
    State(services): State<Arc<Services>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<EnrollAnswer, Refusal> {
    let source = address.ip();
    let admitted = counted(&services, source, admit(&services, source, &body));
    Box::pin(admitted).await
}

/// Judges a call of somebody who has not shown a good certificate, unless its address was refused too often.
pub(super) async fn counted<T>(
    services: &Services,
    source: IpAddr,
    judge: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    services
        .edge
        .may_enroll(source)
        .map_err(|RetryAfter(seconds)| Refusal::throttled(seconds))?;
    let judged = judge.await;
    if judged.as_ref().is_err_and(Refusal::is_the_callers) {
        services.edge.vain_enrollment_from(source);
    }
    judged
}

/// What an agent that asks to come in is told.
pub enum EnrollAnswer {
    /// It is in.
    Enrolled(Box<EnrollResponse>),
    /// An administrator has to approve; it asks again after so many seconds.
    Waits(EnrollPending, u32),
}

impl IntoResponse for EnrollAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Enrolled(answer) => Json(*answer).into_response(),
            Self::Waits(pending, seconds) => (
                StatusCode::ACCEPTED,
                [(RETRY_AFTER, HeaderValue::from(seconds))],
                Json(pending),
            )
                .into_response(),
        }
    }
}

async fn admit(services: &Services, source: IpAddr, body: &Bytes) -> Result<EnrollAnswer, Refusal> {
    let request: EnrollRequest = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request("request_invalid", error.to_string()))?;
    check_protocol(request.protocol)?;
    if !are_marks_bounded(&request.marks) {
        return Err(Refusal::bad_request(
            "request_invalid",
            "marks beyond their limits",
        ));
    }
    let now = services.clock.now();
    let new_uuid = || services.ids.uuid(now.get());
    let agent_id = AgentId::new(new_uuid());
    let issued = issue(services, &request.csr_pem, agent_id, now)?;
    let claim = EnrollmentClaim {
        token_id: request.token_id,
        proof: ClaimProof::Secret(SecretDigest::new(
            Sha256::digest(request.token_secret.as_bytes()).into(),
        )),
        peer: source,
        name: DesktopName::parse(&request.name)
            .map_err(|error| Refusal::forbidden("name_invalid", error.to_string()))?,
        os_type: os_type(&request.os),
        user: request
            .user
            .as_deref()
            .map(LocalUserName::parse)
            .transpose()
            .map_err(|error| Refusal::forbidden("name_invalid", error.to_string()))?,
        new_user_id: UserId::new(new_uuid()),
        new_desktop_id: DesktopId::new(new_uuid()),
        copy: None,
        marks: request.marks,
        rival: None,
        agent: reported_agent(NewAgent {
            id: agent_id,
            machine_id: request.machine_id,
            version: request.agent_version,
            os: request.os,
            arch: request.arch,
            sandbox_root: request.sandbox_root,
            certificate: certificate(&issued),
        })?,
    };
    let as_request = request
        .can_wait
        .then(|| EnrollmentRequestId::new(new_uuid()));
    let_in(services, &claim, &issued, as_request, now).await
}

/// Refuses an agent that this server does not understand any more.
pub(super) fn check_protocol(protocol: u32) -> Result<(), Refusal> {
    if protocol < PROTOCOL_FLOOR {
        return Err(Refusal::forbidden(
            "protocol_too_old",
            format!(
                "the agent speaks protocol {protocol}, this server needs {PROTOCOL_FLOOR} or later: install a newer agent"
            ),
        ));
    }
    Ok(())
}

/// Issues a certificate for the key of a signing request.
pub(super) fn issue(
    services: &Services,
    csr_pem: &str,
    agent: AgentId,
    now: Millis,
) -> Result<Issued, Refusal> {
    services
        .authority
        .get()
        .issue_agent(csr_pem, agent, now)
        .map_err(|error| match error {
            PkiError::Request { .. } => Refusal::bad_request("csr_invalid", error.to_string()),
            PkiError::Authority { .. } | PkiError::Tls { .. } => {
                Refusal::busy("issue an agent's certificate", &error)
            }
        })
}

/// What is stored of a certificate.
pub(super) fn certificate(issued: &Issued) -> NewCertificate {
    NewCertificate {
        fingerprint: issued.fingerprint,
        not_before: issued.not_before,
        not_after: issued.not_after,
    }
}

/// The operating system by what an agent reports.
pub(super) fn os_type(reported: &str) -> OsType {
    match reported {
        "linux" => OsType::Linux,
        "windows" => OsType::Windows,
        _ => OsType::Other,
    }
}

/// What an agent is told that is in; `name` where it may not know what its desktop is called.
fn welcome(
    services: &Services,
    agent: AgentId,
    desktop: DesktopId,
    name: Option<String>,
    issued: &Issued,
    now: Millis,
) -> EnrollAnswer {
    EnrollAnswer::Enrolled(Box::new(EnrollResponse {
        agent,
        desktop,
        name,
        chain_pem: issued.chain_pem.clone(),
        roots_pem: services.authority.get().roots_pem().to_owned(),
        server_time_millis: now.get(),
        update_keys: services.updates.keys(),
    }))
}

/// Keeps a certificate whose row was just written, so that what is signed with it can be verified ever after.
///
/// # Errors
/// The database's.
pub(super) async fn keep_certificate(tx: &Tx, issued: &Issued) -> Result<(), StoreError> {
    tx.certificate_keep(
        &issued.fingerprint,
        &issued.certificate,
        (&issued.issuer_fingerprint, &issued.issuer),
    )
    .await
}

/// What came of a claim.
enum Claimed {
    In(Enrolled),
    Waits(EnrollPending),
}

/// Lets the agent in, or stores its wish as the request `as_request` where the token demands approval, with an entry in
/// the audit log; a refusal is counted there.
pub(super) async fn let_in(
    services: &Services,
    claim: &EnrollmentClaim,
    issued: &Issued,
    as_request: Option<EnrollmentRequestId>,
    now: Millis,
) -> Result<EnrollAnswer, Refusal> {
    let failed = |error| Refusal::busy("enroll an agent", &error);
    let mut resources = vec![format!("token:{}", claim.token_id)];
    resources.extend(
        claim
            .copy
            .as_ref()
            .map(|copy| format!("desktop:{}", copy.desktop)),
    );
    let facts = AuditFacts {
        domain: None,
        project: None,
        at: now,
        action: ENROLL.to_owned(),
        operation: match &claim.copy {
            Some(_) => "EnrollCopy",
            None => "EnrollAgent",
        }
        .to_owned(),
        actor: AuditActor {
            name: Some(claim.name.as_str().to_owned()),
            credential: format!("enrollment_token {}", claim.token_id),
            ..AuditActor::nobody()
        },
        on_behalf_of: claim.user.as_ref().map(|user| user.as_str().to_owned()),
        address: Some(claim.peer.to_string()),
        request_id: None,
    };
    let scope = AuditScope::new(NewAuditScope {
        key: Arc::clone(services.audit.key()),
        ids: Arc::clone(&services.ids),
        facts: facts.clone(),
        kind: AuditKind::Enrollment,
        targets: resources.iter().map(|it| AuditTarget::parse(it)).collect(),
        request: json!({
            "name": claim.name.as_str(),
            "machine_id": claim.agent.machine_id,
            "version": claim.agent.version,
            "os": claim.agent.os,
            "arch": claim.agent.arch,
            "sandbox_root": claim.agent.sandbox_root,
            "copy_of": claim.copy.as_ref().map(|copy| &copy.desktop_name),
        }),
    });
    let claimed = scope
        .run(async {
            let first = attempt(services, &scope, claim, issued, as_request, now).await?;
            if !matches!(first, Err(EnrollmentRefusal::NameTaken)) {
                return Ok(first);
            }
            // It may be the very machine that the agent there stands for.
            let Some(rival) = rival_of(services, claim, now).await? else {
                return Ok(first);
            };
            let claim = EnrollmentClaim {
                rival: Some(rival),
                ..claim.clone()
            };
            attempt(services, &scope, &claim, issued, as_request, now).await
        })
        .await
        .map_err(failed)?;
    match claimed {
        Ok(Claimed::In(enrolled)) => {
            if enrolled.replaced.is_some() {
                services.registry.close(enrolled.desktop);
            }
            tracing::info!(
                agent.id = %enrolled.agent_id,
                desktop.id = %enrolled.desktop_id,
                desktop.name = enrolled.name.as_str(),
                taken_back = enrolled.replaced == Some(Takeover::ByMark),
                copy_of = claim.copy.as_ref().map(|copy| copy.desktop_name.as_str()),
                "enrolled"
            );
            let name = claim
                .copy
                .as_ref()
                .map(|_| enrolled.name.as_str().to_owned());
            Ok(welcome(
                services,
                enrolled.agent_id,
                enrolled.desktop_id,
                name,
                issued,
                now,
            ))
        }
        Ok(Claimed::Waits(pending)) => {
            tracing::info!(
                request.id = %pending.request,
                desktop.name = claim.name.as_str(),
                "an enrollment waits for approval"
            );
            Ok(EnrollAnswer::Waits(pending, pause_secs(now, now)))
        }
        Err(refusal) => {
            let refused = Refusal::enrollment(refusal);
            services.audit.refused(refusals::Refusal {
                facts,
                resources,
                status: refused.status(),
                reason: refusal.to_string(),
            });
            Err(refused)
        }
    }
}

/// Carries a claim out, or stores it as a request; a refusal writes nothing.
async fn attempt(
    services: &Services,
    scope: &AuditScope,
    claim: &EnrollmentClaim,
    issued: &Issued,
    as_request: Option<EnrollmentRequestId>,
    now: Millis,
) -> Result<Result<Claimed, EnrollmentRefusal>, StoreError> {
    let tx = services.store.write().await?;
    let claimed = match (tx.enrollment_claim(claim, now).await?, as_request) {
        (Ok(enrolled), _) => {
            keep_certificate(&tx, issued).await?;
            scope.identify(|facts| {
                facts.domain = Some(enrolled.domain);
                facts.project = Some(enrolled.project);
                facts.actor = AuditActor {
                    kind: AuditActorKind::Agent,
                    id: Some(enrolled.agent_id.to_string()),
                    ..facts.actor.clone()
                };
                if enrolled.replaced == Some(Takeover::ByMark) {
                    "TakeDesktopBack".clone_into(&mut facts.operation);
                }
            });
            Claimed::In(enrolled)
        }
        (Err(EnrollmentRefusal::ApprovalNeeded), Some(request)) => {
            let stored = tx
                .enrollment_request_insert(request, claim, &issued.key_digest, now)
                .await?;
            let (domain, project) = match stored {
                Ok(owner) => owner,
                Err(refusal) => return Ok(Err(refusal)),
            };
            scope.identify(|facts| {
                facts.domain = Some(domain);
                facts.project = Some(project);
                "RequestEnrollment".clone_into(&mut facts.operation);
            });
            Claimed::Waits(EnrollPending {
                request,
                expires_at_millis: now.plus(REQUEST_LIFE).get(),
            })
        }
        (Err(refusal), _) => return Ok(Err(refusal)),
    };
    tx.commit().await?;
    Ok(Ok(claimed))
}

/// Looks after the live agent of the desktop that a claim names, where the claim is its machine's by its marks: a channel here
/// is asked for a sign of life. In no transaction: that may take ten seconds.
async fn rival_of(
    services: &Services,
    claim: &EnrollmentClaim,
    now: Millis,
) -> Result<Option<Rival>, StoreError> {
    let Some(stored) = services.store.db().enrollment_rival(claim).await? else {
        return Ok(None);
    };
    let noted = stored.noted.as_ref();
    if !noted.is_some_and(|noted| is_same_hardware(&noted.marks, &claim.marks)) {
        return Ok(None);
    }
    let was_seen = || {
        let grace = presence_grace(services);
        stored
            .last_seen_at
            .is_some_and(|seen| seen.plus(grace) >= now)
    };
    // One of an earlier epoch may be what is left of it here: another server has the newest then.
    let presence = if services.registry.has(stored.desktop, stored.epoch) {
        if services.registry.shows_life(stored.desktop).await {
            Presence::Alive
        } else {
            Presence::Gone
        }
    } else if was_seen() {
        Presence::Recent
    } else {
        Presence::Gone
    };
    Ok(Some(Rival {
        agent: stored.agent,
        epoch: stored.epoch,
        presence,
    }))
}

/// Tells an agent once more that it is in, with a certificate beside the one that it did not get.
pub(super) async fn issue_again(
    services: &Services,
    agent: RequestAgent,
    issued: &Issued,
    now: Millis,
) -> Result<EnrollAnswer, StoreError> {
    let tx = services.store.write().await?;
    tx.certificate_insert(agent.key, &certificate(issued))
        .await?;
    keep_certificate(&tx, issued).await?;
    tx.commit().await?;
    Ok(welcome(
        services,
        agent.id,
        agent.desktop,
        Some(agent.desktop_name),
        issued,
        now,
    ))
}

/// Seconds until an agent that waits since `asked_at` asks again.
pub(super) fn pause_secs(asked_at: Millis, now: Millis) -> u32 {
    u32::try_from(waiting_pause(asked_at, now).as_secs()).unwrap_or(u32::MAX)
}

/// What an agent tells about itself, as far as it can be kept.
pub(super) fn reported_agent(told: NewAgent) -> Result<NewAgent, Refusal> {
    Ok(NewAgent {
        id: told.id,
        machine_id: reported("machine_id", told.machine_id, MAX_REPORTED)?,
        version: reported("agent_version", told.version, MAX_REPORTED)?,
        os: reported("os", told.os, MAX_REPORTED)?,
        arch: reported("arch", told.arch, MAX_REPORTED)?,
        sandbox_root: told
            .sandbox_root
            .map(|path| reported("sandbox_root", path, MAX_REPORTED_PATH))
            .transpose()?,
        certificate: told.certificate,
    })
}

/// A text that an agent tells about itself, as far as it can be kept.
fn reported(member: &str, text: String, most: usize) -> Result<String, Refusal> {
    let problem = if text.chars().count() > most {
        format!("{member} is longer than {most} characters")
    } else if text.contains('\0') {
        format!("{member} holds the character U+0000")
    } else {
        return Ok(text);
    };
    Err(Refusal::bad_request("request_invalid", problem))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use outfitter_agent_protocol::{COPY_PATH, ENROLL_PATH};
    use tower::ServiceExt as _;

    use super::*;
    use crate::listen::PeerCertificate;
    use crate::testing::TestServer;

    #[tokio::test]
    async fn an_address_that_enrolls_in_vain_has_to_wait_and_others_need_not() {
        let server = TestServer::start().await;
        let router = crate::agents::listener::router(Arc::clone(&server.services));
        let enroll = |path: &str, address: [u8; 4]| {
            let mut request = Request::post(path).body(Body::from("{}")).unwrap();
            let peer = SocketAddr::from((address, 4711));
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(PeerCertificate(None));
            router.clone().oneshot(request)
        };
        for (path, host) in [(ENROLL_PATH, 1), (COPY_PATH, 3)] {
            let mut tried = 0;
            let refused = loop {
                let answer = enroll(path, [192, 0, 2, host]).await.unwrap();
                if answer.status() != StatusCode::BAD_REQUEST {
                    break answer;
                }
                tried += 1;
                assert!(tried < 5_000, "never refused");
            };
            assert!(tried >= 600, "{tried}");
            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
            assert!(refused.headers().contains_key("retry-after"));
            let other = enroll(path, [192, 0, 2, host + 1]).await.unwrap();
            assert_eq!(other.status(), StatusCode::BAD_REQUEST, "{path}");
        }
    }
}
