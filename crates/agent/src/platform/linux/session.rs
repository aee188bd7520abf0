//! Graphical sessions of people at the desktop, and programs in them.
//!
//! A session is known by its processes: one of a person that has a screen in its environment says where that screen, its
//! keys and its bus are. Only those variables are taken over, whatever else stands there.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, geteuid, initgroups, setgid, setuid};
use outfitter_agent_protocol::UserSession;

use super::programs::{is_person, text_of, users, without_deleted};
use super::{PROGRAM_PATH, PlatformError, processes};
use crate::command::on_desktop;
use crate::supervision::{ProcessMark, RunAs};

/// What of a session's environment a program in it gets. Sources: X(7), wayland(7), the XDG Base Directory Specification,
/// dbus-daemon(1), pam_systemd(8).
const SESSION_VARIABLES: [&str; 13] = [
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "XDG_CONFIG_DIRS",
    "DESKTOP_SESSION",
    "LANG",
    "LANGUAGE",
];

/// Tells the processes of an attempt from others, also where their parents have ended.
const MARK: &str = "OUTFITTER_ATTEMPT";

/// Where packages lie that somebody else than the superuser opens. Source: Filesystem Hierarchy Standard 3.0, section 5.5.
const LENT: &str = "/var/cache/outfitter-agent/opened";

/// Time that programs have to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Opens a file with whatever program is for it. Source: xdg-utils.
pub const OPENER: &str = "xdg-open";

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

/// The graphical session of a user; `None` where they have none here. With `sandbox_root` it is one of a process whose file
/// lies below it. Of several the one whose process began last.
///
/// # Errors
/// When processes or accounts cannot be looked at.
pub fn graphical_session(
    wanted: &UserSession,
    sandbox_root: Option<&Path>,
) -> Result<Option<GraphicalSession>, PlatformError> {
    let failed = |error| PlatformError::system("list the processes", error);
    let root = sandbox_root
        .map(fs::canonicalize)
        .transpose()
        .map_err(failed)?;
    let own_namespace = fs::read_link("/proc/self/ns/pid").ok();
    let mut accounts: BTreeMap<u32, Option<User>> = BTreeMap::new();
    let mut found: Option<(u64, GraphicalSession)> = None;
    for pid in pids().map_err(failed)? {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let Some((real, effective)) = users(&text_of(&folder.join("status"))) else {
            continue;
        };
        let is_here = match &root {
            Some(root) => fs::read_link(folder.join("exe"))
                .is_ok_and(|file| without_deleted(file).starts_with(root)),
            None => {
                is_person(real)
                    && real == effective
                    && fs::read_link(folder.join("ns/pid")).ok() == own_namespace
            }
        };
        if !is_here {
            continue;
        }
        let Some(process) = processes::mark(pid) else {
            continue;
        };
        let session = session_variables(&fs::read(folder.join("environ")).unwrap_or_default());
        if !has_screen(&session)
            || found
                .as_ref()
                .is_some_and(|(began, _)| *began >= process.start_ticks)
        {
            continue;
        }
        let account = match accounts.entry(real) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(User::from_uid(Uid::from_raw(real)).map_err(|error| {
                    PlatformError::system("find an account by its number", error.into())
                })?)
            }
        };
        if let Some(account) = account.as_ref().filter(|it| wanted.is_account(&it.name)) {
            found = Some((process.start_ticks, session_of(account, session)));
        }
    }
    Ok(found.map(|(_, session)| session))
}

