//! Closing running programs of an app before anything is put on or taken off.
//!
//! Guarantees: whoever is asked has the whole time, or what is left of it after a restart of the agent, and then at least
//! [`LEAST_WAIT`]; a program is ended only after that, and by force only where the project has them stopped.
//! On crash: the end of the time is in the attempt's folder; nothing else has to be known again.
//! Does not: run anything of the installer. Dropping it at any moment leaves nothing half done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outfitter_agent_protocol::{FailureCode, Phase, RunningPrograms, Task, TaskKind};
use serde::{Deserialize, Serialize};

use super::{Reports, Workplace};
use crate::evidence::Stop;
use crate::programs::{EndBy, Names, Notice, ProgramNames, RunningProgram};
use crate::server_client::chain;
use crate::spool::AttemptFolder;

/// How often it is looked whether they still run.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same once they were asked to end.
const LOOK_SOON: Duration = Duration::from_millis(200);

/// Time a program has to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// The same where it is ended by force after that.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Time until a program that was ended by force is gone.
const FORCE_GRACE: Duration = Duration::from_secs(5);

/// How long before the end of the time its users are told once more; also the least they get after a restart.
const LEAST_WAIT: Duration = Duration::from_secs(60);

/// `closing.json`: until when those who were asked have time.
#[derive(Debug, Serialize, Deserialize)]
struct Deadline {
    /// By the wall clock, in milliseconds UTC.
    until_millis: i64,
}

/// The programs of an attempt's app.
pub(super) struct Closing<'a> {
    workplace: &'a Workplace,
    folder: &'a AttemptFolder,
    task: &'a Task,
    how: RunningPrograms,
    names: ProgramNames,
}

impl<'a> Closing<'a> {
    /// `None` where nothing of the app's name is to be closed.
    pub(super) fn of(
        workplace: &'a Workplace,
        folder: &'a AttemptFolder,
        task: &'a Task,
    ) -> Option<Self> {
        let how = task.running_programs?;
        let names = ProgramNames::of_app(&task.app_name, Names::of_this_system());
        (!names.is_empty()).then_some(Self {
            workplace,
            folder,
            task,
            how,
            names,
        })
    }

    /// Those that run. Where it cannot be told, the attempt goes on as if none did.
    pub(super) async fn look(&self) -> Vec<RunningProgram> {
        let found = self
            .workplace
            .machine
            .running_programs(&self.names, self.root())
            .await;
        found.unwrap_or_else(|error| {
            tracing::warn!(attempt.id = %self.folder.attempt, "running programs stay open: {}", chain(&error));
            Vec::new()
        })
    }

    /// Has them closed, and returns when none runs any more.
    ///
    /// # Errors
    /// [`FailureCode::ProgramRunning`] where one would not end.
    pub(super) async fn close(
        &self,
        found: Vec<RunningProgram>,
        reports: &Reports,
    ) -> Result<(), Stop> {
        let left = match self.how {
            RunningPrograms::Ask { wait_secs } => {
                let wait = Duration::from_secs(wait_secs.into());
                let left = self.wait(found, wait, reports).await;
                self.end(left, EndBy::Asking, GRACE).await
            }
            RunningPrograms::Stop => {
                let left = self.end(found, EndBy::Asking, STOP_GRACE).await;
                self.end(left, EndBy::Force, FORCE_GRACE).await
            }
        };
        match left.first() {
            None => Ok(()),
            Some(first) => Err(Stop::new(
                FailureCode::ProgramRunning,
                format!(
                    "{} (process {} of the user with number {}) did not end",
                    first.name, first.process.pid, first.user
                ),
            )),
        }
    }

    /// Asks their users and waits until they are closed or the time is over; answers those that still run.
    async fn wait(
        &self,
        mut found: Vec<RunningProgram>,
        wait: Duration,
        reports: &Reports,
    ) -> Vec<RunningProgram> {
        let clock = &*self.workplace.clock;
        let until = clock.elapsed() + self.time_left(wait);
        let mut told = BTreeSet::new();
        let mut told_again = BTreeSet::new();
        let mut percent = None;
        while !found.is_empty() {
            let left = until.saturating_sub(clock.elapsed());
            if left.is_zero() {
                break;
            }
            let so_far = percent_of(wait, left);
            if percent != Some(so_far) {
                percent = Some(so_far);
                reports.waited(Phase::ClosingPrograms, so_far);
            }
            for program in &found {
                let first = told.insert(program.user);
                let again = left <= LEAST_WAIT && told_again.insert(program.user);
                if first || again {
                    self.tell(program, left).await;
                }
            }
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
            found = self.look().await;
        }
        found
    }

