//! The Windows side. Source: docs/adr/0030-windows.md, which says what there is and what not.

mod processes;
mod registry;
mod start;
mod supervisor;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::{Component, Path, PathBuf, Prefix};
use std::ptr::null_mut;

use outfitter_agent_protocol::{InventoryFacts, InventorySoftware, UserSession};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
    SECURITY_ATTRIBUTES, SetFileSecurityW, TOKEN_DUPLICATE, TOKEN_QUERY,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_FLAG_BACKUP_SEMANTICS, GetDiskFreeSpaceExW,
};
use windows_sys::Win32::System::ApplicationInstallationAndServicing::{
    INSTALLPROPERTY_VERSIONSTRING, INSTALLSTATE_DEFAULT, MsiGetProductInfoW, MsiQueryProductStateW,
};
use windows_sys::Win32::System::Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows_sys::core::BOOL;

pub use supervisor::{
    await_supervisor, control_group, remove_control_group, start_supervisor, supervise,
};

use super::{DebianState, PlatformError, RegistryEntry};
use crate::command::CommandError;
use crate::command_line;
use crate::programs::{EndBy, Notice, ProgramNames, RunningProgram};
use crate::supervision::{ProcessMark, RunAs};
use registry::Hive;

/// Text as the system takes it: UTF-16, with NUL at its end.
///
/// # Errors
/// When there is a NUL in it.
fn wide(text: impl AsRef<OsStr>) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.as_ref().encode_wide().collect();
    if units.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the text holds a NUL character",
        ));
    }
    units.push(0);
    Ok(units)
}

/// What a call says that answers zero when it fails.
fn checked(answer: BOOL) -> io::Result<()> {
    if answer == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Changes with every boot of the machine: kept in a key of the registry that the system keeps in memory alone.
///
/// # Errors
/// When the registry cannot be written.
pub fn boot_id() -> io::Result<String> {
    const KEY: &str = "SOFTWARE\\Outfitter Agent Boot";
    let of = |hive| {
        registry::of_this_boot(hive, KEY, "Id", || {
            uuid::Uuid::new_v4().simple().to_string()
        })
    };
    match of(Hive::Machine) {
        // Not as administrator: the same as long as it is the same account.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => of(Hive::Account),
        told => told,
    }
}

/// What tells this machine from others, where the system knows it.
pub fn machine_identity() -> Option<String> {
    registry::text(
        Hive::Machine,
        "SOFTWARE\\Microsoft\\Cryptography",
        "MachineGuid",
    )
    .ok()
    .filter(|guid| !guid.is_empty())
}

/// What the firmware calls the machine: not read here, the registry's id tells machines apart.
pub fn product_uuid() -> Option<String> {
    None
}

/// Free bytes for us where `path` lies.
///
/// # Errors
/// When the file system does not tell.
pub fn free_bytes(path: &Path) -> Result<u64, PlatformError> {
    let failed = |error| PlatformError::system("ask for free space", error);
    let path = wide(path).map_err(failed)?;
    let mut free = 0;
    // SAFETY: the path ends with NUL; the number outlives the call, and the others are not asked for.
    checked(unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, null_mut(), null_mut()) })
        .map_err(failed)?;
    Ok(free)
}

/// Flushes a folder, so that renames in it survive power loss. A file system that does not flush folders has to keep them
/// safe by its journal.
///
/// # Errors
/// When it cannot be opened or flushed.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = OpenOptions::new()
        .write(true)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path);
    match folder.and_then(|folder| folder.sync_all()) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        flushed => flushed,
    }
}

/// Options for a file of the agent's own; its folder's access list protects it.
pub fn private_file_options() -> OpenOptions {
    OpenOptions::new()
}

/// Who may enter a folder of the agent's own, and what is in it: the system, administrators, the owner; nothing from above.
/// Source: Microsoft, "Security Descriptor String Format".
const PRIVATE_FOLDER: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)";

/// A security descriptor, freed with this.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn private_folder() -> io::Result<Self> {
        let text = wide(PRIVATE_FOLDER)?;
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the text ends with NUL; the descriptor is ours, and freed by `Descriptor`.
        checked(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        })?;
        Ok(Self(descriptor))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor was allocated for us and is freed once.
        unsafe {
            LocalFree(self.0);
        }
    }
}

/// Makes one folder that nobody else may enter; one that is there is made so.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let name = wide(path)?;
    let descriptor = Descriptor::private_folder()?;
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor.0,
        bInheritHandle: 0,
    };
    // SAFETY: the name ends with NUL, and the descriptor lives until the call returns.
    match checked(unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) }) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            // SAFETY: as before.
            checked(unsafe {
                SetFileSecurityW(
                    name.as_ptr(),
                    DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                    descriptor.0,
                )
            })
        }
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

