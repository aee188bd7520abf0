//! Package files on the server, named by their SHA-256.
//!
//! Guarantees: a package is there with all its bytes or not at all, also after a crash or power loss; memory does
//! not grow with the size of a package; equal bytes are stored once. Nothing runs here by itself: callers wake it.
//! After a crash, what was being written is swept away: in a folder when the store is opened again, in an object
//! store, which others use too, by [`PackageStore::sweep`] when it is old.
//!
//! There are two kinds of place, a local folder and an S3-compatible store (`docs/adr/0017`); nobody outside this
//! crate needs to know which, but for two questions: [`PackageStore::download_address`], and
//! [`PackageStore::direct_uploads`] (`docs/adr/0022`).
//!
//! It does not know who may read a package, which apps need it, or when it may go: the database does. A `remove`
//! that races with a `put` of the same bytes may win; the caller keeps the two apart.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod check;
mod credentials;
mod direct;
mod local;
mod object;
mod reader;

use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use outfitter_ids::IdSource;
use outfitter_packages::Digester;
pub use outfitter_packages::Sha256Digest;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

pub use crate::credentials::{KeyFileProblem, KeyPair, ObjectCredentials};
pub use crate::direct::{
    DirectBytes, DirectCredential, DirectObject, DirectUploads, MIN_CREDENTIAL_LIFE,
};
use crate::local::{LocalFolder, StagedFile};
pub use crate::object::{AddressStyle, Downloads, MAX_ADDRESS_SECS, ObjectStoreOptions, Uploads};
use crate::object::{ObjectFolder, StagedObject};
pub use crate::reader::{PackageReader, PackageView};

/// Where the server keeps package files; cheap to clone.
#[derive(Debug, Clone)]
pub struct PackageStore {
    backend: Backend,
}

/// The kinds of place.
#[derive(Debug, Clone)]
enum Backend {
    Local(LocalFolder),
    Object(ObjectFolder),
}

/// A package that is durably in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPackage {
    /// Digest of its bytes, and its name in the store.
    pub sha256: Sha256Digest,
    /// Number of its bytes.
    pub size_bytes: u64,
}

/// Bytes that are durable and not a package yet; they go when this is dropped, or, after a crash, with a sweep.
#[derive(Debug)]
pub struct StagedPackage {
    /// Digest of the bytes.
    pub sha256: Sha256Digest,
    /// Number of the bytes.
    pub size_bytes: u64,
    staged: Staged,
}

#[derive(Debug)]
enum Staged {
    Local(StagedFile),
    Object(StagedObject),
}

/// Whether a package is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageCondition {
    /// As far as was looked.
    Intact,
    /// Its bytes are not there.
    Missing,
    /// Its bytes are others.
    Altered,
}

/// How far a package is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrutiny {
    /// Size, and the object store's tag.
    Size,
    /// Every byte.
    Digest,
}

/// An address from which a desktop gets a package without the server.
#[derive(Clone)]
pub struct DownloadAddress {
    /// The address. It is a credential: not for logs.
    pub url: String,
    /// How long it holds from now on.
    pub life: Duration,
    /// Certificates to trust there beside the system's, PEM.
    pub ca_pem: Option<String>,
}

impl std::fmt::Debug for DownloadAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DownloadAddress")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads into the store that were not completed.
    pub uploads: u64,
    /// Bytes that nothing named.
    pub objects: u64,
}

/// A package as it lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageFile {
    /// Its name: the digest its bytes had when they came.
    pub sha256: Sha256Digest,
    /// Number of its bytes now.
    pub size_bytes: u64,
    /// When it came, by the clock of the disk.
    pub modified: SystemTime,
}

/// A part of an unfinished upload, as it lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrayPart {
    /// Its name.
    pub name: Uuid,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// When it came, by the clock of the disk.
    pub modified: SystemTime,
}

