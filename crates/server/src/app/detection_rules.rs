//! The detection rule of an app, and what its exit codes mean: part of its content, so that writing one makes a new revision.

use std::collections::BTreeMap;

use outfitter_agent_protocol::{DetectionRule, ExitMeaning};
use outfitter_domain::app::{AppRule, FieldProblem};
use outfitter_ids::{AppId, RevisionId};
use outfitter_store::{App, NewRevision, PackageKey, StoreError, Tx};

use super::apps::{AppError, InProject, commit_and_read};
use crate::Services;

/// Sets the rule of an app: the one given, or without one what its package gives. The rule that stands
/// already makes no revision. With `expected`, only while that is the newest revision.
///
/// # Errors
/// See [`AppError`]; nothing is changed then.
pub async fn set(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    rule: Option<DetectionRule>,
    expected: Option<&str>,
) -> Result<App, AppError> {
    if let Some(reason) = rule.as_ref().and_then(DetectionRule::problem) {
        return Err(FieldProblem::new("rule", reason).into());
    }
    let (tx, app) = locked(services, project, id, expected).await?;
    let newest = &app.revision;
    let rule = match rule {
        Some(rule) => Some(AppRule::written(rule)),
        None => match &newest.package {
            Some(package) => derived(&tx, package.key).await?,
            None => None,
        },
    };
    if rule == newest.rule {
        return Ok(app);
    }
    let now = services.clock.now();
    let revision = NewRevision {
        id: RevisionId::new(services.ids.uuid(now.get())),
        app: app.key,
        content: &newest.content,
        package: newest.package.as_ref().map(|package| package.key),
        link_pin: newest.link_pin.as_ref(),
        rule: rule.as_ref(),
        success_exit_codes: &newest.success_exit_codes,
    };
    tx.revision_insert(&revision, now).await?;
    tx.revision_bind(project.key, &[app.key]).await?;
    commit_and_read(tx, project, app.id).await
}

/// Says what exit codes mean for an app. What stands already makes no revision.
///
/// # Errors
/// See [`AppError`]; nothing is changed then.
pub async fn set_exit_codes(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    exit_codes: &BTreeMap<i32, ExitMeaning>,
    expected: Option<&str>,
) -> Result<App, AppError> {
    let (tx, app) = locked(services, project, id, expected).await?;
    let newest = &app.revision;
    if *exit_codes == newest.exit_codes {
        return Ok(app);
    }
    let now = services.clock.now();
    let revision = NewRevision {
        id: RevisionId::new(services.ids.uuid(now.get())),
        app: app.key,
        content: &newest.content,
        package: newest.package.as_ref().map(|package| package.key),
        link_pin: newest.link_pin.as_ref(),
        rule: newest.rule.as_ref(),
        success_exit_codes: &newest.success_exit_codes,
    };
    let revision = tx.revision_insert(&revision, now).await?;
    tx.revision_exit_codes(revision, exit_codes).await?;
    commit_and_read(tx, project, app.id).await
}

/// Locks an app, as long as `expected` is its newest revision.
async fn locked(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    expected: Option<&str>,
) -> Result<(Tx, App), AppError> {
    let id = id.ok_or(AppError::NotFound)?;
    let tx = services.store.write().await?;
    let app = tx
        .app_lock(project.key, id)
        .await?
        .ok_or(AppError::NotFound)?;
    let newest = &app.revision;
    if expected.is_some_and(|expected| expected != newest.id.to_string()) {
        return Err(AppError::Changed { current: newest.id });
    }
    Ok((tx, app))
}

async fn derived(tx: &Tx, package: PackageKey) -> Result<Option<AppRule>, StoreError> {
    Ok(tx
        .db()
        .package_get(package)
        .await?
        .and_then(|package| package.derived_rule)
        .map(AppRule::derived))
}
