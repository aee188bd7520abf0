use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use outfitter_domain::{Clock, Millis};
use outfitter_store::IamUser;
use outfitter_store::{AccessKeyKey, Store, StoreError};
use secrecy::SecretString;

use super::lockout::Lockout;
use super::password::Passwords;
use super::session::{self, CookieTransport};
use super::token::{self, TokenClaims, TokenMethod, TokenScope};
use crate::secrets::{Randomness, Sealer, SecretBytes, SecretError, random_text, shared_secret};

/// Name of the shared secret under which tokens are MACed.
const TOKEN_KEY: &str = "token_mac_key";

/// Purpose under which access keys' secrets are sealed; the access half is the identity.
pub(super) const ACCESS_KEY_PURPOSE: &str = "access_key.secret_sealed";

pub(super) const CAPITALS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
pub(crate) const LETTERS_AND_DIGITS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What judging credentials needs beside the database. One per process.
///
/// Nothing about users and keys is remembered between calls, so that disabling one counts from the next call
/// on, on every server.
pub struct Auth {
    pub(super) token_key: SecretBytes,
    pub(super) lockout: Lockout,
    accounts: Lockout,
    passwords: Passwords,
    sealer: Sealer,
    randomness: Arc<dyn Randomness>,
    last_used: Mutex<HashMap<AccessKeyKey, Millis>>,
}

/// A token as it was issued.
pub struct IssuedToken {
    /// What goes into `X-Subject-Token`.
    pub text: SecretString,
    /// What it says.
    pub claims: TokenClaims,
}

/// A new pair of access and secret key.
pub struct NewAccessKey {
    /// The public half: 20 capitals and digits.
    pub access: String,
    /// The secret half: 40 letters and digits. Shown once.
    pub secret: SecretString,
    /// The secret half as it is stored.
    pub secret_sealed: Vec<u8>,
}

impl Auth {
    /// Gets what all servers share, making it when this is the first.
    ///
    /// # Errors
    /// The database fails, or the server key does not fit it.
    pub async fn open(
        store: &Store,
        clock: &dyn Clock,
        sealer: Sealer,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, SecretError> {
        let make = || {
            let mut key = vec![0_u8; 32];
            randomness.fill(&mut key);
            SecretBytes::from(key)
        };
        Ok(Self {
            token_key: shared_secret(store, &sealer, clock, TOKEN_KEY, make).await?,
            lockout: Lockout::default(),
            accounts: Lockout::default(),
            passwords: Passwords::new(Arc::clone(&randomness)).await,
            sealer,
            randomness,
            last_used: Mutex::default(),
        })
    }

    /// Seals and opens secrets at rest.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Where new secrets come from.
    pub fn randomness(&self) -> &dyn Randomness {
        self.randomness.as_ref()
    }

    /// Hashes and checks passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Until when no password of an account is looked at that comes from this address; `None`: it is.
    pub(crate) fn account_locked_until(
        &self,
        account: &str,
        source: IpAddr,
        now: Millis,
    ) -> Option<Millis> {
        self.accounts.locked_until(account, source, now)
    }

    /// Notes how a try of an account's password ended.
    pub(crate) fn password_tried(
        &self,
        account: &str,
        source: IpAddr,
        was_right: bool,
        now: Millis,
    ) {
        if was_right {
            self.accounts.right(account, source);
        } else {
            self.accounts.wrong(account, source, now);
        }
    }

    /// Issues a token for 24 hours.
    pub fn issue_token(&self, user: &IamUser, scope: TokenScope, now: Millis) -> IssuedToken {
        // A password that was changed within this millisecond must not refuse the token that follows.
        let issued_at = now.max(user.tokens_valid_from);
        let claims = TokenClaims {
            user: user.id,
            scope,
            method: TokenMethod::Password,
            issued_at,
            expires_at: issued_at.plus(token::LIFETIME),
        };
        IssuedToken {
            text: token::encode(&claims, &self.token_key).into(),
            claims,
        }
    }

    /// Begins a browser's session in every project of the user's account.
    pub fn begin_session(&self, user: &IamUser, now: Millis) -> TokenClaims {
        let issued_at = now.max(user.tokens_valid_from);
        TokenClaims {
            user: user.id,
            scope: TokenScope::Domain(user.domain.id),
            method: TokenMethod::Session,
            issued_at,
            expires_at: issued_at.plus(session::IDLE),
        }
    }

    /// Lets a session live on from now, at most until its user has to log in again.
    pub fn renew_session(&self, claims: TokenClaims, now: Millis) -> TokenClaims {
        let end = claims.issued_at.plus(session::LIFETIME);
        TokenClaims {
            expires_at: now.plus(session::IDLE).min(end),
            ..claims
        }
    }

    /// `Set-Cookie` of a session.
    pub fn session_cookie(
        &self,
        claims: &TokenClaims,
        now: Millis,
        transport: CookieTransport,
    ) -> HeaderValue {
        let text = token::encode(claims, &self.token_key);
        let left = u64::try_from(claims.expires_at.get() - now.get()).unwrap_or(0);
        session::cookie(&text, Duration::from_millis(left), transport)
    }

    /// `Set-Cookie` that takes a session's cookie away.
    pub fn no_session_cookie(&self, transport: CookieTransport) -> HeaderValue {
        session::cookie("", Duration::ZERO, transport)
    }

    /// Makes a pair of keys; the caller stores it.
    pub fn new_access_key(&self) -> NewAccessKey {
        let access = random_text(self.randomness(), CAPITALS_AND_DIGITS, 20);
        let secret = random_text(self.randomness(), LETTERS_AND_DIGITS, 40);
        NewAccessKey {
            secret_sealed: self
                .sealer
                .seal(ACCESS_KEY_PURPOSE, &access, secret.as_bytes()),
            access,
            secret: secret.into(),
        }
    }

    /// Makes a password: 24 letters and digits, 142 bits.
    pub fn new_password(&self) -> SecretString {
        random_text(self.randomness(), LETTERS_AND_DIGITS, 24).into()
    }

    /// Remembers that a key was used, until the next flush. At most one entry for each key there is.
    pub(super) fn note_use(&self, key: AccessKeyKey, now: Millis) {
        self.last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, now);
    }

    /// Writes down when keys were last used, all in one transaction. Called now and then by a background task
    /// and before shutdown; what a failed call held is lost, and the next use is noted again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn flush_last_used(&self, store: &Store) -> Result<usize, StoreError> {
        let uses: Vec<_> = std::mem::take(
            &mut *self
                .last_used
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
        .into_iter()
        .collect();
        if !uses.is_empty() {
            let tx = store.write().await?;
            tx.access_key_touch_batch(&uses).await?;
            tx.commit().await?;
        }
        Ok(uses.len())
    }
}
