//! One attempt from `Go` to its evidence.
//!
//! Guarantees: nothing of the installer runs before the bytes are verified; what an earlier process of
//! this agent began is looked for first and adopted, never begun anew (invariants I2, I6). Programs of the app that run
//! are closed before the first of it.
//! On crash: before the supervisor started, everything is done again from what is on disk; after it, the
//! supervisor's record is waited for.
//! Does not: say "success"; the server judges the evidence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outfitter_agent_protocol::{
    Approach, Detection, DetectionRule, Evidence, FailureCode, Method, Phase, PhaseMark, Task,
    TaskKind, UserSession,
};
use tokio::sync::watch;

use super::closing::Closing;
use super::detect::Place;
use super::machine::Machine;
use super::unpack::{AppRecord, Target};
use super::{Reports, Resumption, Sources, Workplace, set_back_stop};
use crate::command;
use crate::evidence::{Stop, blank_evidence, fit_into_frame, path_text};
use crate::platform::{self, GraphicalSession, PlatformError};
use crate::secrets;
use crate::spool::AttemptFolder;
use crate::supervision::{
    Exit, Notes, Opened, OpenedBy, Prepared, RunAs, RunEnd, SupervisionEnd, run_path,
};

/// An attempt under way.
pub(super) struct Attempt<'a> {
    /// The desktop it is for.
    pub(super) workplace: &'a Workplace,
    /// Its folder.
    pub(super) folder: &'a AttemptFolder,
    /// Its task.
    pub(super) task: &'a Task,
    /// Whom it tells.
    pub(super) reports: &'a Reports,
    /// Whether it may go on where an earlier process of the agent was.
    pub(super) resumption: watch::Receiver<Resumption>,
}

/// How an attempt ended, beside its notes.
#[derive(Debug, Default)]
struct Ending {
    failure: Option<Stop>,
    exit_code: Option<i32>,
    output_tail: String,
    after: Option<Detection>,
    already_installed: bool,
    already_absent: bool,
}

/// What proves that the app is there, or gone.
struct Proof {
    rule: Option<DetectionRule>,
    archive: Archive,
}

/// What the agent itself unpacked, or will.
#[derive(Clone)]
enum Archive {
    /// Nothing: a command does everything.
    None,
    /// It is to be unpacked there.
    Unpack(AppRecord, Target),
    /// What was unpacked is to go: by the agent itself, or by a command of the app's own.
    Remove(AppRecord, RemovedBy),
}

/// Who removes what the agent unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RemovedBy {
    Agent,
    Command,
}

impl Proof {
    /// Whether, when it holds, it can only be true of this revision.
    fn pins_version(&self) -> bool {
        matches!(self.archive, Archive::Unpack(..))
            || self.rule.as_ref().is_some_and(DetectionRule::pins_version)
    }
}

