//! Routes that are called, `{project_id}` left for the client to fill. Source: the contract, and `/openapi.json`
//! for our own.

pub(crate) const DAMAGED_PACKAGES: &str = "/api/v1/{project_id}/damaged-packages";
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
pub(crate) const RULES: &str = "/v1/{project_id}/app-center/app-rules";
pub(crate) const RULES_DELETE: &str = "/v1/{project_id}/app-center/app-rules/batch-delete";
pub(crate) const CONTROLLED_RULES: &str = "/v1/{project_id}/app-center/app-restricted-rules";
pub(crate) const CONTROLLED_RULES_DELETE: &str =
    "/v1/{project_id}/app-center/app-restricted-rules/actions/batch-delete";
pub(crate) const RESTRICTION_SHOW: &str =
    "/v1/{project_id}/app-center/app-rules/actions/get-rule-restriction";
pub(crate) const RESTRICTION_SET: &str =
    "/v1/{project_id}/app-center/app-rules/actions/set-rule-restriction";
pub(crate) const RESTRICTION_ENABLE: &str =
    "/v1/{project_id}/app-center/app-rules/actions/enable-rule-restriction";
pub(crate) const RESTRICTION_DISABLE: &str =
    "/v1/{project_id}/app-center/app-rules/actions/disable-rule-restriction";
pub(crate) const PROFILES: &str = "/v1/{project_id}/app-center/profiles";
pub(crate) const USERS: &str = "/v2/{project_id}/users";
pub(crate) const USERS_DELETE: &str = "/v2/{project_id}/users/batch-delete";
pub(crate) const GROUPS: &str = "/v2/{project_id}/groups";
pub(crate) const GROUPS_DELETE: &str = "/v2/{project_id}/groups/batch-delete";
pub(crate) const V2_DESKTOPS: &str = "/v2/{project_id}/desktops";
pub(crate) const DESKTOPS_DETAIL: &str = "/v2/{project_id}/desktops/detail";
pub(crate) const DESKTOPS_ATTACH: &str = "/v2/{project_id}/desktops/attach";
pub(crate) const DESKTOPS_DETACH: &str = "/v2/{project_id}/desktops/batch-detach";
pub(crate) const DESKTOPS_DELETE: &str = "/v2/{project_id}/desktops/batch-delete";
pub(crate) const DESKTOPS_TAGS: &str = "/v2/{project_id}/desktops/batch-tags";
pub(crate) const TAGS: &str = "/v2/{project_id}/desktops/tags";
pub(crate) const AGENTS: &str = "/v2/{project_id}/desktops/agents";
pub(crate) const WORKSPACE_JOBS: &str = "/v2/{project_id}/workspace-jobs";
pub(crate) const SUB_JOBS: &str = "/v2/{project_id}/workspace-sub-jobs";
pub(crate) const SUB_JOBS_DELETE: &str = "/v2/{project_id}/workspace-sub-jobs/batch-delete";
pub(crate) const CALLER: &str = "/v5/caller-identity";

pub(crate) const PACKAGES: &str = "/api/v1/{project_id}/packages";
pub(crate) const DELETED_APPS: &str = "/api/v1/{project_id}/deleted-apps";
pub(crate) const PACKAGE_SETTINGS: &str = "/api/v1/{project_id}/package-settings";
pub(crate) const RUNNING_PROGRAMS: &str = "/api/v1/{project_id}/running-programs";
pub(crate) const LOGGED_IN_USERS: &str = "/api/v1/{project_id}/logged-in-users";
pub(crate) const COPIES: &str = "/api/v1/{project_id}/copies";
pub(crate) const STORE_COLLECT: &str = "/api/v1/store/actions/collect";
pub(crate) const DESKTOPS: &str = "/api/v1/{project_id}/desktops";
pub(crate) const INVENTORY: &str = "/api/v1/{project_id}/inventory";
pub(crate) const NETWORK_REACHES: &str = "/api/v1/{project_id}/network-reaches";
pub(crate) const DIRECTORY: &str = "/api/v1/{project_id}/directory";
pub(crate) const DIRECTORY_TEST: &str = "/api/v1/{project_id}/directory/test";
pub(crate) const DIRECTORY_SYNC: &str = "/api/v1/{project_id}/directory/sync";
pub(crate) const DIRECTORY_STATUS: &str = "/api/v1/{project_id}/directory/status";
pub(crate) const AGENT_INSTALLER: &str = "/api/v1/{project_id}/agent-installer";
pub(crate) const TOKENS: &str = "/api/v1/{project_id}/enrollment-tokens";
pub(crate) const ENROLLMENT_REQUESTS: &str = "/api/v1/{project_id}/enrollment-requests";
pub(crate) const ENROLLMENTS_APPROVE: &str =
    "/api/v1/{project_id}/enrollment-requests/actions/approve";
