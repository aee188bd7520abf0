use std::sync::Arc;

use outfitter_api_types::rules::{
    ListAppRuleQuery, ListAppRuleResponse, ListRestrictedRuleQuery, ListRestrictedRuleResponse,
};
use outfitter_store::{Page, RuleScopeFilter};

use super::wire::wire;
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListAppRuleQuery>,
) -> Result<Reply<ListAppRuleResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services
        .store
        .db()
        .rule_list(
            call.project().project,
            RuleScopeFilter::All,
            call.query.name.as_deref(),
            page,
        )
        .await?;
    Ok(Reply::new(ListAppRuleResponse {
        count: listed.total,
        items: listed.items.into_iter().map(wire).collect(),
    }))
}

pub(super) async fn list_restricted(
    services: Arc<Services>,
    call: Call<(), ListRestrictedRuleQuery>,
) -> Result<Reply<ListRestrictedRuleResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services
        .store
        .db()
        .rule_list(
            call.project().project,
            RuleScopeFilter::Restricted,
            call.query.name.as_deref(),
            page,
        )
        .await?;
    Ok(Reply::new(ListRestrictedRuleResponse {
        count: listed.total,
        items: listed.items.into_iter().map(wire).collect(),
    }))
}
