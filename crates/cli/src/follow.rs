//! Follows jobs to their end, with a bar per desktop, and asks what proves each success.
//!
//! It only reads: giving up (time, Ctrl-C) leaves the jobs as they are. Where nobody watches a terminal every
//! ended job is a line.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use outfitter_api_types::jobs::{AppInstallJob, JobStatus};
use outfitter_api_types::native::attempts::{Attempt, ListAttemptsResponse, Proof};
use outfitter_api_types::native::deployments::{Deployment, DeploymentCounts, DeploymentState};
use outfitter_api_types::native::events::JobEvent;
use outfitter_client::{Client, ClientError};
use serde::Serialize;

use crate::commands::Session;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Printer, Shade, TableView, View};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// Most jobs of a deployment that are followed one by one; above it only the counters are.
const SINGLE_JOBS: i64 = 500;

/// Most desktops that get a bar each; above it one bar is for all.
const BARS: usize = 20;

/// Questions at once about evidence.
const QUESTIONS: usize = 8;

/// A job at its end, with what proves it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EndedJob {
    /// The job.
    #[serde(flatten)]
    pub(crate) job: AppInstallJob,
    /// What proves a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
    /// How many attempts it took.
    pub(crate) attempts: i64,
}

/// A deployment at its end.
#[derive(Debug, Serialize)]
pub(crate) struct EndedDeployment {
    /// The deployment.
    pub(crate) deployment: Deployment,
    /// Its jobs; empty where there are too many to show one by one.
    pub(crate) jobs: Vec<EndedJob>,
}

impl EndedDeployment {
    /// All, some or none of its jobs were successes.
    pub(crate) fn outcome(&self) -> Outcome {
        let DeploymentCounts {
            jobs_success,
            jobs_fail,
            ..
        } = self.deployment.counts;
        match (jobs_success, jobs_fail) {
            (0, _) => Outcome::Failed,
            (_, 0) => Outcome::Done,
            _ => Outcome::PartlyFailed,
        }
    }
}

