//! Files that survive power loss: temporary file, fsync, rename, fsync of the folder.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::platform;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    /// Names what was attempted on what.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The system's word for it.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Writes a whole file so that after power loss either the old or the new content is there. Only the
/// owner may read it.
///
/// # Errors
/// When any of the steps fails; the old content then stands.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().expect("a durable file lies in a folder");
    let mut name = path
        .file_name()
        .expect("a durable file has a name")
        .to_owned();
    name.push(".new");
    let temporary = folder.join(name);
    let write = || -> io::Result<()> {
        let mut file: File = platform::private_file_options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        platform::sync_folder(folder)
    };
    write().map_err(|source| FileError::new("write", path, source))
}

/// [`write()`] of a value as JSON.
///
/// # Errors
/// As [`write()`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| FileError::new("encode", path, io::Error::other(error)))?;
    write(path, &bytes)
}

/// Reads a JSON file. `None` when there is none.
///
/// # Errors
/// When it cannot be read or does not parse.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new("read", path, error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| FileError::new("parse", path, error.into()))
}

/// Reads a text file that has to be there.
///
/// # Errors
/// When it cannot be read.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|error| FileError::new("read", path, error))
}

/// Makes a folder and those above it; the last one is for its owner alone and on disk afterwards.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_folder(path: &Path) -> Result<(), FileError> {
    let create = || -> io::Result<()> {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        platform::create_private_folder(path)?;
        path.parent().map_or(Ok(()), platform::sync_folder)
    };
    create().map_err(|source| FileError::new("make the folder", path, source))
}

/// Gives a file or folder another name in the same folder; on disk afterwards.
///
/// # Errors
/// When it cannot.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    let folder = to.parent().expect("a durable file lies in a folder");
    fs::rename(from, to)
        .and_then(|()| platform::sync_folder(folder))
        .map_err(|source| FileError::new("rename", from, source))
}

/// Removes a folder with all in it; one that is gone already is fine.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Ok(()) => path
            .parent()
            .map_or(Ok(()), platform::sync_folder)
            .map_err(|source| FileError::new("sync the folder above", path, source)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_a_cut_file_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("value.json");
        assert!(read_json::<Vec<u32>>(&path).expect("absent").is_none());
        write_json(&path, &vec![1, 2, 3]).expect("written");
        assert_eq!(
            read_json::<Vec<u32>>(&path).expect("read"),
            Some(vec![1, 2, 3])
        );
        let bytes = fs::read(&path).expect("bytes");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
        let error = read_json::<Vec<u32>>(&path).expect_err("cut");
        assert!(error.to_string().contains("value.json"));
    }
}
