use std::sync::Arc;

use outfitter_api_types::jobs::{AppInstallJob, JobStatus, ListJobsQuery, ListJobsResponse};
use outfitter_api_types::time::WireTime;
use outfitter_domain::job::WireState;
use outfitter_ids::{AppId, DesktopId};
use outfitter_store::{JobFilter, JobView};

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_jobs(
    services: Arc<Services>,
    call: Call<(), ListJobsQuery>,
) -> Result<Reply<ListJobsResponse>, ApiError> {
    let project = call.project().project;
    let query = &call.query;
    let db = services.store.db();
    let mut filter = JobFilter {
        target: query.target.clone(),
        wire: query.job_status.map(wire_state),
        ..JobFilter::default()
    };
    // An id that does not exist is a filter that finds nothing.
    let nothing = || {
        Ok(Reply::new(ListJobsResponse {
            count: 0,
            items: Vec::new(),
        }))
    };
    if let Some(text) = &query.app_id {
        let Some(id) = AppId::lookup(text) else {
            return nothing();
        };
        filter.app = db.app_key(project, id).await?;
        if filter.app.is_none() {
            return nothing();
        }
    }
    if let Some(text) = &query.instance_id {
        let Some(id) = DesktopId::lookup(text) else {
            return nothing();
        };
        filter.desktop = db.desktop_key(project, id).await?;
        if filter.desktop.is_none() {
            return nothing();
        }
    }
    if filter
        .target
        .as_ref()
        .is_some_and(|text| text.contains('\0'))
    {
        // No stored name holds it, and PostgreSQL cannot look for it.
        return nothing();
    }
    let (count, jobs) = db
        .job_list(project, &filter, query.offset, query.limit)
        .await?;
    Ok(Reply::new(ListJobsResponse {
        count,
        items: jobs.into_iter().map(install_job).collect(),
    }))
}

/// A job as the contract shows it.
pub(in crate::http) fn install_job(job: JobView) -> AppInstallJob {
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