/// Why bytes did not become a package; nothing of them is left.
#[derive(Debug, Error)]
pub enum PutError {
    /// There are more bytes than the caller allows.
    #[error("the package is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The stream of bytes broke off.
    #[error("the package was not received to its end")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] PackageStoreError),
}

/// Why the store could not do something.
#[derive(Debug, Error)]
pub enum PackageStoreError {
    /// No room is left, or the quota is used up.
    #[error("no space left to {action} {}", path.display())]
    DiskFull {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The package is not in the store.
    #[error("package {sha256} is not in the store")]
    NotFound {
        /// The package.
        sha256: Sha256Digest,
    },
    /// The range begins at or behind the end of the package, or ends before it begins.
    #[error("bytes {} to {} are not within the {size_bytes} bytes of package {sha256}", range.start, range.end)]
    RangeOutside {
        /// The package.
        sha256: Sha256Digest,
        /// The range asked for, end exclusive.
        range: Range<u64>,
        /// Size of the package, in bytes.
        size_bytes: u64,
    },
    /// The store refused, broke off or cannot be reached.
    #[error("cannot {action} {object} in the package store")]
    Remote {
        /// What was attempted.
        action: &'static str,
        /// On what.
        object: String,
        /// The store's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl PackageStore {
    /// Opens a store in `folder`, which is made where absent, and removes what a crash left there.
    ///
    /// One process at a time uses a folder: the sweep would take another one's unfinished packages.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub async fn open_local(folder: impl Into<PathBuf>) -> Result<Self, PackageStoreError> {
        let backend = Backend::Local(LocalFolder::open(folder.into()).await?);
        Ok(Self { backend })
    }

    /// Uses a folder that a server may be using, and leaves what lies unfinished there alone.
    pub fn join_local(folder: impl Into<PathBuf>) -> Self {
        let backend = Backend::Local(LocalFolder::join(folder.into()));
        Self { backend }
    }

    /// Uses a bucket of an S3-compatible store, which any number of processes may share. The store is not asked yet;
    /// [`ping`](Self::ping) does. `ids` names what is written.
    ///
    /// # Errors
    /// The options cannot be: a prefix that is no key, certificates that are none, an address that is none.
    pub fn open_object(
        options: ObjectStoreOptions,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, PackageStoreError> {
        let backend = Backend::Object(ObjectFolder::open(options, ids)?);
        Ok(Self { backend })
    }

    /// Names the place, for people.
    pub fn description(&self) -> String {
        match &self.backend {
            Backend::Local(folder) => folder.description(),
            Backend::Object(folder) => folder.description().to_owned(),
        }
    }

    /// Tells whether the store can be used at all.
    ///
    /// # Errors
    /// It cannot.
    pub async fn ping(&self) -> Result<(), PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.ping().await,
            Backend::Object(folder) => folder.ping().await,
        }
    }

