//! Package files on the server, named by their SHA-256.
//!
//! Guarantees: a package is there with all its bytes or not at all, also after a crash or power loss; memory does
//! not grow with the size of a package; equal bytes are stored once. Nothing runs here by itself: callers wake it.
//! After a crash, what was being written is swept away when the store is opened again.
//!
//! It does not know who may read a package, which apps need it, or when it may go: the database does. A `remove`
//! that races with a `put` of the same bytes may win; the caller keeps the two apart.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod local;
mod reader;

use std::error::Error;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::Stream;
pub use outfitter_packages::Sha256Digest;
use thiserror::Error;

use uuid::Uuid;

use crate::local::LocalFolder;
pub use crate::local::StagedPackage;
pub use crate::reader::PackageReader;

/// Where the server keeps package files; cheap to clone.
#[derive(Debug, Clone)]
pub struct PackageStore {
    backend: Backend,
}

/// The kinds of place; an object store goes beside the folder.
#[derive(Debug, Clone)]
enum Backend {
    Local(LocalFolder),
}

/// A package that is durably in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPackage {
    /// Digest of its bytes, and its name in the store.
    pub sha256: Sha256Digest,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// A file with its bytes, to look into and not to change; it lives as long as the package.
    pub path: PathBuf,
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
            Backend::Local(folder) => folder.stage(bytes, limit_bytes).await,
        }
    }

    /// Opens a part that [`StagedPackage::keep_as_part`] kept.
    ///
    /// # Errors
    /// There is none of that name, or the system refuses.
    pub async fn open_part(&self, name: Uuid) -> Result<PackageReader, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.open_part(name).await,
        }
    }

    /// Removes a part and tells whether it was there.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn remove_part(&self, name: Uuid) -> Result<bool, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.remove_part(name).await,
        }
    }

    /// Lists every part that is kept.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn parts(&self) -> Result<Vec<StrayPart>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.parts().await,
        }
    }

    /// Lists every package that is stored, in no order.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn packages(&self) -> Result<Vec<PackageFile>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.packages().await,
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
        }
    }

    /// Returns the size of a package in bytes, or `None` when it is not in the store.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn size(&self, sha256: &Sha256Digest) -> Result<Option<u64>, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.size(sha256).await,
        }
    }

    /// Tells whether a package is in the store.
    ///
    /// # Errors
    /// The system refuses to look.
    pub async fn exists(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        Ok(self.size(sha256).await?.is_some())
    }

    /// Removes a package durably and tells whether it was there. Readers that have it open read on to their end.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn remove(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        match &self.backend {
            Backend::Local(folder) => folder.remove(sha256).await,
        }
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