    /// What is left of the time, by the attempt's folder; the whole time where it was not begun before.
    fn time_left(&self, wait: Duration) -> Duration {
        let path = deadline_path(self.folder.path());
        let now = self.workplace.clock.unix_millis();
        let files = self.folder.files();
        match files.read_json::<Deadline>(&path) {
            Ok(Some(deadline)) => left_until(deadline.until_millis, now, wait),
            Ok(None) => {
                let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let deadline = Deadline {
                    until_millis: now.saturating_add(millis),
                };
                if let Err(error) = files.write_json(&path, &deadline) {
                    tracing::warn!(attempt.id = %self.folder.attempt, "{}", chain(&error));
                }
                wait
            }
            Err(error) => {
                tracing::warn!(attempt.id = %self.folder.attempt, "{}", chain(&error));
                wait
            }
        }
    }

    /// Tells the user of a program; whoever cannot be told is not waited for less.
    async fn tell(&self, program: &RunningProgram, left: Duration) {
        let notice = notice(self.task, &program.name, left);
        let told = self
            .workplace
            .machine
            .notify_user(program.user, self.root(), &notice)
            .await;
        let (attempt, user) = (self.folder.attempt, program.user);
        match told {
            Ok(()) => tracing::info!(
                attempt.id = %attempt, user, program = program.name, "asked to close a running program"
            ),
            Err(error) => tracing::warn!(attempt.id = %attempt, "{}", chain(&error)),
        }
    }

    /// Ends programs and answers which run when the time for it is over, later ones included.
    async fn end(
        &self,
        mut found: Vec<RunningProgram>,
        by: EndBy,
        grace: Duration,
    ) -> Vec<RunningProgram> {
        for program in &found {
            tracing::info!(
                attempt.id = %self.folder.attempt,
                pid = program.process.pid,
                program = program.name,
                ?by,
                "ending a running program"
            );
            self.workplace.machine.end_program(program, by);
        }
        let until = self.workplace.clock.elapsed() + grace;
        while !found.is_empty() && self.workplace.clock.elapsed() < until {
            tokio::time::sleep(LOOK_SOON).await;
            found = self.look().await;
        }
        found
    }

    fn root(&self) -> Option<&'a Path> {
        self.workplace.sandbox_root.as_deref()
    }
}

fn deadline_path(folder: &Path) -> PathBuf {
    folder.join("closing.json")
}

/// What is left of a wait until then: a clock that jumped, or a desktop that was off, neither takes all of it nor adds to
/// it.
fn left_until(until_millis: i64, now_millis: i64, wait: Duration) -> Duration {
    let millis = u64::try_from(until_millis.saturating_sub(now_millis)).unwrap_or(0);
    Duration::from_millis(millis).clamp(wait.min(LEAST_WAIT), wait)
}

/// How much of the time is over.
fn percent_of(wait: Duration, left: Duration) -> u8 {
    let (wait, left) = (wait.as_millis().max(1), left.as_millis());
    u8::try_from(wait.saturating_sub(left) * 100 / wait).unwrap_or(100)
}

/// A time in words, rounded up.
fn time_text(left: Duration) -> String {
    let secs = left.as_millis().div_ceil(1000);
    match (secs.div_ceil(60), secs) {
        (_, ..=59) => format!("{secs} seconds"),
        (1, _) => "a minute".to_owned(),
        (minutes, _) => format!("{minutes} minutes"),
    }
}

fn notice(task: &Task, program: &str, left: Duration) -> Notice {
    let what = match task.kind {
        TaskKind::Install => "installed",
        TaskKind::Uninstall => "removed",
    };
    let time = time_text(left);
    let (app, version) = (&task.app_name, &task.app_version);
    Notice {
        summary: format!("Please close {program}"),
        body: format!(
            "{app} {version} is about to be {what}. Please save your work and close {program}: in {time} it will be asked to end."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_neither_takes_the_time_nor_adds_to_it() {
        let secs = Duration::from_secs;
        for (until, now, wait, left) in [
            (600_000, 100_000, 600, 500),
            (600_000, 590_000, 600, 60),
            (600_000, 9_000_000, 600, 60),
            (600_000, -9_000_000, 600, 600),
            (i64::MAX, i64::MIN, 600, 600),
            (i64::MIN, i64::MAX, 600, 60),
            (30_000, 29_000, 30, 30),
        ] {
            assert_eq!(
                left_until(until, now, secs(wait)),
                secs(left),
                "{until} {now}"
            );
        }
    }

    #[test]
    fn the_time_is_told_in_words() {
        for (millis, words) in [
            (599_700, "10 minutes"),
            (61_000, "2 minutes"),
            (60_000, "a minute"),
            (59_000, "59 seconds"),
            (3_900, "4 seconds"),
        ] {
            assert_eq!(time_text(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn the_time_is_told_in_shares() {
        let secs = Duration::from_secs;
        for (wait, left, percent) in [
            (600, 600, 0),
            (600, 300, 50),
            (600, 0, 100),
            (10, 20, 0),
            (0, 0, 100),
        ] {
            assert_eq!(percent_of(secs(wait), secs(left)), percent, "{wait} {left}");
        }
    }
}