fn pids() -> io::Result<Vec<i32>> {
    Ok(fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// The variables of an environment, as /proc has it, that tell where a session is.
fn session_variables(environ: &[u8]) -> BTreeMap<String, String> {
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .filter(|(name, value)| SESSION_VARIABLES.contains(name) && !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whether there is a screen of this machine. That of a shell over the network is another machine's: its X display names a
/// host. Source: X(7), DISPLAY NAMES.
fn has_screen(session: &BTreeMap<String, String>) -> bool {
    session.contains_key("WAYLAND_DISPLAY")
        || session
            .get("DISPLAY")
            .and_then(|display| display.split_once(':'))
            .is_some_and(|(host, _)| matches!(host, "" | "unix"))
}

fn session_of(account: &User, session: BTreeMap<String, String>) -> GraphicalSession {
    let home = account.dir.display().to_string();
    let mut environment: BTreeMap<String, String> = [
        ("PATH", PROGRAM_PATH),
        ("LANG", "C.UTF-8"),
        ("HOME", &home),
        ("USER", &account.name),
        ("LOGNAME", &account.name),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    environment.extend(session);
    GraphicalSession {
        user: RunAs {
            name: account.name.clone(),
            user: account.uid.as_raw(),
            group: account.gid.as_raw(),
        },
        home: account.dir.clone(),
        environment,
    }
}

/// Marks an environment as that of an attempt's processes.
pub fn mark_environment(environment: &mut BTreeMap<String, String>, attempt: &str) {
    environment.insert(MARK.to_owned(), attempt.to_owned());
}

/// Living processes of a user that an attempt started.
pub fn marked_processes(user: u32, attempt: &str) -> Vec<ProcessMark> {
    let mark = format!("{MARK}={attempt}");
    pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| {
            let folder = PathBuf::from(format!("/proc/{pid}"));
            let process = processes::mark(pid)?;
            let (real, _) = users(&text_of(&folder.join("status")))?;
            let environ = fs::read(folder.join("environ")).ok()?;
            let is_ours = real == user
                && environ
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == mark.as_bytes());
            is_ours.then_some(process)
        })
        .collect()
}

/// Ends what of an attempt still runs as a user: asks, and ends by force what does not listen. Blocks for seconds.
pub fn end_marked_processes(user: u32, attempt: &str) {
    let until = Instant::now() + GRACE;
    let mut signal = Signal::SIGTERM;
    loop {
        let left = marked_processes(user, attempt);
        if left.is_empty() || signal == Signal::SIGKILL && Instant::now() > until + GRACE {
            return;
        }
        for process in left {
            if processes::lives(&process) {
                let _ = kill(Pid::from_raw(process.pid), signal);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        if Instant::now() > until {
            signal = Signal::SIGKILL;
        }
    }
}

/// Becomes another user for good, with their groups; without the right to that only who one is already.
///
/// # Errors
/// The system's.
pub(super) fn become_user(user: &RunAs) -> io::Result<()> {
    let us = geteuid();
    if !us.is_root() {
        return if us.as_raw() == user.user {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        };
    }
    let group = Gid::from_raw(user.group);
    let name = CString::new(user.name.as_bytes())?;
    initgroups(&name, group)?;
    setgid(group)?;
    setuid(Uid::from_raw(user.user))?;
    Ok(())
}

/// Puts a verified package where any user may open it and nobody but the agent's account may change it; answers where.
///
/// # Errors
/// The disk's, in words.
pub fn lend_package(
    package: &Path,
    attempt: &str,
    sandbox_root: Option<&Path>,
) -> Result<PathBuf, PlatformError> {
    let folder = lent_folder(attempt, sandbox_root)?;
    let failed = |action: &str, path: &Path| {
        let action = format!("{action} {}", path.display());
        move |error| PlatformError::system(action, error)
    };
    // Left by an earlier try.
    take_back_package(attempt, sandbox_root);
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    let open = fs::Permissions::from_mode(0o755);
    for path in [
        folder.parent().and_then(Path::parent),
        folder.parent(),
        Some(&folder),
    ]
    .into_iter()
    .flatten()
    {
        fs::set_permissions(path, open.clone()).map_err(failed("open", path))?;
    }
    let name = package.file_name().unwrap_or(OsStr::new("package"));
    let lent = folder.join(name);
    // The same bytes where both lie on one disk.
    fs::hard_link(package, &lent)
        .or_else(|_| fs::copy(package, &lent).map(drop))
        .map_err(failed("lend the package to", &lent))?;
    fs::set_permissions(&lent, open).map_err(failed("open", &lent))?;
    Ok(lent)
}

/// Removes what was lent for an attempt.
pub fn take_back_package(attempt: &str, sandbox_root: Option<&Path>) {
    let removed = lent_folder(attempt, sandbox_root).map(fs::remove_dir_all);
    if let Ok(Err(error)) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("a package that was opened stays behind: {error}");
    }
}

fn lent_folder(attempt: &str, sandbox_root: Option<&Path>) -> Result<PathBuf, PlatformError> {
    on_desktop(sandbox_root, &Path::new(LENT).join(attempt)).map_err(|reason| {
        PlatformError::Refused {
            action: "lend the package".to_owned(),
            reason,
        }
    })
}

/// Whether the system runs a file by itself: it is a program, or a script that names its interpreter. Source: execve(2).
///
/// # Errors
/// When it cannot be read.
pub fn is_program(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, 4), &mut head)?;
    Ok(head.starts_with(b"#!") || head == b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_environment_only_the_place_of_the_session_is_taken() {
        let session = session_variables(
            b"DISPLAY=:0\0LD_PRELOAD=/tmp/x.so\0PATH=/tmp\0XDG_RUNTIME_DIR=/run/user/1000\0WAYLAND_DISPLAY=\0broken\0",
        );
        let names: Vec<&str> = session.keys().map(String::as_str).collect();
        assert_eq!(names, ["DISPLAY", "XDG_RUNTIME_DIR"]);
    }

    #[test]
    fn a_screen_of_another_machine_is_none() {
        let screen = |name: &str, value: &str| {
            has_screen(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert!(screen("DISPLAY", ":0") && screen("DISPLAY", "unix:1.0"));
        assert!(screen("WAYLAND_DISPLAY", "wayland-0"));
        assert!(!screen("DISPLAY", "localhost:10.0") && !screen("LANG", "C"));
    }

    #[test]
    fn a_program_is_told_from_a_document() {
        let folder = tempfile::tempdir().expect("a folder");
        let is = |bytes: &[u8]| {
            let path = folder.path().join("file");
            fs::write(&path, bytes).expect("a file");
            is_program(&path).expect("a look")
        };
        assert!(is(b"#!/bin/sh\n") && is(b"\x7fELF\x02"));
        assert!(!is(b"!<arch>\n") && !is(b""));
    }
}
