//! The Linux side.

mod desk;
mod inventory;
mod processes;
mod programs;
mod session;
mod supervisor;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub use desk::{
    DESK_FOLDER, DeskListener, DeskPeer, DeskStream, account_name, connect_desk, open_in_browser,
};
pub use inventory::inventory;
pub use programs::{end_program, notify_user, running_programs};
pub use session::{
    GraphicalSession, OPENER, end_marked_processes, graphical_session, is_program, lend_package,
    mark_environment, marked_processes, take_back_package,
};
pub use supervisor::{
    await_supervisor, control_group, launch, remove_control_group, start_supervisor, supervise,
};

use super::{DebianState, PlatformError, RegistryEntry};
use crate::command::{self, CommandError};

/// Where programs are looked for: maintainer scripts need the `sbin` folders.
const PROGRAM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longest time for a question to the package database, in seconds.
const QUERY_LIMIT: Duration = Duration::from_secs(60);

/// Changes with every boot of the machine.
///
/// # Errors
/// When the kernel does not tell.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// What tells this machine from others, where the system knows it.
pub fn machine_identity() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty())
}

/// What the firmware calls the machine, where it may be read: by root alone.
pub fn product_uuid() -> Option<String> {
    let text = fs::read_to_string("/sys/class/dmi/id/product_uuid").ok()?;
    let text = text.trim();
    // What boards say whose maker wrote nothing.
    let says_nothing = text.chars().all(|c| matches!(c, '0' | '-'))
        || text.chars().all(|c| matches!(c, 'F' | 'f' | '-'));
    (!says_nothing).then(|| text.to_lowercase())
}

/// Free bytes for us where `path` lies.
///
/// # Errors
/// When the file system does not tell.
pub fn free_bytes(path: &Path) -> Result<u64, PlatformError> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|error| PlatformError::system("ask for free space", error.into()))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Flushes a folder, so that renames in it survive power loss.
///
/// # Errors
/// When it cannot be flushed.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Options for a file that only its owner may read.
pub fn private_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes one folder that only its owner may enter; one that is there is made so.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        }
        made => made,
    }
}

/// Lets the owner run a file.
///
/// # Errors
/// When its mode cannot be set.
pub fn make_runnable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Whether [`replace_process`] and [`restart_process`] do what they say.
pub const CAN_REPLACE_PROGRAM: bool = true;

/// Puts a program in the place of this one: same process, its file descriptors closed. Returns only on failure.
pub fn replace_process(program: &Path, arguments: &[String]) -> PlatformError {
    let error = std::process::Command::new(program).args(arguments).exec();
    PlatformError::system(format!("become {}", program.display()), error)
}

/// Starts this program anew in the place of itself, also where its file is gone: same process, without any of its
/// threads and tasks. Returns only on failure.
pub fn restart_process(arguments: &[String]) -> PlatformError {
    let mut command = std::process::Command::new("/proc/self/exe");
    if let Ok(program) = std::env::current_exe() {
        command.arg0(program);
    }
    let error = command.args(arguments).exec();
    PlatformError::system("start the agent anew", error)
}

/// Makes the kernel end the child (SIGKILL) when the thread that starts it ends: nothing is left beside whoever
/// starts next.
pub fn end_with_parent(command: &mut std::process::Command) {
    let parent = nix::unistd::getpid();
    let before_exec = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        if nix::unistd::getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated, no lock is taken.
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// Asks a child of ours, not yet waited for, to end.
pub fn ask_to_end(child: u32) {
    if let Ok(id) = i32::try_from(child) {
        // A child that has ended meanwhile hears nothing, which is as good.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(id),
            nix::sys::signal::Signal::SIGTERM,
        );
    }
}

/// Where an archive goes that names no folder. Source: contract, semantics §5, On the desktop.
pub fn default_app_folder(name: &str) -> PathBuf {
    Path::new("/opt").join(name)
}

/// The variables every installer gets; nothing of the agent's own environment.
pub fn base_environment() -> BTreeMap<String, String> {
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| "/".to_owned(), |user| user.dir.display().to_string());
    [("PATH", PROGRAM_PATH), ("HOME", &home), ("LANG", "C.UTF-8")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Splits a command into program and arguments; see [`command::arguments`].
///
/// # Errors
/// See [`CommandError`].
pub fn prepared_arguments(
    command: &str,
    file_path: &str,
    _environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, CommandError> {
    command::arguments(command, file_path)
}

/// What was prepared, as one line for people.
pub fn display_prepared(arguments: &[String]) -> String {
    command::display(arguments)
}

/// The words of a command that the agent carries out itself.
///
/// # Errors
/// See [`CommandError`].
pub fn words(command: &str) -> Result<Vec<String>, CommandError> {
    command::split(command)
}

/// A path of this desktop as it stands in a rule.
///
/// # Errors
/// Never on Linux.
pub fn rule_path(path: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(path))
}

/// Whether a path says by itself which one it is.
pub fn is_whole(path: &Path) -> bool {
    path.is_absolute()
}

/// Where a path of the desktop lies below the folder that plays it.
///
/// # Errors
/// Never on Linux.
pub fn below_sandbox(path: &Path) -> Result<PathBuf, String> {
    Ok(path.strip_prefix("/").unwrap_or(path).to_owned())
}

/// A path without links, as programs take it.
///
/// # Errors
/// When it is not there.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// A package's name as that of a file.
pub fn file_name(name: String) -> String {
    name
}

/// What runs the script of a detection rule.
pub fn script_arguments(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).into()
}

