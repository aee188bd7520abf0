//! The data folder of one process: made private, checked to be writable, locked against a second server.
//!
//! **Guarantees.** While [`DataDir`] lives, no other server of this machine works in the folder; the system lets go of
//! the lock when the process ends, however it ends. **Does not** see servers of other machines on a shared file system
//! that has no locks: each machine wants a folder of its own.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Name of the file that is locked. It holds the process id of who locked it, for people.
const LOCK_FILE: &str = "server.lock";

/// A data folder that is ours.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

/// Why the data folder cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Another server works in it.
    #[error("another server{} works in the data folder {}", of_process(process), path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// Process id of the other server, where it is told.
        process: Option<u32>,
    },
    /// It cannot be made or written to.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

fn of_process(process: &Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl DataDir {
    /// Makes the folder where it is missing, and locks it for this process.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::File {
                doing,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make the data folder", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("write into the data folder:", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Only for the message: a file that cannot be read says nothing.
                let process = match lock.read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                return Err(DataDirError::Taken {
                    path: path.to_owned(),
                    process,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed("write", &lock_path))?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        let own = std::process::id();
        assert!(
            matches!(&error, DataDirError::Taken { process, .. } if *process == Some(own)),
            "{error}"
        );
        drop(first);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDir::lock(&file.join("data")).unwrap_err();
        assert!(matches!(error, DataDirError::File { .. }), "{error}");
    }
}
