use std::sync::Arc;

use outfitter_api_types::rules::{
    AppRule as WireAppRule, BatchOperateAppRulesReq, CreateAppRuleReq, UpdateAppRuleReq,
};
use outfitter_domain::AppSource;
use outfitter_ids::RuleId;
use outfitter_store::{AppRule, ProjectKey, RuleContent, StoreError, Tx};

use super::wire::{body, wire};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) const RULE_UNKNOWN: ApiError = ApiError::NotFound { noun: "rule" };

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateAppRuleReq>,
) -> Result<Reply<WireAppRule>, ApiError> {
    let project = call.project().project;
    let content = RuleContent {
        name: call.body.name,
        description: call.body.description,
        body: body(call.body.rule)?,
    };
    let now = services.clock.now();
    let id = RuleId::new(services.ids.uuid(now.get()));
    let tx = services.store.write().await?;
    named(tx.rule_insert(project, id, &content, now).await)?;
    let rule = find(&tx, project, id).await?;
    tx.commit().await?;
    Ok(Reply::new(wire(rule)))
}

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<UpdateAppRuleReq>,
) -> Result<Reply<WireAppRule>, ApiError> {
    let project = call.project().project;
    let id = RuleId::lookup(call.path("rule_id"));
    let new_body = call.body.rule.map(body).transpose()?;
    let id = id.ok_or(RULE_UNKNOWN)?;
    let tx = services.store.write().await?;
    tx.project_lock(project).await?;
    let rule = find(&tx, project, id).await?;
    refuse_built_in(&rule)?;
    let content = RuleContent {
        name: call.body.name.unwrap_or(rule.content.name),
        description: call.body.description.or(rule.content.description),
        body: new_body.unwrap_or(rule.content.body),
    };
    named(
        tx.rule_update(rule.key, &content, services.clock.now())
            .await,
    )?;
    let rule = find(&tx, project, id).await?;
    tx.commit().await?;
    Ok(Reply::new(wire(rule)))
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let id = RuleId::lookup(call.path("rule_id")).ok_or(RULE_UNKNOWN)?;
    let tx = services.store.write().await?;
    let rule = find(&tx, call.project().project, id).await?;
    refuse_built_in(&rule)?;
    tx.rules_delete(&[rule.key]).await?;
    tx.commit().await?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_delete(
    services: Arc<Services>,
    call: Call<BatchOperateAppRulesReq>,
) -> Result<Reply, ApiError> {
    let ids: Vec<RuleId> = call
        .body
        .items
        .iter()
        .filter_map(|text| RuleId::lookup(text))
        .collect();
    let tx = services.store.write().await?;
    let rules = tx.db().rules_find(call.project().project, &ids).await?;
    for rule in &rules {
        refuse_built_in(rule)?;
    }
    let keys: Vec<_> = rules.iter().map(|rule| rule.key).collect();
    tx.rules_delete(&keys).await?;
    tx.commit().await?;
    Ok(Reply::new(()))
}

async fn find(tx: &Tx, project: ProjectKey, id: RuleId) -> Result<AppRule, ApiError> {
    tx.db()
        .rules_find(project, &[id])
        .await?
        .into_iter()
        .next()
        .ok_or(RULE_UNKNOWN)
}

fn refuse_built_in(rule: &AppRule) -> Result<(), ApiError> {
    match rule.source {
        AppSource::Custom => Ok(()),
        AppSource::System | AppSource::Market => Err(ApiError::Forbidden {
            reason: format!("the rule {} is built in", rule.id),
        }),
    }
}

fn named(outcome: Result<(), StoreError>) -> Result<(), ApiError> {
    match outcome {
        Err(error) if error.is_conflict() => Err(ApiError::conflict(
            "WKS.00211109",
            "Rule name already exists",
        )),
        other => Ok(other?),
    }
}