/// There is no registry on Linux.
///
/// # Errors
/// Always: not supported.
pub fn registry_entry(_key: &str, _name: Option<&str>) -> Result<RegistryEntry, PlatformError> {
    Err(PlatformError::NotSupported("a registry rule"))
}

/// There is no Windows Installer on Linux.
///
/// # Errors
/// Always: not supported.
pub fn msi_product(_product_code: &str) -> Result<Option<String>, PlatformError> {
    Err(PlatformError::NotSupported("an MSI product rule"))
}

/// Asks rpm for a package of that very name: `EPOCH:VERSION-RELEASE` of each that is installed. `database`: another one
/// than the system's.
///
/// # Errors
/// When rpm is not there or fails.
pub async fn rpm_package(
    database: Option<&Path>,
    name: &str,
) -> Result<Vec<String>, PlatformError> {
    let mut query = rpm();
    if let Some(database) = database {
        query.arg("--dbpath").arg(database);
    }
    query.args(["-q", "--qf", RPM_FORMAT, "--", name]);
    let output = rpm_answer(query, &format!("ask rpm for {name}")).await?;
    Ok(String::from_utf8_lossy(&output)
        .lines()
        .filter_map(rpm_line)
        .filter(|(found, _)| *found == name)
        .map(|(_, version)| version.to_owned())
        .collect())
}

/// Name and `EPOCH:VERSION-RELEASE` of an RPM package file, as rpm reads it.
///
/// # Errors
/// When rpm is not there or cannot read the file.
pub async fn rpm_file(package: &Path) -> Result<Option<(String, String)>, PlatformError> {
    let mut query = rpm();
    query
        .args(["-q", "--nosignature", "--qf", RPM_FORMAT, "-p", "--"])
        .arg(package);
    let output = rpm_answer(query, "read the header of an RPM package").await?;
    Ok(String::from_utf8_lossy(&output)
        .lines()
        .find_map(rpm_line)
        .map(|(name, version)| (name.to_owned(), version.to_owned())))
}

/// One line for each package; the mark tells them from sentences.
const RPM_FORMAT: &str = "=%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n";

fn rpm_line(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('=')?.trim().split_once(' ')
}

fn rpm() -> tokio::process::Command {
    let mut command = tokio::process::Command::new("rpm");
    command
        .env_clear()
        .env("PATH", PROGRAM_PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// rpm's standard output; it exits with 1 both for what is not installed and for what it cannot do.
async fn rpm_answer(
    mut command: tokio::process::Command,
    action: &str,
) -> Result<Vec<u8>, PlatformError> {
    let refused = |reason: String| PlatformError::Refused {
        action: action.to_owned(),
        reason,
    };
    let output = tokio::time::timeout(QUERY_LIMIT, command.output())
        .await
        .map_err(|_| refused("it did not answer".to_owned()))?
        .map_err(|error| PlatformError::system(action, error))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() || said.trim_end().ends_with("is not installed") {
        return Ok(output.stdout);
    }
    Err(refused(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Asks the dpkg database in `database` for a package. `None`: it knows no such package.
///
/// # Errors
/// When dpkg-query is not there or fails in another way.
pub async fn debian_package(
    database: &Path,
    name: &str,
) -> Result<Option<DebianState>, PlatformError> {
    // Absent package and absent database look alike (exit 1); the second is no error either: nothing
    // is installed there.
    if !database.join("status").exists() {
        return Ok(None);
    }
    let mut admin = std::ffi::OsString::from("--admindir=");
    admin.push(database);
    let query = tokio::process::Command::new("dpkg-query")
        .arg(admin)
        .args(["-W", "-f", "${db:Status-Status} ${Version}\\n", "--", name])
        .env_clear()
        .env("PATH", PROGRAM_PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let action = || format!("ask dpkg-query for {name}");
    let output = tokio::time::timeout(QUERY_LIMIT, query)
        .await
        .map_err(|_| PlatformError::Refused {
            action: action(),
            reason: "it did not answer".to_owned(),
        })?
        .map_err(|error| PlatformError::system(action(), error))?;
    match output.status.code() {
        Some(0) => {
            let text = String::from_utf8_lossy(&output.stdout);
            // One line for each architecture; an installed one counts.
            let states: Vec<DebianState> = text
                .lines()
                .filter_map(|line| line.trim().split_once(' '))
                .map(|(status, version)| DebianState {
                    status: status.to_owned(),
                    version: version.to_owned(),
                })
                .collect();
            let installed = states.iter().position(|state| state.status == "installed");
            Ok(states.into_iter().nth(installed.unwrap_or(0)))
        }
        Some(1) => Ok(None),
        _ => Err(PlatformError::Refused {
            action: action(),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}
