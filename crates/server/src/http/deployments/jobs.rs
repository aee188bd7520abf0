use std::collections::HashMap;
use std::sync::Arc;

use outfitter_api_types::native::deployments::ListDeploymentJobsQuery;
use outfitter_api_types::native::jobs::ListAppJobsResponse;

use super::actions::named;
use crate::Services;
use crate::http::jobs::{live_job, wire_state};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_deployment_jobs(
    services: Arc<Services>,
    call: Call<(), ListDeploymentJobsQuery>,
) -> Result<Reply<ListAppJobsResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let deployment = named(&services, &call).await?;
    let query = &call.query;
    let wire = query.job_status.map(wire_state);
    let (count, jobs) = db
        .deployment_job_list(project, deployment.key, wire, query.offset, query.limit)
        .await?;
    let places: HashMap<_, _> = (0..)
        .zip(&jobs)
        .map(|(place, job)| (job.key, place))
        .collect();
    let keys: Vec<_> = jobs.iter().map(|job| job.key).collect();
    // By key; the page is by desktop and app.
    let mut live = db.job_live(&keys).await?;
    live.sort_by_key(|job| places.get(&job.view.key).copied().unwrap_or(usize::MAX));
    Ok(Reply::new(ListAppJobsResponse {
        count,
        items: live.iter().map(live_job).collect(),
    }))
}
