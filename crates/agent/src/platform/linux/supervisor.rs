//! The supervisor: one small process for each installer, which outlives the agent.
//!
//! Guarantees: of all supervisors ever started for an attempt one runs the installer, once: it holds the
//! attempt's lock, and `started.json` is on disk before the installer's process is let through its gate.
//! The gate opens after `installer.json` is on disk, so a dead supervisor never hides a live installer.
//! The exit code is on disk before the lock is released.
//! Woken by: the installer's output, the end of a child, a tick every [`TICK`] that looks for `cancel` and
//! the run limit.
//! On crash: the lock falls; the agent reads `started.json` and waits for the installer or finds it gone.
//! Does not: judge. Processes that a successful installer left behind stay.
//!
//! Detaching: it leaves the agent's session and process group and becomes a child of init. Under systemd
//! that is not enough, since stopping a unit ends its whole control group; there the supervisor starts in
//! a transient scope of its own (`tests/python/test_systemd.py`).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, killpg, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use outfitter_agent_protocol::MAX_OUTPUT_TAIL_BYTES;

use super::super::PlatformError;
use super::processes;
use super::session::become_user;
use crate::clock::{Clock as _, SystemClock};
use crate::durable::{self, FileError, Files};
use crate::supervision::{
    self, Orphans, OutputTail, Prepared, RunEnd, Started, SupervisionEnd, TICK, cancel_path,
    installer_path, record, run_path, start_error_path, started_path,
};

/// Time an installer has between the polite signal and the end of its whole tree.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the supervisor of an attempt; on success it holds the attempt's lock already.
///
/// # Errors
/// When it could not be started or refused; whether something runs is then told by [`await_supervisor`].
pub fn start_supervisor(folder: &Path) -> Result<(), PlatformError> {
    let agent = std::env::current_exe()
        .map_err(|error| PlatformError::system("find the agent's own program", error))?;
    if Path::new("/run/systemd/system").is_dir() && nix::unistd::geteuid().is_root() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let mut scope = Command::new("systemd-run");
        scope
            .args(["--scope", "--quiet", "--collect", "--property=Delegate=yes"])
            .arg(format!("--unit=outfitter-attempt-{name}"))
            .arg("--")
            .arg(&agent);
        match run_supervisor(scope, folder) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(
                "no transient scope, a restart of the agent's unit would end the installer: {error}"
            ),
        }
    }
    // The link works also after the agent's file was replaced.
    let mut direct = Command::new("/proc/self/exe");
    direct.arg0(&agent);
    run_supervisor(direct, folder)
}

