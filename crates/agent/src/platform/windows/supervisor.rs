//! The supervisor: one small process for each installer, which outlives the agent.
//!
//! Guarantees: of all supervisors ever started for an attempt one runs the installer, once: it holds the attempt's lock, and
//! `started.json` is on disk before the installer's process exists. That process is made suspended and let run after
//! `installer.json` is on disk, so a dead supervisor never hides a live installer. The exit code is on disk before the lock
//! is released.
//! Woken by: the installer's end, and a tick that looks for `cancel` and the run limit.
//! On crash: the lock falls; the agent reads `started.json` and waits for the installer or finds it gone. Before the installer
//! was let run it dies with its supervisor.
//! Does not: judge, or ask an installer to end: it has no way to. Processes that a successful installer left behind stay.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use outfitter_agent_protocol::MAX_OUTPUT_TAIL_BYTES;
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS,
};

use super::super::PlatformError;
use super::processes::{self, Job};
use super::start::{self, Installer};
use crate::clock::{Clock as _, SystemClock};
use crate::durable::{self, FileError};
use crate::supervision::{
    self, Orphans, OutputTail, Prepared, RunEnd, Started, SupervisionEnd, TICK, cancel_path,
    installer_path, record, started_path,
};

/// Time until what was ended by force is gone.
const FORCE_GRACE: Duration = Duration::from_secs(5);

/// What a supervisor that holds the attempt says.
const HELD_WORD: &[u8] = b"!";

/// Starts the supervisor of an attempt; on success it holds the attempt's lock already.
///
/// # Errors
/// When it could not be started or refused; whether something runs is then told by [`await_supervisor`].
pub fn start_supervisor(folder: &Path) -> Result<(), PlatformError> {
    match run_supervisor(folder, CREATE_BREAKAWAY_FROM_JOB) {
        // Whoever started the agent, a task or a login, may hold it in a job that lets nothing out.
        Err(PlatformError::System { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            tracing::warn!(
                "the agent's job lets nothing out, the end of it would end the installer"
            );
            run_supervisor(folder, 0)
        }
        started => started,
    }
}

fn run_supervisor(folder: &Path, flags: u32) -> Result<(), PlatformError> {
    let failed = |action| move |error| PlatformError::system(action, error);
    let agent = std::env::current_exe().map_err(failed("find the agent's own program"))?;
    let log_path = folder.join("supervisor.log");
    let log = super::private_file_options()
        .append(true)
        .create(true)
        .open(&log_path)
        .map_err(failed("open the supervisor's log"))?;
    let (mut said, words) = io::pipe().map_err(failed("make a pipe"))?;
    // A folder that it works in could not be removed.
    let drive = folder.ancestors().last().unwrap_or(folder);
    let mut command = Command::new(agent);
    command
        .arg("supervise")
        .arg("--dir")
        .arg(folder)
        .env_clear()
        .envs(super::base_environment())
        .current_dir(drive)
        .stdin(Stdio::null())
        .stdout(words)
        .stderr(log)
        .creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | flags);
    let spawned = command.spawn();
    // Closes this side's end of the pipe: its end is seen when the supervisor is gone.
    drop(command);
    let mut supervisor = spawned.map_err(failed("start the supervisor"))?;
    let mut word = [0; HELD_WORD.len()];
    if said.read_exact(&mut word).is_ok() {
        return Ok(());
    }
    let status = supervisor
        .wait()
        .map_err(failed("wait for the supervisor"))?;
    let log = std::fs::read_to_string(&log_path).unwrap_or_default();
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
        end: |folder, _, installer| processes::end_foreign(folder, installer),
    };
    supervision::await_end(folder, prepared, orphans)
}

/// There are no control groups on Windows: a job object goes with the last process in it.
pub fn control_group(_files: &dyn durable::Files, _folder: &Path) -> Option<PathBuf> {
    None
}

/// There are no control groups on Windows.
pub fn remove_control_group(_group: &Path) -> bool {
    true
}

