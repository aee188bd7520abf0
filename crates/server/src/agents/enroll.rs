//! `POST /enroll`: a token becomes a certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use outfitter_agent_protocol::{EnrollRequest, EnrollResponse, PROTOCOL_FLOOR};
use outfitter_domain::fleet::{DesktopName, EnrollmentRefusal, LocalUserName};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{AgentId, DesktopId, UserId};
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKind, AuditScope, AuditTarget, Enrolled,
    EnrollmentClaim, NewAgent, NewAuditScope, NewCertificate, SecretDigest, StoreError, Tx,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::pki::{Issued, PkiError};
use super::refusal::Refusal;
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
) -> Result<Json<EnrollResponse>, Refusal> {
    let source = address.ip();
    services
        .edge
        .may_enroll(source)
        .map_err(|RetryAfter(seconds)| Refusal::throttled(seconds))?;
    let enrolled = admit(&services, source, &body).await;
    if enrolled.as_ref().is_err_and(Refusal::is_the_callers) {
        services.edge.vain_enrollment_from(source);
    }
    enrolled.map(Json)
}

async fn admit(
    services: &Services,
    source: IpAddr,
    body: &Bytes,
) -> Result<EnrollResponse, Refusal> {
    let request: EnrollRequest = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request("request_invalid", error.to_string()))?;
    if request.protocol < PROTOCOL_FLOOR {
        return Err(Refusal::forbidden(
            "protocol_too_old",
            format!(
                "the agent speaks protocol {}, this server needs {PROTOCOL_FLOOR} or later: install a newer agent",
                request.protocol
            ),
        ));
    }
    let now = services.clock.now();
    let new_uuid = || services.ids.uuid(now.get());
    let agent_id = AgentId::new(new_uuid());
    let authority = services.authority.get();
    let issued = authority
        .issue_agent(&request.csr_pem, agent_id, now)
        .map_err(|error| match error {
            PkiError::Request { .. } => Refusal::bad_request("csr_invalid", error.to_string()),
            PkiError::Authority { .. } | PkiError::Tls { .. } => {
                Refusal::busy("issue an agent's certificate", &error)
            }
        })?;
    let claim = EnrollmentClaim {
        token_id: request.token_id,
        secret_digest: SecretDigest::new(Sha256::digest(request.token_secret.as_bytes()).into()),
        peer: source,
        name: DesktopName::parse(&request.name)
            .map_err(|error| Refusal::forbidden("name_invalid", error.to_string()))?,
        os_type: match request.os.as_str() {
            "linux" => OsType::Linux,
            "windows" => OsType::Windows,
            _ => OsType::Other,
        },
        user: request
            .user
            .as_deref()
            .map(LocalUserName::parse)
            .transpose()
            .map_err(|error| Refusal::forbidden("name_invalid", error.to_string()))?,
        new_user_id: UserId::new(new_uuid()),
        new_desktop_id: DesktopId::new(new_uuid()),
        agent: NewAgent {
            id: agent_id,
            machine_id: reported("machine_id", request.machine_id, MAX_REPORTED)?,
            version: reported("agent_version", request.agent_version, MAX_REPORTED)?,
            os: reported("os", request.os, MAX_REPORTED)?,
            arch: reported("arch", request.arch, MAX_REPORTED)?,
            sandbox_root: request
                .sandbox_root
                .map(|path| reported("sandbox_root", path, MAX_REPORTED_PATH))
                .transpose()?,
            certificate: NewCertificate {
                fingerprint: issued.fingerprint,
                not_before: issued.not_before,
                not_after: issued.not_after,
            },
        },
    };
    let enrolled = let_in(services, &claim, &issued, source, now).await?;
    if enrolled.replaced {
        services.registry.close(enrolled.desktop);
    }
    tracing::info!(
        agent.id = %enrolled.agent_id,
        desktop.id = %enrolled.desktop_id,
        desktop.name = claim.name.as_str(),
        "enrolled"
    );
    Ok(EnrollResponse {
        agent: enrolled.agent_id,
        desktop: enrolled.desktop_id,
        chain_pem: issued.chain_pem,
        roots_pem: authority.roots_pem().to_owned(),
        server_time_millis: now.get(),
        update_keys: services.updates.keys(),
    })
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

/// Lets the agent in, with an entry in the audit log; a refusal is counted there.
async fn let_in(
    services: &Services,
    claim: &EnrollmentClaim,
    issued: &Issued,
    source: IpAddr,
    now: Millis,
) -> Result<Enrolled, Refusal> {
    let failed = |error| Refusal::busy("enroll an agent", &error);
    let resources = vec![format!("token:{}", claim.token_id)];
    let facts = AuditFacts {
        domain: None,
        project: None,
        at: now,
        action: ENROLL.to_owned(),
        operation: "EnrollAgent".to_owned(),
        actor: AuditActor {
            name: Some(claim.name.as_str().to_owned()),
            credential: format!("enrollment_token {}", claim.token_id),
            ..AuditActor::nobody()
        },
        on_behalf_of: claim.user.as_ref().map(|user| user.as_str().to_owned()),
        address: Some(source.to_string()),
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
        }),
    });
    let claimed = scope
        .run(async {
            let tx = services.store.write().await?;
            let enrolled = match tx.enrollment_claim(claim, now).await? {
                Ok(enrolled) => enrolled,
                Err(refusal) => return Ok(Err(refusal)),
            };
            keep_certificate(&tx, issued).await?;
            scope.identify(|facts| {
                facts.domain = Some(enrolled.domain);
                facts.project = Some(enrolled.project);
                facts.actor = AuditActor {
                    kind: AuditActorKind::Agent,
                    id: Some(enrolled.agent_id.to_string()),
                    ..facts.actor.clone()
                };
            });
            tx.commit().await?;
            Ok::<_, StoreError>(Ok(enrolled))
        })
        .await
        .map_err(failed)?;
    claimed.map_err(|refusal| {
        services.audit.refused(refusals::Refusal {
            facts,
            resources,
            status: 403,
            reason: refusal.to_string(),
        });
        refused(refusal)
    })
}

fn refused(refusal: EnrollmentRefusal) -> Refusal {
    Refusal::forbidden(refusal.code(), refusal.to_string())
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
    use tower::ServiceExt as _;

    use super::*;
    use crate::testing::TestServer;

    #[tokio::test]
    async fn an_address_that_enrolls_in_vain_has_to_wait_and_others_need_not() {
        let server = TestServer::start().await;
        let router = crate::agents::listener::router(Arc::clone(&server.services));
        let enroll = |address: [u8; 4]| {
            let mut request = Request::post("/enroll").body(Body::from("{}")).unwrap();
            let peer = SocketAddr::from((address, 4711));
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        };
        let mut tried = 0;
        let refused = loop {
            let answer = enroll([192, 0, 2, 1]).await.unwrap();
            if answer.status() != StatusCode::BAD_REQUEST {
                break answer;
            }
            tried += 1;
            assert!(tried < 5_000, "never refused");
        };
        assert!(tried >= 600, "{tried}");
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("retry-after"));
        let other = enroll([192, 0, 2, 2]).await.unwrap();
        assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    }
}
