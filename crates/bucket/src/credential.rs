//! Credentials for one object: nothing of them is stored, whoever has the key can check them.
//!
//! The secret follows from the access key, so that a signature can be checked without looking anything up. The
//! token carries what the credential is for, in plain text under a MAC; it names its access key, so that no other
//! pair can use it. Servers of one database share the key and honour each other's credentials.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use outfitter_domain::Millis;
use outfitter_ids::ProjectId;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Characters of an access key that say whether it is one of ours.
const CHECK_CHARS: usize = 8;

/// Characters of an access key.
const ACCESS_CHARS: usize = 20;

/// Who asked for a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploader {
    /// Public id of the IAM user.
    pub id: String,
    /// Name.
    pub name: String,
}

/// What a credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose bucket.
    pub project: ProjectId,
    /// The one key it may put.
    pub object_key: String,
    /// Refused from then on.
    pub expires_at: Millis,
    /// Who uploads, for the audit log.
    pub uploader: Option<Uploader>,
}

/// What the uploader gets.
#[derive(Debug)]
pub struct IssuedCredential {
    /// Access key.
    pub access: String,
    /// Secret key.
    pub secret: SecretString,
    /// Session token.
    pub security_token: SecretString,
}

/// The secret from which every credential follows; shared by all servers of a database.
pub struct Keys {
    key: SecretSlice<u8>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    access: String,
    project: String,
    key: String,
    expires: i64,
    /// Tokens of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uploader: Option<Uploader>,
}

impl Keys {
    /// Credentials that follow from `key`: at least 32 bytes that nobody can guess.
    pub fn new(key: SecretSlice<u8>) -> Self {
        Self { key }
    }

    /// Makes a credential; `seed` must be new each time.
    pub fn issue(&self, grant: &Grant, seed: [u8; 16]) -> IssuedCredential {
        let mut access = capitals(&seed, ACCESS_CHARS - CHECK_CHARS);
        access.push_str(&self.check_of(&access));
        let text = serde_json::to_vec(&Token {
            access: access.clone(),
            project: grant.project.to_string(),
            key: grant.object_key.clone(),
            expires: grant.expires_at.get(),
            uploader: grant.uploader.clone(),
        })
        .expect("texts and numbers are JSON");
        let mac = self.mac("token", &text);
        let token = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&text),
            URL_SAFE_NO_PAD.encode(mac)
        );
        IssuedCredential {
            secret: self.secret_of_known(&access),
            access,
            security_token: token.into(),
        }
    }

    /// The secret of an access key; `None` for one that was never issued.
    pub(crate) fn secret_of(&self, access: &str) -> Option<SecretString> {
        let (id, check) = access.split_at_checked(ACCESS_CHARS - CHECK_CHARS)?;
        let known: bool = self.check_of(id).as_bytes().ct_eq(check.as_bytes()).into();
        known.then(|| self.secret_of_known(access))
    }

    /// What a token was issued for, with its access key; `None` for one that was never issued. Whether it has
    /// expired is for the caller to see.
    pub(crate) fn grant_of(&self, token: &str) -> Option<(String, Grant)> {
        let (text, mac) = token.split_once('.')?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        if !bool::from(self.mac("token", &text).ct_eq(mac.as_slice())) {
            return None;
        }
        let token: Token = serde_json::from_slice(&text).ok()?;
        let grant = Grant {
            project: ProjectId::lookup(&token.project)?,
            object_key: token.key,
            expires_at: Millis::new(token.expires),
            uploader: token.uploader,
        };
        Some((token.access, grant))
    }

    fn check_of(&self, id: &str) -> String {
        capitals(&self.mac("access", id.as_bytes()), CHECK_CHARS)
    }

    fn secret_of_known(&self, access: &str) -> SecretString {
        let mut secret = URL_SAFE_NO_PAD.encode(self.mac("secret", access.as_bytes()));
        secret.truncate(40);
        secret.into()
    }

    fn mac(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret())
            .expect("HMAC takes keys of every length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

/// Capital letters and digits, 5 bits of a byte each.
fn capitals(bytes: &[u8], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    bytes
        .iter()
        .take(length)
        .map(|byte| char::from(ALPHABET[usize::from(*byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            project: ProjectId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").unwrap(),
            object_key: "app-file/a b+名.exe".to_owned(),
            expires_at: Millis::new(1_000),
            uploader: Some(Uploader {
                id: "u1".to_owned(),
                name: "Ana".to_owned(),
            }),
        }
    }

    #[test]
    fn a_credential_says_what_it_was_issued_for() {
        let keys = Keys::new(vec![1; 32].into());
        let grant = grant();
        let issued = keys.issue(&grant, [9; 16]);
        assert_eq!(issued.access.len(), 20);
        assert_eq!(issued.secret.expose_secret().len(), 40);
        let secret = keys.secret_of(&issued.access).unwrap();
        assert_eq!(secret.expose_secret(), issued.secret.expose_secret());
        let token = issued.security_token.expose_secret();
        assert_eq!(keys.grant_of(token), Some((issued.access, grant.clone())));
        assert_ne!(
            keys.issue(&grant, [8; 16]).secret.expose_secret(),
            issued.secret.expose_secret()
        );
    }

    #[test]
    fn what_was_not_issued_under_this_key_is_nothing() {
        let keys = Keys::new(vec![1; 32].into());
        let issued = Keys::new(vec![2; 32].into()).issue(&grant(), [9; 16]);
        assert!(keys.secret_of(&issued.access).is_none());
        assert!(
            keys.grant_of(issued.security_token.expose_secret())
                .is_none()
        );
        let own = keys.issue(&grant(), [9; 16]);
        let token = own.security_token.expose_secret();
        let (text, mac) = token.split_once('.').unwrap();
        let mut other = URL_SAFE_NO_PAD.decode(text).unwrap();
        let at = other.windows(4).position(|part| part == b"1000").unwrap();
        other[at] = b'9';
        let forged = format!("{}.{mac}", URL_SAFE_NO_PAD.encode(other));
        for token in [forged.as_str(), "", ".", text, &token[1..]] {
            assert!(keys.grant_of(token).is_none(), "{token}");
        }
        for access in ["", "A", "AAAAAAAAAAAAAAAAAAAA", "名名名名名名名名"] {
            assert!(keys.secret_of(access).is_none(), "{access}");
        }
    }
}
