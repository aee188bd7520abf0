//! `POST /enroll/copy`: a copy of an enrolled machine becomes a desktop of its own, where its project names the token that
//! lets copies in (docs/adr/0029-identity.md).
//!
//! **Guarantees.** Who asks shows the certificate that was copied, and is another machine by its marks, as when its channel was
//! refused; between machines with the same marks an administrator decides. The agent's id is made from its new key: asking
//! again with that key gives the same agent, or the same request, whatever became of the certificate, so a lost answer costs
//! nothing. The one that was copied is left as it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use outfitter_agent_protocol::{COPY, CopyRequest};
use outfitter_domain::Millis;
use outfitter_domain::fleet::{
    DesktopName, EnrollmentRefusal, IdentityVerdict, Other, decide_identity,
};
use outfitter_ids::{AgentId, DesktopId, EnrollmentRequestId, EnrollmentTokenId, UserId};
use outfitter_store::{CertificateHolder, ClaimProof, CopyOf, EnrollmentClaim, NewAgent};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::approval;
use super::channel::copy_words;
use super::enroll::{
    EnrollAnswer, certificate, check_protocol, counted, issue, issue_again, let_in, os_type,
    reported_agent,
};
use super::peer::identify;
use super::pki::{Issued, key_digest};
use super::refusal::Refusal;
use crate::listen::PeerCertificate;
use crate::services::Services;

/// Lets a copy in.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn enroll(
    State(services): State<Arc<Services>>,
    Extension(peer): Extension<PeerCertificate>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<EnrollAnswer, Refusal> {
    let source = address.ip();
    // Whoever has a key is answered before the certificate is looked at, which costs as much as an enrollment.
    let answered = counted(&services, source, answer(&services, &peer, source, &body));
    Box::pin(answered).await
}

async fn answer(
    services: &Services,
    peer: &PeerCertificate,
    source: IpAddr,
    body: &Bytes,
) -> Result<EnrollAnswer, Refusal> {
    let asked: CopyRequest = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request("request_invalid", error.to_string()))?;
    check_protocol(asked.protocol)?;
    if !asked.identity.is_bounded() {
        return Err(Refusal::bad_request(
            "request_invalid",
            "marks beyond their limits",
        ));
    }
    let now = services.clock.now();
    let digest = key_digest(&asked.csr_pem)
        .map_err(|error| Refusal::bad_request("csr_invalid", error.to_string()))?;
    let agent_id = AgentId::new(id_of_key("agent", &digest));
    let request_id = EnrollmentRequestId::new(id_of_key("request", &digest));
    let issued = issue(services, &asked.csr_pem, agent_id, now)?;
    if let Some(again) = answer_again(services, request_id, &issued, source, now).await? {
        return Ok(again);
    }
    // A lapsed certificate is as good here as it is for its renewal.
    let (holder, _) = identify(services, peer).await?;
    let verdict = decide_identity(holder.identity.as_ref(), &asked.identity, Other::Silent);
    let sign = match verdict {
        IdentityVerdict::Copy(sign) if sign.is_certain() => sign,
        IdentityVerdict::Copy(_)
        | IdentityVerdict::Itself
        | IdentityVerdict::Behind
        | IdentityVerdict::Restored
        | IdentityVerdict::Returned => {
            return Err(Refusal::conflict(
                "this machine is not another one by its marks now: it may connect as before",
            ));
        }
    };
    let token = services
        .store
        .db()
        .copies_token(holder.project)
        .await
        .map_err(|error| Refusal::busy("read what becomes of copies", &error))?
        .ok_or_else(|| Refusal::forbidden(COPY, copy_words(&holder.desktop_name, sign, false)))?;
    let can_wait = asked.can_wait;
    let claim = claim(services, &holder, asked, token.id, source, &issued, now)?;
    let_in(
        services,
        &claim,
        &issued,
        can_wait.then_some(request_id),
        now,
    )
    .await
}

/// What who asks with a key of before was told then.
async fn answer_again(
    services: &Services,
    request_id: EnrollmentRequestId,
    issued: &Issued,
    source: IpAddr,
    now: Millis,
) -> Result<Option<EnrollAnswer>, Refusal> {
    let failed = |error| Refusal::busy("look an agent up", &error);
    let db = services.store.db();
    if let Some(agent) = db.agent_find(issued.agent).await.map_err(failed)? {
        if !agent.live {
            return Err(Refusal::enrollment(EnrollmentRefusal::RequestUnknown));
        }
        let again = issue_again(services, agent, issued, now).await;
        return again.map(Some).map_err(failed);
    }
    let request = db
        .enrollment_request_find(request_id, now)
        .await
        .map_err(failed)?;
    match request {
        Some(request) => approval::stand_of(services, &request, issued, source, now)
            .await
            .map(Some),
        None => Ok(None),
    }
}

fn claim(
    services: &Services,
    holder: &CertificateHolder,
    asked: CopyRequest,
    token_id: EnrollmentTokenId,
    peer: IpAddr,
    issued: &Issued,
    now: Millis,
) -> Result<EnrollmentClaim, Refusal> {
    let name = DesktopName::parse(&asked.name)
        .map_err(|error| Refusal::forbidden("name_invalid", error.to_string()))?;
    Ok(EnrollmentClaim {
        token_id,
        proof: ClaimProof::Copy,
        peer,
        os_type: os_type(&asked.os),
        user: None,
        new_user_id: UserId::new(services.ids.uuid(now.get())),
        new_desktop_id: DesktopId::new(services.ids.uuid(now.get())),
        marks: asked.identity.marks.clone(),
        copy: Some(CopyOf {
            agent: holder.agent,
            desktop: holder.desktop_id,
            desktop_name: holder.desktop_name.clone(),
            told: asked.identity,
            spare_names: name.spares(&issued.key_digest),
        }),
        name,
        rival: None,
        agent: reported_agent(NewAgent {
            id: issued.agent,
            machine_id: asked.machine_id,
            version: asked.agent_version,
            os: asked.os,
            arch: asked.arch,
            sandbox_root: asked.sandbox_root,
            certificate: certificate(issued),
        })?,
    })
}

/// An id of `what`, made from the digest of a key.
fn id_of_key(what: &str, key_digest: &[u8; 32]) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(b"outfitter copy\0");
    digest.update(what);
    digest.update(b"\0");
    digest.update(key_digest);
    let digest: [u8; 32] = digest.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_ids_for_ever() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(id_of_key("agent", &one), id_of_key("agent", &one));
        assert_ne!(id_of_key("agent", &one), id_of_key("agent", &other));
        assert_ne!(id_of_key("agent", &one), id_of_key("request", &one));
    }
}
