use std::sync::Arc;

use outfitter_api_types::iam::KeystoneProjectResponse;

use super::list_projects::wire;
use crate::app::iam::projects_of;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// What `openstack project show` asks for, by id, after it found the name in the list.
pub(super) async fn show_project(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<KeystoneProjectResponse>, ApiError> {
    let caller = call.caller();
    let wanted = call.project().id;
    let project = projects_of(&services, caller)
        .await?
        .into_iter()
        .find(|project| project.id == wanted)
        .ok_or_else(|| ApiError::Forbidden {
            reason: format!("{} has no rights in the project", caller.user_name),
        })?;
    Ok(Reply::new(KeystoneProjectResponse {
        project: wire(&services, &caller.domain_id.to_string(), project),
    }))
}