/// Follows a deployment until every job of it has ended.
///
/// # Errors
/// The server, or `limit` is over.
pub(crate) async fn deployment(
    session: &Session,
    deployment_id: &str,
    limit: Duration,
) -> Result<EndedDeployment, CommandError> {
    let path = paths::one(paths::DEPLOYMENTS, deployment_id);
    let begun = Instant::now();
    let mut board = Board::new(session.printer);
    loop {
        let deployment: Deployment = session
            .client
            .get(&path, &[("limit", "1000".to_owned())])
            .await?;
        let counts = &deployment.counts;
        let all = counts.jobs_init + counts.jobs_waiting + counts.jobs_success + counts.jobs_fail;
        let jobs = if all <= SINGLE_JOBS && deployment.state != DeploymentState::Expanding {
            jobs_of(&session.client, &deployment).await?
        } else {
            Vec::new()
        };
        let expected = usize::try_from(all).unwrap_or(usize::MAX);
        let known =
            all > SINGLE_JOBS || jobs.iter().filter(|job| has_ended(job)).count() == expected;
        board.show(counts, &jobs);
        if deployment.state == DeploymentState::Ended && known {
            board.finish();
            let jobs = evidence(&session.client, jobs).await?;
            return Ok(EndedDeployment { deployment, jobs });
        }
        if begun.elapsed() > limit {
            board.finish();
            return Err(CommandError::failed(format!(
                "deployment {deployment_id} has not ended within {} s: {} of {all} jobs are open",
                limit.as_secs(),
                counts.jobs_init + counts.jobs_waiting
            ))
            .hint("the jobs go on; `outfitter deployment wait` follows them again"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows jobs until each has ended.
///
/// # Errors
/// The server, an unknown job, or `limit` is over.
pub(crate) async fn jobs(
    session: &Session,
    job_ids: &[String],
    limit: Duration,
) -> Result<Vec<EndedJob>, CommandError> {
    let begun = Instant::now();
    let mut board = Board::new(session.printer);
    let mut open: BTreeSet<&str> = job_ids.iter().map(String::as_str).collect();
    let mut known: BTreeMap<String, AppInstallJob> = BTreeMap::new();
    loop {
        for id in &open {
            let path = paths::one(paths::APP_JOBS, id);
            let seen: Result<JobEvent, ClientError> = session.client.get(&path, &[]).await;
            match seen {
                Ok(seen) => known.insert((*id).to_owned(), seen.job),
                Err(error) => {
                    board.finish();
                    return Err(error.into());
                }
            };
        }
        open.retain(|id| known.get(*id).is_none_or(|job| !has_ended(job)));
        let all: Vec<AppInstallJob> = known.values().cloned().collect();
        board.show(&counts_of(&all), &all);
        if open.is_empty() {
            board.finish();
            return Ok(evidence(&session.client, all).await?);
        }
        if begun.elapsed() > limit {
            board.finish();
            return Err(CommandError::failed(format!(
                "{} of {} jobs have not ended within {} s",
                open.len(),
                job_ids.len(),
                limit.as_secs()
            ))
            .hint("the jobs go on; `outfitter job wait` follows them again"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Jobs as a table, and under it why those that failed did.
pub(crate) fn jobs_view(jobs: &[EndedJob]) -> View {
    let table = View::Table(TableView {
        head: ["app", "version", "desktop", "result"]
            .map(str::to_owned)
            .into(),
        rows: jobs
            .iter()
            .map(|ended| {
                let job = &ended.job;
                vec![
                    job.app_name.clone().unwrap_or_default().into(),
                    job.app_version.clone().unwrap_or_default().into(),
                    desktop_name(job).into(),
                    verdict(ended),
                ]
            })
            .collect(),
        empty: "no desktop was reached",
    });
    let reasons: String = reasons(jobs)
        .into_iter()
        .map(|(app, message, desktops)| {
            format!("{app} failed on {}: {message}\n", desktops.join(", "))
        })
        .collect();
    if reasons.is_empty() {
        table
    } else {
        View::Several(vec![table, View::Block(reasons)])
    }
}

/// Why jobs failed: application, message and the desktops it happened on; each reason once.
pub(crate) fn reasons(jobs: &[EndedJob]) -> Vec<(&str, &str, Vec<String>)> {
    let mut reasons: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for ended in jobs {
        let Some(message) = ended.job.error_message.as_deref() else {
            continue;
        };
        let app = ended.job.app_name.as_deref().unwrap_or_default();
        let desktop = desktop_name(&ended.job);
        match reasons
            .iter_mut()
            .find(|(of, said, _)| (*of, *said) == (app, message))
        {
            Some((_, _, desktops)) => desktops.push(desktop),
            None => reasons.push((app, message, vec![desktop])),
        }
    }
    reasons
}

/// One word for how a job ended: a success without proof is not called one.
pub(crate) fn verdict(ended: &EndedJob) -> Shade {
    match ended.job.job_status {
        JobStatus::Success => match ended.proof {
            Some(Proof::DetectionRule | Proof::Manifest) => Shade::Good("verified".to_owned()),
            Some(Proof::AlreadyInstalled) => Shade::Good("already there".to_owned()),
            Some(Proof::AlreadyAbsent) => Shade::Good("was not there".to_owned()),
            Some(Proof::ExitCodeOnly) | None => Shade::Doubtful("unverified".to_owned()),
            Some(Proof::ReceiptInvalid) => Shade::Bad("receipt invalid".to_owned()),
        },
        JobStatus::Fail => Shade::Bad("failed".to_owned()),
        JobStatus::Init => Shade::Doubtful("waiting for the desktop".to_owned()),
        JobStatus::Waiting => Shade::Doubtful("running".to_owned()),
    }
}

/// Asks what proves the successes.
///
/// # Errors
/// The server.
pub(crate) async fn evidence(
    client: &Client,
    jobs: Vec<AppInstallJob>,
) -> Result<Vec<EndedJob>, ClientError> {
    stream::iter(jobs)
        .map(|job| async move {
            let attempts: ListAttemptsResponse = client
                .get(&paths::attempts(&job.id), &[("limit", "1".to_owned())])
                .await?;
            let proof = attempts
                .items
                .into_iter()
                .next()
                .and_then(|attempt: Attempt| attempt.receipt)
                .and_then(|receipt| receipt.proof);
            Ok(EndedJob {
                job,
                proof,
                attempts: attempts.count,
            })
        })
        .buffered(QUESTIONS)
        .try_collect()
        .await
}

/// The jobs that a deployment opened, by application and desktop.
async fn jobs_of(
    client: &Client,
    deployment: &Deployment,
) -> Result<Vec<AppInstallJob>, ClientError> {
    let path = paths::below(paths::DEPLOYMENTS, &deployment.id, "jobs");
    let mut jobs: Vec<AppInstallJob> = listing::fetch_below(client, &path, usize::MAX).await?.items;
    jobs.sort_by(|left, right| {
        (&left.app_id, &left.instance_id).cmp(&(&right.app_id, &right.instance_id))
    });
    Ok(jobs)
}

fn has_ended(job: &AppInstallJob) -> bool {
    matches!(job.job_status, JobStatus::Success | JobStatus::Fail)
}

fn counts_of(jobs: &[AppInstallJob]) -> DeploymentCounts {
    let of = |status| {
        i64::try_from(jobs.iter().filter(|job| job.job_status == status).count())
            .unwrap_or(i64::MAX)
    };
    DeploymentCounts {
        jobs_init: of(JobStatus::Init),
        jobs_waiting: of(JobStatus::Waiting),
        jobs_success: of(JobStatus::Success),
        jobs_unverified: 0,
        jobs_fail: of(JobStatus::Fail),
        desktops_reached: 0,
        desktops_skipped: 0,
        accounts_unknown: 0,
        authorizations_widened: 0,
    }
}

fn desktop_name(job: &AppInstallJob) -> String {
    job.instance_name
        .clone()
        .or_else(|| job.instance_id.clone())
        .unwrap_or_default()
}

/// The bars, or the lines where nobody watches.
struct Board {
    printer: Printer,
    bars: MultiProgress,
    by_desktop: BTreeMap<String, ProgressBar>,
    told: BTreeSet<String>,
    /// Per application and reason the desktop it was told of.
    reasons: BTreeMap<(String, String), String>,
}

impl Board {
    fn new(printer: Printer) -> Self {
        Self {
            printer,
            bars: MultiProgress::new(),
            by_desktop: BTreeMap::new(),
            told: BTreeSet::new(),
            reasons: BTreeMap::new(),
        }
    }

    fn show(&mut self, counts: &DeploymentCounts, jobs: &[AppInstallJob]) {
        if !self.printer.draws() {
            self.tell(jobs);
            return;
        }
        let mut desktops: BTreeMap<String, Vec<&AppInstallJob>> = BTreeMap::new();
        for job in jobs {
            desktops.entry(desktop_name(job)).or_default().push(job);
        }
        if desktops.is_empty() || desktops.len() > BARS {
            let ended = counts.jobs_success + counts.jobs_fail;
            let all = ended + counts.jobs_init + counts.jobs_waiting;
            let message = format!(
                "{} running, {} failed",
                counts.jobs_waiting, counts.jobs_fail
            );
            self.bar("jobs", ended, all, message);
            return;
        }
        for (desktop, jobs) in desktops {
            let ended = jobs.iter().filter(|job| has_ended(job)).count();
            let now = jobs
                .iter()
                .find(|job| job.job_status == JobStatus::Waiting)
                .and_then(|job| job.app_name.clone());
            let failed: Vec<&str> = jobs
                .iter()
                .filter(|job| job.job_status == JobStatus::Fail)
                .filter_map(|job| job.app_name.as_deref())
                .collect();
            let mut message = match now {
                Some(app) => format!("installing {app}"),
                None if ended == jobs.len() => "done".to_owned(),
                None => "waiting for the desktop".to_owned(),
            };
            if !failed.is_empty() {
                message = format!("{message}; failed: {}", failed.join(", "));
            }
            let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            self.bar(&desktop, count(ended), count(jobs.len()), message);
        }
    }

    fn bar(&mut self, name: &str, position: i64, length: i64, message: String) {
        let length = u64::try_from(length).unwrap_or(0);
        let position = u64::try_from(position).unwrap_or(0);
        if let Some(bar) = self.by_desktop.get(name) {
            bar.set_length(length);
            bar.set_position(position);
            bar.set_message(message);
            return;
        }
        // Everything is set before the first drawing: an empty bar is drawn as a full one.
        let bar = self.bars.add(
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
                .with_style(
                    ProgressStyle::with_template(
                        "  {prefix:16} {bar:20.green/dim} {pos}/{len} {wide_msg}",
                    )
                    .expect("the template is well formed")
                    .progress_chars("━━─"),
                )
                .with_prefix(name.to_owned())
                .with_message(message)
                .with_position(position),
        );
        bar.tick();
        self.by_desktop.insert(name.to_owned(), bar);
    }

    fn tell(&mut self, jobs: &[AppInstallJob]) {
        for job in jobs.iter().filter(|job| has_ended(job)) {
            if self.told.insert(job.id.clone()) {
                let app = job.app_name.as_deref().unwrap_or_default();
                let desktop = desktop_name(job);
                let end = match job.job_status {
                    JobStatus::Fail => {
                        let reason = job.error_message.as_deref().unwrap_or("no reason given");
                        match self.reasons.entry((app.to_owned(), reason.to_owned())) {
                            Entry::Occupied(first) => format!("FAIL, as on {}", first.get()),
                            Entry::Vacant(entry) => {
                                entry.insert(desktop.clone());
                                format!("FAIL: {reason}")
                            }
                        }
                    }
                    _ => "SUCCESS".to_owned(),
                };
                self.printer.note(format!("  {desktop}  {app}  {end}"));
            }
        }
    }

    /// The bars stay as they are last.
    fn finish(&self) {
        for bar in self.by_desktop.values() {
            bar.abandon();
        }
    }
}
