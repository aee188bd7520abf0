use std::sync::Arc;

use outfitter_api_types::rules::BatchOperateAppRulesReq;
use outfitter_ids::RuleId;
use outfitter_store::Control;

use super::change::RULE_UNKNOWN;
use crate::Services;
use crate::http::{ApiError, Call, Reply};

/// Whether a rule that does not exist fails the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refuse,
    Ignore,
}

pub(super) async fn add(
    services: Arc<Services>,
    call: Call<BatchOperateAppRulesReq>,
) -> Result<Reply, ApiError> {
    control(&services, &call, Control::On, Unknown::Refuse).await
}

pub(super) async fn remove(
    services: Arc<Services>,
    call: Call<BatchOperateAppRulesReq>,
) -> Result<Reply, ApiError> {
    control(&services, &call, Control::Off, Unknown::Ignore).await
}

async fn control(
    services: &Services,
    call: &Call<BatchOperateAppRulesReq>,
    control: Control,
    unknown: Unknown,
) -> Result<Reply, ApiError> {
    let texts = &call.body.items;
    let ids: Vec<RuleId> = texts
        .iter()
        .filter_map(|text| RuleId::lookup(text))
        .collect();
    let tx = services.store.write().await?;
    let rules = tx.db().rules_find(call.project().project, &ids).await?;
    if unknown == Unknown::Refuse && rules.len() != texts.len() {
        return Err(RULE_UNKNOWN);
    }
    let keys: Vec<_> = rules.iter().map(|rule| rule.key).collect();
    tx.rules_control(&keys, control).await?;
    tx.commit().await?;
    Ok(Reply::new(()))
}
