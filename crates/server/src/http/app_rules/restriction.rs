use std::sync::Arc;

use outfitter_api_types::rules::{SetRuleRestrictionReq, ShowRuleRestrictionResponse};
use outfitter_domain::fleet::Restriction;
use outfitter_store::ProjectKey;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowRuleRestrictionResponse>, ApiError> {
    let restriction = services
        .store
        .db()
        .restriction(call.project().project)
        .await?;
    Ok(Reply::new(ShowRuleRestrictionResponse {
        app_restrict_rule_switch: Some(restriction.enabled),
        app_control_mode: Some(restriction.control_mode),
        app_periodic_switch: Some(restriction.periodic),
        app_periodic_interval: Some(restriction.periodic_interval_minutes),
        app_force_kill_proc_switch: Some(restriction.force_kill),
    }))
}

pub(super) async fn set(
    services: Arc<Services>,
    call: Call<SetRuleRestrictionReq>,
) -> Result<Reply, ApiError> {
    let body = &call.body;
    change(&services, call.project().project, |old| Restriction {
        enabled: body.app_restrict_rule_switch,
        control_mode: body.app_control_mode.unwrap_or(old.control_mode),
        periodic: body.app_periodic_switch.unwrap_or(old.periodic),
        periodic_interval_minutes: body
            .app_periodic_interval
            .unwrap_or(old.periodic_interval_minutes),
        force_kill: body.app_force_kill_proc_switch.unwrap_or(old.force_kill),
    })
    .await
}

pub(super) async fn enable(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    switch(&services, call.project().project, true).await
}

pub(super) async fn disable(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    switch(&services, call.project().project, false).await
}

async fn switch(
    services: &Services,
    project: ProjectKey,
    enabled: bool,
) -> Result<Reply, ApiError> {
    change(services, project, |old| Restriction { enabled, ..old }).await
}

async fn change(
    services: &Services,
    project: ProjectKey,
    changed: impl FnOnce(Restriction) -> Restriction,
) -> Result<Reply, ApiError> {
    let tx = services.store.write().await?;
    tx.project_lock(project).await?;
    let old = tx.db().restriction(project).await?;
    tx.restriction_set(project, &changed(old)).await?;
    tx.commit().await?;
    Ok(Reply::new(()))
}
