use std::sync::Arc;

use outfitter_api_types::workspace_jobs::{
    JobAction, JobActionsReq, RunActionsOnWorkspaceJobResponse,
};

use crate::Services;
use crate::app::workspace_jobs;
use crate::http::desktops::job_refused;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn retry(
    services: Arc<Services>,
    call: Call<JobActionsReq>,
) -> Result<Reply<RunActionsOnWorkspaceJobResponse>, ApiError> {
    let JobAction::Retry = call.body.op_type;
    let job = workspace_jobs::retry(&services, call.project().project, call.path("job_id"))
        .await
        .map_err(job_refused)?;
    Ok(Reply::new(RunActionsOnWorkspaceJobResponse {
        job_id: Some(job.to_string()),
    }))
}
