//! Running programs of an app: finding them in /proc, ending them, and telling the people who use them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, geteuid};

use super::{PROGRAM_PATH, PlatformError, processes};
use crate::programs::{EndBy, Notice, ProcessFacts, ProgramNames, RunningProgram};

/// Longest time to tell one user, in seconds.
const NOTICE_LIMIT: Duration = Duration::from_secs(5);

/// Programs of those names that run for people: never the first process, this one, one it descends from, another of its
/// own program (a supervisor), one of a system account, or one of a container. With `sandbox_root`: only those whose file
/// lies below it, of whatever account.
///
/// # Errors
/// When processes cannot be listed.
pub fn running_programs(
    names: &ProgramNames,
    sandbox_root: Option<&Path>,
) -> Result<Vec<RunningProgram>, PlatformError> {
    let failed = |error| PlatformError::system("list the processes", error);
    let root = sandbox_root
        .map(fs::canonicalize)
        .transpose()
        .map_err(failed)?;
    let own_program = fs::read_link("/proc/self/exe").ok();
    let own_namespace = fs::read_link("/proc/self/ns/pid").ok();
    let kin = own_line();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(failed)? {
        let Some(pid) = entry
            .ok()
            .and_then(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        else {
            continue;
        };
        if pid <= 1 || kin.contains(&pid) {
            continue;
        }
        let folder = PathBuf::from(format!("/proc/{pid}"));
        // Marked first: what is read after belongs to this very process, or it is gone when it is to be ended. A thread of
        // the kernel has no program, and one that may not be looked at is not ours to end.
        let (Some(process), Ok(executable)) =
            (processes::mark(pid), fs::read_link(folder.join("exe")))
        else {
            continue;
        };
        if Some(&executable) == own_program.as_ref() {
            continue;
        }
        let executable = without_deleted(executable);
        if root
            .as_ref()
            .is_some_and(|root| !executable.starts_with(root))
        {
            continue;
        }
        let kept_name = text_of(&folder.join("comm")).trim_end().to_owned();
        // Reading a command line waits for a process that is stuck: only where it must be.
        let command_line = if names.may_be_script(&kept_name) {
            text_of(&folder.join("cmdline"))
        } else {
            String::new()
        };
        let facts = ProcessFacts {
            executable,
            kept_name,
            arguments: command_line
                .split('\0')
                .take(2)
                .map(str::to_owned)
                .collect(),
        };
        let Some(name) = names.program_of(&facts) else {
            continue;
        };
        let Some((real, effective)) = users(&text_of(&folder.join("status"))) else {
            continue;
        };
        if root.is_none()
            && (!is_person(real)
                || real != effective
                || fs::read_link(folder.join("ns/pid")).ok() != own_namespace)
        {
            continue;
        }
        found.push(RunningProgram {
            process,
            user: real,
            name,
        });
    }
    Ok(found)
}

/// Ends a program, unless its process is gone already.
pub fn end_program(program: &RunningProgram, by: EndBy) {
    if processes::lives(&program.process) {
        let signal = match by {
            EndBy::Asking => Signal::SIGTERM,
            EndBy::Force => Signal::SIGKILL,
        };
        let _ = kill(Pid::from_raw(program.process.pid), signal);
    }
}

/// This process and those it descends from.
fn own_line() -> BTreeSet<i32> {
    let mut line = BTreeSet::new();
    let mut pid = Pid::this().as_raw();
    while pid > 0 && line.insert(pid) {
        pid = processes::parent(pid).unwrap_or(0);
    }
    line
}

/// A program whose file was replaced or removed is still that program. Source: proc_pid_exe(5).
pub(super) fn without_deleted(executable: PathBuf) -> PathBuf {
    match executable
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
    {
        Some(path) => PathBuf::from(path),
        None => executable,
    }
}

pub(super) fn text_of(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Real and effective account of a process. Source: proc_pid_status(5).
pub(super) fn users(status: &str) -> Option<(u32, u32)> {
    let mut numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_ascii_whitespace()
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether an account is a person's. Sources: login.defs(5), UID_MIN; systemd's UIDS-GIDS for dynamic and overflow
/// accounts.
pub(super) const fn is_person(user: u32) -> bool {
    user >= 1000 && !matches!(user, 61_184..=65_519 | 65_534 | 65_535)
}

/// Tells a user something in their session, by the freedesktop notification service there. `sandbox_root`: its folder
/// plays the desktop, so the session is looked for below it.
///
/// # Errors
/// When they have no session, or nobody there takes notifications.
pub async fn notify_user(
    user: u32,
    sandbox_root: Option<&Path>,
    notice: &Notice,
) -> Result<(), PlatformError> {
    let action = format!("notify the user with number {user}");
    let refused = |reason: String| PlatformError::Refused {
        action: action.clone(),
        reason,
    };
    let folder = sandbox_root
        .unwrap_or_else(|| Path::new("/"))
        .join("run/user")
        .join(user.to_string());
    let bus = folder.join("bus");
    if !bus.exists() {
        return Err(refused("they have no session".to_owned()));
    }
    let us = geteuid();
    let group = if us.as_raw() == user {
        None
    } else if us.is_root() {
        // Directory services may ask over the network.
        let account = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(user)))
            .await
            .map_err(|error| refused(error.to_string()))?
            .map_err(|error| PlatformError::system(action.clone(), error.into()))?
            .ok_or_else(|| refused("nobody has that number".to_owned()))?;
        Some(account.gid.as_raw())
    } else {
        return Err(refused("the agent is not root".to_owned()));
    };
    let mut reasons = Vec::new();
    for (program, arguments) in ways_to_notify(notice) {
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PROGRAM_PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_RUNTIME_DIR", &folder)
            .env("DBUS_SESSION_BUS_ADDRESS", bus_address(&bus))
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(group) = group {
            // Also drops the groups of the agent. Source: std, `CommandExt::uid`.
            command.uid(user).gid(group);
        }
        match tokio::time::timeout(NOTICE_LIMIT, command.output()).await {
            Ok(Ok(output)) if output.status.success() => return Ok(()),
            Ok(Ok(output)) => reasons.push(format!(
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Ok(Err(error)) => reasons.push(format!("{program}: {error}")),
            Err(_) => reasons.push(format!("{program}: it did not answer")),
        }
    }
    Err(refused(reasons.join("; ")))
}

/// Programs that call `Notify`, with their arguments: systemd's, then GLib's. Source: Desktop Notifications
/// Specification 1.2, `org.freedesktop.Notifications.Notify`; urgency 2 and no expiry keep it until it is read.
fn ways_to_notify(notice: &Notice) -> [(&'static str, Vec<String>); 2] {
    const SERVICE: &str = "org.freedesktop.Notifications";
    const OBJECT: &str = "/org/freedesktop/Notifications";
    // The body may hold markup.
    let body = notice
        .body
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let (summary, body) = (notice.summary.as_str(), body.as_str());
    let icon = "dialog-information";
    let busctl = [
        "--user",
        "--",
        "call",
        SERVICE,
        OBJECT,
        SERVICE,
        "Notify",
        "susssasa{sv}i",
        "Outfitter",
        "0",
        icon,
        summary,
        body,
        "0",
        "1",
        "urgency",
        "y",
        "2",
        "0",
    ];
    let method = format!("{SERVICE}.Notify");
    let (quoted_summary, quoted_body) = (quoted(summary), quoted(body));
    let gdbus = [
        "call",
        "--session",
        "--dest",
        SERVICE,
        "--object-path",
        OBJECT,
        "--method",
        &method,
        "'Outfitter'",
        "0",
        "'dialog-information'",
        &quoted_summary,
        &quoted_body,
        "@as []",
        "{'urgency': <byte 2>}",
        "0",
    ];
    [
        ("busctl", busctl.map(str::to_owned).into()),
        ("gdbus", gdbus.map(str::to_owned).into()),
    ]
}

/// A string as GVariant's text format has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The address of a bus. Source: D-Bus specification, Server Addresses: other bytes are escaped.
fn bus_address(bus: &Path) -> String {
    let mut address = "unix:path=".to_owned();
    for byte in bus.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(byte) {
            address.push(char::from(*byte));
        } else {
            address.push_str(&format!("%{byte:02x}"));
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::Names;

    #[test]
    fn accounts_are_told_apart() {
        let status = "Name:\tx\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n";
        assert_eq!(users(status), Some((1000, 0)));
        assert_eq!(users("Name:\tx\n"), None);
        for (user, person) in [
            (0, false),
            (999, false),
            (1000, true),
            (61_184, false),
            (65_534, false),
            (70_000, true),
            (1_200_001_104, true),
        ] {
            assert_eq!(is_person(user), person, "{user}");
        }
    }

    #[test]
    fn our_own_line_is_not_found() {
        let own = std::env::current_exe().expect("a program");
        let name = own
            .file_name()
            .and_then(|name| name.to_str())
            .expect("text");
        let names = ProgramNames::of_app(name, Names::Linux);
        let line = own_line();
        assert!(line.contains(&Pid::this().as_raw()) && line.len() > 1);
        for program in running_programs(&names, own.parent()).expect("a list") {
            assert!(!line.contains(&program.process.pid));
        }
    }

    #[test]
    fn a_notice_is_said_word_for_word() {
        let notice = Notice {
            summary: "--It's".to_owned(),
            body: "a <b> & 'c' \\ d".to_owned(),
        };
        let [(_, busctl), (_, gdbus)] = ways_to_notify(&notice);
        assert!(busctl.contains(&"--It's".to_owned()));
        assert!(busctl.contains(&"a &lt;b&gt; &amp; 'c' \\ d".to_owned()));
        assert!(gdbus.contains(&r"'--It\'s'".to_owned()));
        assert!(gdbus.contains(&r"'a &lt;b&gt; &amp; \'c\' \\ d'".to_owned()));
        assert_eq!(
            bus_address(Path::new("/run/user/1000/b,s")),
            "unix:path=/run/user/1000/b%2cs"
        );
    }
}
