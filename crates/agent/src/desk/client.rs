//! The far end of the local socket: the commands of whoever sits at the desktop.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use outfitter_agent_protocol::{
    DeskAnswer, DeskApp, DeskAsk, DeskJob, DeskRefusal, MAX_DESK_ANSWER_BYTES, Phase, TaskKind,
};
use outfitter_ids::{AppId, JobId};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::platform::{self, DeskStream, PlatformError};

/// How often somebody who watches asks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskClientError {
    /// The agent does not answer.
    #[error(
        "the agent of this desktop does not answer; it may not be running (an administrator sees more with `outfitter-agent doctor --state-dir FOLDER`)"
    )]
    Unreachable(#[source] PlatformError),
    /// The connection broke, or what came is no answer.
    #[error("the agent's answer cannot be read: {0}")]
    Broken(String),
    /// No.
    #[error("{}", .0.reason)]
    Refused(DeskRefusal),
    /// There is no such app for whoever asks.
    #[error("{0}")]
    NoSuchApp(String),
    /// It was done, and failed.
    #[error("{0}")]
    Failed(String),
    /// Standard output.
    #[error("cannot write")]
    Output(#[from] std::io::Error),
}

/// What is done with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppCommand {
    /// Put it on, or its newest version.
    Install,
    /// Take it off.
    Remove,
    /// Stop what was asked for.
    Cancel,
}

/// A connection to the agent of this desktop.
pub struct DeskClient {
    stream: BufReader<DeskStream>,
}

