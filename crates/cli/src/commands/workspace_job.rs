use std::time::{Duration, Instant};

use outfitter_api_types::workspace_jobs::{
    DeleteSubJobsReq, JobAction, JobActionsReq, JobDetailInfo, RunActionsOnWorkspaceJobResponse,
    ShowJobResponse, SubJobEndStatus,
};
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut, table, text, work_state};
use crate::args::workspace_job::{
    DeleteSubJobsArgs, ListSubJobsArgs, RetryWorkspaceJobArgs, WorkspaceJobCommand,
};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(
    command: WorkspaceJobCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    match command {
        WorkspaceJobCommand::List(args) => list(args, session).await,
        WorkspaceJobCommand::Show(args) => {
            let job = fetch(&args.job, session).await?;
            session.printer.show(&job, || view(&job));
            Ok(Outcome::Done)
        }
        WorkspaceJobCommand::Wait(args) => wait(&args.job.job, session, args.limit.limit()).await,
        WorkspaceJobCommand::Retry(args) => retry(args, session).await,
        WorkspaceJobCommand::Delete(args) => delete(args, session).await,
    }
}

async fn list(args: ListSubJobsArgs, session: &Session) -> Result<Outcome, CommandError> {
    let mut filters = Vec::new();
    if let Some(job) = args.job {
        filters.push(("job_id", job));
    }
    if let Some(job_type) = args.job_type {
        filters.push(("job_type", job_type));
    }
    if let Some(status) = args.status {
        filters.push(("status", status.word().to_owned()));
    }
    let listing: Listing<JobDetailInfo> = listing::SUB_JOBS
        .fetch(&session.client, &filters, args.list.limit)
        .await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|sub_job| {
            let mut row = vec![
                text(&sub_job.id).into(),
                text(&sub_job.job_id).into(),
                text(&sub_job.job_type).into(),
            ];
            row.extend(sub_row(sub_job));
            row
        });
        table(
            &["id", "job", "type", "desktop", "status", "why"],
            rows.collect(),
            "there are no such sub-jobs",
        )
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

fn sub_row(sub_job: &JobDetailInfo) -> Vec<Shade> {
    let desktop = sub_job.desktop_name.clone().or_else(|| {
        let entities = sub_job.entities.as_ref()?;
        entities
            .desktop_name
            .clone()
            .or_else(|| entities.desktop_id.clone())
    });
    vec![
        text(&desktop).into(),
        work_state(&sub_job.status),
        text(&sub_job.fail_reason).into(),
    ]
}

async fn fetch(job_id: &str, session: &Session) -> Result<ShowJobResponse, CommandError> {
    let path = paths::one(paths::WORKSPACE_JOBS, job_id);
    Ok(session.client.get(&path, &[]).await?)
}

fn view(job: &ShowJobResponse) -> View {
    let mut members = vec![
        ("job", text(&job.id)),
        ("type", text(&job.job_type)),
        ("status", text(&job.status)),
    ];
    for (name, time) in [("began", &job.begin_time), ("ended", &job.end_time)] {
        if let Some(time) = time {
            members.push((name, time.to_string()));
        }
    }
    let sub_jobs = job.sub_jobs.as_deref().unwrap_or_default();
    // A reason may hold a command to run by hand, which a column would break into pieces.
    let reasons = sub_jobs.iter().filter_map(|sub_job| {
        let why = sub_job.fail_reason.as_deref()?;
        let desktop = sub_row(sub_job)[0].text().to_owned();
        Some(View::Line(format!("{desktop}: {why}")))
    });
    let rows = sub_jobs.iter().map(|sub_job| {
        let mut row = vec![text(&sub_job.id).into()];
        row.extend(sub_row(sub_job).into_iter().take(2));
        row
    });
    let mut views = vec![
        View::Card(members),
        table(
            &["sub-job", "desktop", "status"],
            rows.collect(),
            "the job has no sub-jobs",
        ),
    ];
    views.extend(reasons);
    View::Several(views)
}

/// Follows a workspace job until it has ended, and shows it.
///
/// # Errors
/// The server, or `limit` is over.
pub(super) async fn wait(
    job_id: &str,
    session: &Session,
    limit: Duration,
) -> Result<Outcome, CommandError> {
    let begun = Instant::now();
    loop {
        let job = fetch(job_id, session).await?;
        if matches!(job.status.as_deref(), Some("SUCCESS" | "FAILED")) {
            session.printer.show(&job, || view(&job));
            let sub_jobs = job.sub_jobs.as_deref().unwrap_or_default();
            let succeeded = sub_jobs
                .iter()
                .filter(|sub_job| sub_job.status.as_deref() == Some("SUCCESS"))
                .count();
            return Ok(Outcome::of_counts(succeeded, sub_jobs.len()));
        }
        if begun.elapsed() > limit {
            return Err(CommandError::failed(format!(
                "job {job_id} has not ended within {} s",
                limit.as_secs()
            ))
            .hint("the job goes on; `outfitter workspace-job wait` follows it again"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn retry(args: RetryWorkspaceJobArgs, session: &Session) -> Result<Outcome, CommandError> {
    let path = paths::below(paths::WORKSPACE_JOBS, &args.job.job, "actions");
    let body = JobActionsReq {
        op_type: JobAction::Retry,
    };
    let answer: RunActionsOnWorkspaceJobResponse = session.client.post(&path, &body).await?;
    let job_id = text(&answer.job_id);
    if args.wait {
        return wait(&job_id, session, args.limit.limit()).await;
    }
    session.printer.show(&json!({"job_id": job_id}), || {
        View::Line(format!("what failed of job {job_id} is tried again"))
    });
    Ok(Outcome::Done)
}

async fn delete(args: DeleteSubJobsArgs, session: &Session) -> Result<Outcome, CommandError> {
    let body = DeleteSubJobsReq {
        job_ids: (!args.sub_jobs.is_empty()).then_some(args.sub_jobs),
        delete_by_status: args.ended.map(SubJobEndStatus::from),
    };
    let _: IgnoredAny = session.client.post(paths::SUB_JOBS_DELETE, &body).await?;
    session.printer.show(&body, || {
        View::Line(match &body.job_ids {
            Some(ids) => format!("{} deleted", super::counted(ids.len(), "sub-job")),
            None => "the sub-jobs that ended so are deleted".to_owned(),
        })
    });
    Ok(Outcome::Done)
}