pub(crate) const ENROLLMENTS_REFUSE: &str =
    "/api/v1/{project_id}/enrollment-requests/actions/refuse";
pub(crate) const APP_JOBS: &str = "/api/v1/{project_id}/jobs";
pub(crate) const JOBS_CANCEL: &str = "/api/v1/{project_id}/jobs/actions/cancel";
pub(crate) const UNINSTALL: &str = "/api/v1/{project_id}/deployments/uninstall";
pub(crate) const UNINSTALL_PREVIEW: &str = "/api/v1/{project_id}/deployments/uninstall/preview";
pub(crate) const WHY: &str = "/api/v1/{project_id}/why";
pub(crate) const FREEZE: &str = "/api/v1/{project_id}/freeze";
pub(crate) const SERVER_FREEZE: &str = "/api/v1/freeze";
pub(crate) const DEPLOYMENTS: &str = "/api/v1/{project_id}/deployments";
pub(crate) const AUDIT: &str = "/api/v1/{project_id}/audit";
pub(crate) const DOMAIN_AUDIT: &str = "/api/v1/audit";
pub(crate) const AUDIT_VERIFY: &str = "/api/v1/audit/actions/verify";
pub(crate) const AUDIT_PRUNE: &str = "/api/v1/audit/actions/prune";
pub(crate) const DOWNLOAD_LIMITS: &str = "/api/v1/download-limits";
pub(crate) const AGENT_PROGRAMS: &str = "/api/v1/agent-programs";
pub(crate) const AGENT_RELEASES: &str = "/api/v1/agent-releases";
pub(crate) const PROJECTS: &str = "/api/v1/projects";
pub(crate) const DECODE_REFUSAL: &str = "/v5/decode-authorization-message";
pub(crate) const IAM_POLICIES: &str = "/api/v1/iam/policies";
pub(crate) const IAM_ATTACHMENTS: &str = "/api/v1/iam/attachments";
pub(crate) const IAM_DETACH: &str = "/api/v1/iam/attachments/actions/detach";
pub(crate) const IAM_GROUPS: &str = "/api/v1/iam/groups";
pub(crate) const IAM_EXPLAIN: &str = "/api/v1/{project_id}/iam/explain";
pub(crate) const PASSWORD: &str = "/api/v1/iam/password";
pub(crate) const IAM_USERS: &str = "/api/v1/{project_id}/iam/users";

/// Quota of a project.
pub(crate) fn project_quota(project_id: &str) -> String {
    below(PROJECTS, project_id, "quota")
}

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

pub(crate) const AGENT_ROOTS: &str = "/api/v1/{project_id}/agent-roots";

/// The receipt of a job.
pub(crate) fn receipt(job_id: &str) -> String {
    below(APP_JOBS, job_id, "receipt")
}

/// Our own part of an application: `revisions`, `detection-rule`.
pub(crate) fn app_part(app_id: &str, part: &str) -> String {
    below("/api/v1/{project_id}/apps", app_id, part)
}

/// Access keys of an IAM user.
pub(crate) fn access_keys(user_id: &str) -> String {
    below(IAM_USERS, user_id, "access-keys")
}
