//! Packages in a local folder: `ab/cdef...` by digest, and unfinished ones as `.incoming-N` beside.

use std::error::Error;
use std::fs;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use outfitter_packages::{Digester, FileDigest, Sha256Digest};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use crate::{PackageFile, PackageReader, PackageStoreError, PutError, StrayPart, failed};

const INCOMING_PREFIX: &str = ".incoming-";

/// Folder of the parts of unfinished uploads.
const PARTS_FOLDER: &str = "parts";

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

    /// Uses a folder beside the process that opened it.
    pub(crate) fn join(folder: PathBuf) -> Self {
        // Names of their own for what is on its way: the other process counts from 0.
        let first = u64::from(std::process::id()) << 32;
        Self {
            folder: folder.into(),
            incoming: Arc::new(AtomicU64::new(first)),
        }
    }

    pub(crate) async fn stage<S, E>(
        &self,
        bytes: S,
        limit_bytes: u64,
    ) -> Result<(StagedFile, FileDigest), PutError>
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

        let incoming = in_background(&self.folder, move || {
            file.sync_all().map_err(failed("flush", &incoming.path))?;
            Ok(incoming)
        })
        .await?;
        let staged = StagedFile {
            incoming,
            folder: self.clone(),
        };
        Ok((staged, digester.finish()))
    }

    pub(crate) fn description(&self) -> String {
        format!("folder {}", self.folder.display())
    }

    /// Whether the folder is there.
    pub(crate) async fn ping(&self) -> Result<(), PackageStoreError> {
        tokio::fs::read_dir(&*self.folder)
            .await
            .map(drop)
            .map_err(failed("read folder", &self.folder))
    }

    async fn move_in(&self, incoming: Incoming, place: PathBuf) -> Result<(), PackageStoreError> {
        in_background(&self.folder, move || incoming.place(&place)).await
    }

    pub(crate) async fn open_part(&self, name: Uuid) -> Result<PackageReader, PackageStoreError> {
        let path = self.part_path(name);
        let mut file = File::open(&path).await.map_err(failed("open", &path))?;
        let metadata = file.metadata().await.map_err(failed("look at", &path))?;
        file.set_max_buf_size(SLICE_BYTES);
        Ok(PackageReader::new(file, metadata.len(), metadata.len()))
    }

    pub(crate) async fn remove_part(&self, name: Uuid) -> Result<bool, PackageStoreError> {
        remove(&self.folder, self.part_path(name)).await
    }

    pub(crate) async fn parts(&self) -> Result<Vec<StrayPart>, PackageStoreError> {
        let folder = self.folder.join(PARTS_FOLDER);
        in_background(&self.folder, move || {
            entries(&folder)?
                .into_iter()
                .filter_map(|path| {
                    let name = path.file_name()?.to_str()?.parse().ok()?;
                    Some((path, name))
                })
                .map(|(path, name)| {
                    let (size_bytes, modified) = size_and_time(&path)?;
                    Ok(StrayPart {
                        name,
                        size_bytes,
                        modified,
                    })
                })
                .collect()
        })
        .await
    }

    pub(crate) async fn packages(&self) -> Result<Vec<PackageFile>, PackageStoreError> {
        let root = Arc::clone(&self.folder);
        in_background(&self.folder, move || {
            let mut found = Vec::new();
            for shelf in entries(&root)? {
                let Some(start) = shelf.file_name().and_then(|name| name.to_str()) else {
                    continue;
                };
                if start.len() != 2 || !shelf.is_dir() {
                    continue;
                }
                for path in entries(&shelf)? {
                    let rest = path.file_name().and_then(|name| name.to_str());
                    let Some(sha256) = rest.and_then(|rest| format!("{start}{rest}").parse().ok())
                    else {
                        continue;
                    };
                    let (size_bytes, modified) = size_and_time(&path)?;
                    found.push(PackageFile {
                        sha256,
                        size_bytes,
                        modified,
                    });
                }
            }
            Ok(found)
        })
        .await
    }

    fn part_path(&self, name: Uuid) -> PathBuf {
        self.folder
            .join(PARTS_FOLDER)
            .join(name.simple().to_string())
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

    /// A package, to look into.
    pub(crate) async fn view(&self, sha256: &Sha256Digest) -> Result<fs::File, PackageStoreError> {
        let path = self.path_of(sha256);
        match File::open(&path).await {
            Ok(file) => Ok(file.into_std().await),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(PackageStoreError::NotFound { sha256: *sha256 })
            }
            Err(error) => Err(failed("open", &path)(error)),
        }
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
        remove(&self.folder, self.path_of(sha256)).await
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

/// Bytes that are durable and not a package yet; they go when this is dropped, or with the next start.
#[derive(Debug)]
pub(crate) struct StagedFile {
    incoming: Incoming,
    folder: LocalFolder,
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

    /// Makes the bytes, which are durable, visible, then their name durable.
    fn place(self, place: &Path) -> Result<(), PackageStoreError> {
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

impl StagedFile {
    /// The bytes, to look into.
    pub(crate) fn view(&self) -> Result<fs::File, PackageStoreError> {
        let path = &self.incoming.path;
        fs::File::open(path).map_err(failed("open", path))
    }

    /// Makes the bytes a package; equal bytes that are one already are replaced.
    pub(crate) async fn place(self, sha256: &Sha256Digest) -> Result<(), PackageStoreError> {
        let path = self.folder.path_of(sha256);
        self.folder.move_in(self.incoming, path).await
    }

    /// Keeps the bytes as a part.
    pub(crate) async fn keep_as_part(self, name: Uuid) -> Result<(), PackageStoreError> {
        let path = self.folder.part_path(name);
        self.folder.move_in(self.incoming, path).await
    }
}

async fn remove(folder: &Path, path: PathBuf) -> Result<bool, PackageStoreError> {
    match tokio::fs::remove_file(&path).await {
        Ok(()) => {
            in_background(folder, move || sync_folder(parent(&path))).await?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", &path)(error)),
    }
}

/// What lies in a folder; nothing when there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PackageStoreError> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed("read folder", folder))?,
    };
    listing
        .map(|entry| Ok(entry.map_err(failed("read folder", folder))?.path()))
        .collect()
}

fn size_and_time(path: &Path) -> Result<(u64, SystemTime), PackageStoreError> {
    let metadata = fs::metadata(path).map_err(failed("look at", path))?;
    let modified = metadata.modified().map_err(failed("look at", path))?;
    Ok((metadata.len(), modified))
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
