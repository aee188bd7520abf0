use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use outfitter_store::{Store, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Randomness;
use super::seal::key_from_hex;

/// Mode of files with secrets: for their owner alone.
const SECRET_FILE_MODE: u32 = 0o600;

/// The one secret that all servers of a database share: 32 bytes, hex in a file.
pub struct ServerKey(Zeroizing<[u8; Self::BYTES]>);

/// Why there is no server key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The database was initialised with a key that is not here.
    #[error("the database has been initialised, but its server key is not at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} is no server key: it must hold 64 hex digits")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others on this machine may read it.
    #[error("{path} can be read by others")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The database does not say whether it is empty.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system says no.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its words.
        #[source]
        source: io::Error,
    },
}

impl ServerKey {
    /// A new key.
    pub fn random(randomness: &dyn Randomness) -> Self {
        let mut key = Zeroizing::new([0_u8; Self::BYTES]);
        randomness.fill(&mut key[..]);
        Self(key)
    }

    /// Reads the key file; makes it (mode 0600, durably) when it is missing and the database is empty.
    ///
    /// # Errors
    /// It is missing though the database is not empty, holds something else, or others may read it.
    pub async fn load_or_make(
        store: &Store,
        path: &Path,
        randomness: &dyn Randomness,
    ) -> Result<Self, KeyFileError> {
        match fs::read(path).map(Zeroizing::new) {
            Ok(text) => {
                let mode = fs::metadata(path)
                    .map_err(|source| KeyFileError::io("look at", path, source))?
                    .permissions()
                    .mode();
                if mode & 0o077 != 0 {
                    return Err(KeyFileError::Exposed { path: path.into() });
                }
                key_from_hex(&text)
                    .map(Self)
                    .ok_or_else(|| KeyFileError::Malformed { path: path.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !store.db().is_uninitialised().await? {
                    return Err(KeyFileError::Missing { path: path.into() });
                }
                let key = Self::random(randomness);
                let text = Zeroizing::new(hex::encode(&key.0[..]) + "\n");
                write_secret_file(path, text.as_bytes())
                    .map_err(|source| KeyFileError::io("write", path, source))?;
                Ok(key)
            }
            Err(source) => Err(KeyFileError::io("read", path, source)),
        }
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0[..]
    }
}

impl KeyFileError {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.into(),
            source,
        }
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey")
    }
}

/// Writes a file that only its owner may read, whole or not at all, and durably with its folder.
///
/// # Errors
/// What the file system says.
pub(crate) fn write_secret_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A crash may have left one, with rights that `mode` would not change.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(SECRET_FILE_MODE)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename_durably(&temporary, path)
}

/// Renames a file within its folder and makes that durable.
///
/// # Errors
/// What the file system says.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Makes what happened to the names in a file's folder durable.
///
/// # Errors
/// What the file system says.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use outfitter_domain::SystemClock;
    use outfitter_store::StoreOptions;

    use super::super::{Sealer, SecretBytes, SecretError, SystemRandomness, shared_secret};
    use super::*;

    async fn store(folder: &Path) -> Store {
        let path = folder.join("test.db");
        Store::open(&StoreOptions::Sqlite { path }).await.unwrap()
    }

    async fn load(store: &Store, path: &Path) -> Result<ServerKey, KeyFileError> {
        ServerKey::load_or_make(store, path, &SystemRandomness).await
    }

    #[tokio::test]
    async fn a_missing_key_is_made_once_for_an_empty_database() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let path = folder.path().join("server.key");
        let made = load(&store, &path).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(load(&store, &path).await.unwrap().expose(), made.expose());

        let sealer = |key: &ServerKey| Sealer::new(key, Arc::new(SystemRandomness));
        let secret = async |key: &ServerKey| {
            shared_secret(&store, &sealer(key), &SystemClock, "a", || {
                SecretBytes::from(vec![7])
            })
            .await
        };
        secret(&made).await.unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            load(&store, &path).await,
            Err(KeyFileError::Missing { .. })
        ));
        assert!(!path.exists());
        let other = ServerKey::random(&SystemRandomness);
        assert!(matches!(
            secret(&other).await,
            Err(SecretError::OtherKey { .. })
        ));
    }

    #[tokio::test]
    async fn a_file_that_is_no_key_or_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let path = folder.path().join("server.key");
        write_secret_file(&path, b"abc").unwrap();
        assert!(matches!(
            load(&store, &path).await,
            Err(KeyFileError::Malformed { .. })
        ));
        write_secret_file(&path, "ab".repeat(32).as_bytes()).unwrap();
        assert!(load(&store, &path).await.is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            load(&store, &path).await,
            Err(KeyFileError::Exposed { .. })
        ));
    }

    #[test]
    fn a_key_does_not_show() {
        assert_eq!(
            format!("{:?}", ServerKey::random(&SystemRandomness)),
            "ServerKey"
        );
    }
}
