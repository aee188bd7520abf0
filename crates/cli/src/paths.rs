//! Routes that are called, `{project_id}` left for the client to fill. Source: the contract, and `/openapi.json`
//! for our own.

pub(crate) const APPS: &str = "/v1/{project_id}/app-center/apps";
pub(crate) const APPS_DELETE: &str = "/v1/{project_id}/app-center/apps/actions/batch-delete";
pub(crate) const APPS_ENABLE: &str = "/v1/{project_id}/app-center/apps/actions/batch-enable";
pub(crate) const APPS_DISABLE: &str = "/v1/{project_id}/app-center/apps/actions/batch-disable";
pub(crate) const APPS_AUTHORIZE: &str =
    "/v1/{project_id}/app-center/apps/actions/batch-assign-authorization";
pub(crate) const APPS_INSTALL: &str = "/v1/{project_id}/app-center/apps/actions/batch-auto-install";
pub(crate) const APP_CATALOGS: &str = "/v1/{project_id}/app-center/app-catalogs";
pub(crate) const JOBS: &str = "/v1/{project_id}/app-center/jobs";
pub(crate) const JOBS_RETRY: &str = "/v1/{project_id}/app-center/jobs/actions/retry";
pub(crate) const JOBS_DELETE: &str = "/v1/{project_id}/app-center/jobs/actions/batch-delete";
pub(crate) const USERS: &str = "/v2/{project_id}/users";
pub(crate) const GROUPS: &str = "/v2/{project_id}/groups";

pub(crate) const PACKAGES: &str = "/api/v1/{project_id}/packages";
pub(crate) const DESKTOPS: &str = "/api/v1/{project_id}/desktops";
pub(crate) const TOKENS: &str = "/api/v1/{project_id}/enrollment-tokens";
pub(crate) const DEPLOYMENTS: &str = "/api/v1/{project_id}/deployments";
pub(crate) const PROJECTS: &str = "/api/v1/projects";
pub(crate) const IAM_USERS: &str = "/api/v1/{project_id}/iam/users";

/// One thing of a collection.
pub(crate) fn one(collection: &str, id: &str) -> String {
    format!("{collection}/{}", outfitter_client::segment(id))
}

/// A collection, or an action, below one thing.
pub(crate) fn below(collection: &str, id: &str, part: &str) -> String {
    format!("{}/{part}", one(collection, id))
}

/// Attempts of a job.
pub(crate) fn attempts(job_id: &str) -> String {
    below("/api/v1/{project_id}/jobs", job_id, "attempts")
}

/// Our own part of an application: `revisions`, `detection-rule`.
pub(crate) fn app_part(app_id: &str, part: &str) -> String {
    below("/api/v1/{project_id}/apps", app_id, part)
}

/// Access keys of an IAM user.
pub(crate) fn access_keys(user_id: &str) -> String {
    below(IAM_USERS, user_id, "access-keys")
}
