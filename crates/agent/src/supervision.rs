//! What agent and supervisor tell each other through the attempt's folder.
//!
//! | file | written by | when |
//! | --- | --- | --- |
//! | `run.json` | agent | before the supervisor starts |
//! | `lock` | supervisor | held as long as it lives |
//! | `started.json` | supervisor | before anything of the installer runs; forbids every other start |
//! | `installer.json` | supervisor | the installer's process exists and waits at a gate |
//! | `exit.json` | supervisor | after the installer ended |
//! | `cancel` | agent | to stop the installer |
//!
//! How a supervisor starts an installer, watches it and ends it is the platform's: [`crate::platform::supervise`]. When it
//! may, and what is to be concluded from what it left, is told here, for every system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outfitter_agent_protocol::{Detection, DetectionRule, PhaseMark};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock as _, SystemClock};
use crate::durable::{self, FileError, Files, SystemFiles};
use crate::platform::{self, PlatformError};

/// How often a supervisor looks at `cancel` and the run limit.
pub const TICK: Duration = Duration::from_millis(250);

/// Exit code of a supervisor that found another one at work.
const HELD: i32 = 3;

/// Exit code of a supervisor that found the attempt started before.
const STARTED_BEFORE: i32 = 4;

/// What is to be run and what is known so far; enough to write the evidence after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What starts it, as the platform takes it: program and arguments on Linux, one whole line on Windows.
    pub arguments: Vec<String>,
    /// The installer's whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it starts.
    pub folder: PathBuf,
    /// Longest run, in seconds.
    pub run_limit_secs: u32,
    /// Whom it runs as; `None`: the agent's own account. What it prints is not kept then: programs that it leaves behind
    /// would end by what nobody reads any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RunAs>,
    /// What was found out before.
    pub notes: Notes,
}

/// An account that an installer runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// Its name.
    pub name: String,
    /// Its number.
    pub user: u32,
    /// The number of its first group.
    pub group: u32,
}

/// What an attempt found out on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The rule in force: the task's, or the one derived from the package.
    pub rule: Option<DetectionRule>,
    /// The rule before anything was done.
    pub before: Option<Detection>,
    /// Digest of the package, lower-case hex.
    pub package_sha256: Option<String>,
    /// Size of the package, in bytes.
    pub package_size_bytes: Option<u64>,
    /// The command after substitution.
    pub command: Option<String>,
    /// Where the installer was opened in somebody's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    /// Number of files in the manifest, for an unpacked archive.
    pub manifest_files: Option<u32>,
    /// When each phase began.
    pub phases: Vec<PhaseMark>,
}

/// An installer that was opened in somebody's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Number of their account.
    pub user: u32,
    /// What opened it.
    pub by: OpenedBy,
}

/// What opens an installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// It, or a command of the app's own: it is done when its processes are.
    Command,
    /// The session, by what is for such files: which process that is nobody tells.
    Session,
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number.
    pub pid: i32,
    /// When it began, as the system tells it: ticks since boot on Linux, 100 ns since 1601 on Windows.
    pub start_ticks: u64,
}

/// `started.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The supervisor.
    pub supervisor: ProcessMark,
    /// The boot it belongs to.
    pub boot_id: String,
    /// By the wall clock, in milliseconds UTC.
    pub at_millis: i64,
    /// The control group of the installer, where one could be made.
    pub control_group: Option<PathBuf>,
}

/// How the installer's run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// By itself, with this code; 128 + n after signal n. The 32 bits of a Windows program's code are taken as signed.
    Exited(i32),
    /// It was ended at the run limit.
    RunLimit,
    /// It was ended because the server asked.
    Cancelled,
    /// The program does not exist.
    ProgramMissing(String),
    /// The system would not start it.
    StartFailed(String),
}

/// `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub end: RunEnd,
    /// The last of what it printed.
    pub output_tail: String,
}

/// What a supervisor left when nobody holds the attempt any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisionEnd {
    /// Nothing was started, and nothing can be by an earlier supervisor.
    NotStarted,
    /// The run ended and was recorded.
    Ended(Exit),
    /// The supervisor died after it may have started the installer; the installer is gone too.
    Interrupted {
        /// What became of the installer, in words.
        detail: String,
    },
}