impl Attempt<'_> {
    /// Carries the attempt out and writes down what it saw. Never fails: failures are evidence.
    pub(super) async fn carry_out(
        &self,
        sources: &mut Sources,
        cancelled: &mut watch::Receiver<bool>,
    ) -> Evidence {
        let mut notes = Notes {
            rule: self.task.detection.clone(),
            ..Notes::default()
        };
        let ending = match self.steps(&mut notes, sources, cancelled).await {
            Ok(ending) => ending,
            Err(stop) => Ending {
                failure: Some(stop),
                ..Ending::default()
            },
        };
        let blank = blank_evidence(self.task.attempt, self.task.job, &*self.workplace.clock);
        let (failure, failure_detail) = ending.failure.map(|stop| (stop.code, stop.detail)).unzip();
        fit_into_frame(Evidence {
            failure,
            failure_detail,
            rule: notes.rule,
            manifest_files: notes.manifest_files,
            before: notes.before,
            after: ending.after,
            already_installed: ending.already_installed,
            already_absent: ending.already_absent,
            exit_code: ending.exit_code,
            output_tail: secrets::masked(&ending.output_tail),
            package_sha256: notes.package_sha256,
            package_size_bytes: notes.package_size_bytes,
            command: notes.command,
            sandbox_root: self.workplace.sandbox_root.as_deref().map(path_text),
            phases: notes.phases,
            ..blank
        })
    }

    fn enter(&self, phase: Phase, notes: &mut Notes) {
        notes.phases.push(PhaseMark {
            phase,
            at_millis: self.workplace.clock.unix_millis(),
        });
        self.reports.advanced(phase, None);
    }

    async fn steps(
        &self,
        notes: &mut Notes,
        sources: &mut Sources,
        cancelled: &mut watch::Receiver<bool>,
    ) -> Result<Ending, Stop> {
        // First of all: did an earlier process of this agent begin?
        let files = self.folder.files();
        let prepared: Option<Prepared> = files
            .read_json(&run_path(self.folder.path()))
            .unwrap_or_else(|error| {
                tracing::error!("{}", crate::server_client::chain(&error));
                None
            });
        match self.supervision_end(prepared.clone()).await? {
            SupervisionEnd::NotStarted => {}
            end => {
                if let Some(prepared) = prepared {
                    *notes = prepared.notes;
                }
                return self.after_run(end, notes).await;
            }
        }

        // Nothing runs. In a state that a snapshot brought back, nothing shall.
        let mut resumption = self.resumption.clone();
        let decided = tokio::select! {
            biased;
            decided = resumption.wait_for(|now| *now != Resumption::Waits) => decided.map(|now| *now),
            _ = cancelled.wait_for(|stop| *stop) => return Err(cancelled_stop()),
        };
        match decided {
            Ok(Resumption::SetBack) => return Err(set_back_stop()),
            Ok(Resumption::Waits | Resumption::Goes) => {}
            // The agent ends: its next process takes it up.
            Err(_) => std::future::pending::<()>().await,
        }
        let mut proof = Proof {
            rule: self.task.detection.clone(),
            archive: self.archive()?,
        };
        self.stop_when_cancelled()?;
        self.enter(Phase::Detecting, notes);
        notes.before = self.look(&proof).await;
        match &proof.archive {
            Archive::Remove(record, RemovedBy::Agent) => {
                // Forgotten or never unpacked counts as a record of no files.
                notes.manifest_files = Some(record.files().unwrap_or(0));
            }
            Archive::Remove(record, RemovedBy::Command) => notes.manifest_files = record.files(),
            Archive::None | Archive::Unpack(..) => {}
        }
        if self.is_absent_already(notes) {
            if let Archive::Remove(record, _) = &proof.archive {
                record.forget();
            }
            return Ok(Ending {
                already_absent: true,
                ..Ending::default()
            });
        }
        if self.is_there_already(&proof, notes) {
            if let Archive::Unpack(record, _) = &proof.archive {
                notes.manifest_files = record.files();
            }
            return Ok(already_installed());
        }
        if let Archive::Remove(record, RemovedBy::Agent) = &proof.archive {
            self.close_programs(notes, cancelled).await?;
            return self.remove(record, &proof, notes).await;
        }

        // Nothing is fetched for somebody who is not there.
        let session = self.session().await?;
        let mut file_path = PathBuf::new();
        if self.task.kind == TaskKind::Install || command::names_package(&self.task.command) {
            file_path = self.package(notes, sources, cancelled).await?;
            if proof.rule.is_none() && matches!(proof.archive, Archive::None) {
                proof.rule = self.derive_rule(&file_path).await?;
                notes.rule.clone_from(&proof.rule);
                notes.before = self.look(&proof).await;
                if self.is_there_already(&proof, notes) {
                    return Ok(already_installed());
                }
            }
        }
        self.close_programs(notes, cancelled).await?;
        self.stop_when_cancelled()?;
        if let Archive::Unpack(record, target) = &proof.archive {
            return self.unpack(record, target, &proof, file_path, notes).await;
        }
        match self.task.session.as_ref().zip(session) {
            Some((wish, session)) => self.open(wish, session, &file_path, notes).await,
            None => self.run(&file_path, notes).await,
        }
    }

    /// Has running programs of the app closed; a cancellation ends that at once.
    async fn close_programs(
        &self,
        notes: &mut Notes,
        cancelled: &mut watch::Receiver<bool>,
    ) -> Result<(), Stop> {
        let Some(closing) = Closing::of(self.workplace, self.folder, self.task) else {
            return Ok(());
        };
        let found = closing.look().await;
        if found.is_empty() {
            return Ok(());
        }
        self.enter(Phase::ClosingPrograms, notes);
        tokio::select! {
            biased;
            _ = cancelled.wait_for(|stop| *stop) => Err(cancelled_stop()),
            closed = closing.close(found, self.reports) => closed,
        }
    }

    /// What of the task is the agent's own unpacking.
    fn archive(&self) -> Result<Archive, Stop> {
        if self.task.method != Method::Unzip {
            return Ok(Archive::None);
        }
        let unzip = command::unzip(&self.task.command)
            .map_err(|error| Stop::new(FailureCode::CommandInvalid, error.to_string()))?;
        let record = AppRecord::new(&self.workplace.apps, self.task.app);
        Ok(match (self.task.kind, unzip) {
            (TaskKind::Install, None) => Archive::None,
            (TaskKind::Install, Some(unzip)) => {
                let on_desktop = unzip.folder.unwrap_or_else(|| {
                    platform::default_app_folder(&command::folder_name(&self.task.app_name))
                });
                let target = Target {
                    on_desktop,
                    sandbox_root: self.workplace.sandbox_root.clone(),
                };
                Archive::Unpack(record, target)
            }
            (TaskKind::Uninstall, Some(_)) => Archive::Remove(record, RemovedBy::Agent),
            (TaskKind::Uninstall, None) if record.exists() => {
                Archive::Remove(record, RemovedBy::Command)
            }
            (TaskKind::Uninstall, None) => Archive::None,
        })
    }

    fn stop_when_cancelled(&self) -> Result<(), Stop> {
        if self.folder.is_cancelled() {
            return Err(cancelled_stop());
        }
        Ok(())
    }

    fn is_there_already(&self, proof: &Proof, notes: &Notes) -> bool {
        self.task.kind == TaskKind::Install
            && self.task.approach == Approach::Ordinary
            && proof.pins_version()
            && notes.before.as_ref().is_some_and(|seen| seen.holds)
    }

    fn is_absent_already(&self, notes: &Notes) -> bool {
        self.task.kind == TaskKind::Uninstall
            && notes.before.as_ref().is_some_and(|seen| !seen.holds)
    }

    /// Evaluates what there is of rule and manifest. The app is there when both hold; it is gone when neither does.
    async fn look(&self, proof: &Proof) -> Option<Detection> {
        let mut views = Vec::new();
        if let Some(rule) = &proof.rule {
            let place = Place {
                sandbox_root: self.workplace.sandbox_root.as_deref(),
                work: self.folder.path(),
            };
            let view = self.machine().evaluate(rule, place).await;
            views.push(Detection {
                // What could not be looked at is neither there nor gone.
                holds: view.holds.unwrap_or(self.task.kind == TaskKind::Uninstall),
                seen: view.seen,
            });
        }
        let revision = self.task.revision;
        let sandbox_root = self.workplace.sandbox_root.clone();
        let view = match proof.archive.clone() {
            Archive::None => None,
            Archive::Unpack(record, target) => {
                Some(tokio::task::spawn_blocking(move || record.detect(revision, &target)).await)
            }
            Archive::Remove(record, _) => Some(
                tokio::task::spawn_blocking(move || record.remains(sandbox_root.as_deref())).await,
            ),
        };
        if let Some(view) = view {
            views.push(view.unwrap_or_else(|error| Detection {
                // What could not be looked at is neither there nor gone.
                holds: self.task.kind == TaskKind::Uninstall,
                seen: error.to_string(),
            }));
        }
        (!views.is_empty()).then(|| Detection {
            holds: match self.task.kind {
                TaskKind::Install => views.iter().all(|view| view.holds),
                TaskKind::Uninstall => views.iter().any(|view| view.holds),
            },
            seen: views
                .iter()
                .map(|view| view.seen.as_str())
                .collect::<Vec<_>>()
                .join("; "),
        })
    }

    /// The verified package under its own name.
    async fn package(
        &self,
        notes: &mut Notes,
        sources: &mut Sources,
        cancelled: &mut watch::Receiver<bool>,
    ) -> Result<PathBuf, Stop> {
        self.enter(Phase::Downloading, notes);
        let mut report = |so_far| self.reports.advanced(Phase::Downloading, Some(so_far));
        let found = tokio::select! {
            biased;
            _ = cancelled.wait_for(|stop| *stop) => return Err(cancelled_stop()),
            found = self.machine().fetch(self.folder, &self.task.package, sources, &mut report) => found?,
        };
        self.enter(Phase::Verifying, notes);
        notes.package_sha256 = Some(found.sha256.to_string());
        notes.package_size_bytes = Some(found.size_bytes);
        self.machine()
            .unwrap_package(self.folder, &self.task.package, &found)
    }

    fn machine(&self) -> &dyn Machine {
        &*self.workplace.machine
    }

    /// A rule that the verified package tells by itself.
    async fn derive_rule(&self, package: &Path) -> Result<Option<DetectionRule>, Stop> {
        if self.task.kind != TaskKind::Install {
            return Ok(None);
        }
        self.machine().rule_of_package(package).await
    }

    async fn unpack(
        &self,
        record: &AppRecord,
        target: &Target,
        proof: &Proof,
        archive: PathBuf,
        notes: &mut Notes,
    ) -> Result<Ending, Stop> {
        self.enter(Phase::Running, notes);
        notes.command = Some(command::display(&[
            "unzip".to_owned(),
            path_text(&archive),
            "-d".to_owned(),
            path_text(&target.on_desktop),
        ]));
        let (work, place, revision) = (record.clone(), target.clone(), self.task.revision);
        let files = tokio::task::spawn_blocking(move || work.unpack(&archive, revision, &place))
            .await
            .map_err(|error| Stop::new(FailureCode::AgentFailure, error.to_string()))??;
        notes.manifest_files = Some(files);
        self.enter(Phase::Confirming, notes);
        Ok(Ending {
            exit_code: Some(0),
            output_tail: format!(
                "files unpacked into {}: {files}\n",
                target.on_desktop.display()
            ),
            after: self.look(proof).await,
            ..Ending::default()
        })
    }

    /// Removes what the agent unpacked, and nothing else.
    async fn remove(
        &self,
        record: &AppRecord,
        proof: &Proof,
        notes: &mut Notes,
    ) -> Result<Ending, Stop> {
        self.enter(Phase::Running, notes);
        notes.command = Some("remove the files of the manifest".to_owned());
        let (work, sandbox_root) = (record.clone(), self.workplace.sandbox_root.clone());
        let (said, files) =
            tokio::task::spawn_blocking(move || work.remove(sandbox_root.as_deref()))
                .await
                .map_err(|error| Stop::new(FailureCode::AgentFailure, error.to_string()))??;
        notes.manifest_files = Some(files);
        self.enter(Phase::Confirming, notes);
        let after = self.look(proof).await;
        forget_if_gone(proof, after.as_ref());
        Ok(Ending {
            exit_code: Some(0),
            output_tail: said,
            after,
            ..Ending::default()
        })
    }

    /// The session that the installer is to be opened in, where it is.
    async fn session(&self) -> Result<Option<GraphicalSession>, Stop> {
        let Some(wanted) = self.task.session.clone() else {
            return Ok(None);
        };
        let root = self.workplace.sandbox_root.clone();
        let user = wanted.user.clone();
        let found = tokio::task::spawn_blocking(move || {
            platform::graphical_session(&wanted, root.as_deref())
        })
        .await
        .map_err(|error| Stop::new(FailureCode::AgentFailure, error.to_string()))?
        .map_err(|error| platform_stop(FailureCode::AgentFailure, &error))?;
        found.map(Some).ok_or_else(|| {
            Stop::new(
                FailureCode::NoSession,
                format!("no process of {user} has a screen of this desktop"),
            )
        })
    }

    /// Opens the installer in its user's session.
    async fn open(
        &self,
        wish: &UserSession,
        session: GraphicalSession,
        package: &Path,
        notes: &mut Notes,
    ) -> Result<Ending, Stop> {
        let root = self.workplace.sandbox_root.clone();
        let attempt = self.folder.attempt.to_string();
        let (path, name) = (package.to_owned(), attempt.clone());
        let place = root.clone();
        let lent = tokio::task::spawn_blocking(move || {
            let lent = platform::lend_package(&path, &name, place.as_deref())?;
            let is_program = platform::is_program(&lent)
                .map_err(|error| PlatformError::system("look at the package", error))?;
            Ok((lent, is_program))
        })
        .await
        .map_err(|error| Stop::new(FailureCode::AgentFailure, error.to_string()))?;
        let (lent, is_program) =
            lent.map_err(|error: PlatformError| platform_stop(FailureCode::AgentFailure, &error))?;
        let file_text = self.file_text(&lent)?;
        let mut environment = self.environment(session.environment, file_text);
        platform::mark_environment(&mut environment, &attempt);
        let (arguments, by) = match (&wish.command, is_program) {
            (Some(command), _) => (
                self.arguments(command, file_text, &environment)?,
                OpenedBy::Command,
            ),
            (None, true) => (vec![file_text.to_owned()], OpenedBy::Command),
            (None, false) => {
                let opener = platform::OPENER.to_owned();
                (vec![opener, file_text.to_owned()], OpenedBy::Session)
            }
        };
        notes.opened = Some(Opened {
            user: session.user.user,
            by,
        });
        let folder = root.unwrap_or(session.home);
        self.start(arguments, environment, folder, Some(session.user), notes)
            .await
    }

    fn file_text<'p>(&self, path: &'p Path) -> Result<&'p str, Stop> {
        path.to_str().ok_or_else(|| {
            Stop::new(
                FailureCode::CommandInvalid,
                "the package's path is no UTF-8",
            )
        })
    }

    /// An environment with what installers are told.
    fn environment(
        &self,
        mut environment: BTreeMap<String, String>,
        file_text: &str,
    ) -> BTreeMap<String, String> {
        environment.insert("FILE_PATH".to_owned(), file_text.to_owned());
        if let Some(root) = self.workplace.sandbox_root.as_deref() {
            environment.insert("OUTFITTER_ROOT".to_owned(), path_text(root));
        }
        environment
    }

    fn arguments(
        &self,
        command: &str,
        file_text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Stop> {
        platform::prepared_arguments(command, file_text, environment)
            .map_err(|error| Stop::new(FailureCode::CommandInvalid, error.to_string()))
    }

    async fn run(&self, file_path: &Path, notes: &mut Notes) -> Result<Ending, Stop> {
        let file_text = self.file_text(file_path)?;
        let environment = self.environment(platform::base_environment(), file_text);
        let arguments = self.arguments(&self.task.command, file_text, &environment)?;
        let root = self.workplace.sandbox_root.as_deref();
        let folder = root.unwrap_or(self.folder.path()).to_owned();
        self.start(arguments, environment, folder, None, notes)
            .await
    }

    /// Starts the installer under a supervisor and waits for its end.
    async fn start(
        &self,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
        folder: PathBuf,
        user: Option<RunAs>,
        notes: &mut Notes,
    ) -> Result<Ending, Stop> {
        self.enter(Phase::Running, notes);
        notes.command = Some(platform::display_prepared(&arguments));
        let prepared = Prepared {
            arguments,
            environment,
            folder,
            run_limit_secs: self.task.run_limit_secs,
            user,
            notes: notes.clone(),
        };
        self.folder
            .files()
            .write_json(&run_path(self.folder.path()), &prepared)
            .map_err(|error| Stop::agent(&error))?;
        let started = self.machine().start_supervisor(self.folder).await;
        // Whatever the start said, the attempt's folder has the last word on what runs.
        let end = self.supervision_end(Some(prepared)).await?;
        if let (Err(error), SupervisionEnd::NotStarted) = (&started, &end) {
            return Err(platform_stop(FailureCode::StartFailed, error));
        }
        self.after_run(end, notes).await
    }

    /// Waits for a supervisor, where one is at work, and reads what it left.
    async fn supervision_end(&self, prepared: Option<Prepared>) -> Result<SupervisionEnd, Stop> {
        let waited = self.machine().await_supervisor(self.folder, prepared).await;
        match waited {
            Ok(end) => Ok(end),
            // Where none can run, none has.
            Err(PlatformError::NotSupported(_)) => Ok(SupervisionEnd::NotStarted),
            Err(error) => Err(platform_stop(FailureCode::AgentFailure, &error)),
        }
    }

    async fn after_run(&self, end: SupervisionEnd, notes: &mut Notes) -> Result<Ending, Stop> {
        let ending = self.ending(end, notes).await;
        if let Some(opened) = &notes.opened {
            let was_ended = !matches!(&ending, Ok(Ending { failure: None, .. }));
            self.tidy_up(opened, was_ended).await;
        }
        ending
    }

    async fn ending(&self, end: SupervisionEnd, notes: &mut Notes) -> Result<Ending, Stop> {
        let (failure, exit_code, output_tail) = match end {
            SupervisionEnd::NotStarted => {
                let detail = "the supervisor ended before it started the installer";
                return Err(Stop::new(FailureCode::StartFailed, detail));
            }
            SupervisionEnd::Interrupted { detail } => (
                Some(Stop::new(FailureCode::Interrupted, detail)),
                None,
                String::new(),
            ),
            SupervisionEnd::Ended(Exit { end, output_tail }) => match end {
                RunEnd::Exited(code) => {
                    // What the app's own map says of a code comes before what its output looks like.
                    let busy = !self.task.success_exit_codes.contains(&code)
                        && !self.task.exit_codes.contains_key(&code)
                        && command::says_busy(&output_tail);
                    let failure = busy.then(|| {
                        let detail = "another installer holds the package system's lock";
                        Stop::new(FailureCode::InstallerBusy, detail)
                    });
                    (failure, Some(code), output_tail)
                }
                RunEnd::RunLimit => {
                    let detail = format!("ended after {} s", self.task.run_limit_secs);
                    (
                        Some(Stop::new(FailureCode::RunLimit, detail)),
                        None,
                        output_tail,
                    )
                }
                RunEnd::Cancelled => (Some(cancelled_stop()), None, output_tail),
                RunEnd::ProgramMissing(detail) => {
                    return Err(Stop::new(FailureCode::CommandInvalid, detail));
                }
                RunEnd::StartFailed(detail) => {
                    return Err(Stop::new(FailureCode::StartFailed, detail));
                }
            },
        };
        self.enter(Phase::Confirming, notes);
        let proof = Proof {
            rule: notes.rule.clone(),
            // What a command ran for is proven by its rule; what it took off, by the record of what was unpacked too.
            archive: match self.task.kind {
                TaskKind::Install => Archive::None,
                TaskKind::Uninstall => self.archive()?,
            },
        };
        let mut after = self.look(&proof).await;
        let mut failure = failure;
        if let Some(opened) = notes.opened.as_ref().filter(|_| failure.is_none()) {
            (failure, after) = self.closed(opened, &proof, exit_code, after, notes).await;
        }
        forget_if_gone(&proof, after.as_ref());
        Ok(Ending {
            failure,
            exit_code,
            output_tail,
            after,
            ..Ending::default()
        })
    }

    /// Waits until what was opened has done its work, its user has closed it, or its time is over; answers why it was
    /// ended, where it was, and what is seen then.
    async fn closed(
        &self,
        opened: &Opened,
        proof: &Proof,
        exit_code: Option<i32>,
        mut after: Option<Detection>,
        notes: &Notes,
    ) -> (Option<Stop>, Option<Detection>) {
        if let (OpenedBy::Session, Some(code @ 1..)) = (opened.by, exit_code) {
            let detail = format!(
                "{} ended with {code}: nothing there opens it",
                platform::OPENER
            );
            return (Some(Stop::new(FailureCode::StartFailed, detail)), after);
        }
        let begun = notes
            .phases
            .iter()
            .rfind(|mark| mark.phase == Phase::Running)
            .map_or(0, |mark| mark.at_millis);
        let limit_millis = i64::from(self.task.run_limit_secs) * 1000;
        loop {
            if after.as_ref().is_some_and(|seen| seen.holds) {
                return (None, after);
            }
            let is_open = match opened.by {
                OpenedBy::Command => self.still_runs(opened).await,
                // Without a rule nothing would ever tell.
                OpenedBy::Session => after.is_some(),
            };
            if !is_open {
                // What it did last may have been done since the look.
                return (None, self.look(proof).await);
            }
            if self.folder.is_cancelled() {
                return (Some(cancelled_stop()), after);
            }
            if self.workplace.clock.unix_millis() - begun >= limit_millis {
                let detail = format!("still open after {} s", self.task.run_limit_secs);
                return (Some(Stop::new(FailureCode::RunLimit, detail)), after);
            }
            tokio::time::sleep(LOOK_EVERY).await;
            after = self.look(proof).await;
        }
    }

    async fn still_runs(&self, opened: &Opened) -> bool {
        let (user, attempt) = (opened.user, self.folder.attempt.to_string());
        tokio::task::spawn_blocking(move || !platform::marked_processes(user, &attempt).is_empty())
            .await
            .unwrap_or(false)
    }

    /// Takes back what was lent to the session, and ends what is left there of an installer that was ended.
    async fn tidy_up(&self, opened: &Opened, was_ended: bool) {
        let (user, attempt) = (opened.user, self.folder.attempt.to_string());
        let root = self.workplace.sandbox_root.clone();
        let tidied = tokio::task::spawn_blocking(move || {
            if was_ended {
                platform::end_marked_processes(user, &attempt);
            }
            platform::take_back_package(&attempt, root.as_deref());
        });
        if let Err(error) = tidied.await {
            tracing::warn!(attempt.id = %self.folder.attempt, "{error}");
        }
    }
}

/// How often it is looked whether an installer that somebody clicks through is done.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Once nothing of it is left, nothing there is the app's own any more.
fn forget_if_gone(proof: &Proof, after: Option<&Detection>) {
    if let Archive::Remove(record, _) = &proof.archive
        && after.is_some_and(|seen| !seen.holds)
    {
        record.forget();
    }
}

fn already_installed() -> Ending {
    Ending {
        already_installed: true,
        ..Ending::default()
    }
}

fn cancelled_stop() -> Stop {
    Stop::new(FailureCode::Cancelled, "the server asked to stop")
}

fn platform_stop(code: FailureCode, error: &PlatformError) -> Stop {
    let code = match error {
        PlatformError::NotSupported(_) => FailureCode::NotSupported,
        PlatformError::System { .. } | PlatformError::Refused { .. } => code,
    };
    Stop::new(code, crate::server_client::chain(error))
}