/// Offers of a newer program are refused before anything of them is fetched.
pub const CAN_REPLACE_PROGRAM: bool = false;

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

/// Where an archive goes that names no folder. Source: contract, semantics §5, On the desktop.
pub fn default_app_folder(name: &str) -> PathBuf {
    let environment = base_environment();
    let programs = variable(&environment, "ProgramFiles").unwrap_or("C:\\Program Files");
    Path::new(programs).join(command_line::file_name(name))
}

fn variable<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// The variables every installer gets: those that the system has for the account; nothing of the agent's own environment.
pub fn base_environment() -> BTreeMap<String, String> {
    environment_of_account().unwrap_or_else(|error| {
        tracing::warn!("the account's environment is not told, installers get the least: {error}");
        [
            "SystemRoot",
            "SystemDrive",
            "ProgramFiles",
            "ProgramData",
            "TEMP",
            "ComSpec",
            "PATH",
        ]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
    })
}

fn environment_of_account() -> io::Result<BTreeMap<String, String>> {
    let mut token: HANDLE = null_mut();
    // SAFETY: the process is this one; `token` takes the handle.
    checked(unsafe {
        OpenProcessToken(
            GetCurrentProcess(),
            TOKEN_QUERY | TOKEN_DUPLICATE,
            &raw mut token,
        )
    })?;
    // SAFETY: the handle was made for us, and nobody else closes it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let mut block = null_mut();
    // SAFETY: the token is open; `block` takes what is freed below.
    checked(unsafe { CreateEnvironmentBlock(&raw mut block, token.as_raw_handle(), 0) })?;
    let mut environment = BTreeMap::new();
    let mut at = block.cast::<u16>().cast_const();
    loop {
        let mut length = 0;
        // SAFETY: the block is a row of texts that end with NUL, and ends with an empty one: nothing behind that is read.
        let line = unsafe {
            while *at.add(length) != 0 {
                length += 1;
            }
            std::slice::from_raw_parts(at, length)
        };
        if line.is_empty() {
            break;
        }
        let line = String::from_utf16_lossy(line);
        // Folders of drives are kept under names that begin with `=`.
        if let Some((name, value)) = line.split_once('=').filter(|(name, _)| !name.is_empty()) {
            environment.insert(name.to_owned(), value.to_owned());
        }
        // SAFETY: behind the NUL is the next text, or the empty one.
        at = unsafe { at.add(length + 1) };
    }
    // SAFETY: the block was made by the call above, and is freed once.
    unsafe { DestroyEnvironmentBlock(block) };
    Ok(environment)
}