/// An attempt that this process supervises.
pub struct Claim {
    /// What is to be run.
    pub prepared: Prepared,
    /// The attempt's lock, held as long as this lives.
    _lock: File,
}

fn open_lock(folder: &Path) -> io::Result<File> {
    platform::private_file_options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_path(folder))
}

/// Takes an attempt for the supervisor that this process is.
///
/// # Errors
/// The code to exit with, after the reason was logged: another supervisor holds the attempt, it was started before, or
/// nothing is prepared.
pub fn claim(folder: &Path) -> Result<Claim, i32> {
    let lock = open_lock(folder).map_err(|error| {
        tracing::error!("cannot open the attempt's lock: {error}");
        1
    })?;
    if let Err(error) = lock.try_lock() {
        tracing::error!("another supervisor holds the attempt: {error}");
        return Err(HELD);
    }
    if started_path(folder).exists() || exit_path(folder).exists() {
        tracing::error!("the attempt was started before; it is not run twice");
        return Err(STARTED_BEFORE);
    }
    match durable::read_json::<Prepared>(&run_path(folder)) {
        Ok(Some(prepared)) => Ok(Claim {
            prepared,
            _lock: lock,
        }),
        Ok(None) => {
            tracing::error!("nothing is prepared to be run");
            Err(1)
        }
        Err(error) => {
            tracing::error!("{}", crate::server_client::chain(&error));
            Err(1)
        }
    }
}

/// Writes down how the run ended.
///
/// # Errors
/// When the file cannot be written.
pub fn record(folder: &Path, end: RunEnd, tail: &OutputTail) -> Result<(), FileError> {
    let exit = Exit {
        end,
        output_tail: tail.text(),
    };
    durable::write_json(&exit_path(folder), &exit)
}

/// What an agent can do about an installer that is no child of its own.
#[derive(Debug, Clone, Copy)]
pub struct Orphans {
    /// Whether a process still lives.
    pub lives: fn(&ProcessMark) -> bool,
    /// Ends the installer of an attempt's folder, with what it started.
    pub end: fn(&Path, &Started, &ProcessMark),
}

/// Waits until no supervisor holds the attempt and says what it left. Blocks as long as an installer runs.
///
/// An installer whose supervisor died is waited for, since ending it halfway may harm the desktop more
/// than letting it finish; at the run limit, and when `cancel` appears, it is ended.
///
/// # Errors
/// When the attempt's files cannot be read.
pub fn await_end(
    folder: &Path,
    prepared: Option<&Prepared>,
    orphans: Orphans,
) -> Result<SupervisionEnd, PlatformError> {
    let lock = open_lock(folder)
        .map_err(|error| PlatformError::system("open the attempt's lock", error))?;
    lock.lock_shared()
        .map_err(|error| PlatformError::system("wait for the supervisor", error))?;
    match left_behind(&SystemFiles, folder) {
        Ok(Some(end)) => return Ok(end),
        Ok(None) => {}
        Err(error) => return Err(PlatformError::system("withdraw what was prepared", error)),
    }
    let started = durable::read_json::<Started>(&started_path(folder))
        .inspect_err(|_| tracing::error!("the record of the supervisor's start cannot be read"))
        .unwrap_or_default();
    let installer = durable::read_json::<ProcessMark>(&installer_path(folder))
        .inspect_err(|_| tracing::error!("the record of the installer's start cannot be read"))
        .unwrap_or_default();
    let detail = match (started, installer) {
        (Some(started), Some(installer))
            if platform::boot_id().is_ok_and(|boot| boot == started.boot_id)
                && (orphans.lives)(&installer) =>
        {
            outlive(folder, &started, &installer, prepared, orphans)
        }
        (_, None) => "the supervisor ended before the installer was let run".to_owned(),
        _ => "supervisor and installer ended without a record of how".to_owned(),
    };
    Ok(SupervisionEnd::Interrupted { detail })
}

