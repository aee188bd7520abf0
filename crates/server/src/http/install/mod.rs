//! Automatic installation: one application or a batch.

mod batch_install_apps;
mod install_app;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use outfitter_ids::{AppId, DeploymentId};

use super::operation::Named;
use super::profiles::require_app_center;
use super::{ApiError, Family, Operation, Reply, Routes};
use crate::Services;
use crate::app::install::{Install, InstallError, install};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/actions/batch-auto-install",
                "BatchInstallApps",
            )
            .action("workspace:appcenter:batchInstallApps")
            .names(&[Named::Ids("app", "app_ids[]"), Named::Accounts("users[]")])
            .may_widen()
            .family(Family::AppCenter)
            .codes(&[404, 409])
            .headers(&["X-Deployment-Id"])
            .summary("Install applications on the desktops of accounts or of everyone."),
            batch_install_apps::batch_install_apps,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/{app_id}/actions/auto-install",
                "InstallApp",
            )
            .action("workspace:appcenter:installApp")
            .names(&[Named::Accounts("users[]")])
            .may_widen()
            .family(Family::AppCenter)
            .codes(&[404, 409])
            .headers(&["X-Deployment-Id"])
            .summary("Install one application."),
            install_app::install_app,
        );
}

/// Carries the call out; the answer is empty and names the deployment in a header.
async fn accept(services: Arc<Services>, call: Install<'_>) -> Result<Reply, ApiError> {
    require_app_center(services.store.db(), call.project).await?;
    let id: DeploymentId = install(&services, call).await?;
    let (name, value) = deployment_header(id)?;
    Ok(Reply::empty().header(name, value))
}

/// `X-Deployment-Id`.
pub(super) fn deployment_header(id: DeploymentId) -> Result<(HeaderName, HeaderValue), ApiError> {
    let value = HeaderValue::from_str(&id.to_string())
        .map_err(|error| ApiError::internal("name the deployment", error))?;
    Ok((HeaderName::from_static("x-deployment-id"), value))
}

/// Ids of applications; `None` for those that cannot exist.
pub(super) fn app_ids(texts: &[String]) -> Vec<Option<AppId>> {
    texts.iter().map(|text| AppId::lookup(text)).collect()
}

impl From<InstallError> for ApiError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Field(problem) => Self::invalid(problem.field, problem.reason),
            InstallError::NotFound => Self::APP_NOT_FOUND,
            InstallError::Forbidden { name } => Self::conflict(
                "WKS.00211107",
                format!("Application '{name}' is not authorized"),
            ),
            InstallError::NoPackage { name } => Self::conflict(
                "WKS.00211106",
                format!("Invalid application download link: '{name}'"),
            ),
            InstallError::DesktopNotFound => Self::NotFound { noun: "desktop" },
            InstallError::KeyTaken => {
                Self::conflict("WKS.0409", "The Idempotency-Key was used for another call")
            }
            InstallError::KeptAnswer(source) => Self::internal("read a kept answer", source),
            InstallError::Refused(refusal) => refusal.into(),
            InstallError::Store(source) => source.into(),
        }
    }
}