impl DeskClient {
    /// Connects.
    ///
    /// # Errors
    /// [`DeskClientError::Unreachable`].
    pub async fn connect(socket: &Path) -> Result<Self, DeskClientError> {
        let stream = platform::connect_desk(socket)
            .await
            .map_err(DeskClientError::Unreachable)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks one question.
    ///
    /// # Errors
    /// See [`DeskClientError`]; a refusal is one.
    pub async fn ask(&mut self, ask: &DeskAsk) -> Result<DeskAnswer, DeskClientError> {
        let broken = |error: std::io::Error| DeskClientError::Broken(error.to_string());
        let mut line =
            serde_json::to_vec(ask).map_err(|error| DeskClientError::Broken(error.to_string()))?;
        line.push(b'\n');
        // Somebody who is turned away is answered before they have asked.
        drop(self.stream.get_mut().write_all(&line).await);
        let mut answer = Vec::new();
        let most = u64::try_from(MAX_DESK_ANSWER_BYTES).unwrap_or(u64::MAX);
        let mut bounded = (&mut self.stream).take(most);
        tokio::time::timeout(ANSWER_LIMIT, bounded.read_until(b'\n', &mut answer))
            .await
            .map_err(|_| DeskClientError::Broken("there is none in time".to_owned()))?
            .map_err(broken)?;
        match serde_json::from_slice(&answer) {
            Ok(DeskAnswer::Refused(refusal)) => Err(DeskClientError::Refused(refusal)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(DeskClientError::Broken(error.to_string())),
        }
    }

    /// Every app that whoever asks may have, by name, and who they are.
    ///
    /// # Errors
    /// See [`DeskClientError`].
    pub async fn apps(
        &mut self,
        name: Option<&str>,
    ) -> Result<(String, Vec<DeskApp>), DeskClientError> {
        let mut apps: Vec<DeskApp> = Vec::new();
        loop {
            let ask = DeskAsk::Apps {
                app: None,
                name: name.map(str::to_owned),
                offset: u32::try_from(apps.len()).unwrap_or(u32::MAX),
            };
            let DeskAnswer::Apps(page) = self.ask(&ask).await? else {
                return Err(unexpected());
            };
            let ends = page.items.is_empty();
            apps.extend(page.items);
            if ends || u32::try_from(apps.len()).is_ok_and(|count| count >= page.total) {
                return Ok((page.user, apps));
            }
        }
    }

    async fn app(&mut self, app: AppId) -> Result<DeskApp, DeskClientError> {
        let ask = DeskAsk::Apps {
            app: Some(app),
            name: None,
            offset: 0,
        };
        let DeskAnswer::Apps(page) = self.ask(&ask).await? else {
            return Err(unexpected());
        };
        page.items.into_iter().next().ok_or_else(|| {
            DeskClientError::NoSuchApp(
                "you may not have the application any more, or it was deleted".to_owned(),
            )
        })
    }

    /// Finds an app by its id or its whole name, whatever its case.
    ///
    /// # Errors
    /// See [`DeskClientError`].
    pub async fn find(&mut self, text: &str) -> Result<DeskApp, DeskClientError> {
        if let Some(id) = AppId::lookup(text) {
            return self.app(id).await;
        }
        let (_, apps) = self.apps(Some(text)).await?;
        let wanted = text.to_lowercase();
        let mut exact = apps.iter().filter(|app| app.name.to_lowercase() == wanted);
        match (exact.next(), exact.next()) {
            (Some(app), None) => Ok(app.clone()),
            (Some(_), Some(_)) => Err(DeskClientError::NoSuchApp(format!(
                "several applications are called {text:?}: name one by its id, from `outfitter-agent apps --json`"
            ))),
            (None, _) if apps.is_empty() => Err(DeskClientError::NoSuchApp(format!(
                "there is no application {text:?} that you may have; `outfitter-agent apps` lists them"
            ))),
            (None, _) => {
                let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
                Err(DeskClientError::NoSuchApp(format!(
                    "there is no application {text:?} that you may have; there is: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Does something with an app, writes what happens, and returns when it has ended: well, or with
    /// [`DeskClientError::Failed`].
    ///
    /// # Errors
    /// See [`DeskClientError`].
    pub async fn carry_out(
        &mut self,
        command: AppCommand,
        text: &str,
        out: &mut (impl Write + Send),
    ) -> Result<(), DeskClientError> {
        let app = self.find(text).await?;
        if command == AppCommand::Install {
            if app.standing == "installed" {
                writeln!(out, "{} {} is installed already", app.name, app.version)?;
                return Ok(());
            }
            if let Some(info) = &app.install_info {
                writeln!(out, "{}: {info}", app.name)?;
            }
        }
        let follows = command == AppCommand::Install
            && matches!(&app.job, Some(job) if job.kind == TaskKind::Install && is_live(job));
        let job = if follows {
            writeln!(out, "it is on its way already")?;
            app.job.clone()
        } else {
            let ask = match (command, &app.job) {
                (AppCommand::Install, _) => DeskAsk::Install { app: app.app },
                (AppCommand::Remove, _) => DeskAsk::Remove { app: app.app },
                (AppCommand::Cancel, Some(job)) => DeskAsk::Cancel { job: job.job },
                (AppCommand::Cancel, None) => {
                    return Err(DeskClientError::NoSuchApp(format!(
                        "nothing is being done with {}",
                        app.name
                    )));
                }
            };
            let DeskAnswer::Accepted(app) = self.ask(&ask).await? else {
                return Err(unexpected());
            };
            app.job
        };
        let job = job.ok_or_else(unexpected)?;
        self.follow(app.app, job.job, command, out).await
    }

    /// Writes where a job is until it has ended.
    async fn follow(
        &mut self,
        app: AppId,
        job: JobId,
        command: AppCommand,
        out: &mut (impl Write + Send),
    ) -> Result<(), DeskClientError> {
        let mut said = String::new();
        loop {
            let seen = self.app(app).await?;
            let Some(newest) = seen.job.as_ref().filter(|newest| newest.job == job) else {
                return Err(DeskClientError::Failed(
                    "something else was begun with the application meanwhile".to_owned(),
                ));
            };
            match newest.state.as_str() {
                "done" => {
                    let what = match newest.kind {
                        TaskKind::Install => "installed",
                        TaskKind::Uninstall => "removed",
                    };
                    let doubt = match newest.kind {
                        TaskKind::Install if !seen.verified => {
                            " (unverified: its installer says so, nothing else does)"
                        }
                        _ => "",
                    };
                    writeln!(out, "{} {} is {what}{doubt}", seen.name, seen.version)?;
                    return Ok(());
                }
                "failed" => {
                    return Err(DeskClientError::Failed(
                        newest
                            .sentence
                            .clone()
                            .unwrap_or_else(|| "It failed.".to_owned()),
                    ));
                }
                "cancelled" if command == AppCommand::Cancel => {
                    writeln!(out, "stopped")?;
                    return Ok(());
                }
                "cancelled" => {
                    return Err(DeskClientError::Failed("It was stopped.".to_owned()));
                }
                _ => {}
            }
            let now = progress(newest);
            if now != said {
                writeln!(out, "{now}")?;
                out.flush()?;
                said = now;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn is_live(job: &DeskJob) -> bool {
    matches!(job.state.as_str(), "waiting" | "running")
}

fn progress(job: &DeskJob) -> String {
    let phase = match job.phase {
        None if job.state == "running" => "begins",
        None => return "waits for its turn; this may be left, it goes on by itself".to_owned(),
        Some(Phase::Detecting) => "looks what is there",
        Some(Phase::Downloading) => "downloads",
        Some(Phase::Verifying) => "checks the package",
        Some(Phase::ClosingPrograms) => "waits until you close the program",
        Some(Phase::Running) => match job.kind {
            TaskKind::Install => "installs",
            TaskKind::Uninstall => "removes",
        },
        Some(Phase::Confirming) => "looks whether it worked",
    };
    match job.percent {
        Some(percent) => format!("{phase}, {percent} %"),
        None => phase.to_owned(),
    }
}

fn unexpected() -> DeskClientError {
    DeskClientError::Broken("it answers something else than was asked".to_owned())
}

/// A page that leads a browser to an address at once. Browsers are given the page's path, since whoever lists processes
/// sees what a browser is started with.
pub fn portal_page(address: &str) -> String {
    let escaped = address
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Outfitter</title>\
         <meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={escaped}\"></head>\n\
         <body><a href=\"{escaped}\">Open the portal</a></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_told_in_words() {
        let job = |state: &str, phase, percent| DeskJob {
            job: JobId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").expect("an id"),
            kind: TaskKind::Install,
            state: state.to_owned(),
            phase,
            percent,
            sentence: None,
        };
        assert!(progress(&job("waiting", None, None)).starts_with("waits"));
        assert_eq!(progress(&job("running", None, None)), "begins");
        let downloading = job("running", Some(Phase::Downloading), Some(40));
        assert_eq!(progress(&downloading), "downloads, 40 %");
    }

    #[test]
    fn an_address_stays_in_its_attribute() {
        let page = portal_page("http://x/portal/#ticket=a\"><script>");
        assert!(!page.contains("<script>"));
        assert!(page.contains("url=http://x/portal/#ticket=a&quot;>"));
    }
}