fn outlive(
    folder: &Path,
    started: &Started,
    installer: &ProcessMark,
    prepared: Option<&Prepared>,
    orphans: Orphans,
) -> String {
    let limit_millis = prepared.map_or(0, |prepared| i64::from(prepared.run_limit_secs) * 1000);
    let clock = SystemClock::default();
    tracing::warn!(
        pid = installer.pid,
        "the supervisor is gone, the installer still runs: waiting for it"
    );
    while (orphans.lives)(installer) {
        let late = clock.unix_millis() > started.at_millis.saturating_add(limit_millis);
        if late || cancel_path(folder).exists() {
            (orphans.end)(folder, started, installer);
            std::thread::sleep(Duration::from_millis(50));
            if !(orphans.lives)(installer) {
                return "the supervisor died; the installer was ended by the agent".to_owned();
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    "the supervisor died; the installer ended by itself with an unknown code".to_owned()
}

/// What a supervisor left that nobody holds the attempt's lock any more; `None` when it may have started the installer
/// and did not record an end. Asked under the lock: what was prepared is withdrawn where nothing was started, so that a
/// supervisor that comes late finds nothing to run.
///
/// # Errors
/// When what was prepared cannot be withdrawn.
pub fn left_behind(files: &dyn Files, folder: &Path) -> io::Result<Option<SupervisionEnd>> {
    match files.read_json::<Exit>(&exit_path(folder)) {
        Ok(Some(exit)) => return Ok(Some(SupervisionEnd::Ended(exit))),
        Ok(None) => {}
        Err(error) => {
            tracing::error!("{}", crate::server_client::chain(&error));
            return Ok(Some(SupervisionEnd::Interrupted {
                detail: "the record of the installer's end cannot be read".to_owned(),
            }));
        }
    }
    if files.exists(&started_path(folder)) {
        return Ok(None);
    }
    match files.remove_file(&run_path(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Some(SupervisionEnd::NotStarted)),
    }
}

/// `run.json` of an attempt's folder.
pub fn run_path(folder: &Path) -> PathBuf {
    folder.join("run.json")
}

/// `lock` of an attempt's folder.
pub fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// `started.json` of an attempt's folder.
pub fn started_path(folder: &Path) -> PathBuf {
    folder.join("started.json")
}

/// `installer.json` of an attempt's folder.
pub fn installer_path(folder: &Path) -> PathBuf {
    folder.join("installer.json")
}

/// `exit.json` of an attempt's folder.
pub fn exit_path(folder: &Path) -> PathBuf {
    folder.join("exit.json")
}

/// `cancel` of an attempt's folder.
pub fn cancel_path(folder: &Path) -> PathBuf {
    folder.join("cancel")
}

/// Where the launcher says why it could not become the installer.
pub fn start_error_path(folder: &Path) -> PathBuf {
    folder.join("start-error.json")
}

/// The last bytes of an output stream.
#[derive(Debug)]
pub struct OutputTail {
    bytes: Vec<u8>,
    limit: usize,
}

impl OutputTail {
    /// Keeps at most `limit` bytes of text.
    pub const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    /// Takes more output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Dropped in large steps: each byte is moved once on the average.
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// The tail as text of at most the limit; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(self.limit);
        let mut tail = &self.bytes[from..];
        if from > 0 {
            // A character cut in two at the front is dropped.
            while let [first, rest @ ..] = tail
                && (0x80..0xC0).contains(first)
            {
                tail = rest;
            }
        }
        let text = String::from_utf8_lossy(tail);
        // Replacement characters take three bytes for one.
        let mut from = text.len().saturating_sub(self.limit);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text[from..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tail_begins_at_a_character() {
        let mut tail = OutputTail::new(4);
        tail.push("aäöü".as_bytes());
        assert_eq!(tail.text(), "öü");
        let mut odd = OutputTail::new(3);
        odd.push("aäöü".as_bytes());
        assert_eq!(odd.text(), "ü");
    }

    proptest! {
        #[test]
        fn the_tail_never_outgrows_its_limit(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            limit in 1_usize..300,
        ) {
            let mut tail = OutputTail::new(limit);
            let mut all = Vec::new();
            for piece in &pieces {
                tail.push(piece);
                all.extend_from_slice(piece);
            }
            let text = tail.text();
            prop_assert!(text.len() <= limit);
            if all.len() <= limit && std::str::from_utf8(&all).is_ok() {
                prop_assert_eq!(text.as_bytes(), &all[..]);
            }
        }
    }
}
