//! `POST /enroll/copy`: a copy of an enrolled machine becomes a desktop of its own, where its project names the token that
//! lets copies in (docs/adr/0029-identity.md).
//!
//! **Guarantees.** Who asks shows the certificate that was copied, and is seen as a copy by the same rule that refused its
//! channel; a machine that was set back while its old channel was not dead yet is none. The agent's id is made from its new
//! key: asking again with that key gives the same agent, or the same request, so a lost answer costs nothing. The one that
//! was copied is left as it is.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use outfitter_agent_protocol::{COPY, CopyRequest, MachineIdentity};
use outfitter_domain::Millis;
use outfitter_domain::fleet::{
    CopySign, DesktopName, EnrollmentRefusal, IdentityVerdict, NotedIdentity, Other,
    decide_identity,
};
use outfitter_ids::{AgentId, DesktopId, EnrollmentRequestId, EnrollmentTokenId, UserId};
use outfitter_store::{
    CertificateHolder, ClaimProof, CopyOf, DesktopKey, EnrollmentClaim, NewAgent,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::approval;
use super::channel::copy_words;
use super::enroll::{
    EnrollAnswer, certificate, check_protocol, issue, issue_again, let_in, os_type, reported_agent,
};
use super::peer::identify;
use super::pki::{Issued, key_digest};
use super::refusal::Refusal;
use super::registry::Registry;
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
    // A lapsed certificate is as good here as it is for its renewal.
    let (holder, _) = identify(&services, &peer).await?;
    Box::pin(answer(&services, &holder, address.ip(), &body)).await
}

async fn answer(
    services: &Services,
    holder: &CertificateHolder,
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
    let noted = holder.identity.as_ref();
    let sign = sign_of_copy(&services.registry, holder.desktop, noted, &asked.identity).await;
    let Some(sign) = sign else {
        return Err(Refusal::conflict(
            "this machine is not seen as a copy now: it may connect as before",
        ));
    };
    let token = services
        .store
        .db()
        .copies_token(holder.project)
        .await
        .map_err(|error| Refusal::busy("read what becomes of copies", &error))?
        .ok_or_else(|| Refusal::forbidden(COPY, copy_words(&holder.desktop_name, sign, false)))?;
    let can_wait = asked.can_wait;
    let claim = claim(services, holder, asked, token.id, source, &issued, now)?;
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

/// How it is told that who asks is a copy; `None`: it is none now. Where another channel's life decides, that one is asked for
/// a sign of it: who was set back to a snapshot may have left it behind.
async fn sign_of_copy(
    registry: &Registry,
    desktop: DesktopKey,
    noted: Option<&NotedIdentity>,
    told: &MachineIdentity,
) -> Option<CopySign> {
    let verdict = |other| decide_identity(noted, told, other);
    let is_there = registry.is_there(desktop);
    let mut decided = verdict(if is_there {
        Other::Alive
    } else {
        Other::Silent
    });
    if decided == IdentityVerdict::Copy(CopySign::BothAlive) && !registry.shows_life(desktop).await
    {
        decided = verdict(Other::Silent);
    }
    match decided {
        IdentityVerdict::Copy(sign) => Some(sign),
        IdentityVerdict::Itself
        | IdentityVerdict::Behind
        | IdentityVerdict::Restored
        | IdentityVerdict::Returned => None,
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
        copy: Some(CopyOf {
            agent: holder.agent,
            desktop: holder.desktop_id,
            desktop_name: holder.desktop_name.clone(),
            told: asked.identity,
            spare_names: name.spares(&issued.key_digest),
        }),
        name,
        marks: BTreeMap::new(),
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
    use outfitter_agent_protocol::History;
    use outfitter_ids::HistoryId;

    use super::*;
    use crate::agents::registry::Takes;

    fn machine(count: i64) -> MachineIdentity {
        MachineIdentity {
            marks: BTreeMap::from([("product".to_owned(), "a".to_owned())]),
            history: History {
                id: HistoryId::new(Uuid::from_u128(1)),
                count,
            },
            begun_anew: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_set_back_while_its_old_channel_was_not_dead_yet_is_no_copy() {
        let noted = NotedIdentity {
            marks: machine(0).marks,
            history: Some(machine(10).history),
            before: None,
            barred: None,
        };
        let registry = Registry::default();
        let desktop = DesktopKey::new(1);
        let asked = machine(3);
        let sign = || sign_of_copy(&registry, desktop, Some(&noted), &asked);
        assert_eq!(sign().await, None, "nobody else is there");
        let channel = registry.insert(desktop, 1, Takes::Work).expect("a channel");
        assert_eq!(sign().await, None, "the other one says nothing");
        let answers = async {
            channel.probed.notified().await;
            channel.heard.notify_waiters();
        };
        let (sign_now, ()) = tokio::join!(sign(), answers);
        assert_eq!(sign_now, Some(CopySign::BothAlive));
        let other = MachineIdentity {
            marks: BTreeMap::from([("product".to_owned(), "b".to_owned())]),
            ..machine(3)
        };
        let sign = sign_of_copy(&registry, desktop, Some(&noted), &other).await;
        assert_eq!(sign, Some(CopySign::OtherMachine));
        let itself = sign_of_copy(&registry, desktop, Some(&noted), &machine(11)).await;
        assert_eq!(itself, None);
    }

    #[test]
    fn a_key_has_its_ids_for_ever() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(id_of_key("agent", &one), id_of_key("agent", &one));
        assert_ne!(id_of_key("agent", &one), id_of_key("agent", &other));
        assert_ne!(id_of_key("agent", &one), id_of_key("request", &one));
    }
}
