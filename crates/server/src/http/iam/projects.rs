use std::sync::Arc;

use outfitter_api_types::native::packages::{PackageSettings, SetQuotaReq};
use outfitter_api_types::native::projects::{
    CreateProjectReq, CreateProjectResponse, ListProjectsQuery, ListProjectsResponse, Project,
};
use outfitter_api_types::secret::SecretText;
use outfitter_api_types::time::WireTime;
use outfitter_ids::ProjectId;
use outfitter_store as store;

use super::{first_key, page, shown_once, user};
use crate::app::iam::{project_add, projects_of};
use crate::auth::Caller;
use crate::http::packages::settings::settings_of;
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

pub(super) async fn show_quota(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<PackageSettings>, ApiError> {
    settings_of(&services, named(&services, &call).await?.key).await
}

pub(super) async fn set_quota(
    services: Arc<Services>,
    call: Call<SetQuotaReq>,
) -> Result<Reply<PackageSettings>, ApiError> {
    let project = named(&services, &call).await?;
    let tx = services.store.write().await?;
    tx.quota_set(call.caller().domain, project.id, call.body.quota_bytes)
        .await?;
    tx.commit().await?;
    settings_of(&services, project.key).await
}

/// The project of the caller's domain that the path names.
async fn named<B>(services: &Services, call: &Call<B>) -> Result<store::Project, ApiError> {
    match ProjectId::lookup(call.path("project")) {
        Some(id) => {
            services
                .store
                .db()
                .project_by_id(call.caller().domain, id)
                .await?
        }
        None => None,
    }
    .ok_or(ApiError::NotFound { noun: "project" })
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
