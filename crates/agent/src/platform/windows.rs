//! The Windows side: state folder and channel work, running installers does not yet.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use outfitter_agent_protocol::{InventoryFacts, InventorySoftware};

use super::{DebianState, PlatformError};
use crate::programs::{EndBy, Notice, ProgramNames, RunningProgram};
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

/// Windows cannot put one program in the place of another.
pub fn replace_process(_program: &Path, _arguments: &[String]) -> PlatformError {
    PlatformError::NotSupported("an update of the agent")
}

/// Windows cannot start a program anew in its own place.
pub fn restart_process(_arguments: &[String]) -> PlatformError {
    PlatformError::NotSupported("an update of the agent")
}

/// Needs a job object on Windows; updates do not get this far there yet.
pub fn end_with_parent(_command: &mut std::process::Command) {}

/// Windows has no polite signal for a child without a console.
pub fn ask_to_end(_child: u32) {}

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

/// What the desktop is and has.
///
/// # Errors
/// Always: not supported yet.
pub async fn inventory(
    _sandbox_root: Option<&Path>,
    _state: &Path,
) -> Result<(InventoryFacts, InventorySoftware), PlatformError> {
    Err(PlatformError::NotSupported("an inventory"))
}

/// What runs the script of a detection rule.
pub fn script_arguments(script: &str) -> Vec<String> {
    [
        "powershell.exe",
        "-NoProfile",
        "-NonInteractive",
        "-Command",
        script,
    ]
    .map(str::to_owned)
    .into()
}

/// Asks rpm for a package.
///
/// # Errors
/// Always: not supported.
pub async fn rpm_package(
    _database: Option<&Path>,
    _name: &str,
) -> Result<Vec<String>, PlatformError> {
    Err(PlatformError::NotSupported("an RPM package rule"))
}

/// Reads the header of an RPM package.
///
/// # Errors
/// Always: not supported.
pub async fn rpm_file(_package: &Path) -> Result<Option<(String, String)>, PlatformError> {
    Err(PlatformError::NotSupported("an RPM package"))
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

/// Finds running programs of an app.
///
/// # Errors
/// Always: not supported yet.
pub fn running_programs(
    _names: &ProgramNames,
    _sandbox_root: Option<&Path>,
) -> Result<Vec<RunningProgram>, PlatformError> {
    Err(PlatformError::NotSupported("closing running programs"))
}

/// Ends a program; none is ever found.
pub fn end_program(_program: &RunningProgram, _by: EndBy) {}

/// Tells a user something in their session.
///
/// # Errors
/// Always: not supported yet.
pub async fn notify_user(
    _user: u32,
    _sandbox_root: Option<&Path>,
    _notice: &Notice,
) -> Result<(), PlatformError> {
    Err(PlatformError::NotSupported("notifying users"))
}

/// Folder of the local socket.
pub const DESK_FOLDER: &str = r"C:\ProgramData\outfitter-agent";

/// One connection of somebody at the desktop; there is none here yet.
pub type DeskStream = tokio::io::DuplexStream;

/// Somebody who connected.
pub struct DeskPeer {
    /// The connection.
    pub stream: DeskStream,
    /// Number of the account at its far end.
    pub user: u32,
}

/// The local socket; there is none here yet.
pub enum DeskListener {}

impl DeskListener {
    /// Makes it.
    ///
    /// # Errors
    /// Always: not supported yet.
    pub fn bind(_path: &Path) -> Result<Self, PlatformError> {
        Err(PlatformError::NotSupported("the local socket"))
    }

    /// The next connection.
    ///
    /// # Errors
    /// Never: there is no listener.
    pub async fn accept(&self) -> Result<DeskPeer, PlatformError> {
        match *self {}
    }
}

/// Opens it.
///
/// # Errors
/// Always: not supported yet.
pub async fn connect_desk(_path: &Path) -> Result<DeskStream, PlatformError> {
    Err(PlatformError::NotSupported("the local socket"))
}

/// Name of an account.
///
/// # Errors
/// Always: not supported yet.
pub async fn account_name(_user: u32) -> Result<String, PlatformError> {
    Err(PlatformError::NotSupported("the local socket"))
}

/// Opens a page in the browser of whoever runs this.
///
/// # Errors
/// Always: not supported yet.
pub async fn open_in_browser(_page: &str) -> Result<(), PlatformError> {
    Err(PlatformError::NotSupported("opening the browser"))
}
