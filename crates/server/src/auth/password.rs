//! Passwords: argon2id, off the runtime's threads, a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use outfitter_store::PasswordHash;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::secrets::{Randomness, random_text};

/// Hashes at a time: each takes 19 MiB and a core for some 20 ms.
const AT_A_TIME: usize = 2;

/// Calls that may wait for their turn, some second in all; one more is told to come again.
const MAX_WAITING: usize = 64;

/// Bytes of salt. Source: RFC 9106, section 3.1.
const SALT_BYTES: usize = 16;

/// Longest password that is looked at, in bytes; a longer one is wrong. Ours.
const MAX_PASSWORD_BYTES: usize = 1024;

/// Too many passwords are being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many passwords are being checked at once")]
pub struct PasswordsBusy;

/// Hashes and checks passwords.
pub struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    randomness: Arc<dyn Randomness>,
    /// Hash of a password that nobody knows: what an unknown user's is compared with, so that the answer
    /// takes as long.
    nobody: PasswordHash,
}

impl Passwords {
    pub(super) async fn new(randomness: Arc<dyn Randomness>) -> Self {
        let password =
            SecretString::from(random_text(randomness.as_ref(), b"0123456789abcdef", 32));
        let mut passwords = Self {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            places: Arc::new(Semaphore::new(AT_A_TIME + MAX_WAITING)),
            randomness,
            nobody: PasswordHash::new(String::new()),
        };
        passwords.nobody = passwords
            .hash(password)
            .await
            .expect("nobody else uses these passwords yet");
        passwords
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// Too many are at it.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, PasswordsBusy> {
        let mut salt = [0_u8; SALT_BYTES];
        self.randomness.fill(&mut salt);
        self.in_turn(move || {
            let hash: phc::PasswordHash = Argon2::default()
                .hash_password_with_salt(password.expose_secret().as_bytes(), &salt)
                .expect("the parameters are the library's own and the salt is long enough");
            PasswordHash::new(hash.to_string())
        })
        .await
    }

    /// Whether a password is the one of the hash; without a hash (no such user) it takes as long and is not.
    ///
    /// # Errors
    /// Too many are at it.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, PasswordsBusy> {
        let exists = hash.is_some();
        let phc = hash.unwrap_or(&self.nobody).expose().to_owned();
        self.in_turn(move || {
            let password = password.expose_secret().as_bytes();
            let fits = password.len() <= MAX_PASSWORD_BYTES;
            let password = if fits { password } else { &[] };
            let same = phc::PasswordHash::new(&phc)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
            same && exists && fits
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordsBusy> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| PasswordsBusy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        // The permits go with the work: a caller that gives up does not start more of it.
        let held = (place, turn);
        Ok(tokio::task::spawn_blocking(move || {
            let result = work();
            drop(held);
            result
        })
        .await
        .expect("hashing does not panic"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SystemRandomness;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn only_the_password_itself_verifies() {
        let passwords = Passwords::new(Arc::new(SystemRandomness)).await;
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$"));
        let verify = |text: &str, hash| passwords.verify(secret(text), hash);
        assert!(verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse ", Some(&hash)).await.unwrap());
        assert!(!verify("", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
        assert_ne!(hash, passwords.hash(secret("correct horse")).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_beyond_the_bound_is_wrong() {
        let passwords = Passwords::new(Arc::new(SystemRandomness)).await;
        let hash = passwords.hash(secret("")).await.unwrap();
        let long = "a".repeat(MAX_PASSWORD_BYTES + 1);
        assert!(!passwords.verify(secret(&long), Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_crowd_is_told_to_come_again() {
        let passwords = Passwords::new(Arc::new(SystemRandomness)).await;
        let all = Arc::clone(&passwords.places)
            .acquire_many_owned((AT_A_TIME + MAX_WAITING) as u32)
            .await
            .unwrap();
        assert_eq!(passwords.hash(secret("a")).await, Err(PasswordsBusy));
        drop(all);
        assert!(passwords.hash(secret("a")).await.is_ok());
    }
}
