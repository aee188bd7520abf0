use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use outfitter_agent_protocol::{Approach, TaskKind};
use outfitter_api_types::authorizations::{AccountInfo, AssignType};
use outfitter_api_types::native::deployments::{
    CreateDeploymentReq, CreateDeploymentResponse, CreateUninstallReq, DeploymentPreview,
    FailLimit as WireLimit,
};
use outfitter_ids::DesktopId;
use outfitter_store::{Expansion, FailLimit};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::show::parts;
use crate::Services;
use crate::app::install::{Audience, Idempotency, Install, install, preview};
use crate::http::apps::wire::account;
use crate::http::install::{app_ids, deployment_header};
use crate::http::profiles::require_app_center;
use crate::http::{ApiError, Call, Reply};

/// Records of each list of a preview.
const SHOWN: i64 = 100;

/// Name of the header that makes a call that is made twice one call.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Longest such key, in characters. Ours.
const MAX_KEY_CHARS: usize = 255;

pub(super) async fn create_deployment(
    services: Arc<Services>,
    call: Call<CreateDeploymentReq>,
) -> Result<Reply<CreateDeploymentResponse>, ApiError> {
    let install = Install {
        idempotency: idempotency("CreateDeployment", &call)?,
        ..installing(&call)?
    };
    require_app_center(services.store.db(), install.project).await?;
    accept(&services, install).await
}

pub(super) async fn preview_deployment(
    services: Arc<Services>,
    call: Call<CreateDeploymentReq>,
) -> Result<Reply<DeploymentPreview>, ApiError> {
    let install = installing(&call)?;
    require_app_center(services.store.db(), install.project).await?;
    show_preview(&services, install).await
}

pub(super) async fn create_uninstall(
    services: Arc<Services>,
    call: Call<CreateUninstallReq>,
) -> Result<Reply<CreateDeploymentResponse>, ApiError> {
    let uninstall = Install {
        idempotency: idempotency("CreateUninstall", &call)?,
        ..uninstalling(&call)?
    };
    accept(&services, uninstall).await
}

pub(super) async fn preview_uninstall(
    services: Arc<Services>,
    call: Call<CreateUninstallReq>,
) -> Result<Reply<DeploymentPreview>, ApiError> {
    show_preview(&services, uninstalling(&call)?).await
}

async fn accept(
    services: &Services,
    call: Install<'_>,
) -> Result<Reply<CreateDeploymentResponse>, ApiError> {
    let id = install(services, call).await?;
    let (name, value) = deployment_header(id)?;
    Ok(Reply::new(CreateDeploymentResponse { id: id.to_string() }).header(name, value))
}

async fn show_preview(
    services: &Services,
    call: Install<'_>,
) -> Result<Reply<DeploymentPreview>, ApiError> {
    let previewed = preview(services, call).await?;
    let parts = parts(&previewed.tx.db(), &previewed.view, 0, SHOWN).await?;
    // Nothing of it is kept: the transaction ends without a commit.
    Ok(Reply::new(DeploymentPreview {
        complete: previewed.view.expansion == Expansion::Expanded,
        jobs: previewed.view.jobs.total(),
        desktops_reached: parts.desktops_reached,
        desktops_skipped: parts.desktops_skipped,
        accounts_unknown: parts.accounts_unknown,
        authorizations_widened: parts.authorizations_widened,
    }))
}

fn installing(call: &Call<CreateDeploymentReq>) -> Result<Install<'_>, ApiError> {
    let body = &call.body;
    let audience = match audience(
        body.assign_scope,
        body.users.as_deref(),
        body.desktop_ids.as_deref(),
    )? {
        Some(audience) => audience,
        // Each application has its own list.
        None if body.app_ids.len() > 1 => {
            return Err(ApiError::invalid(
                "app_ids",
                "one application where nobody is named: each has its own list of those authorized",
            ));
        }
        None => Audience::Authorized,
    };
    Ok(Install {
        install_command: body.install_command.as_deref(),
        approach: match body.repair {
            Some(true) => Approach::Repair,
            Some(false) | None => Approach::Ordinary,
        },
        fail_limit: fail_limit(body.fail_limit),
        expires_in: expires_in(body.expires_in_secs),
        ..Install::plain(
            TaskKind::Install,
            call.project().project,
            app_ids(&body.app_ids),
            audience,
            &call.caller().user_name,
            Some(call.widening()),
        )
    })
}

fn uninstalling(call: &Call<CreateUninstallReq>) -> Result<Install<'_>, ApiError> {
    let body = &call.body;
    let audience = audience(
        body.assign_scope,
        body.users.as_deref(),
        body.desktop_ids.as_deref(),
    )?
    .ok_or_else(|| {
        ApiError::invalid(
            "assign_scope",
            "say whose desktops: users, desktop_ids, or ALL_USER for every desktop",
        )
    })?;
    Ok(Install {
        uninstall_command: body.uninstall_command.as_deref(),
        fail_limit: fail_limit(body.fail_limit),
        expires_in: expires_in(body.expires_in_secs),
        ..Install::plain(
            TaskKind::Uninstall,
            call.project().project,
            app_ids(&body.app_ids),
            audience,
            &call.caller().user_name,
            None,
        )
    })
}

/// Who is meant; `None`: nobody is named.
fn audience(
    assign_scope: Option<AssignType>,
    users: Option<&[AccountInfo]>,
    desktop_ids: Option<&[String]>,
) -> Result<Option<Audience>, ApiError> {
    Ok(match (assign_scope, users, desktop_ids) {
        (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "desktop_ids",
                "cannot be combined with users or assign_scope",
            ));
        }
        (Some(AssignType::AllUser), _, None) => Some(Audience::Everyone),
        (Some(AssignType::AssignUser), None, None) => {
            return Err(ApiError::invalid("users", "is required for ASSIGN_USER"));
        }
        (Some(AssignType::AssignUser) | None, Some(users), None) => Some(Audience::Listed(
            users.iter().cloned().map(account).collect(),
        )),
        (None, None, Some(desktops)) => Some(Audience::Desktops(
            desktops
                .iter()
                .map(|text| DesktopId::lookup(text))
                .collect(),
        )),
        (None, None, None) => None,
    })
}

fn fail_limit(limit: Option<WireLimit>) -> FailLimit {
    limit.map_or_else(FailLimit::default, |limit| FailLimit {
        count: limit.count,
        percent: limit.percent,
    })
}

fn expires_in(secs: Option<i64>) -> Option<Duration> {
    secs.and_then(|secs| u64::try_from(secs).ok())
        .map(Duration::from_secs)
}

/// What the header asks for, bound to what was asked and by whom.
fn idempotency<B: Serialize>(
    operation: &str,
    call: &Call<B>,
) -> Result<Option<Idempotency>, ApiError> {
    let Some(key) = idempotency_key(&call.context.headers)? else {
        return Ok(None);
    };
    let body = serde_json::to_vec(&call.body)
        .map_err(|error| ApiError::internal("read a call again", error))?;
    let mut digest = Sha256::new();
    for part in [
        operation.as_bytes(),
        call.caller().user_id.to_string().as_bytes(),
        &body,
    ] {
        digest.update(part);
        digest.update([0]);
    }
    Ok(Some(Idempotency {
        key,
        request_digest: digest.finalize().to_vec(),
    }))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|text| (1..=MAX_KEY_CHARS).contains(&text.len()))
        .ok_or_else(|| {
            ApiError::invalid(
                IDEMPOTENCY_KEY,
                format!("1 to {MAX_KEY_CHARS} visible ASCII characters"),
            )
        })?;
    Ok(Some(key.to_owned()))
}
