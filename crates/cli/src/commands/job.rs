use outfitter_api_types::jobs::{AppInstallJob, BatchOperateJobsReq, JobStatus};
use outfitter_api_types::native::attempts::{Attempt, Proof, Receipt};
use outfitter_api_types::native::cancel::{CancelJobsReq, CancelResponse};
use serde::de::IgnoredAny;
use serde_json::json;

use super::deployment::cancel_view;
use super::{Session, counted, job_verify, note_cut, word};
use crate::args::job::{JobCommand, ListJobsArgs};
use crate::follow::{self, EndedJob};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Printer, Shade, TableView, View};

pub(super) async fn run(
    command: JobCommand,
    printer: Printer,
    open: impl FnOnce() -> Result<Session, CommandError>,
) -> Result<Outcome, CommandError> {
    match command {
        JobCommand::Verify(args) => job_verify::run(args, printer, open).await,
        JobCommand::Receipt(args) => {
            let session = &open()?;
            let receipt = job_verify::export(&args.job, args.attempt, session).await?;
            let text = serde_json::to_string_pretty(&receipt)
                .map_err(|error| CommandError::because("cannot write the receipt", error))?;
            // The same for people: it is to be kept in a file.
            session.printer.show(&receipt, || View::Block(text + "\n"));
            Ok(Outcome::Done)
        }
        JobCommand::List(args) => list(args, &open()?).await,
        JobCommand::Show(args) => show(&args.job, &open()?).await,
        JobCommand::Retry(args) => {
            let session = &open()?;
            let body = BatchOperateJobsReq {
                items: args.jobs.jobs,
            };
            let _: IgnoredAny = session.client.post(paths::JOBS_RETRY, &body).await?;
            if args.wait {
                return wait(&body.items, session, args.limit.limit()).await;
            }
            session.printer.show(&json!({"retried": body.items}), || {
                View::Line(format!(
                    "{} will be tried again",
                    counted(body.items.len(), "job")
                ))
            });
            Ok(Outcome::Done)
        }
        JobCommand::Cancel(args) => {
            let session = &open()?;
            let body = CancelJobsReq { items: args.jobs };
            let answer: CancelResponse = session.client.post(paths::JOBS_CANCEL, &body).await?;
            session.printer.show(&answer, || cancel_view(&answer));
            Ok(Outcome::Done)
        }
        JobCommand::Delete(args) => {
            let session = &open()?;
            let body = BatchOperateJobsReq { items: args.jobs };
            let _: IgnoredAny = session.client.post(paths::JOBS_DELETE, &body).await?;
            session.printer.show(&json!({"deleted": body.items}), || {
                View::Line(format!("{} deleted", counted(body.items.len(), "job")))
            });
            Ok(Outcome::Done)
        }
        JobCommand::Wait(args) => wait(&args.jobs.jobs, &open()?, args.limit.limit()).await,
    }
}

async fn wait(
    job_ids: &[String],
    session: &Session,
    limit: std::time::Duration,
) -> Result<Outcome, CommandError> {
    let jobs = follow::jobs(session, job_ids, limit).await?;
    session.printer.show(&jobs, || follow::jobs_view(&jobs));
    let succeeded = |ended: &&EndedJob| ended.job.job_status == JobStatus::Success;
    Ok(Outcome::of_counts(
        jobs.iter().filter(succeeded).count(),
        jobs.len(),
    ))
}

