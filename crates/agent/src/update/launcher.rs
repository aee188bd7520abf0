//! Which program runs, and the watch over one that is on trial.
//!
//! Who restarts whom: systemd (or whoever starts the agent) knows the base alone. The base, and whatever program
//! it became, stays one process: the same id, so that the unit and the pid file of a detached start stay right.
//! While a program is on trial it is a child of that process and dies with it. There is no second process at any
//! other time.
//!
//! On crash: the record was written before each step. A trial that was cut off is begun again, at most
//! [`MOST_STARTS`] times; a chosen program that is started [`MOST_STARTS`] times without lasting
//! [`STEADY_AFTER`] gives way to the one before it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use outfitter_agent_protocol::{UpdateReport, UpdateStage};
use semver::Version;
use tokio::sync::watch;

use super::fetch::{is_whole, prune};
use super::offer::Wanted;
use super::{Program, Trial, UpdateRecord};
use crate::durable::FileError;
use crate::platform;
use crate::server_client::chain;
use crate::state_dir::StateDir;
use crate::version::version;

/// Starts that a program has to prove itself.
pub const MOST_STARTS: u32 = 4;

/// A program that ran this long is well.
pub const STEADY_AFTER: Duration = Duration::from_secs(30);

/// How often the record is looked at during a trial.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Time a program on trial has to end by itself when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The program that the service starts.
    Base,
    /// The program with this digest, which the base became.
    Chosen(String),
    /// On trial.
    Trial,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Be the agent.
    RunHere,
    /// Become this program.
    Become(Program),
    /// Watch over this one.
    TryOut(Trial),
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialEnd {
    /// The record says what holds now.
    Settled,
    /// The agent is asked to stop; the trial goes on when it starts again.
    Stopped,
}

/// Reads and keeps the record of a state folder on behalf of one process.
#[derive(Debug)]
pub struct Launcher {
    state: StateDir,
    role: Role,
}

impl Launcher {
    /// For a process in this role. Nobody else may work in the folder.
    pub const fn new(state: StateDir, role: Role) -> Self {
        Self { state, role }
    }

    /// Decides what comes next, and writes down what has to be known after a crash in it.
    ///
    /// # Errors
    /// When the record cannot be written: then nothing is begun.
    pub async fn next(&self) -> Result<Next, FileError> {
        if self.role == Role::Trial {
            return Ok(Next::RunHere);
        }
        loop {
            let mut record = self.state.update_record();
            if let Some(trial) = &mut record.trial {
                trial.starts += 1;
                let trial = trial.clone();
                if trial.starts > MOST_STARTS {
                    self.fail_trial(&format!(
                        "it was cut off {MOST_STARTS} times before it was connected"
                    ))?;
                    continue;
                }
                self.state.keep_update_record(&record)?;
                return Ok(Next::TryOut(trial));
            }
            let Some(current) = record.current.clone() else {
                return Ok(Next::RunHere);
            };
            if self.role == Role::Chosen(current.sha256.clone()) {
                return Ok(Next::RunHere);
            }
            // Whoever put a newer base in place wants that one.
            if self.role == Role::Base && !is_newer(&current.version, version()) {
                return Ok(Next::RunHere);
            }
            if record.starts >= MOST_STARTS {
                self.fall_back(
                    record,
                    &format!("it ended soon after each of {MOST_STARTS} starts"),
                )?;
                continue;
            }
            if !self.is_intact(&current).await {
                self.fall_back(record, "its file is gone or altered")?;
                continue;
            }
            record.starts += 1;
            self.state.keep_update_record(&record)?;
            return Ok(Next::Become(current));
        }
    }

    async fn is_intact(&self, program: &Program) -> bool {
        let path = self.state.program(program);
        let size_bytes = path.metadata().map_or(0, |facts| facts.len());
        let wanted = Wanted {
            version: program.version.clone(),
            sha256: program.sha256.clone(),
            size_bytes,
        };
        is_whole(&path, &wanted).await.unwrap_or_else(|error| {
            tracing::error!("{}", chain(&error));
            false
        })
    }

