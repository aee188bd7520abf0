//! The authority that this process issues with, which is the one that all servers share.
//!
//! **Guarantees.** An issuing certificate that is due gives way to a new one, once, whichever server notices first; the others
//! take it over with their next look. Agents need nothing for it: both chains lead to the root that they know.
//! **Woken by** its own timer, and at the start.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use outfitter_domain::{Clock, Millis};
use outfitter_store::Store;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::pki::{Authority, PkiError};
use crate::http::error::chain;
use crate::secrets::{Sealer, SecretBytes, SecretError, shared_secret, shared_secret_renew};
use crate::services::Services;

/// Name of the authority among the secrets all servers share.
const AUTHORITY: &str = "agent-authority";

/// How often the authority is looked at, and the listener's certificate made anew.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It cannot be read from where all servers keep it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its keys or certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// It is not what was stored.
    #[error("the stored certificate authority cannot be read")]
    Stored(#[from] serde_json::Error),
}

/// The authority, which may be replaced while the server runs.
pub struct CurrentAuthority(RwLock<Arc<Authority>>);

impl CurrentAuthority {
    /// Begins with one.
    pub fn new(authority: Authority) -> Self {
        Self(RwLock::new(Arc::new(authority)))
    }

    /// The one there is.
    pub fn get(&self) -> Arc<Authority> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, authority: Authority) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(authority);
    }
}

/// The authority of all servers, made where there is none yet, with an issuing certificate that is not due.
///
/// # Errors
/// See [`AuthorityError`].
pub async fn open(
    store: &Store,
    sealer: &Sealer,
    clock: &dyn Clock,
) -> Result<Authority, AuthorityError> {
    let made = serde_json::to_vec(&Authority::generate(clock.now())?)?;
    shared_secret(store, sealer, clock, AUTHORITY, || SecretBytes::from(made)).await?;
    look(store, sealer, clock.now()).await
}

/// Reads the authority and renews what is due of it.
async fn look(store: &Store, sealer: &Sealer, now: Millis) -> Result<Authority, AuthorityError> {
    let renew = |kept: &SecretBytes| -> Result<_, AuthorityError> {
        let kept: Authority = serde_json::from_slice(kept.expose_secret())?;
        let Some(renewed) = kept.renewed(now)? else {
            return Ok(None);
        };
        tracing::info!("the issuing certificate of the agents is replaced; the root stays");
        Ok(Some(SecretBytes::from(serde_json::to_vec(&renewed)?)))
    };
    let kept = shared_secret_renew(store, sealer, AUTHORITY, renew).await?;
    Ok(serde_json::from_slice(kept.expose_secret())?)
}

/// Keeps the authority and the listener's certificate fresh until the server ends.
pub async fn follow(
    services: Arc<Services>,
    sealer: Sealer,
    listener: watch::Sender<Arc<rustls::ServerConfig>>,
) {
    loop {
        tokio::select! {
            () = services.shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let renewed = async {
            let authority = look(&services.store, &sealer, services.clock.now()).await?;
            services.authority.replace(authority);
            let config = services.authority.get().listener_config(&services.clock)?;
            drop(listener.send_replace(Arc::new(config)));
            Ok::<_, AuthorityError>(())
        };
        if let Err(error) = renewed.await {
            tracing::error!(
                error = chain(&error),
                "cannot renew the listener's certificate or its issuer"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{ServerKeys, SystemRandomness};
    use crate::testing::START;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct Stopped(Millis);

    impl Clock for Stopped {
        fn now(&self) -> Millis {
            self.0
        }
    }

    #[tokio::test]
    async fn servers_that_notice_at_once_end_with_the_same_issuing_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outfitter.db");
        let store = Store::open(&outfitter_store::StoreOptions::Sqlite { path })
            .await
            .unwrap();
        let randomness = Arc::new(SystemRandomness);
        let sealer = Sealer::new(&ServerKeys::random(randomness.as_ref()), randomness);
        let first = open(&store, &sealer, &Stopped(START)).await.unwrap();
        let again = look(&store, &sealer, START.plus(100 * DAY)).await.unwrap();
        let end = |authority: &Authority| authority.issuing_not_after().unwrap();
        assert_eq!(end(&again), end(&first));
        let late = START.plus(300 * DAY);
        let (one, other) = tokio::join!(
            look(&store, &sealer, late),
            look(&store, &sealer, late.plus(DAY))
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(end(&one) > end(&first).plus(200 * DAY));
        assert_eq!(end(&one), end(&other));
        assert_eq!(one.roots_pem(), first.roots_pem());
    }
}
