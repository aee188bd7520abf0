//! Who is at the other end: read from the certificate's row, never from a message (invariant I7).

use outfitter_agent_protocol::DECOMMISSIONED;
use outfitter_store::{CertificateHolder, HolderState};

use super::pki::fingerprint;
use super::refusal::Refusal;
use crate::listen::PeerCertificate;
use crate::services::Services;

/// What a certificate is still good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Everything.
    Good,
    /// It has expired: it may renew and nothing else.
    RenewOnly,
}

/// Finds the agent behind a connection. Revocation and expiry are checked here, after every handshake.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn identify(
    services: &Services,
    certificate: &PeerCertificate,
) -> Result<(CertificateHolder, Standing), Refusal> {
    let Some(der) = &certificate.0 else {
        return Err(Refusal::certificate_required());
    };
    let holder = services
        .store
        .db()
        .certificate_holder(&fingerprint(der))
        .await
        .map_err(|error| Refusal::busy("look an agent's certificate up", &error))?;
    let Some(holder) = holder else {
        return Err(Refusal::forbidden(
            "certificate_unknown",
            "this server does not know the agent's certificate: enroll again",
        ));
    };
    match holder.state {
        HolderState::Live => {}
        HolderState::Suspended => {
            return Err(Refusal::forbidden(
                "project_disabled",
                "the project of this desktop is disabled: nothing is done until an administrator enables it",
            ));
        }
        HolderState::Gone => {
            return Err(Refusal::forbidden(
                DECOMMISSIONED,
                "the agent was revoked or its desktop was deleted: enroll again with a new token",
            ));
        }
    }
    let standing = if holder.not_after < services.clock.now() {
        Standing::RenewOnly
    } else {
        Standing::Good
    };
    Ok((holder, standing))
}
