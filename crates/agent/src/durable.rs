//! Files that survive power loss: temporary file, fsync, rename, fsync of the folder.

use std::fs::{self, File};
use std::io;
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

/// A file that is being written.
pub trait OpenFile {
    /// Writes more.
    ///
    /// # Errors
    /// The system's; part of the bytes may be there then.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the bytes would survive power loss.
    ///
    /// # Errors
    /// The system's; nothing is certain then.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// What the journal asks of a file system. A seam: a simulator has one that loses power, fills up and fails.
pub trait Files: Send + Sync {
    /// Makes, or empties, a file that only its owner may read.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile + '_>>;
    /// The bytes of a file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is a file or folder.
    fn exists(&self, path: &Path) -> bool;
    /// What is in a folder.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Gives a file or folder another name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all in it.
    ///
    /// # Errors
    /// The system's; part of it may be gone then.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder for its owner alone, and those above it.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns when the names in a folder would survive power loss.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl OpenFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }
}

impl Files for SystemFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile + '_>> {
        let file: File = platform::private_file_options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        platform::create_private_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        platform::sync_folder(path)
    }
}

/// Durable operations on any file system.
impl dyn Files + '_ {
    /// Writes a whole file so that after power loss either the old or the new content is there. Only the
    /// owner may read it.
    ///
    /// # Errors
    /// When any of the steps fails; the old content then stands.
    pub fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let folder = path.parent().expect("a durable file lies in a folder");
        let mut name = path
            .file_name()
            .expect("a durable file has a name")
            .to_owned();
        name.push(".new");
        let temporary = folder.join(name);
        let write = || -> io::Result<()> {
            let mut file = self.create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            drop(file);
            self.rename(&temporary, path)?;
            self.sync_folder(folder)
        };
        write().map_err(|source| FileError::new("write", path, source))
    }

    /// `write_durably` of a value as JSON.
    ///
    /// # Errors
    /// As `write_durably`.
    pub fn write_json<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), FileError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| FileError::new("encode", path, io::Error::other(error)))?;
        self.write_durably(path, &bytes)
    }

    /// Reads a JSON file. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or does not parse.
    pub fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, FileError> {
        let bytes = match self.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("read", path, error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| FileError::new("parse", path, error.into()))
    }

    /// Makes a folder and those above it; the last one is for its owner alone and on disk afterwards.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_folder_durably(&self, path: &Path) -> Result<(), FileError> {
        self.create_folder(path)
            .and_then(|()| {
                path.parent()
                    .map_or(Ok(()), |above| self.sync_folder(above))
            })
            .map_err(|source| FileError::new("make the folder", path, source))
    }

    /// Gives a file or folder another name in the same folder; on disk afterwards.
    ///
    /// # Errors
    /// When it cannot.
    pub fn rename_durably(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let folder = to.parent().expect("a durable file lies in a folder");
        self.rename(from, to)
            .and_then(|()| self.sync_folder(folder))
            .map_err(|source| FileError::new("rename", from, source))
    }

    /// Removes a folder with all in it; one that is gone already is fine.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove_folder_durably(&self, path: &Path) -> Result<(), FileError> {
        match self.remove_folder(path) {
            Ok(()) => path
                .parent()
                .map_or(Ok(()), |above| self.sync_folder(above))
                .map_err(|source| FileError::new("sync the folder above", path, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FileError::new("remove", path, error)),
        }
    }
}

const SYSTEM: &dyn Files = &SystemFiles;

/// Writes a whole file of this machine so that after power loss either the old or the new content is there. Only
/// the owner may read it.
///
/// # Errors
/// When any of the steps fails; the old content then stands.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    SYSTEM.write_durably(path, bytes)
}

/// [`write()`] of a value as JSON.
///
/// # Errors
/// As [`write()`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    SYSTEM.write_json(path, value)
}

/// Reads a JSON file. `None` when there is none.
///
/// # Errors
/// When it cannot be read or does not parse.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    SYSTEM.read_json(path)
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
    SYSTEM.create_folder_durably(path)
}

/// Gives a file or folder another name in the same folder; on disk afterwards.
///
/// # Errors
/// When it cannot.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    SYSTEM.rename_durably(from, to)
}

/// Removes a folder with all in it; one that is gone already is fine.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    SYSTEM.remove_folder_durably(path)
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