async fn list(args: ListJobsArgs, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    // The contract's list knows installs alone, and not how well they are proven.
    let native = args.uninstalls || args.unverified;
    let mut filters = Vec::new();
    if let Some(app) = &args.app {
        filters.push(("app_id", listing::app_id(client, app).await?));
    }
    if let Some(desktop) = &args.desktop {
        let name = if native { "desktop_id" } else { "instance_id" };
        filters.push((name, listing::desktop_id(client, desktop).await?));
    }
    if let Some(user) = args.user {
        filters.push(("target", user));
    }
    if let Some(status) = args.status {
        filters.push(("job_status", word(&JobStatus::from(status))));
    }
    if args.unverified {
        filters.push(("unverified", "true".to_owned()));
    }
    let list = if native {
        let kind = if args.uninstalls {
            "uninstall"
        } else {
            "install"
        };
        filters.push(("kind", kind.to_owned()));
        listing::APP_JOBS
    } else {
        listing::JOBS
    };
    let listing: Listing<AppInstallJob> = list.fetch(client, &filters, args.list.limit).await?;
    session.printer.show(&listing, || {
        View::Table(TableView {
            head: ["id", "app", "version", "desktop", "user", "status", "why"]
                .map(str::to_owned)
                .into(),
            rows: listing.items.iter().map(row).collect(),
            empty: "there are no such jobs",
        })
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

fn row(job: &AppInstallJob) -> Vec<Shade> {
    let status = word(&job.job_status);
    let text = |value: &Option<String>| Shade::from(value.clone().unwrap_or_default());
    vec![
        job.id.clone().into(),
        text(&job.app_name),
        text(&job.app_version),
        text(&job.instance_name),
        text(&job.target),
        match job.job_status {
            JobStatus::Success => Shade::Good(status),
            JobStatus::Fail => Shade::Bad(status),
            JobStatus::Init | JobStatus::Waiting => Shade::Doubtful(status),
        },
        text(&job.error_message),
    ]
}

async fn show(job_id: &str, session: &Session) -> Result<Outcome, CommandError> {
    let attempts: Listing<Attempt> =
        listing::fetch_below(&session.client, &paths::attempts(job_id), usize::MAX).await?;
    session.printer.show(&attempts, || {
        if attempts.items.is_empty() {
            return View::Line("the job was not handed out yet".to_owned());
        }
        View::Several(attempts.items.iter().map(attempt_view).collect())
    });
    Ok(Outcome::Done)
}

/// The phase with what is known of it while it goes on.
fn phase_so_far(attempt: &Attempt, phase: String) -> String {
    if attempt.ended_at.is_some() {
        return phase;
    }
    let share = attempt
        .percent
        .map_or_else(String::new, |percent| format!(", {percent} %"));
    let rate = match attempt.bytes_per_second {
        None => String::new(),
        Some(0) => ", waiting".to_owned(),
        Some(rate) => format!(", {rate} bytes per second"),
    };
    format!("{phase}{share}{rate}")
}

/// The phases of an ended attempt with the seconds that each took, by the desktop's clock.
fn timeline(receipt: &Receipt) -> String {
    let ends = receipt
        .phases
        .iter()
        .skip(1)
        .map(|mark| mark.started_at)
        .chain([receipt.ended_at]);
    let phases: Vec<String> = receipt
        .phases
        .iter()
        .zip(ends)
        .map(|(mark, end)| {
            let seconds = (end.unix_millis() - mark.started_at.unix_millis()).max(0) / 1000;
            format!("{} {seconds} s", word(&mark.phase))
        })
        .collect();
    phases.join(", ")
}

fn attempt_view(attempt: &Attempt) -> View {
    let mut members = vec![
        ("attempt", format!("{} ({})", attempt.number, attempt.id)),
        ("version", attempt.app_version.clone()),
        ("state", word(&attempt.state)),
        ("handed out", attempt.leased_at.to_string()),
    ];
    if let Some(phase) = &attempt.phase {
        members.push(("phase", phase_so_far(attempt, word(phase))));
    }
    if let Some(ended) = &attempt.ended_at {
        members.push(("ended", ended.to_string()));
    }
    if let Some(outcome) = &attempt.outcome {
        members.push(("outcome", outcome.replace('_', " ")));
    }
    let Some(receipt) = &attempt.receipt else {
        return View::Card(members);
    };
    members.push((
        "proof",
        match receipt.proof {
            Some(Proof::DetectionRule) => "verified: the detection rule holds",
            Some(Proof::Manifest) => "verified: every unpacked file is there",
            Some(Proof::AlreadyInstalled) => "verified: it was there before, nothing was run",
            Some(Proof::AlreadyAbsent) => "verified: it was not there, nothing was run",
            Some(Proof::ExitCodeOnly) => "unverified: the exit code alone",
            Some(Proof::ReceiptInvalid) => "not proven: the receipt does not verify",
            None => "none",
        }
        .to_owned(),
    ));
    members.push(("signature", word(&receipt.signature)));
    for (name, value) in [
        ("not valid", &receipt.signature_problem),
        ("failure", &receipt.failure),
        ("detail", &receipt.failure_detail),
        ("command", &receipt.command),
        ("sha256", &receipt.package_sha256),
        ("sandbox", &receipt.sandbox_root),
    ] {
        if let Some(value) = value {
            members.push((name, value.clone()));
        }
    }
    if let Some(code) = receipt.exit_code {
        members.push(("exit code", code.to_string()));
    }
    if receipt.wants_restart {
        members.push(("restart", "wanted: it is whole only then".to_owned()));
    }
    for (name, seen) in [
        ("seen before", &receipt.detected_before),
        ("seen after", &receipt.detected_after),
    ] {
        if let Some(seen) = seen {
            members.push((name, seen.seen.clone()));
        }
    }
    if !receipt.phases.is_empty() {
        members.push(("phases", timeline(receipt)));
    }
    let mut views = vec![View::Card(members)];
    if let Some(tail) = receipt
        .output_tail
        .as_deref()
        .filter(|tail| !tail.trim().is_empty())
    {
        let quoted: String = tail.lines().map(|line| format!("  | {line}\n")).collect();
        views.push(View::Block(quoted));
    }
    View::Several(views)
}
