//! Packages in a local folder: `ab/cdef...` by digest, and unfinished ones as `.incoming-N` beside.

use std::error::Error;
use std::fs;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use outfitter_packages::{Digester, Sha256Digest};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::{PackageReader, PackageStoreError, PutError, StoredPackage, failed};

const INCOMING_PREFIX: &str = ".incoming-";

/// Bytes hashed at a stretch before other work gets its turn: about 0.1 ms.
const SLICE_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct LocalFolder {
    folder: Arc<Path>,
    incoming: Arc<AtomicU64>,
}

impl LocalFolder {
    pub(crate) async fn open(folder: PathBuf) -> Result<Self, PackageStoreError> {
        let swept = folder.clone();
        in_background(&folder, move || sweep(&swept)).await?;
        Ok(Self {
            folder: folder.into(),
            incoming: Arc::default(),
        })
    }

    pub(crate) async fn put<S, E>(
        &self,
        bytes: S,
        limit_bytes: u64,
    ) -> Result<StoredPackage, PutError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{INCOMING_PREFIX}{number}"));
        let (incoming, file) = in_background(&self.folder, move || Incoming::create(path)).await?;
        let mut file = File::from_std(file);
        let mut digester = Digester::new();
        let mut bytes = pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| PutError::Source(error.into()))?;
            if digester.size_bytes().saturating_add(chunk.len() as u64) > limit_bytes {
                return Err(PutError::TooLarge { limit_bytes });
            }
            for slice in chunk.chunks(SLICE_BYTES) {
                digester.update(slice);
                file.write_all(slice)
                    .await
                    .map_err(failed("write", &incoming.path))?;
            }
        }
        file.flush()
            .await
            .map_err(failed("write", &incoming.path))?;
        let file = file.into_std().await;

        let digest = digester.finish();
        let path = self.path_of(&digest.sha256);
        let place = path.clone();
        in_background(&self.folder, move || incoming.place(&file, &place)).await?;
        Ok(StoredPackage {
            sha256: digest.sha256,
            size_bytes: digest.size_bytes,
            path,
        })
    }

    pub(crate) async fn open_range(
        &self,
        sha256: &Sha256Digest,
        range: Range<u64>,
    ) -> Result<PackageReader, PackageStoreError> {
        let path = self.path_of(sha256);
        let mut file = match File::open(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PackageStoreError::NotFound { sha256: *sha256 });
            }
            opened => opened.map_err(failed("open", &path))?,
        };
        let metadata = file.metadata().await.map_err(failed("look at", &path))?;
        let size_bytes = metadata.len();
        let end = range.end.min(size_bytes);
        let is_empty_whole = range.start == 0 && size_bytes == 0;
        if range.start >= end && !is_empty_whole {
            return Err(PackageStoreError::RangeOutside {
                sha256: *sha256,
                range,
                size_bytes,
            });
        }
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))
                .await
                .map_err(failed("seek in", &path))?;
        }
        // One read moves at most this much, so that slow readers of large packages do not hold 2 MiB each.
        file.set_max_buf_size(SLICE_BYTES);
        Ok(PackageReader::new(file, end - range.start, size_bytes))
    }

    pub(crate) async fn size(
        &self,
        sha256: &Sha256Digest,
    ) -> Result<Option<u64>, PackageStoreError> {
        let path = self.path_of(sha256);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    pub(crate) async fn remove(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        let path = self.path_of(sha256);
        match tokio::fs::remove_file(&path).await {
            Ok(()) => {
                in_background(&self.folder, move || sync_folder(parent(&path))).await?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }

    /// Shelves of 256 keep folders small on every file system.
    fn path_of(&self, sha256: &Sha256Digest) -> PathBuf {
        let name = sha256.to_string();
        let (shelf, rest) = name.split_at(2);
        self.folder.join(shelf).join(rest)
    }
}

/// Makes the folder where absent and removes packages that a crash left unfinished.
fn sweep(folder: &Path) -> Result<(), PackageStoreError> {
    fs::create_dir_all(folder).map_err(failed("create folder", folder))?;
    for entry in fs::read_dir(folder).map_err(failed("read folder", folder))? {
        let entry = entry.map_err(failed("read folder", folder))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(INCOMING_PREFIX) {
            let path = entry.path();
            fs::remove_file(&path).map_err(failed("remove unfinished package", &path))?;
            tracing::info!(path = %path.display(), "Removed a package that a crash left unfinished.");
        }
    }
    Ok(())
}

/// An unfinished package; its file goes when this is dropped before it was placed.
#[derive(Debug)]
struct Incoming {
    path: PathBuf,
}

impl Incoming {
    fn create(path: PathBuf) -> Result<(Self, fs::File), PackageStoreError> {
        let file = fs::File::create_new(&path).map_err(failed("create", &path))?;
        Ok((Self { path }, file))
    }

    /// Makes the bytes durable, then visible, then their name durable.
    fn place(self, file: &fs::File, place: &Path) -> Result<(), PackageStoreError> {
        file.sync_all().map_err(failed("flush", &self.path))?;
        let shelf = parent(place);
        fs::create_dir_all(shelf).map_err(failed("create folder", shelf))?;
        fs::rename(&self.path, place).map_err(failed("put in place", place))?;
        sync_folder(shelf)?;
        sync_folder(parent(shelf))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Once placed there is nothing under this name; what cannot be removed goes when the store is next opened.
        let _ = fs::remove_file(&self.path);
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("packages and shelves lie in folders")
}

fn sync_folder(path: &Path) -> Result<(), PackageStoreError> {
    // Folders cannot be flushed on Windows; its file system's journal keeps the order.
    if cfg!(unix) {
        fs::File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("flush folder", path))?;
    }
    Ok(())
}

/// Runs blocking work that ends, and cleans up after itself, even when nobody waits for it any more.
async fn in_background<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce() -> Result<T, PackageStoreError> + Send + 'static,
) -> Result<T, PackageStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(cancelled) => Err(failed("work in", folder)(io::Error::other(cancelled))),
    }
}
