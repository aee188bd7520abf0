//! The journal: one folder for each attempt, from the task's arrival until the server recorded its end.
//!
//! Guarantees: a task is on disk before it is acknowledged, `Go` before anything is done, evidence before
//! it is sent; a folder goes only when the server recorded the end, or withdrew the task before `Go`.
//! On crash: [`Spool::load`] tells for each attempt how far it is. Files that cannot be read are kept
//! under another name and the attempt ends with evidence that says so.
//! Does not: keep more than the server asked for; a full disk declines tasks.
//!
//! The folder's name carries both ids, so that evidence can be written when nothing in it can be read. It gets that
//! name when the task is in it and loses it before anything in it is removed: a folder cut off half-way on its way in
//! or out is no attempt, least of all one that may run again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outfitter_agent_protocol::{
    AttemptReport, AttemptStage, Envelope, Evidence, FailureCode, Task,
};
use outfitter_ids::{AttemptId, JobId};
use uuid::Uuid;

use crate::clock::Clock;
use crate::durable::{FileError, Files, SystemFiles};
use crate::evidence::blank_evidence;
use crate::server_client::chain;

/// Ends the name of a folder that has no task yet.
const COMING: &str = "coming";

/// Ends the name of a folder that is being removed.
const GOING: &str = "going";

/// The journal; see the module.
#[derive(Clone)]
pub struct Spool {
    root: PathBuf,
    files: Arc<dyn Files>,
}

/// One attempt's folder.
#[derive(Clone)]
pub struct AttemptFolder {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its job.
    pub job: JobId,
    path: PathBuf,
    files: Arc<dyn Files>,
}

/// An attempt that was begun and has not ended; it is to be carried on.
pub struct Unfinished {
    /// Its folder.
    pub folder: AttemptFolder,
    /// Its task.
    pub task: Task,
}

/// What the journal holds at the start.
#[derive(Default)]
pub struct Loaded {
    /// Every attempt.
    pub attempts: Vec<AttemptReport>,
    /// Those to be carried on.
    pub unfinished: Vec<Unfinished>,
}

impl Spool {
    /// The journal in `root`, made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: PathBuf) -> Result<Self, FileError> {
        Self::open_on(Arc::new(SystemFiles), root)
    }

    /// The same on a file system of the caller's.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open_on(files: Arc<dyn Files>, root: PathBuf) -> Result<Self, FileError> {
        files.create_folder_durably(&root)?;
        Ok(Self { root, files })
    }

    /// Reads what there is. Attempts that cannot be read become ended ones, with evidence that `seal` signs.
    ///
    /// # Errors
    /// When the folder cannot be listed, or evidence of unreadable attempts cannot be written.
    pub fn load(
        &self,
        clock: &dyn Clock,
        seal: impl Fn(Evidence) -> Envelope,
    ) -> Result<Loaded, FileError> {
        let mut loaded = Loaded::default();
        let list = |error| FileError::new("list", &self.root, error);
        // What an agent that was killed had not synced yet is seen, and the power may still take it: it is made to stay
        // before anybody is told of it.
        self.sync(&self.root)?;
        for path in self.files.list(&self.root).map_err(list)? {
            if path
                .extension()
                .is_some_and(|extension| extension == COMING || extension == GOING)
            {
                self.files.remove_folder_durably(&path)?;
                continue;
            }
            let Some(folder) = AttemptFolder::of_path(&path, &self.files) else {
                tracing::warn!("{} is no attempt of ours and is left alone", path.display());
                continue;
            };
            self.sync(&path)?;
            let stage = match folder.stage() {
                Ok((stage, task)) => {
                    if stage == AttemptStage::Running {
                        loaded.unfinished.push(Unfinished {
                            folder: folder.clone(),
                            task,
                        });
                    }
                    stage
                }
                Err(error) => {
                    let reason = chain(&error);
                    tracing::error!(attempt.id = %folder.attempt, "the journal of an attempt is damaged: {reason}");
                    let mut evidence = blank_evidence(folder.attempt, folder.job, clock);
                    evidence.failure = Some(FailureCode::AgentFailure);
                    evidence.failure_detail =
                        Some(format!("the journal on the desktop is damaged: {reason}"));
                    folder.end(&seal(evidence))?;
                    AttemptStage::Ended
                }
            };
            loaded.attempts.push(AttemptReport {
                attempt: folder.attempt,
                stage,
            });
        }
        Ok(loaded)
    }

    fn sync(&self, folder: &Path) -> Result<(), FileError> {
        self.files
            .sync_folder(folder)
            .map_err(|error| FileError::new("sync", folder, error))
    }

    /// Puts a task on disk.
    ///
    /// # Errors
    /// When that fails; nothing is left then.
    pub fn accept(&self, task: &Task) -> Result<AttemptFolder, FileError> {
        let folder = self.folder(task.attempt, task.job);
        let coming = AttemptFolder {
            path: folder.path.with_extension(COMING),
            ..folder.clone()
        };
        self.files.create_folder_durably(&coming.path)?;
        let named = self
            .files
            .write_json(&coming.task_path(), task)
            .and_then(|()| self.files.rename_durably(&coming.path, &folder.path));
        match named {
            Ok(()) => Ok(folder),
            Err(error) => {
                let _ = self.files.remove_folder_durably(&coming.path);
                Err(error)
            }
        }
    }

    /// The folder of an attempt in the journal.
    pub fn find(&self, attempt: AttemptId) -> Option<AttemptFolder> {
        let prefix = attempt.uuid().simple().to_string();
        self.files
            .list(&self.root)
            .ok()?
            .iter()
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(&prefix))
            })
            .find_map(|path| AttemptFolder::of_path(path, &self.files))
    }

    /// Removes an attempt from the journal.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn forget(&self, folder: &AttemptFolder) -> Result<(), FileError> {
        self.remove_control_groups(crate::platform::control_group(&*self.files, &folder.path))?;
        let going = folder.path.with_extension(GOING);
        self.files.rename_durably(&folder.path, &going)?;
        self.files.remove_folder_durably(&going)
    }

    /// Removes control groups of this attempt and of earlier ones, which stay as long as something lives
    /// in them that an installer left on purpose.
    fn remove_control_groups(&self, of_attempt: Option<PathBuf>) -> Result<(), FileError> {
        let path = self.root.with_file_name("control-groups.json");
        // Unreadable, a few empty groups stay until the next boot.
        let earlier: Vec<PathBuf> = self
            .files
            .read_json(&path)
            .ok()
            .flatten()
            .unwrap_or_default();
        let mut left = earlier.clone();
        left.extend(of_attempt);
        left.retain(|group| !crate::platform::remove_control_group(group));
        if left != earlier {
            self.files.write_json(&path, &left)?;
        }
        Ok(())
    }

    fn folder(&self, attempt: AttemptId, job: JobId) -> AttemptFolder {
        let name = format!("{}-{}", attempt.uuid().simple(), job.uuid().simple());
        AttemptFolder {
            attempt,
            job,
            path: self.root.join(name),
            files: Arc::clone(&self.files),
        }
    }
}

