//! Tokens: self-contained, so that no server has to remember them, and MACed, so that only a server can make
//! them. Not encrypted: what is inside (ids and times) is what the answer's body shows anyway.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use outfitter_domain::Millis;
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use uuid::Uuid;

use crate::secrets::SecretBytes;

/// How long a token lives. Source: the contract, `auth.md`, section 1.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// First byte; another form of token gets another.
const VERSION: u8 = 1;

/// Length of the MAC, in bytes.
const MAC_BYTES: usize = 32;

/// Length before the MAC: version, method, scope, three times 16 or 8 bytes.
const CLAIM_BYTES: usize = 3 + 16 + 16 + 8 + 8;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    /// Whose it is.
    pub user: IamUserId,
    /// What it is good for.
    pub scope: TokenScope,
    /// How the user was recognised.
    pub method: TokenMethod,
    /// Since when.
    pub issued_at: Millis,
    /// Until when, exclusive.
    pub expires_at: Millis,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// One project.
    Project(ProjectId),
    /// Every project of the account in which the user has rights.
    Domain(DomainId),
}

/// How a token's user was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMethod {
    /// By password.
    Password,
    /// By password, in a browser: good in the session's cookie only.
    Session,
}

impl TokenMethod {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password | Self::Session => "password",
        }
    }
}

/// Writes a token.
pub(super) fn encode(claims: &TokenClaims, key: &SecretBytes) -> String {
    let (scope, id) = match claims.scope {
        TokenScope::Project(id) => (b'p', id.uuid()),
        TokenScope::Domain(id) => (b'd', id.uuid()),
    };
    let method = match claims.method {
        TokenMethod::Password => b'p',
        TokenMethod::Session => b's',
    };
    let mut bytes = Vec::with_capacity(CLAIM_BYTES + MAC_BYTES);
    bytes.extend_from_slice(&[VERSION, method, scope]);
    bytes.extend_from_slice(claims.user.uuid().as_bytes());
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&claims.issued_at.get().to_be_bytes());
    bytes.extend_from_slice(&claims.expires_at.get().to_be_bytes());
    let tag = tag(key, &bytes);
    bytes.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token that one of our servers made; `None` for every other text. Does not look at the times.
pub(super) fn decode(text: &[u8], key: &SecretBytes) -> Option<TokenClaims> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (claims, tag) = bytes.split_at_checked(CLAIM_BYTES)?;
    verify(key, claims, tag)?;

    let (&[version, method, scope], rest) = claims.split_first_chunk()?;
    let (user, rest) = rest.split_first_chunk()?;
    let (scope_id, rest) = rest.split_first_chunk()?;
    let (issued_at, rest) = rest.split_first_chunk()?;
    let (expires_at, _) = rest.split_first_chunk()?;
    let scope_id = Uuid::from_bytes(*scope_id);
    Some(TokenClaims {
        user: Uuid::from_bytes(*user).into(),
        scope: match scope {
            b'p' => TokenScope::Project(scope_id.into()),
            b'd' => TokenScope::Domain(scope_id.into()),
            _ => return None,
        },
        method: match method {
            b'p' if version == VERSION => TokenMethod::Password,
            b's' if version == VERSION => TokenMethod::Session,
            _ => return None,
        },
        issued_at: Millis::new(i64::from_be_bytes(*issued_at)),
        expires_at: Millis::new(i64::from_be_bytes(*expires_at)),
    })
}

/// The MAC of claims.
pub(super) fn tag(key: &SecretBytes, claims: &[u8]) -> [u8; MAC_BYTES] {
    mac(key, claims).finalize().into_bytes().into()
}

/// Whether a MAC is that of the claims.
pub(super) fn verify(key: &SecretBytes, claims: &[u8], tag: &[u8]) -> Option<()> {
    mac(key, claims).verify_slice(tag).ok()
}

fn mac(key: &SecretBytes, claims: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret())
        .expect("HMAC takes keys of every length");
    mac.update(claims);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretBytes {
        SecretBytes::from(vec![byte; 32])
    }

    #[test]
    fn a_token_reads_back_under_its_key_only() {
        for scope in [
            TokenScope::Project(Uuid::from_u128(7).into()),
            TokenScope::Domain(Uuid::from_u128(8).into()),
        ] {
            let claims = TokenClaims {
                user: Uuid::from_u128(9).into(),
                scope,
                method: TokenMethod::Password,
                issued_at: Millis::new(1),
                expires_at: Millis::new(2),
            };
            let text = encode(&claims, &key(1));
            assert_eq!(decode(text.as_bytes(), &key(1)), Some(claims));
            assert_eq!(decode(text.as_bytes(), &key(2)), None);
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let claims = TokenClaims {
            user: Uuid::from_u128(9).into(),
            scope: TokenScope::Domain(Uuid::from_u128(8).into()),
            method: TokenMethod::Password,
            issued_at: Millis::new(1),
            expires_at: Millis::new(2),
        };
        let text = encode(&claims, &key(1)).into_bytes();
        for position in 0..text.len() {
            let mut changed = text.clone();
            changed[position] = if changed[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            assert_eq!(decode(&changed, &key(1)), None, "{position}");
            assert_eq!(decode(&text[..position], &key(1)), None);
        }
        assert_eq!(decode(b"", &key(1)), None);
        assert_eq!(decode(&[0xff; 200], &key(1)), None);
    }
}
