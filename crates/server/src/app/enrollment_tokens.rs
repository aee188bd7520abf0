//! Enrollment tokens: the secret leaves the server once, when the token is made; a digest stays.

use std::time::Duration;

use outfitter_agent_protocol::EnrollmentToken;
use outfitter_domain::Millis;
use outfitter_domain::fleet::{Network, TokenFacts};
use outfitter_ids::{EnrollmentTokenId, IdSource};
use outfitter_store::{
    DesktopKey, DesktopTag, EnrollmentTokenRecord, NewEnrollmentToken, ProjectKey, SecretDigest,
    StoreError, Tx,
};
use sha2::{Digest as _, Sha256};

use crate::secrets::Randomness;

/// Bytes of a token's secret: nobody guesses 256 bits.
const SECRET_BYTES: usize = 32;

/// What a token is to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOrder {
    /// What it is for.
    pub name: String,
    /// Agents it lets in; `None`: any number.
    pub max_uses: Option<i64>,
    /// How long it is valid; `None`: until it is revoked.
    pub lifetime: Option<Duration>,
    /// Whether it may attach a user to the desktop.
    pub may_attach: bool,
    /// Whether it may replace a live agent.
    pub may_reenroll: bool,
    /// The one desktop it is for; `None`: any.
    pub desktop: Option<DesktopKey>,
    /// Networks that it may be used from; empty: any.
    pub networks: Vec<Network>,
    /// Tags of the desktops that it enrolls.
    pub tags: Vec<DesktopTag>,
    /// Whether an administrator has to approve each agent.
    pub needs_approval: bool,
}

/// Makes a token. `root_pins` are the pins of the roots that the agent is to trust.
///
/// # Errors
/// The database's.
pub async fn create(
    tx: &Tx,
    ids: &dyn IdSource,
    randomness: &dyn Randomness,
    root_pins: Vec<String>,
    project: ProjectKey,
    order: TokenOrder,
    now: Millis,
) -> Result<(EnrollmentTokenRecord, EnrollmentToken), StoreError> {
    let mut secret = [0_u8; SECRET_BYTES];
    randomness.fill(&mut secret);
    let token = EnrollmentToken {
        id: EnrollmentTokenId::new(ids.uuid(now.get())),
        secret: hex::encode(secret),
        root_pins,
    };
    let expires_at = order.lifetime.map(|lifetime| now.plus(lifetime));
    let new = NewEnrollmentToken {
        id: token.id,
        name: order.name.clone(),
        secret_digest: SecretDigest::new(Sha256::digest(token.secret.as_bytes()).into()),
        max_uses: order.max_uses,
        expires_at,
        may_attach: order.may_attach,
        may_reenroll: order.may_reenroll,
        desktop: order.desktop,
        networks: order.networks.clone(),
        tags: order.tags.clone(),
        needs_approval: order.needs_approval,
    };
    tx.enrollment_token_insert(project, &new, now).await?;
    let record = EnrollmentTokenRecord {
        id: token.id,
        name: order.name,
        facts: TokenFacts {
            max_uses: order.max_uses,
            uses: 0,
            expires_at,
            revoked_at: None,
            networks: order.networks,
        },
        may_attach: order.may_attach,
        may_reenroll: order.may_reenroll,
        tags: order.tags,
        needs_approval: order.needs_approval,
        created_at: now,
    };
    Ok((record, token))
}
