use std::sync::Arc;

use outfitter_api_types::native::packages::{PackageSettings, SetPackageSettingsReq};
use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_store::ProjectKey;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show_package_settings(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<PackageSettings>, ApiError> {
    settings_of(&services, call.project().project).await
}

pub(super) async fn set_package_settings(
    services: Arc<Services>,
    call: Call<SetPackageSettingsReq>,
) -> Result<Reply<PackageSettings>, ApiError> {
    let project = call.project().project;
    let tx = services.store.write().await?;
    tx.require_link_digest_set(project, call.body.require_link_digest)
        .await?;
    tx.commit().await?;
    settings_of(&services, project).await
}

/// What a project is allowed, and what it takes.
pub(in crate::http) async fn settings_of(
    services: &Services,
    project: ProjectKey,
) -> Result<Reply<PackageSettings>, ApiError> {
    let db = services.store.db();
    let settings = db
        .package_settings(project)
        .await?
        .ok_or(ApiError::NotFound { noun: "project" })?;
    let since = services.clock.now().minus(RESTORE_PERIOD);
    Ok(Reply::new(PackageSettings {
        require_link_digest: settings.require_link_digest,
        quota_bytes: settings.quota_bytes,
        used_bytes: db.package_usage(project, since).await?,
    }))
}
