use std::sync::Arc;

use outfitter_api_types::workspace_jobs::{ListItaSubJobsQuery, ListItaSubJobsResponse};
use outfitter_ids::WorkspaceJobId;
use outfitter_store::{Page, SubJobFilter};

use super::wire;
use crate::Services;
use crate::http::{ApiError, Call, Reply};

/// The page when the request says 0 (contract, section 1).
const LIMIT_DEFAULT: i64 = 1000;

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListItaSubJobsQuery>,
) -> Result<Reply<ListItaSubJobsResponse>, ApiError> {
    let access = call.project().clone();
    let query = call.query;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let job = given(query.job_id);
    let known_job = job.as_deref().and_then(WorkspaceJobId::lookup);
    // No sub-job of ours is about a pool, and none belongs to a job that cannot be.
    if given(query.desktop_pool_id).is_some() || (job.is_some() && known_job.is_none()) {
        return Ok(Reply::new(ListItaSubJobsResponse {
            total_count: Some(0),
            jobs: Some(Vec::new()),
        }));
    }
    let filter = SubJobFilter {
        ids: None,
        job: known_job,
        job_type: given(query.job_type),
        status: given(query.status),
    };
    let page = Page {
        offset: query.offset.unwrap_or(0),
        limit: match query.limit {
            0 => LIMIT_DEFAULT,
            limit => limit,
        },
    };
    let listed = services
        .store
        .db()
        .sub_job_list(access.project, &filter, page)
        .await?;
    Ok(Reply::new(ListItaSubJobsResponse {
        total_count: Some(listed.total),
        jobs: Some(
            listed
                .items
                .into_iter()
                .map(|sub_job| wire(access.id, sub_job))
                .collect(),
        ),
    }))
}