impl AttemptFolder {
    fn of_path(path: &Path, files: &Arc<dyn Files>) -> Option<Self> {
        let (attempt, job) = path.file_name()?.to_str()?.split_once('-')?;
        Some(Self {
            attempt: AttemptId::new(Uuid::try_parse(attempt).ok()?),
            job: JobId::new(Uuid::try_parse(job).ok()?),
            path: path.to_owned(),
            files: Arc::clone(files),
        })
    }

    /// The file system it lies on.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn task_path(&self) -> PathBuf {
        self.path.join("task.json")
    }

    fn go_path(&self) -> PathBuf {
        self.path.join("go")
    }

    fn receipt_path(&self) -> PathBuf {
        self.path.join("receipt.json")
    }

    /// Where the bytes of the package arrive.
    pub fn partial_path(&self) -> PathBuf {
        self.path.join("package.part")
    }

    /// What is needed to resume the download.
    pub fn partial_facts_path(&self) -> PathBuf {
        self.path.join("package.json")
    }

    /// Where the verified package lies under its own name.
    pub fn package_folder(&self) -> PathBuf {
        self.path.join("package")
    }

    fn stage(&self) -> Result<(AttemptStage, Task), FileError> {
        let path = self.task_path();
        let task: Task = self
            .files
            .read_json(&path)?
            .ok_or_else(|| FileError::new("find", &path, io::ErrorKind::NotFound.into()))?;
        if (task.attempt, task.job) != (self.attempt, self.job) {
            let other = io::Error::other("it belongs to another attempt");
            return Err(FileError::new("use", &path, other));
        }
        match self.files.read_json::<Envelope>(&self.receipt_path()) {
            Ok(Some(_)) => return Ok((AttemptStage::Ended, task)),
            Ok(None) => {}
            Err(error) => {
                // What the supervisor left tells the end once more.
                tracing::error!(attempt.id = %self.attempt, "an unreadable receipt is set aside: {}", chain(&error));
                let path = self.receipt_path();
                self.files
                    .rename(&path, &path.with_extension("unreadable"))
                    .map_err(|error| FileError::new("set aside", &path, error))?;
            }
        }
        Ok(if self.files.exists(&self.go_path()) {
            (AttemptStage::Running, task)
        } else {
            (AttemptStage::Accepted, task)
        })
    }

    /// The task.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn task(&self) -> Result<Task, FileError> {
        self.stage().map(|(_, task)| task)
    }

    /// Records that `Go` (or a cancellation) arrived.
    ///
    /// # Errors
    /// When it cannot be written; nothing may be done then.
    pub fn go(&self) -> Result<(), FileError> {
        self.files.write_durably(&self.go_path(), b"go")
    }

    /// Asks for a stop, also of a supervisor and across restarts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cancel(&self) -> Result<(), FileError> {
        self.files
            .write_durably(&crate::supervision::cancel_path(&self.path), b"cancel")
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.files
            .exists(&crate::supervision::cancel_path(&self.path))
    }

    /// Puts the attempt's end on disk, signed, and drops the package's bytes.
    ///
    /// # Errors
    /// When the receipt cannot be written.
    pub fn end(&self, receipt: &Envelope) -> Result<(), FileError> {
        let dropped = [self.partial_path(), self.partial_facts_path()];
        // Room first: on a full disk the evidence needs it.
        for path in dropped {
            let _ = self.files.remove_file(&path);
        }
        let _ = self.files.remove_folder(&self.package_folder());
        self.files.write_json(&self.receipt_path(), receipt)
    }

    /// The attempt's end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn receipt(&self) -> Result<Option<Envelope>, FileError> {
        self.files.read_json(&self.receipt_path())
    }
}
