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

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use outfitter_agent_protocol::{Detection, DetectionRule, PhaseMark};
use serde::{Deserialize, Serialize};

use crate::durable::Files;

/// What is to be run and what is known so far; enough to write the evidence after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// The installer's whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it starts.
    pub folder: PathBuf,
    /// Longest run, in seconds.
    pub run_limit_secs: u32,
    /// What was found out before.
    pub notes: Notes,
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
    /// Number of files in the manifest, for an unpacked archive.
    pub manifest_files: Option<u32>,
    /// When each phase began.
    pub phases: Vec<PhaseMark>,
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number.
    pub pid: i32,
    /// When it began, in the system's ticks since boot.
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
    /// By itself, with this code; 128 + n after signal n.
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