    /// Stores a stream of bytes of at most `limit_bytes`, inclusive, and returns once they are durable.
    ///
    /// Dropping the future leaves nothing behind, or the whole package where all its bytes had come. Bytes that are
    /// already there are replaced by their equals.
    ///
    /// # Errors
    /// Too many bytes, a stream that breaks off, a full disk, or the system refuses; nothing is stored then.
    pub async fn put<S, E>(&self, bytes: S, limit_bytes: u64) -> Result<StoredPackage, PutError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let staged = self.stage(bytes, limit_bytes).await?;
        Ok(staged.place().await?)
    }

    /// Takes a stream of bytes of at most `limit_bytes`, inclusive, and returns once they are durable. They are no
    /// package yet: [`StagedPackage::place`] makes them one.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn stage<S, E>(&self, bytes: S, limit_bytes: u64) -> Result<StagedPackage, PutError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        match &self.backend {
            Backend::Local(folder) => {
                let (staged, digest) = folder.stage(bytes, limit_bytes).await?;
                Ok(StagedPackage {
                    sha256: digest.sha256,
                    size_bytes: digest.size_bytes,
                    staged: Staged::Local(staged),
                })
            }
            Backend::Object(folder) => {
                let (staged, digest) = folder.stage(bytes, limit_bytes).await?;
                Ok(StagedPackage {
                    sha256: digest.sha256,
                    size_bytes: digest.size_bytes,
                    staged: Staged::Object(staged),
                })
            }
        }
    }

    /// Opens a part that [`StagedPackage::keep_as_part`] kept.
    ///
    /// # Errors
    /// There is none of that name, or the system refuses.
    pub async fn open_part(&self, name: Uuid) -> Result<PackageReader, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.open_part(name).await,
            Backend::Object(folder) => folder.open_part(name).await,
        }
    }

    /// Removes a part and tells whether it was there.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn remove_part(&self, name: Uuid) -> Result<bool, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.remove_part(name).await,
            Backend::Object(folder) => folder.remove_part(name).await,
        }
    }

    /// Lists every part that is kept.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn parts(&self) -> Result<Vec<StrayPart>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.parts().await,
            Backend::Object(folder) => folder.parts().await,
        }
    }

    /// Lists every package that is stored, in no order.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn packages(&self) -> Result<Vec<PackageFile>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.packages().await,
            Backend::Object(folder) => folder.packages().await,
        }
    }

    /// Opens a range of a package, end exclusive and cut to its size; `0..u64::MAX` is the whole package.
    ///
    /// # Errors
    /// Not in the store, a range that holds no byte of it (except from 0 in an empty one), or the system refuses.
    pub async fn open_range(
        &self,
        sha256: &Sha256Digest,
        range: Range<u64>,
    ) -> Result<PackageReader, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.open_range(sha256, range).await,
            Backend::Object(folder) => folder.open_range(sha256, range).await,
        }
    }

    /// Opens a package, to look into it from a thread that may wait. To be called within a runtime.
    ///
    /// # Errors
    /// Not in the store, or the system refuses.
    pub async fn view(&self, sha256: &Sha256Digest) -> Result<PackageView, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.view(sha256).await.map(PackageView::new),
            Backend::Object(folder) => folder.view(sha256).await.map(PackageView::new),
        }
    }

    /// Returns the size of a package in bytes, or `None` when it is not in the store.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn size(&self, sha256: &Sha256Digest) -> Result<Option<u64>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.size(sha256).await,
            Backend::Object(folder) => folder.size(sha256).await,
        }
    }

    /// Tells whether a package is in the store.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn exists(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        Ok(self.size(sha256).await?.is_some())
    }

    /// Looks whether a package is what it was. `recorded_bytes` is the size it should have.
    ///
    /// # Errors
    /// The store cannot be used: then nothing is known about the package.
    pub async fn condition(
        &self,
        sha256: &Sha256Digest,
        recorded_bytes: u64,
        scrutiny: Scrutiny,
    ) -> Result<PackageCondition, PackageStoreError> {
        let by_size = match &self.backend {
            Backend::Local(folder) => {
                folder.ping().await?;
                match folder.size(sha256).await? {
                    None => PackageCondition::Missing,
                    Some(size) if size != recorded_bytes => PackageCondition::Altered,
                    Some(_) => PackageCondition::Intact,
                }
            }
            Backend::Object(folder) => folder.condition(sha256, recorded_bytes).await?,
        };
        if by_size != PackageCondition::Intact || scrutiny == Scrutiny::Size {
            return Ok(by_size);
        }
        let mut reader = match self.open_range(sha256, 0..u64::MAX).await {
            Err(PackageStoreError::NotFound { .. }) => return Ok(PackageCondition::Missing),
            opened => opened?,
        };
        let mut digester = Digester::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut buffer).await;
            match read.map_err(|error| read_on(sha256, error))? {
                0 => break,
                length => digester.update(&buffer[..length]),
            }
        }
        Ok(if digester.finish().sha256 == *sha256 {
            PackageCondition::Intact
        } else {
            PackageCondition::Altered
        })
    }

    /// Gives an address at which a desktop gets the package from the store itself; `None` where desktops get it from
    /// the server.
    ///
    /// # Errors
    /// The package is not in the store, or the store cannot be used.
    pub async fn download_address(
        &self,
        sha256: &Sha256Digest,
    ) -> Result<Option<DownloadAddress>, PackageStoreError> {
        match &self.backend {
            Backend::Local(_) => Ok(None),
            Backend::Object(folder) => folder.download_address(sha256).await,
        }
    }

    /// How uploaders reach the store itself; `None` where they upload through the server.
    pub fn direct_uploads(&self) -> Option<&DirectUploads> {
        match &self.backend {
            Backend::Local(_) => None,
            Backend::Object(folder) => folder.direct_uploads(),
        }
    }

    /// Takes away what crashes left unfinished at least `grace` ago; what is being written must be younger.
    ///
    /// # Errors
    /// The store cannot be used; what was taken away until then stays away.
    pub async fn sweep(
        &self,
        now: SystemTime,
        grace: Duration,
    ) -> Result<Swept, PackageStoreError> {
        match &self.backend {
            // One process uses a folder: it was swept when it was opened.
            Backend::Local(_) => Ok(Swept::default()),
            Backend::Object(folder) => folder.sweep(now, grace).await,
        }
    }

    /// Removes a package durably and tells whether it was there. Readers that have it open read on to their end; one
    /// that comes back to an object store for the rest does not find it.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn remove(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.remove(sha256).await,
            Backend::Object(folder) => folder.remove(sha256).await,
        }
    }
}

