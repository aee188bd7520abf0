//! What becomes of a machine that shows the copied certificate of a desktop.

use std::sync::Arc;

use outfitter_api_types::native::copies::{CopiesSettings, SetCopiesReq};
use outfitter_ids::EnrollmentTokenId;
use outfitter_store::{CopiesSet, ProjectKey};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/copies", "ShowCopies")
                .action("outfitter:copies:get")
                .summary("Show whether copies of enrolled machines are refused or enroll anew, and with which token."),
            show,
        )
        .add(
            Operation::put("/api/v1/{project_id}/copies", "SetCopies")
                .action("outfitter:copies:set")
                .summary("Set whether copies of enrolled machines are refused or enroll anew, and with which token."),
            set,
        );
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<CopiesSettings>, ApiError> {
    settings_of(&services, call.project().project).await
}

async fn set(
    services: Arc<Services>,
    call: Call<SetCopiesReq>,
) -> Result<Reply<CopiesSettings>, ApiError> {
    let project = call.project().project;
    let invalid = |reason: &str| ApiError::invalid("token_id", reason);
    let unknown = || invalid("the project has no such enrollment token");
    let token = call
        .body
        .token_id
        .map(|id| EnrollmentTokenId::lookup(&id).ok_or_else(unknown))
        .transpose()?;
    let tx = services.store.write().await?;
    match tx.copies_token_set(project, token).await? {
        CopiesSet::Applied => {}
        CopiesSet::UnknownToken => return Err(unknown()),
        CopiesSet::ForOneDesktop => {
            return Err(invalid("this enrollment token is for one desktop alone"));
        }
    }
    tx.commit().await?;
    settings_of(&services, project).await
}

async fn settings_of(
    services: &Services,
    project: ProjectKey,
) -> Result<Reply<CopiesSettings>, ApiError> {
    let (token_id, token_name) = services
        .store
        .db()
        .copies_token(project)
        .await?
        .map(|token| (token.id.to_string(), token.name))
        .unzip();
    Ok(Reply::new(CopiesSettings {
        token_id,
        token_name,
    }))
}
