//! Temporary credentials: a key pair with a security token that carries everything, sealed under the server key,
//! so that no server has to remember it (contract, `auth.md`, sections 2.3 and 3).
//!
//! **Guarantees.** A security token opens only for the access key it was made with, and only on a server with the
//! same key. It ends with its time, with a change of the user's password, and with the user. **Does not** outlive
//! the scope of the token it was made from, and a narrowing policy can only take away.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outfitter_domain::Millis;
use outfitter_domain::iam::PolicyDocument;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::{CAPITALS_AND_DIGITS, LETTERS_AND_DIGITS};
use super::{Auth, Caller, Scope};
use crate::secrets::random_text;

/// How access keys that need a security token begin, as the vendor's do.
pub(super) const TEMPORARY_PREFIX: &str = "HST";

/// Purpose under which security tokens are sealed; the access half is the identity.
const PURPOSE: &str = "temporary_key.security_token";

/// A temporary key pair, shown once.
pub struct TemporaryKey {
    /// The public half.
    pub access: String,
    /// The secret half.
    pub secret: SecretString,
    /// What must be sent along with every request signed with it.
    pub security_token: SecretString,
    /// Until when, exclusive.
    pub expires_at: Millis,
}

/// What a security token says.
#[derive(Serialize, Deserialize)]
pub(super) struct TemporaryClaims {
    pub(super) user: Uuid,
    pub(super) scope: ClaimedScope,
    pub(super) secret: String,
    pub(super) issued_at: Millis,
    pub(super) expires_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Arc<PolicyDocument>>,
}

/// What the credential is good for.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClaimedScope {
    Project(Uuid),
    Domain(Uuid),
}

impl Auth {
    /// Makes a temporary key pair for a caller, with the caller's scope.
    pub fn issue_temporary_key(
        &self,
        caller: &Caller,
        policy: Option<PolicyDocument>,
        lifetime: Duration,
        now: Millis,
    ) -> TemporaryKey {
        let access = format!(
            "{TEMPORARY_PREFIX}{}",
            random_text(self.randomness(), CAPITALS_AND_DIGITS, 17)
        );
        let secret = random_text(self.randomness(), LETTERS_AND_DIGITS, 40);
        // As with tokens: a password that was changed within this millisecond must not refuse what follows.
        let issued_at = now.max(caller.tokens_valid_from);
        let claims = TemporaryClaims {
            user: caller.user_id.uuid(),
            scope: match caller.scope {
                Scope::Project(_, id) => ClaimedScope::Project(id.uuid()),
                Scope::Domain => ClaimedScope::Domain(caller.domain_id.uuid()),
            },
            secret: secret.clone(),
            issued_at,
            expires_at: issued_at.plus(lifetime),
            policy: policy.map(Arc::new),
        };
        let text = serde_json::to_vec(&claims).expect("claims are JSON");
        let sealed = self.sealer().seal(PURPOSE, &access, &text);
        TemporaryKey {
            access,
            secret: secret.into(),
            security_token: URL_SAFE_NO_PAD.encode(sealed).into(),
            expires_at: claims.expires_at,
        }
    }

    /// Opens a security token that belongs to the access key; `None` for every other text. Does not look at the
    /// times.
    pub(super) fn open_security_token(
        &self,
        access: &str,
        token: &[u8],
    ) -> Option<TemporaryClaims> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let text = self.sealer().open(PURPOSE, access, &sealed).ok()?;
        serde_json::from_slice(text.expose_secret()).ok()
    }
}
