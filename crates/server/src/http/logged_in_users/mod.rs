//! What a project does about whoever logs in at a desktop without a user.

use std::sync::Arc;

use outfitter_api_types::native::logged_in_users::{LoggedInUsersMode, LoggedInUsersSettings};
use outfitter_domain::fleet::LoggedInUsers;
use outfitter_store::ProjectKey;

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/logged-in-users", "ShowLoggedInUsers")
                .action("outfitter:loggedInUsers:get")
                .summary(
                    "Show whether whoever logs in at a desktop without a user becomes its user.",
                ),
            show,
        )
        .add(
            Operation::put("/api/v1/{project_id}/logged-in-users", "SetLoggedInUsers")
                .action("outfitter:loggedInUsers:set")
                .summary(
                    "Set whether whoever logs in at a desktop without a user becomes its user.",
                ),
            set,
        );
}

async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<LoggedInUsersSettings>, ApiError> {
    settings_of(&services, call.project().project).await
}

async fn set(
    services: Arc<Services>,
    call: Call<LoggedInUsersSettings>,
) -> Result<Reply<LoggedInUsersSettings>, ApiError> {
    let project = call.project().project;
    let mode = match call.body.mode {
        LoggedInUsersMode::Ignore => LoggedInUsers::Ignore,
        LoggedInUsersMode::Known => LoggedInUsers::Known,
        LoggedInUsersMode::Any => LoggedInUsers::Any,
    };
    let tx = services.store.write().await?;
    tx.logged_in_users_set(project, mode).await?;
    tx.commit().await?;
    settings_of(&services, project).await
}

async fn settings_of(
    services: &Services,
    project: ProjectKey,
) -> Result<Reply<LoggedInUsersSettings>, ApiError> {
    let (mode, _) = services
        .store
        .db()
        .logged_in_users(project)
        .await?
        .ok_or(ApiError::NotFound { noun: "project" })?;
    Ok(Reply::new(LoggedInUsersSettings {
        mode: match mode {
            LoggedInUsers::Ignore => LoggedInUsersMode::Ignore,
            LoggedInUsers::Known => LoggedInUsersMode::Known,
            LoggedInUsers::Any => LoggedInUsersMode::Any,
        },
    }))
}
