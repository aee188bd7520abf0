use std::sync::Arc;

use outfitter_api_types::jobs::ListJobsResponse;
use outfitter_api_types::native::deployments::ListDeploymentJobsQuery;

use super::actions::named;
use crate::Services;
use crate::http::jobs::{install_job, wire_state};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_deployment_jobs(
    services: Arc<Services>,
    call: Call<(), ListDeploymentJobsQuery>,
) -> Result<Reply<ListJobsResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let deployment = named(&services, &call).await?;
    let query = &call.query;
    let wire = query.job_status.map(wire_state);
    let (count, jobs) = db
        .deployment_job_list(project, deployment.key, wire, query.offset, query.limit)
        .await?;
    Ok(Reply::new(ListJobsResponse {
        count,
        items: jobs.into_iter().map(install_job).collect(),
    }))
}
