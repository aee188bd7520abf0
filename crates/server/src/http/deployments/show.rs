use std::sync::Arc;

use outfitter_api_types::native::deployments::{
    Deployment, ReachedDesktop, ReachedDesktops, ShowDeploymentQuery, SkipReason, SkippedDesktop,
    SkippedDesktops, UnknownAccounts, WidenedAuthorization, WidenedAuthorizations,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::install::SkipReason as Reason;
use outfitter_store::{Db, DeploymentView, StoreError};

use super::actions::named;
use super::{counts, fail_limit, halted_at, is_repair, kind, state};
use crate::Services;
use crate::http::apps::wire::{Word as _, account_info};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show_deployment(
    services: Arc<Services>,
    call: Call<(), ShowDeploymentQuery>,
) -> Result<Reply<Deployment>, ApiError> {
    let db = services.store.db();
    let view = named(&services, &call).await?;
    let (offset, limit) = (call.query.offset, call.query.limit);
    let parts = parts(&db, &view, offset, limit).await?;
    Ok(Reply::new(Deployment {
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
        desktops_reached: parts.desktops_reached,
        desktops_skipped: parts.desktops_skipped,
        accounts_unknown: parts.accounts_unknown,
        authorizations_widened: parts.authorizations_widened,
        operator: view.operator,
    }))
}

/// The four lists of a deployment.
pub(super) struct Parts {
    pub(super) desktops_reached: ReachedDesktops,
    pub(super) desktops_skipped: SkippedDesktops,
    pub(super) accounts_unknown: UnknownAccounts,
    pub(super) authorizations_widened: WidenedAuthorizations,
}

/// Reads one page of each list.
pub(super) async fn parts(
    db: &Db<'_>,
    view: &DeploymentView,
    offset: i64,
    limit: i64,
) -> Result<Parts, StoreError> {
    let reached = db.deployment_reached(view, offset, limit).await?;
    let skipped = db.deployment_skipped(view, offset, limit).await?;
    let unknown = db.deployment_unknown_accounts(view, offset, limit).await?;
    let widened = db.deployment_widenings(view, offset, limit).await?;
    Ok(Parts {
        desktops_reached: ReachedDesktops {
            count: view.desktops_reached,
            items: reached
                .into_iter()
                .map(|desktop| ReachedDesktop {
                    desktop_id: desktop.id.to_string(),
                    desktop_name: desktop.name,
                    jobs: desktop.jobs,
                    other_users: desktop.other_users,
                })
                .collect(),
        },
        desktops_skipped: SkippedDesktops {
            count: view.pairs_skipped,
            items: skipped
                .into_iter()
                .map(|desktop| SkippedDesktop {
                    desktop_id: desktop.id.to_string(),
                    desktop_name: desktop.name,
                    app_id: desktop.app.to_string(),
                    reason: match desktop.reason {
                        Reason::OsMismatch => SkipReason::OsMismatch,
                        Reason::NotPersistent => SkipReason::NotPersistent,
                        Reason::JobInProgress => SkipReason::JobInProgress,
                        Reason::OppositeInProgress => SkipReason::OppositeInProgress,
                        Reason::NotAuthorized => SkipReason::NotAuthorized,
                        Reason::AppDeleted => SkipReason::AppDeleted,
                    },
                })
                .collect(),
        },
        accounts_unknown: UnknownAccounts {
            count: view.accounts_unknown,
            items: unknown.into_iter().map(account_info).collect(),
        },
        authorizations_widened: WidenedAuthorizations {
            count: view.authorizations_widened,
            items: widened
                .into_iter()
                .map(|widening| WidenedAuthorization {
                    app_id: widening.app.to_string(),
                    account: widening.account.map(account_info),
                })
                .collect(),
        },
    })
}