/// The supervisor's main function: takes the attempt, says so, runs the installer. Returns the exit code.
pub fn supervise(folder: &Path) -> i32 {
    let claim = match supervision::claim(folder) {
        Ok(claim) => claim,
        Err(code) => return code,
    };
    let mut out = io::stdout();
    if let Err(error) = out.write_all(HELD_WORD).and_then(|()| out.flush()) {
        // An agent that is gone meanwhile finds the attempt held.
        tracing::warn!("nobody hears that the attempt is supervised: {error}");
    }
    match run(folder, &claim.prepared) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{}", crate::server_client::chain(&error));
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

fn system(action: &'static str) -> impl FnOnce(io::Error) -> SuperviseError {
    move |error| SuperviseError::System(action, error)
}

fn run(folder: &Path, prepared: &Prepared) -> Result<(), SuperviseError> {
    let nothing = OutputTail::new(0);
    if cancel_path(folder).exists() {
        return Ok(record(folder, RunEnd::Cancelled, &nothing)?);
    }
    let job = Job::create(folder).map_err(system("make a job object"))?;
    durable::write_json(
        &started_path(folder),
        &Started {
            supervisor: processes::own_mark().map_err(system("look at this process"))?,
            boot_id: super::boot_id().map_err(system("tell this boot from others"))?,
            at_millis: SystemClock::default().unix_millis(),
            control_group: None,
        },
    )?;
    let (output, writer) = Output::new().map_err(system("make a pipe"))?;
    let installer = match start::start(prepared, &job, &writer) {
        Ok(installer) => installer,
        Err(end) => return Ok(record(folder, end, &nothing)?),
    };
    let mark = installer.mark().map_err(system("look at the installer"))?;
    durable::write_json(&installer_path(folder), &mark)?;
    installer
        .resume()
        .map_err(system("let the installer run"))?;
    if let Err(error) = job.let_go(installer.process())
        && installer.code_within(Duration::ZERO).is_none()
    {
        tracing::warn!("the installer is not to be found without its supervisor: {error}");
    }
    let limit = Duration::from_secs(prepared.run_limit_secs.into());
    let end = watch(folder, &installer, &job, limit);
    Ok(record(folder, end, &output.end(writer))?)
}

/// Waits for the installer's end, or ends it.
fn watch(folder: &Path, installer: &Installer, job: &Job, limit: Duration) -> RunEnd {
    let deadline = Instant::now() + limit;
    let end = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(code) = installer.code_within(left.min(TICK)) {
            return RunEnd::Exited(code);
        }
        if left.is_zero() {
            break RunEnd::RunLimit;
        }
        if cancel_path(folder).exists() {
            break RunEnd::Cancelled;
        }
    };
    job.end();
    job.wait_until_empty(FORCE_GRACE);
    end
}

/// What the installer prints, read by a thread of its own.
struct Output {
    reader: JoinHandle<OutputTail>,
    /// What this side writes behind the installer's output, so that all before it is known to have been read.
    end_mark: [u8; 16],
}

impl Output {
    /// Answers the end of the pipe that the installer writes into, too.
    fn new() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let end_mark = *uuid::Uuid::new_v4().as_bytes();
        let reader = std::thread::spawn(move || read_until(reader, &end_mark));
        Ok((Self { reader, end_mark }, writer))
    }

    /// What came until now. The pipe may have other writers: what the installer left behind.
    fn end(self, mut writer: PipeWriter) -> OutputTail {
        if let Err(error) = writer.write_all(&self.end_mark) {
            tracing::error!("cannot write into the installer's pipe: {error}");
        }
        drop(writer);
        self.reader
            .join()
            .unwrap_or_else(|_| OutputTail::new(MAX_OUTPUT_TAIL_BYTES))
    }
}

/// Reads until the mark, or the end of the pipe.
fn read_until(mut pipe: PipeReader, mark: &[u8]) -> OutputTail {
    let mut tail = OutputTail::new(MAX_OUTPUT_TAIL_BYTES);
    let mut held: Vec<u8> = Vec::new();
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        let count = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::warn!("the installer's output cannot be read on: {error}");
                break;
            }
        };
        held.extend_from_slice(&buffer[..count]);
        if let Some(at) = held.windows(mark.len()).position(|seen| seen == mark) {
            held.truncate(at);
            break;
        }
        // The beginning of the mark may be there already.
        let settled = held.len().saturating_sub(mark.len() - 1);
        tail.push(&held[..settled]);
        held.drain(..settled);
    }
    tail.push(&held);
    tail
}
