use std::sync::Arc;

use outfitter_api_types::native::projects::{
    CreateProjectReq, CreateProjectResponse, ListProjectsQuery, ListProjectsResponse, Project,
};
use outfitter_api_types::secret::SecretText;
use outfitter_api_types::time::WireTime;
use outfitter_store as store;

use super::{first_key, page, shown_once, user};
use crate::app::iam::{project_add, projects_of};
use crate::auth::Caller;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateProjectReq>,
) -> Result<Reply<CreateProjectResponse>, ApiError> {
    let (project, made) = project_add(&services, call.caller(), &call.body.name).await?;
    Ok(Reply::new(CreateProjectResponse {
        project: shape(&project, call.caller()),
        administrator: user(&made.user, made.policy),
        password: made
            .password
            .as_ref()
            .map_or_else(|| SecretText::new(""), shown_once),
        access_key: first_key(&made),
    }))
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListProjectsQuery>,
) -> Result<Reply<ListProjectsResponse>, ApiError> {
    let mut projects = projects_of(&services, call.caller()).await?;
    projects.reverse();
    let (count, projects) = page(projects, call.query.offset, call.query.limit);
    Ok(Reply::new(ListProjectsResponse {
        count,
        items: projects
            .map(|project| shape(&project, call.caller()))
            .collect(),
    }))
}

pub(in crate::http) fn shape(project: &store::Project, caller: &Caller) -> Project {
    Project {
        id: project.id.to_string(),
        name: project.name.clone(),
        domain_id: caller.domain_id.to_string(),
        enabled: project.enabled,
        created_at: WireTime::from_unix_millis(project.created_at.get()),
    }
}