impl StagedPackage {
    /// Opens the bytes, to look into them from a thread that may wait. To be called within a runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn view(&self) -> Result<PackageView, PackageStoreError> {
        match &self.staged {
            Staged::Local(staged) => staged.view().map(PackageView::new),
            Staged::Object(staged) => Ok(PackageView::new(staged.view())),
        }
    }

    /// Makes the bytes a package; equal bytes that are one already and are intact may stay in their place.
    ///
    /// # Errors
    /// The store refuses; the bytes are no package then, and go at once or with a sweep.
    pub async fn place(self) -> Result<StoredPackage, PackageStoreError> {
        match self.staged {
            Staged::Local(staged) => staged.place(&self.sha256).await?,
            Staged::Object(staged) => staged.place(self.sha256).await?,
        }
        Ok(StoredPackage {
            sha256: self.sha256,
            size_bytes: self.size_bytes,
        })
    }

    /// Keeps the bytes durably as a part of something larger, under a name that is new.
    ///
    /// # Errors
    /// The store refuses; the bytes are no part then, and go at once or with a sweep.
    pub async fn keep_as_part(self, name: Uuid) -> Result<(), PackageStoreError> {
        match self.staged {
            Staged::Local(staged) => staged.keep_as_part(name).await,
            Staged::Object(staged) => staged.keep_as_part(name).await,
        }
    }
}

/// Reading a package broke off.
fn read_on(sha256: &Sha256Digest, source: io::Error) -> PackageStoreError {
    PackageStoreError::Remote {
        action: "read",
        object: sha256.to_string(),
        source: source.into(),
    }
}

/// Names the action and path of an I/O failure and tells a full disk from the rest.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageStoreError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PackageStoreError::DiskFull { action, path }
        }
        _ => PackageStoreError::Io {
            action,
            path,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_error() {
        let failure = |kind: io::ErrorKind| failed("write", Path::new("f"))(kind.into());
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(failure(kind), PackageStoreError::DiskFull { .. }));
        }
        let refused = failure(io::ErrorKind::PermissionDenied);
        assert!(matches!(refused, PackageStoreError::Io { .. }));
    }
}
