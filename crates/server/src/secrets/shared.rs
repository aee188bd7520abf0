use outfitter_domain::Clock;
use outfitter_store::{Store, StoreError};
use secrecy::ExposeSecret as _;
use thiserror::Error;

use super::{SealError, Sealer, SecretBytes};

/// Purpose under which shared secrets are sealed; their name is the identity.
const PURPOSE: &str = "server_secret";

/// Why a shared secret is not at hand.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server key is not the one that the database was initialised with.
    #[error("the server key is not the one of this database: it does not open the secret {name:?}")]
    OtherKey {
        /// The secret.
        name: String,
        /// How it failed.
        #[source]
        source: SealError,
    },
}

/// A secret that all servers of a database share, by name; `make` is called when there is none yet. When two
/// servers make it at once, one of them wins and both get that one.
///
/// # Errors
/// The database fails, or the server key does not open what is there.
pub async fn shared_secret(
    store: &Store,
    sealer: &Sealer,
    clock: &dyn Clock,
    name: &str,
    make: impl FnOnce() -> SecretBytes + Send,
) -> Result<SecretBytes, SecretError> {
    let sealed = match store.db().server_secret(name).await? {
        Some(sealed) => sealed,
        None => {
            let sealed = sealer.seal(PURPOSE, name, make().expose_secret());
            let tx = store.write().await?;
            let kept = tx
                .server_secret_insert_if_absent(name, sealed, clock.now())
                .await?;
            tx.commit().await?;
            kept
        }
    };
    open(sealer, name, &sealed)
}

/// Replaces a shared secret by what `make` makes of it; `None` leaves it as it is. Answers what is kept: where another server
/// replaced it at the same time, that one's.
///
/// # Errors
/// The database fails, there is no such secret, or the server key does not open it; else what `make` says.
pub async fn shared_secret_renew<E: From<SecretError>>(
    store: &Store,
    sealer: &Sealer,
    name: &str,
    make: impl FnOnce(&SecretBytes) -> Result<Option<SecretBytes>, E> + Send,
) -> Result<SecretBytes, E> {
    let tx = store.write().await.map_err(SecretError::from)?;
    let sealed = tx
        .server_secret_hold(name)
        .await
        .map_err(SecretError::from)?;
    let secret = open(sealer, name, &sealed)?;
    let Some(next) = make(&secret)? else {
        return Ok(secret);
    };
    let renewed = sealer.seal(PURPOSE, name, next.expose_secret());
    tx.server_secret_replace(name, renewed)
        .await
        .map_err(SecretError::from)?;
    tx.commit().await.map_err(SecretError::from)?;
    Ok(next)
}

fn open(sealer: &Sealer, name: &str, sealed: &[u8]) -> Result<SecretBytes, SecretError> {
    sealer
        .open(PURPOSE, name, sealed)
        .map_err(|source| SecretError::OtherKey {
            name: name.to_owned(),
            source,
        })
}
