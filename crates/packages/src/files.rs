//! Folder work that both extraction and manifests need.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// What a step did to which path, for messages.
#[derive(Debug)]
pub(crate) struct PathFailure {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Names the action and path of an I/O failure.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PathFailure {
    move |source| PathFailure {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Looks at a path without following a link in its last part; `None` when nothing is there.
pub(crate) fn look(path: &Path) -> Result<Option<Metadata>, PathFailure> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        // NotADirectory: a part above is a file, so nothing can be below it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(failed("look at", path)(source)),
    }
}

/// Makes a folder that everybody may read, whatever the process's umask.
pub(crate) fn create_folder(path: &Path) -> Result<(), PathFailure> {
    fs::create_dir(path).map_err(failed("create folder", path))?;
    set_mode(path, 0o755)
}

/// Makes a folder that nobody else may enter.
pub(crate) fn create_private_folder(path: &Path) -> Result<(), PathFailure> {
    let builder = fs::DirBuilder::new();
    #[cfg(unix)]
    let builder = {
        let mut private = builder;
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private
    };
    builder.create(path).map_err(failed("create folder", path))
}

/// Sets the permission bits; without effect where files have none.
#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), PathFailure> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set mode of", path))
}

/// Sets the permission bits; without effect where files have none.
#[cfg(not(unix))]
pub(crate) fn set_mode(_path: &Path, _mode: u32) -> Result<(), PathFailure> {
    Ok(())
}

/// Makes the names in a folder durable; where folders cannot be flushed (Windows), the file system's journal does it.
pub(crate) fn sync_folder(path: &Path) -> Result<(), PathFailure> {
    if cfg!(unix) {
        fs::File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("flush folder", path))?;
    }
    Ok(())
}
