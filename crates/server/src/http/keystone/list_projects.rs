use std::sync::Arc;

use outfitter_api_types::iam::{
    KeystoneLinks, KeystoneListProjectsQuery, KeystoneProject, KeystoneProjects,
};

use outfitter_store::Project;

use crate::app::iam::projects_of;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// Largest page, which is also the page when only its number is given. Source: the contract.
const MAX_PER_PAGE: i64 = 5000;

/// SDKs give the region's name and want exactly one project back.
pub(super) async fn list_projects(
    services: Arc<Services>,
    call: Call<(), KeystoneListProjectsQuery>,
) -> Result<Reply<KeystoneProjects>, ApiError> {
    let caller = call.caller();
    let query = &call.query;
    let domain_id = caller.domain_id.to_string();
    // The parent of every project is its account.
    let in_domain = [&query.domain_id, &query.parent_id]
        .into_iter()
        .flatten()
        .all(|wanted| *wanted == domain_id);
    let mut projects = projects_of(&services, caller).await?;
    projects.retain(|project| {
        in_domain
            && query.name.as_ref().is_none_or(|name| *name == project.name)
            && query
                .enabled
                .is_none_or(|enabled| enabled == project.enabled)
            && query.is_domain != Some(true)
    });
    let (skip, take) = match (query.page, query.per_page) {
        (Some(page), per_page) => {
            let take = per_page.unwrap_or(MAX_PER_PAGE);
            ((page - 1).saturating_mul(take), take)
        }
        (None, _) => (0, i64::MAX),
    };
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let iam = &services.endpoints.iam_endpoint;
    let projects = projects
        .into_iter()
        .skip(size(skip))
        .take(size(take))
        .map(|project| wire(&services, &domain_id, project))
        .collect();
    Ok(Reply::new(KeystoneProjects {
        projects,
        links: KeystoneLinks {
            this: Some(format!("{iam}/projects")),
            ..KeystoneLinks::default()
        },
    }))
}

/// A project as Keystone shows it. Its parent is its account.
pub(super) fn wire(services: &Services, domain_id: &str, project: Project) -> KeystoneProject {
    let iam = &services.endpoints.iam_endpoint;
    KeystoneProject {
        links: Some(KeystoneLinks {
            this: Some(format!("{iam}/projects/{}", project.id)),
            ..KeystoneLinks::default()
        }),
        id: Some(project.id.to_string()),
        name: Some(project.name),
        domain_id: Some(domain_id.to_owned()),
        parent_id: Some(domain_id.to_owned()),
        description: Some(String::new()),
        enabled: Some(project.enabled),
        is_domain: Some(false),
    }
}