fn run_supervisor(mut command: Command, folder: &Path) -> Result<(), PlatformError> {
    let log_path = folder.join("supervisor.log");
    let log = super::private_file_options()
        .append(true)
        .create(true)
        .open(&log_path)
        .map_err(|error| PlatformError::system("open the supervisor's log", error))?;
    let status = command
        .arg("supervise")
        .arg("--dir")
        .arg(folder)
        .env_clear()
        .env("PATH", super::PROGRAM_PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .map_err(|error| PlatformError::system("start the supervisor", error))?;
    if status.success() {
        return Ok(());
    }
    let log = fs::read_to_string(&log_path).unwrap_or_default();
    Err(PlatformError::Refused {
        action: "start the supervisor".to_owned(),
        reason: format!("{status}: {}", log.lines().last().unwrap_or_default()),
    })
}

/// Waits until no supervisor holds the attempt and says what it left; see [`supervision::await_end`].
///
/// # Errors
/// When the attempt's files cannot be read.
pub fn await_supervisor(
    folder: &Path,
    prepared: Option<&Prepared>,
) -> Result<SupervisionEnd, PlatformError> {
    let orphans = Orphans {
        lives: processes::lives,
        end: |_, started, installer| {
            processes::end_foreign(installer, started.control_group.as_deref());
        },
    };
    supervision::await_end(folder, prepared, orphans)
}

/// The control group of an attempt, where it had one.
pub fn control_group(files: &dyn Files, folder: &Path) -> Option<PathBuf> {
    files
        .read_json::<Started>(&started_path(folder))
        .ok()
        .flatten()?
        .control_group
}

/// Removes a control group; false when something the installer left still lives in it.
pub fn remove_control_group(group: &Path) -> bool {
    match fs::remove_dir(group) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The supervisor's main function: checks, detaches, runs the installer. Returns the exit code.
///
/// Must be called while the process has one thread.
pub fn supervise(folder: &Path) -> i32 {
    let claim = match supervision::claim(folder) {
        Ok(claim) => claim,
        Err(code) => return code,
    };
    if let Err(error) = setsid() {
        // Only a group leader cannot: not fatal, the fork below leaves the group all the same.
        tracing::debug!("no session of its own yet: {error}");
    }
    // SAFETY: the caller promises a single thread, so the child may do whatever the parent could.
    match unsafe { fork() } {
        // The lock stays with the child: it belongs to the open file, which both have.
        Ok(ForkResult::Parent { .. }) => 0,
        Ok(ForkResult::Child) => {
            let _ = setsid();
            match run(folder, &claim.prepared) {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!("{}", crate::server_client::chain(&error));
                    1
                }
            }
        }
        Err(error) => {
            tracing::error!("cannot detach: {error}");
            1
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
}

fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> SuperviseError {
    move |error| SuperviseError::System(action, error.into())
}

fn run(folder: &Path, prepared: &Prepared) -> Result<(), SuperviseError> {
    if cancel_path(folder).exists() {
        return Ok(record(folder, RunEnd::Cancelled, &OutputTail::new(0))?);
    }
    nix::sys::prctl::set_child_subreaper(true).map_err(system("become the reaper"))?;
    // SAFETY: ignoring a signal installs no handler code.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }.map_err(system("ignore SIGHUP"))?;
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block().map_err(system("block SIGCHLD"))?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(system("watch for ended children"))?;

    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let control_group = processes::create_control_group(&format!("outfitter-{name}"));
    let own = processes::mark(Pid::this().as_raw())
        .ok_or_else(|| SuperviseError::System("read /proc", io::ErrorKind::NotFound.into()))?;
    durable::write_json(
        &started_path(folder),
        &Started {
            supervisor: own,
            boot_id: super::boot_id().map_err(system("read the boot id"))?,
            at_millis: SystemClock::default().unix_millis(),
            control_group: control_group.clone(),
        },
    )?;

    let (mut output, output_writer) = io::pipe().map_err(system("make a pipe"))?;
    let second_writer = output_writer.try_clone().map_err(system("copy a pipe"))?;
    let mut launcher = Command::new("/proc/self/exe");
    launcher
        .arg("launch")
        .arg("--dir")
        .arg(folder)
        .env_clear()
        .envs(&prepared.environment)
        .stdin(Stdio::piped())
        .stdout(output_writer)
        .stderr(second_writer);
    let mut child = match launcher.spawn() {
        Ok(child) => child,
        Err(error) => {
            let end = RunEnd::StartFailed(error.to_string());
            return Ok(record(folder, end, &OutputTail::new(0))?);
        }
    };
    // Closes this side's ends of the pipe: its end is seen when the last writer is gone.
    drop(launcher);
    let installer = Pid::from_raw(child.id().cast_signed());
    if let Some(mark) = processes::mark(installer.as_raw()) {
        durable::write_json(&installer_path(folder), &mark)?;
        if let Some(mut gate) = child.stdin.take() {
            // A launcher that is gone already is seen below.
            let _ = gate.write_all(b"!");
        }
    }
    // Waited for by number below, with the adopted ones.
    drop(child);

    let flags = fcntl(&output, FcntlArg::F_GETFL).map_err(system("read the pipe's flags"))?;
    let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
    fcntl(&output, FcntlArg::F_SETFL(flags)).map_err(system("set the pipe's flags"))?;
    let limit = Duration::from_secs(prepared.run_limit_secs.into());
    let deadline = Instant::now() + limit;
    let mut tail = OutputTail::new(MAX_OUTPUT_TAIL_BYTES);
    let mut open = true;
    let mut code = None;
    let mut stop: Option<(RunEnd, Instant)> = None;
    while code.is_none() {
        let left = deadline.saturating_duration_since(Instant::now()).min(TICK);
        let wait =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut watched = vec![PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        if open {
            watched.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut watched, wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(system("wait for the installer")(error)),
        }
        drop(watched);
        open = open && drain(&mut output, &mut tail);
        while let Ok(Some(_)) = ends.read_signal() {}
        reap(installer, &mut code);

        let now = Instant::now();
        match &stop {
            None if code.is_none() => {
                let end = if now >= deadline {
                    Some(RunEnd::RunLimit)
                } else if cancel_path(folder).exists() {
                    Some(RunEnd::Cancelled)
                } else {
                    None
                };
                if let Some(end) = end {
                    let _ = killpg(installer, Signal::SIGTERM);
                    stop = Some((end, now + GRACE));
                }
            }
            Some((_, at)) if now >= *at => {
                processes::end_descendants(control_group.as_deref(), &mut || {
                    reap(installer, &mut code);
                });
                reap(installer, &mut code);
                if code.is_none() {
                    // Not even SIGKILL ends it now (a dead disk): the attempt ends, its number is known.
                    code = Some(128 + Signal::SIGKILL as i32);
                }
            }
            _ => {}
        }
    }
    if let Some((end, _)) = stop {
        // Also when the polite signal was enough for the installer: its children go with it.
        processes::end_descendants(control_group.as_deref(), &mut || reap(installer, &mut None));
        drain(&mut output, &mut tail);
        record(folder, end, &tail)?;
    } else {
        drain(&mut output, &mut tail);
        let end = start_error(folder).unwrap_or(RunEnd::Exited(code.unwrap_or_default()));
        record(folder, end, &tail)?;
    }
    if let Some(group) = control_group {
        // Busy as long as something the installer left lives; removed with the attempt then.
        let _ = fs::remove_dir(group);
    }
    Ok(())
}

fn start_error(folder: &Path) -> Option<RunEnd> {
    durable::read_json(&start_error_path(folder)).ok().flatten()
}

/// Takes what is in the pipe; false when its last writer is gone.
fn drain(output: &mut io::PipeReader, tail: &mut OutputTail) -> bool {
    let mut buffer = [0_u8; 16 * 1024];
    // A bound, so that an installer that prints without end cannot keep us from its run limit.
    for _ in 0..64 {
        match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => tail.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
    true
}

/// Reaps every ended child, adopted ones too, and notes the installer's code.
fn reap(installer: Pid, code: &mut Option<i32>) {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == installer => *code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == installer => {
                *code = Some(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The launcher's main function: waits at the gate, then becomes the installer. Returns only on failure.
///
/// The process keeps its number, so what the supervisor recorded stays true.
pub fn launch(folder: &Path) -> i32 {
    let mut gate = [0_u8; 1];
    if !matches!(io::stdin().lock().read(&mut gate), Ok(1)) {
        // The supervisor is gone: nothing may run.
        return 1;
    }
    let prepared = match durable::read_json::<Prepared>(&run_path(folder)) {
        Ok(Some(prepared)) => prepared,
        Ok(None) | Err(_) => {
            return fail(
                folder,
                RunEnd::StartFailed("run.json cannot be read".to_owned()),
            );
        }
    };
    if let Ok(Some(started)) = durable::read_json::<Started>(&started_path(folder))
        && let Some(group) = started.control_group
    {
        // Where it fails, the supervisor finds us by parentage.
        let _ = fs::write(group.join("cgroup.procs"), "0");
    }
    let _ = setsid();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let Some((program, arguments)) = prepared.arguments.split_first() else {
        return fail(
            folder,
            RunEnd::ProgramMissing("the command is empty".to_owned()),
        );
    };
    if !prepared.folder.is_dir() {
        let text = format!("{} is no folder", prepared.folder.display());
        return fail(folder, RunEnd::StartFailed(text));
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&prepared.folder)
        .stdin(Stdio::null());
    let Some(user) = &prepared.user else {
        return fail(folder, not_become(program, &command.exec()));
    };
    // Opened while it may be: whoever it becomes does not reach the folder. Empty it says nothing.
    let report = super::private_file_options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(start_error_path(folder));
    let end = match become_user(user) {
        Ok(()) => not_become(
            program,
            &command.stdout(Stdio::null()).stderr(Stdio::null()).exec(),
        ),
        Err(error) => RunEnd::StartFailed(format!("cannot become {}: {error}", user.name)),
    };
    if let Ok(report) = report {
        let _ = serde_json::to_writer(report, &end);
    }
    127
}

/// Why a program could not be become.
fn not_become(program: &str, error: &io::Error) -> RunEnd {
    let text = format!("{program}: {error}");
    if error.kind() == io::ErrorKind::NotFound {
        RunEnd::ProgramMissing(text)
    } else {
        RunEnd::StartFailed(text)
    }
}

fn fail(folder: &Path, end: RunEnd) -> i32 {
    if let Err(error) = durable::write_json(&start_error_path(folder), &end) {
        tracing::error!("{error}");
    }
    127
}
