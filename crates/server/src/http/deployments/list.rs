use std::sync::Arc;

use outfitter_api_types::native::deployments::{
    DeploymentState, DeploymentSummary, ListDeploymentsQuery, ListDeploymentsResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_ids::AppId;
use outfitter_store::{DeploymentFilter, DeploymentProgress, DeploymentView};

use super::{counts, fail_limit, halted_at, is_repair, kind, state};
use crate::Services;
use crate::http::apps::wire::Word as _;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_deployments(
    services: Arc<Services>,
    call: Call<(), ListDeploymentsQuery>,
) -> Result<Reply<ListDeploymentsResponse>, ApiError> {
    let query = &call.query;
    let app = match &query.app_id {
        None => None,
        Some(text) => match AppId::lookup(text) {
            Some(id) => Some(id),
            None => {
                return Ok(Reply::new(ListDeploymentsResponse {
                    count: 0,
                    items: Vec::new(),
                }));
            }
        },
    };
    let filter = DeploymentFilter {
        app,
        progress: query.state.map(|state| match state {
            DeploymentState::Expanding => DeploymentProgress::Expanding,
            DeploymentState::Running => DeploymentProgress::Running,
            DeploymentState::Ended => DeploymentProgress::Ended,
        }),
    };
    let (count, views) = services
        .store
        .db()
        .deployment_list(call.project().project, filter, query.offset, query.limit)
        .await?;
    Ok(Reply::new(ListDeploymentsResponse {
        count,
        items: views.into_iter().map(summary).collect(),
    }))
}

fn summary(view: DeploymentView) -> DeploymentSummary {
    DeploymentSummary {
        id: view.id.to_string(),
        kind: kind(&view),
        state: state(&view),
        assign_scope: view.scope.word(),
        app_ids: view.apps.iter().map(ToString::to_string).collect(),
        created_at: WireTime::from_unix_millis(view.created_at.get()),
        expires_at: WireTime::from_unix_millis(view.expires_at.get()),
        counts: counts(&view),
        repair: is_repair(&view),
        fail_limit: fail_limit(&view),
        halted_at: halted_at(&view),
        operator: view.operator,
    }
}