    /// Becomes a program; returns only when that failed, with the program given up.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn become_program(&self, program: &Program, arguments: &[String]) -> Result<(), FileError> {
        let path = self.state.program(program);
        tracing::info!(version = program.version, "{} goes on", path.display());
        let error = platform::replace_process(&path, arguments);
        let record = self.state.update_record();
        self.fall_back(
            record,
            &format!("it could not be started: {}", chain(&error)),
        )
    }

    fn fall_back(&self, mut record: UpdateRecord, why: &str) -> Result<(), FileError> {
        let Some(current) = record.current.take() else {
            return Ok(());
        };
        tracing::error!(
            version = current.version,
            "the agent's program gives way to the one before it: {why}"
        );
        record.current = record.previous.take();
        record.starts = 0;
        record.last = Some(UpdateReport {
            version: current.version,
            round: current.round,
            stage: UpdateStage::Failed,
            detail: Some(why.to_owned()),
        });
        self.state.keep_update_record(&record)
    }

    fn fail_trial(&self, why: &str) -> Result<(), FileError> {
        let mut record = self.state.update_record();
        let Some(trial) = record.trial.take() else {
            return Ok(());
        };
        tracing::error!(
            version = trial.program.version,
            "the newer program did not prove itself; the one before it goes on: {why}"
        );
        record.last = Some(UpdateReport {
            version: trial.program.version,
            round: trial.program.round,
            stage: UpdateStage::Failed,
            detail: Some(why.to_owned()),
        });
        self.state.keep_update_record(&record)?;
        prune(&self.state, &record)
    }

    /// Watches over a program on trial until it has proven itself or has not. The folder's lock is free meanwhile:
    /// the program takes it.
    ///
    /// # Errors
    /// When the record cannot be written; the program on trial has ended then.
    pub async fn try_out(
        &self,
        trial: &Trial,
        arguments: &[String],
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<TrialEnd, FileError> {
        let mut command = tokio::process::Command::new(self.state.program(&trial.program));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        platform::end_with_parent(command.as_std_mut());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.fail_trial(&format!("it could not be started: {error}"))?;
                return Ok(TrialEnd::Settled);
            }
        };
        let limit = Duration::from_secs(trial.limit_secs.into());
        let deadline = tokio::time::Instant::now() + limit;
        let why = loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => {
                    end(&mut child).await;
                    return Ok(TrialEnd::Stopped);
                }
                status = child.wait() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    break format!("it ended ({status}) before it was connected");
                }
                () = tokio::time::sleep_until(deadline) => {
                    break format!("it was not connected within {} s", limit.as_secs());
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.is_proven(&trial.program) {
                        end(&mut child).await;
                        return Ok(TrialEnd::Settled);
                    }
                }
            }
        };
        // No politeness: whatever it began is journaled.
        if let Err(error) = child.kill().await {
            tracing::warn!("the program on trial cannot be ended: {error}");
        }
        // It may have proven itself in its last moment.
        if !self.is_proven(&trial.program) {
            self.fail_trial(&why)?;
        }
        Ok(TrialEnd::Settled)
    }

    fn is_proven(&self, program: &Program) -> bool {
        let record = self.state.update_record();
        record.trial.is_none() && record.current.as_ref() == Some(program)
    }
}

/// Writes down that the chosen program has run for a while.
///
/// # Errors
/// When the record cannot be written.
pub fn is_steady(state: &StateDir) -> Result<(), FileError> {
    let mut record = state.update_record();
    if record.starts == 0 {
        return Ok(());
    }
    record.starts = 0;
    state.keep_update_record(&record)
}

