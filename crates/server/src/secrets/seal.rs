use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use thiserror::Error;

use super::{Randomness, SecretBytes, ServerKeys};

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

/// Seals and opens secrets with XChaCha20-Poly1305. Cheap to clone; clones share their keys, also those that come.
#[derive(Clone)]
pub struct Sealer {
    keyring: Arc<RwLock<Keyring>>,
    randomness: Arc<dyn Randomness>,
}

struct Keyring {
    ciphers: BTreeMap<u8, Arc<XChaCha20Poly1305>>,
    sealing: u8,
}

impl Sealer {
    /// Opens what was sealed under any of the keys, and seals under the first until told otherwise.
    pub fn new(keys: &ServerKeys, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            keyring: Arc::new(RwLock::new(Keyring {
                ciphers: ciphers(keys),
                sealing: keys.first(),
            })),
            randomness,
        }
    }

    /// Takes these keys in the place of those so far. Does nothing, and answers false, when the sealing one is not
    /// among them.
    pub fn take_keys(&self, keys: &ServerKeys) -> bool {
        let mut keyring = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        let holds = keys.holds(keyring.sealing);
        if holds {
            keyring.ciphers = ciphers(keys);
        }
        holds
    }

    /// Seals under this key from now on. Does nothing, and answers false, when it is not there.
    pub fn seal_under(&self, key_id: u8) -> bool {
        let mut keyring = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        let holds = keyring.ciphers.contains_key(&key_id);
        if holds {
            keyring.sealing = key_id;
        }
        holds
    }

    /// Id of the key that seals.
    pub fn sealing(&self) -> u8 {
        self.keyring().sealing
    }

    /// Ids of the keys that open.
    pub fn key_ids(&self) -> Vec<u8> {
        self.keyring().ciphers.keys().copied().collect()
    }

    /// Seals a secret for one place: a purpose (table and column) and the identity of the row.
    pub fn seal(&self, purpose: &str, identity: &str, secret: &[u8]) -> Vec<u8> {
        let (key_id, cipher) = {
            let keyring = self.keyring();
            let cipher = keyring
                .ciphers
                .get(&keyring.sealing)
                .expect("the sealing key is never taken away");
            (keyring.sealing, Arc::clone(cipher))
        };
        self.seal_by(key_id, &cipher, purpose, identity, secret)
    }

    /// Seals under a key that need not be the sealing one; `None` when it is not there.
    pub fn seal_with(
        &self,
        key_id: u8,
        purpose: &str,
        identity: &str,
        secret: &[u8],
    ) -> Option<Vec<u8>> {
        let cipher = self.keyring().ciphers.get(&key_id).map(Arc::clone)?;
        Some(self.seal_by(key_id, &cipher, purpose, identity, secret))
    }

    fn seal_by(
        &self,
        key_id: u8,
        cipher: &XChaCha20Poly1305,
        purpose: &str,
        identity: &str,
        secret: &[u8],
    ) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_BYTES];
        self.randomness.fill(&mut nonce);
        let payload = Payload {
            msg: secret,
            aad: &associated_data(key_id, purpose, identity),
        };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("secrets are far shorter than the cipher's limit of 256 GiB");
        [&[key_id], &nonce[..], &sealed].concat()
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
        let cipher = self
            .keyring()
            .ciphers
            .get(key_id)
            .map(Arc::clone)
            .ok_or(SealError::OtherKey(*key_id))?;
        let (nonce, message) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Cut)?;
        let payload = Payload {
            msg: message,
            aad: &associated_data(*key_id, purpose, identity),
        };
        cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(SecretBytes::from)
            .map_err(|_| SealError::Refused)
    }

    fn keyring(&self) -> RwLockReadGuard<'_, Keyring> {
        // Nothing panics while the lock is held, and every state of the keyring is a whole one.
        self.keyring.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ciphers(keys: &ServerKeys) -> BTreeMap<u8, Arc<XChaCha20Poly1305>> {
    keys.each()
        .map(|(id, key)| {
            let cipher = XChaCha20Poly1305::new_from_slice(key)
                .expect("a server key is as long as the cipher wants");
            (id, Arc::new(cipher))
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::SystemRandomness;
    use super::*;

    fn sealer() -> Sealer {
        let randomness = Arc::new(SystemRandomness);
        Sealer::new(&ServerKeys::random(randomness.as_ref()), randomness)
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

    #[test]
    fn what_an_older_key_sealed_opens_until_the_key_is_gone() {
        let randomness = Arc::new(SystemRandomness);
        let mut keys = ServerKeys::random(randomness.as_ref());
        let sealer = Sealer::new(&keys, randomness.clone());
        let old = sealer.seal("p", "i", b"old");
        keys.add(2, randomness.as_ref());
        assert!(!sealer.seal_under(2));
        assert!(sealer.take_keys(&keys) && sealer.seal_under(2));
        let new = sealer.seal("p", "i", b"new");
        assert_eq!((old[0], new[0], sealer.sealing()), (1, 2, 2));
        assert_eq!(sealer.open("p", "i", &old).unwrap().expose_secret(), b"old");
        // The key's id is part of what is authenticated.
        let mut renamed = old.clone();
        renamed[0] = 2;
        assert!(sealer.open("p", "i", &renamed).is_err());
        keys.keep_only(2);
        assert!(sealer.take_keys(&keys));
        assert_eq!(
            sealer.open("p", "i", &old).map(drop),
            Err(SealError::OtherKey(1))
        );
        assert_eq!(sealer.open("p", "i", &new).unwrap().expose_secret(), b"new");
        assert!(!sealer.take_keys(&ServerKeys::random(randomness.as_ref())));
    }
}
