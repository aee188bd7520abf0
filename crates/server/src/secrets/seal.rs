use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Randomness, SecretBytes, ServerKey};

/// Names the key that sealed; a second one comes with rotation.
const KEY_ID: u8 = 1;

/// Bytes of an XChaCha20 nonce: long enough to be drawn at random for ever.
const NONCE_BYTES: usize = 24;

/// Why a sealed text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// Too short to be one.
    #[error("the sealed text is cut short")]
    Cut,
    /// Sealed with a key we do not have.
    #[error("the sealed text names key {0}, which this server does not have")]
    OtherKey(u8),
    /// Another key, purpose or row, or changed.
    #[error(
        "the sealed text does not open: it was sealed under another key or for another place, or was changed"
    )]
    Refused,
}

/// Seals and opens secrets with XChaCha20-Poly1305. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    cipher: Arc<XChaCha20Poly1305>,
    randomness: Arc<dyn Randomness>,
}

impl Sealer {
    /// Seals under a server key.
    pub fn new(key: &ServerKey, randomness: Arc<dyn Randomness>) -> Self {
        let cipher = XChaCha20Poly1305::new_from_slice(key.expose())
            .expect("a server key is as long as the cipher wants");
        Self {
            cipher: Arc::new(cipher),
            randomness,
        }
    }

    /// Seals a secret for one place: a purpose (table and column) and the identity of the row.
    pub fn seal(&self, purpose: &str, identity: &str, secret: &[u8]) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_BYTES];
        self.randomness.fill(&mut nonce);
        let payload = Payload {
            msg: secret,
            aad: &associated_data(KEY_ID, purpose, identity),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("secrets are far shorter than the cipher's limit of 256 GiB");
        [&[KEY_ID], &nonce[..], &sealed].concat()
    }

    /// Opens what [`Sealer::seal`] made for the same place.
    ///
    /// # Errors
    /// It is cut, names another key, or was sealed elsewhere or changed.
    pub fn open(
        &self,
        purpose: &str,
        identity: &str,
        sealed: &[u8],
    ) -> Result<SecretBytes, SealError> {
        let (key_id, rest) = sealed.split_first().ok_or(SealError::Cut)?;
        if *key_id != KEY_ID {
            return Err(SealError::OtherKey(*key_id));
        }
        let (nonce, message) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Cut)?;
        let payload = Payload {
            msg: message,
            aad: &associated_data(*key_id, purpose, identity),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(SecretBytes::from)
            .map_err(|_| SealError::Refused)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// Lengths come first, so that no two places give the same bytes.
fn associated_data(key_id: u8, purpose: &str, identity: &str) -> Vec<u8> {
    let mut data = vec![key_id];
    for part in [purpose, identity] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

impl ServerKey {
    /// Bytes of a key.
    pub(super) const BYTES: usize = 32;
}

/// Decodes lower- or upper-case hex into a key.
pub(super) fn key_from_hex(text: &[u8]) -> Option<Zeroizing<[u8; ServerKey::BYTES]>> {
    let mut key = Zeroizing::new([0_u8; ServerKey::BYTES]);
    hex::decode_to_slice(text.trim_ascii(), &mut key[..]).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::SystemRandomness;
    use super::*;

    fn sealer() -> Sealer {
        let randomness = Arc::new(SystemRandomness);
        Sealer::new(&ServerKey::random(randomness.as_ref()), randomness)
    }

    #[test]
    fn a_secret_opens_in_its_place_only() {
        let sealer = sealer();
        let sealed = sealer.seal("access_key", "AK1", b"secret");
        let open = |purpose, identity, sealed: &[u8]| {
            sealer
                .open(purpose, identity, sealed)
                .map(|secret| secret.expose_secret().to_vec())
        };
        assert_eq!(open("access_key", "AK1", &sealed).unwrap(), b"secret");
        assert_eq!(open("access_key", "AK2", &sealed), Err(SealError::Refused));
        assert_eq!(open("access_keyA", "K1", &sealed), Err(SealError::Refused));
        assert_eq!(
            super::tests::sealer()
                .open("access_key", "AK1", &sealed)
                .map(drop)
                .unwrap_err(),
            SealError::Refused
        );
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(sealed, sealer.seal("access_key", "AK1", b"secret"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = sealer();
        let sealed = sealer.seal("p", "i", b"");
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(sealer.open("p", "i", &changed).is_err(), "{position}");
            assert!(sealer.open("p", "i", &sealed[..position]).is_err());
        }
    }
}
