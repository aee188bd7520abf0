//! `/v1/{project_id}/app-center/profiles`: feature switches of a project.

use std::sync::Arc;

use outfitter_api_types::profiles::TenantProfiles;
use outfitter_domain::fleet::{FEATURES_MAX, Feature, is_feature_name};
use outfitter_store::{Db, ProjectKey};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v1/{project_id}/app-center/profiles", "ListTenantProfiles")
                .action("workspace:appcenter:listTenantProfiles")
                .summary("List the features and whether each is on."),
            list,
        )
        .add(
            Operation::patch(
                "/v1/{project_id}/app-center/profiles",
                "UpdateTenantProfile",
            )
            .action("workspace:appcenter:updateTenantProfile")
            .summary("Switch features; those left out stay."),
            update,
        );
}

/// Refuses a call of the app center where the project has it switched off.
///
/// # Errors
/// 403, or the database's.
pub(super) async fn require_app_center(db: Db<'_>, project: ProjectKey) -> Result<(), ApiError> {
    if db.feature_enabled(project, Feature::AppCenter).await? {
        Ok(())
    } else {
        Err(ApiError::Forbidden {
            reason: "the profile app_center of the project is off".to_owned(),
        })
    }
}

async fn list(services: Arc<Services>, call: Call) -> Result<Reply<TenantProfiles>, ApiError> {
    let features = services.store.db().features(call.project().project).await?;
    Ok(Reply::new(TenantProfiles(features)))
}

async fn update(services: Arc<Services>, call: Call<TenantProfiles>) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let switches = call.body.0;
    if let Some(name) = switches.keys().find(|name| !is_feature_name(name)) {
        return Err(ApiError::invalid(
            name.as_str(),
            "a feature's name has 1 to 64 of A-Z a-z 0-9 _ . -",
        ));
    }
    let tx = services.store.write().await?;
    tx.project_lock(project).await?;
    tx.features_set(project, &switches).await?;
    if tx.db().features(project).await?.len() > FEATURES_MAX {
        return Err(ApiError::invalid(
            "body",
            format!("a project has at most {FEATURES_MAX} features"),
        ));
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}