/// Ends a child: politely, then not.
async fn end(child: &mut tokio::process::Child) {
    if let Some(id) = child.id() {
        platform::ask_to_end(id);
    }
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn is_newer(version: &str, than: &str) -> bool {
    match (Version::parse(version), Version::parse(than)) {
        (Ok(version), Ok(than)) => version > than,
        _ => false,
    }
}

/// The arguments with which a program runs in a role.
pub fn arguments(state_dir: &Path, log: &str, role: &Role) -> Vec<String> {
    let mut arguments = vec![
        "--log".to_owned(),
        log.to_owned(),
        "run".to_owned(),
        "--state-dir".to_owned(),
        state_dir.display().to_string(),
    ];
    match role {
        Role::Base => {}
        Role::Chosen(sha256) => arguments.extend(["--chosen".to_owned(), sha256.clone()]),
        Role::Trial => arguments.push("--trial".to_owned()),
    }
    arguments
}

#[cfg(test)]
mod tests {
    use outfitter_packages::digest_reader;

    use super::*;
    use crate::durable;

    struct Scene {
        _folder: tempfile::TempDir,
        state: StateDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let state = StateDir::open(folder.path()).expect("a state folder");
            durable::create_private_folder(&state.programs()).expect("made");
            Self {
                _folder: folder,
                state,
            }
        }

        fn program(&self, version: &str, text: &str) -> Program {
            let digest = digest_reader(text.as_bytes()).expect("a digest");
            let program = Program {
                version: version.to_owned(),
                sha256: digest.sha256.to_string(),
                round: 3,
            };
            let path = self.state.program(&program);
            std::fs::write(&path, text).expect("written");
            platform::make_runnable(&path).expect("runnable");
            program
        }

        fn keep(&self, record: &UpdateRecord) {
            self.state.keep_update_record(record).expect("kept");
        }

        fn trial(&self, text: &str) -> Trial {
            let trial = Trial {
                program: self.program("9.0.0", text),
                limit_secs: 1,
                starts: 0,
            };
            self.keep(&UpdateRecord {
                trial: Some(trial.clone()),
                ..UpdateRecord::default()
            });
            trial
        }

        fn base(&self) -> Launcher {
            Launcher::new(self.state.clone(), Role::Base)
        }
    }

    #[tokio::test]
    async fn the_base_becomes_a_newer_program_and_never_an_older_one() {
        let scene = Scene::new();
        assert_eq!(scene.base().next().await.expect("next"), Next::RunHere);
        let newer = scene.program("9.0.0", "newer");
        let record = UpdateRecord {
            current: Some(newer.clone()),
            ..UpdateRecord::default()
        };
        scene.keep(&record);
        assert_eq!(
            scene.base().next().await.expect("next"),
            Next::Become(newer.clone())
        );
        let chosen = Launcher::new(scene.state.clone(), Role::Chosen(newer.sha256));
        assert_eq!(chosen.next().await.expect("next"), Next::RunHere);
        scene.keep(&UpdateRecord {
            current: Some(scene.program("0.0.1", "older")),
            ..UpdateRecord::default()
        });
        assert_eq!(scene.base().next().await.expect("next"), Next::RunHere);
    }

    #[tokio::test]
    async fn a_program_that_does_not_last_or_is_altered_gives_way_to_the_one_before() {
        let scene = Scene::new();
        let (before, after) = (scene.program("8.0.0", "a"), scene.program("9.0.0", "b"));
        scene.keep(&UpdateRecord {
            current: Some(after.clone()),
            previous: Some(before.clone()),
            ..UpdateRecord::default()
        });
        for _ in 0..MOST_STARTS {
            let next = scene.base().next().await.expect("next");
            assert_eq!(next, Next::Become(after.clone()));
        }
        let next = scene.base().next().await.expect("next");
        assert_eq!(next, Next::Become(before.clone()));
        let last = scene.state.update_record().last.expect("a report");
        assert_eq!(
            (last.version.as_str(), last.round, last.stage),
            ("9.0.0", 3, UpdateStage::Failed)
        );
        is_steady(&scene.state).expect("steady");
        assert_eq!(scene.state.update_record().starts, 0);

        std::fs::write(scene.state.program(&before), "c").expect("altered");
        assert_eq!(scene.base().next().await.expect("next"), Next::RunHere);
        assert_eq!(scene.state.update_record().current, None);
    }

    #[tokio::test]
    async fn a_trial_that_is_cut_off_is_begun_again_but_not_for_ever() {
        let scene = Scene::new();
        let trial = scene.trial("x");
        for _ in 0..MOST_STARTS {
            let next = scene.base().next().await.expect("next");
            assert!(matches!(next, Next::TryOut(_)), "{next:?}");
        }
        assert_eq!(scene.base().next().await.expect("next"), Next::RunHere);
        let record = scene.state.update_record();
        assert_eq!(record.last.expect("a report").round, 3);
        assert!(!scene.state.program(&trial.program).exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn programs_that_do_not_start_end_or_hang_do_not_prove_themselves() {
        let scene = Scene::new();
        // Dropped it would count as the wish to stop.
        let (_stop, never) = watch::channel(false);
        for (text, why) in [
            // An interpreter that is not there: what no kernel starts and no shell takes for a script of its own.
            ("#!/nowhere/at/all\n", "could not be started"),
            ("#!/bin/sh\nexit 7\n", "exit status: 7"),
            (
                "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n",
                "not connected within 1 s",
            ),
        ] {
            let trial = scene.trial(text);
            let launcher = scene.base();
            let end = launcher
                .try_out(&trial, &[], never.clone())
                .await
                .expect("ended");
            assert_eq!(end, TrialEnd::Settled);
            let record = scene.state.update_record();
            let detail = record.last.and_then(|report| report.detail);
            assert!(
                detail.as_ref().is_some_and(|detail| detail.contains(why)),
                "{detail:?}"
            );
            assert_eq!((record.trial, record.current), (None, None));
        }
    }

    #[tokio::test]
    async fn a_record_that_is_cut_leaves_the_base_at_work() {
        let scene = Scene::new();
        std::fs::write(scene.state.root().join("update.json"), "{\"current\":{").expect("written");
        assert_eq!(scene.base().next().await.expect("next"), Next::RunHere);
    }
}
