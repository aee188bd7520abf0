use std::sync::Arc;

use outfitter_agent_protocol::TaskKind;
use outfitter_api_types::jobs::{AppInstallJob, JobStatus, ListJobsQuery, ListJobsResponse};
use outfitter_api_types::native::deployments::DeploymentKind;
use outfitter_api_types::native::events::JobEvent;
use outfitter_api_types::native::jobs::{ListAppJobsQuery, ListAppJobsResponse};
use outfitter_api_types::time::WireTime;
use outfitter_domain::job::WireState;
use outfitter_ids::{AppId, DesktopId, JobId};
use outfitter_store::{Db, JobFilter, JobLive, JobView, ProjectKey, StoreError};

use super::attempts::{phase, proof};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_jobs(
    services: Arc<Services>,
    call: Call<(), ListJobsQuery>,
) -> Result<Reply<ListJobsResponse>, ApiError> {
    let project = call.project().project;
    let query = &call.query;
    let db = services.store.db();
    let named = Named {
        // The contract speaks of installs alone: an uninstall that went well would read as an install.
        kind: Some(TaskKind::Install),
        app: query.app_id.as_deref(),
        desktop: query.instance_id.as_deref(),
        target: query.target.as_deref(),
        status: query.job_status,
        unverified: false,
    };
    let Some(filter) = filter(&db, project, &named).await? else {
        return Ok(Reply::new(ListJobsResponse {
            count: 0,
            items: Vec::new(),
        }));
    };
    let (count, jobs) = db
        .job_list(project, &filter, query.offset, query.limit)
        .await?;
    Ok(Reply::new(ListJobsResponse {
        count,
        items: jobs.into_iter().map(install_job).collect(),
    }))
}

pub(super) async fn list_app_jobs(
    services: Arc<Services>,
    call: Call<(), ListAppJobsQuery>,
) -> Result<Reply<ListAppJobsResponse>, ApiError> {
    let project = call.project().project;
    let query = &call.query;
    let db = services.store.db();
    let named = Named {
        kind: query.kind.map(|kind| match kind {
            DeploymentKind::Install => TaskKind::Install,
            DeploymentKind::Uninstall => TaskKind::Uninstall,
        }),
        app: query.app_id.as_deref(),
        desktop: query.desktop_id.as_deref(),
        target: query.target.as_deref(),
        status: query.job_status,
        unverified: query.unverified,
    };
    let Some(filter) = filter(&db, project, &named).await? else {
        return Ok(Reply::new(ListAppJobsResponse {
            count: 0,
            items: Vec::new(),
        }));
    };
    let (count, jobs) = db
        .job_list(project, &filter, query.offset, query.limit)
        .await?;
    let keys: Vec<_> = jobs.iter().map(|job| job.key).collect();
    // By key, so the oldest first.
    let live = db.job_live(&keys).await?;
    Ok(Reply::new(ListAppJobsResponse {
        count,
        items: live.iter().rev().map(live_job).collect(),
    }))
}

pub(super) async fn show_app_job(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<JobEvent>, ApiError> {
    let db = services.store.db();
    let found = match JobId::lookup(call.path("job_id")) {
        Some(id) => db.job_find(call.project().project, id).await?,
        None => None,
    };
    let live = match found {
        Some(job) => db.job_live(&[job]).await?,
        None => Vec::new(),
    };
    let job = live.first().ok_or(ApiError::NotFound { noun: "job" })?;
    Ok(Reply::new(live_job(job)))
}

/// What a list of jobs is asked for.
struct Named<'a> {
    kind: Option<TaskKind>,
    app: Option<&'a str>,
    desktop: Option<&'a str>,
    target: Option<&'a str>,
    status: Option<JobStatus>,
    unverified: bool,
}

/// The filter; `None` where it finds nothing, as one does that names an id which does not exist.
async fn filter(
    db: &Db<'_>,
    project: ProjectKey,
    named: &Named<'_>,
) -> Result<Option<JobFilter>, StoreError> {
    let mut filter = JobFilter {
        target: named.target.map(str::to_owned),
        wire: named.status.map(wire_state),
        kind: named.kind,
        unverified: named.unverified,
        ..JobFilter::default()
    };
    if let Some(text) = named.app {
        filter.app = match AppId::lookup(text) {
            Some(id) => db.app_key(project, id).await?,
            None => None,
        };
        if filter.app.is_none() {
            return Ok(None);
        }
    }
    if let Some(text) = named.desktop {
        filter.desktop = match DesktopId::lookup(text) {
            Some(id) => db.desktop_key(project, id).await?,
            None => None,
        };
        if filter.desktop.is_none() {
            return Ok(None);
        }
    }
    // No stored name holds a NUL, and PostgreSQL cannot look for it.
    if named.target.is_some_and(|text| text.contains('\0')) {
        return Ok(None);
    }
    Ok(Some(filter))
}

/// A job as our own routes show it.
pub(in crate::http) fn live_job(live: &JobLive) -> JobEvent {
    JobEvent {
        job: install_job(live.view.clone()),
        kind: match live.view.kind {
            TaskKind::Install => DeploymentKind::Install,
            TaskKind::Uninstall => DeploymentKind::Uninstall,
        },
        deployment_id: live.view.deployment.to_string(),
        reason: live.view.reason.map(|reason| reason.code().to_owned()),
        proof: live.view.proof.map(proof),
        phase: live.phase.map(phase),
        percent: live.percent,
        bytes_per_second: live.bytes_per_second,
        restart_pending: live.view.restart_pending,
    }
}

/// A job as the contract shows it.
fn install_job(job: JobView) -> AppInstallJob {
    AppInstallJob {
        id: job.id.to_string(),
        app_id: job.app.to_string(),
        app_name: Some(job.app_name),
        app_version: Some(job.app_version),
        instance_id: Some(job.desktop.to_string()),
        instance_sid: None,
        instance_name: Some(job.desktop_name),
        operator: Some(job.operator),
        target: job.target,
        job_status: job_status(job.state.wire()),
        error_message: job.message.filter(|_| job.state.wire() == WireState::Fail),
        create_time: WireTime::from_unix_millis(job.created_at.get()),
        update_time: Some(WireTime::from_unix_millis(job.updated_at.get())),
    }
}

/// The state a filter names.
pub(in crate::http) fn wire_state(status: JobStatus) -> WireState {
    match status {
        JobStatus::Init => WireState::Init,
        JobStatus::Waiting => WireState::Waiting,
        JobStatus::Success => WireState::Success,
        JobStatus::Fail => WireState::Fail,
    }
}

fn job_status(wire: WireState) -> JobStatus {
    match wire {
        WireState::Init => JobStatus::Init,
        WireState::Waiting => JobStatus::Waiting,
        WireState::Success => JobStatus::Success,
        WireState::Fail => JobStatus::Fail,
    }
}
