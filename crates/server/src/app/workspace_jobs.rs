//! Batch work on desktops: jobs with one sub-job a desktop.
//!
//! What is done at once (attaching, deleting) is stored as ended. An agent push waits for the background task
//! `agent_push`; it ends at once where no way to the desktop is configured, with the command that a person can run
//! there instead.

use outfitter_domain::fleet::SubJobStatus;
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{DesktopId, WorkspaceJobId, WorkspaceSubJobId};
use outfitter_store::{
    Db, Desktop, DesktopFilter, DesktopKey, DesktopOrder, NewSubJob, Page, ProjectKey, StoreError,
    SubJobFilter, SubJobOutcome, Tx,
};
use thiserror::Error;

use super::reach::{self, ReachError};
use crate::Services;

/// Type of the job that installs agents.
pub const INSTALL_AGENTS: &str = "installAgents";
/// Type of the job that attaches desktops.
pub const ATTACH: &str = "attachDesktops";
/// Type of the job that deletes desktops.
pub const DELETE: &str = "deleteDesktops";

/// Code of a sub-job whose desktop cannot be reached.
const NO_WAY_IN: &str = "no_way_in";

/// Why agents are not installed, or a job not retried.
#[derive(Debug, Error)]
pub enum JobError {
    /// No such desktop.
    #[error("the desktop does not exist")]
    DesktopUnknown {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// No such job.
    #[error("the job does not exist")]
    JobUnknown,
    /// A job of another type, or one that has not failed.
    #[error("only a failed {INSTALL_AGENTS} job can be retried")]
    NotRetried,
    /// How desktops are reached cannot be read.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sub-job about a desktop.
pub fn sub_job(
    services: &Services,
    desktop: DesktopKey,
    attach_user: Option<String>,
    outcome: SubJobOutcome,
) -> NewSubJob {
    let now = services.clock.now();
    NewSubJob {
        id: WorkspaceSubJobId::new(services.ids.uuid(now.get())),
        desktop,
        attach_user,
        outcome,
    }
}

/// Stores a job in an open transaction; answers its id.
///
/// # Errors
/// The database's.
pub async fn start(
    services: &Services,
    tx: &Tx,
    project: ProjectKey,
    job_type: &str,
    sub_jobs: &[NewSubJob],
    now: Millis,
) -> Result<WorkspaceJobId, StoreError> {
    let id = WorkspaceJobId::new(services.ids.uuid(now.get()));
    tx.workspace_job_insert(project, id, job_type, sub_jobs, now)
        .await?;
    Ok(id)
}

/// Installs the agent on desktops; a desktop that is named twice counts once.
///
/// # Errors
/// See [`JobError`]; nothing is stored then.
pub async fn install_agents(
    services: &Services,
    project: ProjectKey,
    desktops: &[String],
) -> Result<WorkspaceJobId, JobError> {
    let now = services.clock.now();
    let tx = services.store.write().await?;
    let mut sub_jobs: Vec<NewSubJob> = Vec::new();
    for (index, text) in desktops.iter().enumerate() {
        let unknown = || JobError::DesktopUnknown { index };
        let id = DesktopId::lookup(text).ok_or_else(unknown)?;
        let desktop = tx
            .db()
            .desktop_find(project, id)
            .await?
            .ok_or_else(unknown)?;
        if sub_jobs.iter().any(|other| other.desktop == desktop.key) {
            continue;
        }
        let outcome = push(services, tx.db(), project, &desktop).await?;
        sub_jobs.push(sub_job(services, desktop.key, None, outcome));
    }
    let job = start(services, &tx, project, INSTALL_AGENTS, &sub_jobs, now).await?;
    tx.push_enqueue(job).await?;
    tx.commit().await?;
    services.background.pushes.nudge();
    Ok(job)
}

/// Runs the failed part of a failed job again.
///
/// # Errors
/// See [`JobError`]; nothing is stored then.
pub async fn retry(
    services: &Services,
    project: ProjectKey,
    job: &str,
) -> Result<WorkspaceJobId, JobError> {
    let id = WorkspaceJobId::lookup(job).ok_or(JobError::JobUnknown)?;
    let tx = services.store.write().await?;
    let job = tx
        .db()
        .workspace_job_find(project, id)
        .await?
        .ok_or(JobError::JobUnknown)?;
    if job.job_type != INSTALL_AGENTS || job.status != SubJobStatus::Failed {
        return Err(JobError::NotRetried);
    }
    let filter = SubJobFilter {
        job: Some(id),
        status: Some(SubJobStatus::Failed.as_str().to_owned()),
        ..SubJobFilter::default()
    };
    let failed = tx
        .db()
        .sub_job_list(project, &filter, Page::ALL)
        .await?
        .items;
    let of_failed = DesktopFilter {
        ids: Some(failed.iter().map(|sub_job| sub_job.desktop_id).collect()),
        ..DesktopFilter::default()
    };
    let desktops = tx
        .db()
        .desktop_list(project, &of_failed, DesktopOrder::default(), Page::ALL)
        .await?
        .items;
    let mut outcomes = Vec::new();
    for sub_job in &failed {
        let desktop = desktops
            .iter()
            .find(|desktop| desktop.key == sub_job.desktop);
        let outcome = match desktop {
            None => failed_with("desktop_deleted", "The desktop was deleted.".to_owned()),
            Some(desktop) => push(services, tx.db(), project, desktop).await?,
        };
        outcomes.push((sub_job.key, outcome));
    }
    tx.sub_jobs_retry(&outcomes, services.clock.now()).await?;
    tx.push_enqueue(id).await?;
    tx.commit().await?;
    services.background.pushes.nudge();
    Ok(id)
}

/// How pushing the agent onto a desktop begins: it waits for the background task where a way in is configured.
async fn push(
    services: &Services,
    db: Db<'_>,
    project: ProjectKey,
    desktop: &Desktop,
) -> Result<SubJobOutcome, ReachError> {
    let target = reach::effective(services, db, project, desktop).await?;
    Ok(
        if target.is_some() && super::push::is_pushed_to(desktop.os_type) {
            SubJobOutcome::WAITING
        } else {
            no_way_in(services, desktop)
        },
    )
}

/// A desktop without a way in: the answer is the command for a person at the desktop (contract, section 9).
pub(super) fn no_way_in(services: &Services, desktop: &Desktop) -> SubJobOutcome {
    let (program, state_dir) = match desktop.os_type {
        OsType::Windows => ("outfitter-agent.exe", "\"%ProgramData%\\Outfitter\""),
        OsType::Linux | OsType::Other => ("outfitter-agent", "/var/lib/outfitter-agent"),
    };
    let command = format!(
        "{program} enroll --server {} --token TOKEN --state-dir {state_dir} --name {} && {program} run --state-dir {state_dir}",
        services.endpoints.agent_endpoint, desktop.name
    );
    failed_with(NO_WAY_IN, format!("{} {command}", RUN_THERE.0))
}

/// What comes before the command.
pub(super) const RUN_THERE: (&str, &str) = (
    "no way to reach this desktop is configured; run there, as administrator and with an enrollment token in place of TOKEN:",
    "未设置此桌面的连接方式。请在该桌面上以管理员身份运行以下命令，并将 TOKEN 替换为注册令牌：",
);

/// A failure with its code.
pub(super) fn failed_with(code: &str, reason: String) -> SubJobOutcome {
    SubJobOutcome {
        status: SubJobStatus::Failed,
        error_code: Some(code.to_owned()),
        fail_reason: Some(reason),
    }
}