/// The line of a command; see [`command_line::command_line`].
///
/// # Errors
/// See [`CommandError`].
pub fn prepared_arguments(
    command: &str,
    file_path: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, CommandError> {
    Ok(vec![command_line::command_line(
        command,
        file_path,
        environment,
    )?])
}

/// What was prepared, as one line for people.
pub fn display_prepared(arguments: &[String]) -> String {
    arguments.join(" ")
}

/// The words of a command that the agent carries out itself.
///
/// # Errors
/// See [`CommandError`].
pub fn words(command: &str) -> Result<Vec<String>, CommandError> {
    command_line::arguments(command, &base_environment())
}

/// A path of this desktop as it stands in a rule, with variables replaced.
///
/// # Errors
/// In words, when it is none of a local drive.
pub fn rule_path(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(command_line::expanded(path, &base_environment()));
    if is_whole(&path) {
        Ok(path)
    } else {
        Err(format!("{} is no path of a local drive", path.display()))
    }
}

/// Whether a path says by itself which one it is, on a drive of this machine.
pub fn is_whole(path: &Path) -> bool {
    path.is_absolute() && drive(path).is_some()
}

fn drive(path: &Path) -> Option<char> {
    match path.components().next()? {
        Component::Prefix(prefix) => match prefix.kind() {
            Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => {
                Some(char::from(letter).to_ascii_uppercase())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Where a path of the desktop lies below the folder that plays it: its drive is a folder there.
///
/// # Errors
/// In words, when it is none of a local drive.
pub fn below_sandbox(path: &Path) -> Result<PathBuf, String> {
    let letter = drive(path)
        .filter(|_| path.is_absolute())
        .ok_or_else(|| format!("{} is no path of a local drive", path.display()))?;
    let mut below = PathBuf::from(letter.to_string());
    below.extend(
        path.components()
            .filter(|part| matches!(part, Component::Normal(_))),
    );
    Ok(below)
}

/// A path without links, as programs take it: not in the verbatim form (`\\?\`), which few know, unless it is too long for
/// another. Source: Microsoft, "Maximum Path Length Limitation".
///
/// # Errors
/// When it is not there.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    const LONGEST: usize = 259;
    let path = fs::canonicalize(path)?;
    Ok(match (drive(&path), path.to_str()) {
        (Some(_), Some(text)) => match text.strip_prefix("\\\\?\\") {
            Some(plain) if plain.len() <= LONGEST => PathBuf::from(plain),
            _ => path,
        },
        _ => path,
    })
}

/// A package's name as that of a file.
pub fn file_name(name: String) -> String {
    command_line::file_name(&name)
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
    let script = command_line::quoted(script);
    vec![format!(
        "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command {script}"
    )]
}

/// What stands in the registry under a key, with its root, and a name. A 32-bit program's own part of it has another key
/// (`WOW6432Node`).
///
/// # Errors
/// When the registry cannot be read, or the value is too long to be looked at.
pub fn registry_entry(key: &str, name: Option<&str>) -> Result<RegistryEntry, PlatformError> {
    registry::entry(key, name)
        .map_err(|error| PlatformError::system(format!("read the registry's {key}"), error))
}

/// The version of a product that Windows Installer has for the machine or the agent's account. `None`: it has none.
///
/// # Errors
/// When it does not tell the version of one that it has.
pub fn msi_product(product_code: &str) -> Result<Option<String>, PlatformError> {
    let failed = |error| {
        PlatformError::system(
            format!("ask Windows Installer for product {product_code}"),
            error,
        )
    };
    let code = wide(product_code).map_err(failed)?;
    // SAFETY: the code ends with NUL and lives until the call returns.
    if unsafe { MsiQueryProductStateW(code.as_ptr()) } != INSTALLSTATE_DEFAULT {
        return Ok(None);
    }
    // A version has three numbers of at most five digits. Source: Windows Installer, ProductVersion.
    let mut version = [0_u16; 64];
    let mut length = 64;
    // SAFETY: the texts end with NUL; the buffer has as many units as are named.
    let status = unsafe {
        MsiGetProductInfoW(
            code.as_ptr(),
            INSTALLPROPERTY_VERSIONSTRING,
            version.as_mut_ptr(),
            &raw mut length,
        )
    };
    if status != ERROR_SUCCESS {
        return Err(failed(io::Error::from_raw_os_error(status.cast_signed())));
    }
    Ok(Some(String::from_utf16_lossy(&version[..length as usize])))
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

/// A graphical session of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphicalSession {
    /// Whose it is.
    pub user: RunAs,
    /// Their home.
    pub home: PathBuf,
    /// The environment of a program in it.
    pub environment: BTreeMap<String, String>,
}

/// Opens a file with whatever program is for it.
pub const OPENER: &str = "explorer.exe";

/// The graphical session of a user.
///
/// # Errors
/// Always: not supported yet.
pub fn graphical_session(
    _wanted: &UserSession,
    _sandbox_root: Option<&Path>,
) -> Result<Option<GraphicalSession>, PlatformError> {
    Err(PlatformError::NotSupported(
        "opening an installer for its user",
    ))
}

/// Marks an environment as that of an attempt's processes.
pub fn mark_environment(environment: &mut BTreeMap<String, String>, attempt: &str) {
    environment.insert("OUTFITTER_ATTEMPT".to_owned(), attempt.to_owned());
}

/// Living processes of a user that an attempt started: none is started yet.
pub fn marked_processes(_user: u32, _attempt: &str) -> Vec<ProcessMark> {
    Vec::new()
}

/// Ends what of an attempt still runs as a user: none is started yet.
pub fn end_marked_processes(_user: u32, _attempt: &str) {}

/// Puts a package where its user may open it.
///
/// # Errors
/// Always: not supported yet.
pub fn lend_package(
    _package: &Path,
    _attempt: &str,
    _sandbox_root: Option<&Path>,
) -> Result<PathBuf, PlatformError> {
    Err(PlatformError::NotSupported(
        "opening an installer for its user",
    ))
}

/// Removes what was lent for an attempt: nothing is yet.
pub fn take_back_package(_attempt: &str, _sandbox_root: Option<&Path>) {}

/// Whether the system runs a file by itself.
///
/// # Errors
/// Never.
pub fn is_program(path: &Path) -> io::Result<bool> {
    Ok(path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("exe")))
}
