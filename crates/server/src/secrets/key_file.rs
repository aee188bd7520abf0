use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use outfitter_store::{Store, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Randomness;

/// Mode of files with secrets: for their owner alone.
const SECRET_FILE_MODE: u32 = 0o600;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Id of the key that a file of one line without an id holds.
const FIRST_KEY_ID: u8 = 1;

/// One server key.
type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The one secret that all servers of a database share: keys of 32 bytes, in a file. There is one, except while a
/// rotation goes on and until the old one is retired. Which of them seals is written in the database.
#[derive(Clone)]
pub struct ServerKeys(BTreeMap<u8, Key>);

/// Why there is no server key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The database was initialised with a key that is not here.
    #[error("the database has been initialised, but its server key is not at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file has other keys than the one under which everything is sealed.
    #[error(
        "the secrets of the database are sealed under server key {key_id}, which {path} does not hold"
    )]
    Lacks {
        /// The file.
        path: PathBuf,
        /// Id of the key.
        key_id: u8,
    },
    /// The file holds something else.
    #[error(
        "{path} is no server key: it must hold 64 hex digits, or lines of an id, a colon and 64 hex digits"
    )]
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

impl ServerKeys {
    /// A new key, the first.
    pub fn random(randomness: &dyn Randomness) -> Self {
        Self(BTreeMap::from([(FIRST_KEY_ID, random_key(randomness))]))
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
        if let Some(keys) = Self::read(path)? {
            return Ok(keys);
        }
        if !store.db().is_uninitialised().await? {
            return Err(KeyFileError::Missing { path: path.into() });
        }
        let keys = Self::random(randomness);
        keys.write(path)?;
        Ok(keys)
    }

    /// Reads the key file; `None` when there is none.
    ///
    /// # Errors
    /// It holds something else, or others may read it.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyFileError> {
        let text = match fs::read(path).map(Zeroizing::new) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeyFileError::io("read", path, source)),
        };
        let mode = fs::metadata(path)
            .map_err(|source| KeyFileError::io("look at", path, source))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.into() });
        }
        parse(&text)
            .map(|keys| Some(Self(keys)))
            .ok_or_else(|| KeyFileError::Malformed { path: path.into() })
    }

    /// Writes the key file, whole or not at all, and durably. A single first key is written as it always was.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let mut text = Zeroizing::new(String::new());
        for (id, key) in &self.0 {
            let hex = Zeroizing::new(hex::encode(&key[..]));
            if self.0.len() > 1 || *id != FIRST_KEY_ID {
                text.push_str(&format!("{id}:"));
            }
            text.push_str(&hex);
            text.push('\n');
        }
        write_secret_file(path, text.as_bytes())
            .map_err(|source| KeyFileError::io("write", path, source))
    }

    /// Ids of the keys.
    pub fn ids(&self) -> Vec<u8> {
        self.0.keys().copied().collect()
    }

    /// Whether it is there.
    pub fn holds(&self, id: u8) -> bool {
        self.0.contains_key(&id)
    }

    /// Adds a new key of this id.
    pub fn add(&mut self, id: u8, randomness: &dyn Randomness) {
        self.0.insert(id, random_key(randomness));
    }

    /// Keeps this key alone; answers the ids of the others.
    pub fn keep_only(&mut self, id: u8) -> Vec<u8> {
        let others = self.ids().into_iter().filter(|other| *other != id);
        let others: Vec<u8> = others.collect();
        self.0.retain(|other, _| *other == id);
        others
    }

    /// The lowest id: what seals where the database does not say.
    pub(super) fn first(&self) -> u8 {
        self.0.keys().next().copied().unwrap_or(FIRST_KEY_ID)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(id, key)| (*id, &key[..]))
    }
}

fn random_key(randomness: &dyn Randomness) -> Key {
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    randomness.fill(&mut key[..]);
    key
}

/// One line of hex digits, or lines `ID:HEX`; empty lines count for nothing.
fn parse(text: &[u8]) -> Option<BTreeMap<u8, Key>> {
    let text = std::str::from_utf8(text).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut keys = BTreeMap::new();
    for line in lines {
        let (id, digits) = match line.split_once(':') {
            Some((id, digits)) => (id.trim().parse().ok().filter(|id| *id > 0)?, digits.trim()),
            None => (FIRST_KEY_ID, line),
        };
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        hex::decode_to_slice(digits, &mut key[..]).ok()?;
        if keys.insert(id, key).is_some() {
            return None;
        }
    }
    (!keys.is_empty()).then_some(keys)
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

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeys{:?}", self.ids())
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

    fn bytes(keys: &ServerKeys) -> Vec<(u8, Vec<u8>)> {
        keys.each().map(|(id, key)| (id, key.to_vec())).collect()
    }

    async fn load(store: &Store, path: &Path) -> Result<ServerKeys, KeyFileError> {
        ServerKeys::load_or_make(store, path, &SystemRandomness).await
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
        assert_eq!(bytes(&load(&store, &path).await.unwrap()), bytes(&made));

        let sealer = |key: &ServerKeys| Sealer::new(key, Arc::new(SystemRandomness));
        let secret = async |key: &ServerKeys| {
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
        let other = ServerKeys::random(&SystemRandomness);
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
    fn several_keys_are_lines_with_ids_and_one_first_key_is_written_as_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        let mut keys = ServerKeys::random(&SystemRandomness);
        keys.write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim().len(), 64);
        keys.add(2, &SystemRandomness);
        keys.write(&path).unwrap();
        let read = ServerKeys::read(&path).unwrap().unwrap();
        assert_eq!(bytes(&read), bytes(&keys));
        assert_eq!(read.ids(), [1, 2]);
        assert_eq!(keys.keep_only(2), [1]);
        keys.write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("2:"));
        assert_eq!(ServerKeys::read(&path).unwrap().unwrap().ids(), [2]);
        for bad in ["", "\n", "0:00", "2:", "1:zz", "300:00"] {
            write_secret_file(&path, bad.as_bytes()).unwrap();
            assert!(ServerKeys::read(&path).is_err(), "{bad:?}");
        }
        let line = "ab".repeat(32);
        write_secret_file(&path, format!("{line}\n1:{line}\n").as_bytes()).unwrap();
        assert!(ServerKeys::read(&path).is_err(), "twice the same id");
        assert!(
            ServerKeys::read(&folder.path().join("none"))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_key_does_not_show() {
        assert_eq!(
            format!("{:?}", ServerKeys::random(&SystemRandomness)),
            "ServerKeys[1]"
        );
    }
}
