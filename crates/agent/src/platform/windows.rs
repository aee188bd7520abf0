//! The Windows side: state folder and channel work, running installers does not yet.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::{DebianState, PlatformError};
use crate::supervision::{Prepared, SupervisionEnd};

/// Changes with every boot of the machine.
///
/// # Errors
/// Never, so far.
pub fn boot_id() -> io::Result<String> {
    Ok("unknown".to_owned())
}

/// What tells this machine from others, where the system knows it.
pub fn machine_identity() -> Option<String> {
    None
}

/// Free bytes for us where `path` lies; not known here yet.
///
/// # Errors
/// Always: not supported yet.
pub fn free_bytes(_path: &Path) -> Result<u64, PlatformError> {
    Err(PlatformError::NotSupported("the free-space check"))
}

/// Folders cannot be flushed on Windows; NTFS journals renames.
///
/// # Errors
/// Never.
pub fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Options for a file of the agent's own; its folder's access list protects it.
pub fn private_file_options() -> OpenOptions {
    OpenOptions::new()
}

/// Makes one folder; one that is there is fine.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Files need no mark to be run on Windows.
///
/// # Errors
/// Never.
pub fn make_runnable(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Where an archive goes that names no folder.
pub fn default_app_folder(name: &str) -> PathBuf {
    let programs = std::env::var_os("ProgramFiles").unwrap_or_else(|| "C:\\Program Files".into());
    PathBuf::from(programs).join(name)
}

/// The variables every installer gets.
pub fn base_environment() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// There is no dpkg on Windows.
///
/// # Errors
/// Always: not supported.
pub async fn debian_package(
    _database: &Path,
    _name: &str,
) -> Result<Option<DebianState>, PlatformError> {
    Err(PlatformError::NotSupported("a Debian package rule"))
}

/// Starts the supervisor of an attempt.
///
/// # Errors
/// Always: not supported yet.
pub fn start_supervisor(_folder: &Path) -> Result<(), PlatformError> {
    Err(PlatformError::NotSupported("running installers"))
}

/// Waits until no supervisor holds the attempt and says what it left.
///
/// # Errors
/// Always: not supported yet.
pub fn await_supervisor(
    _folder: &Path,
    _prepared: Option<&Prepared>,
) -> Result<SupervisionEnd, PlatformError> {
    Err(PlatformError::NotSupported("running installers"))
}

/// There are no control groups on Windows.
pub fn control_group(_files: &dyn crate::durable::Files, _folder: &Path) -> Option<PathBuf> {
    None
}

/// There are no control groups on Windows.
pub fn remove_control_group(_group: &Path) -> bool {
    true
}

/// The supervisor's own main function.
pub fn supervise(_folder: &Path) -> i32 {
    tracing::error!("running installers is not supported on this system yet");
    1
}

/// The installer's own start.
pub fn launch(_folder: &Path) -> i32 {
    supervise(_folder)
}
