//! Projects, IAM users and access keys: what the contract lacks and an administrator needs.

mod access_keys;
mod groups;
mod password;
mod policies;
pub(in crate::http) mod projects;
#[cfg(test)]
mod tests;
mod users;

use outfitter_api_types::native::iam::{AccessKey, CreateAccessKeyResponse, IamRole, IamUser};
use outfitter_api_types::secret::SecretText;
use outfitter_api_types::time::WireTime;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_store as store;
use secrecy::{ExposeSecret as _, SecretString};

use super::operation::Named;
use super::{Operation, Routes};
use crate::app::iam::MadeUser;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    const QUOTA: &str = "/api/v1/projects/{project}/quota";
    const USERS: &str = "/api/v1/{project_id}/iam/users";
    const USER: &str = "/api/v1/{project_id}/iam/users/{user_id}";
    const KEYS: &str = "/api/v1/{project_id}/iam/users/{user_id}/access-keys";
    const KEY: &str = "/api/v1/{project_id}/iam/users/{user_id}/access-keys/{access_key}";
    routes
        .add::<_, (), _, _, _>(
            Operation::post("/api/v1/projects", "CreateProject")
                .action("outfitter:projects:create")
                .status(201)
                .codes(&[409])
                .summary("Make a project with an administrator and an access key of its own"),
            projects::create,
        )
        .add(
            Operation::get("/api/v1/projects", "ListProjects")
                .summary("List the projects the caller may enter"),
            projects::list,
        )
        .add(
            Operation::get(QUOTA, "ShowProjectQuota")
                .action("outfitter:projects:showQuota")
                .codes(&[404])
                .summary("Show how much the packages of a project may take, and take"),
            projects::show_quota,
        )
        .add::<_, (), _, _, _>(
            Operation::put(QUOTA, "SetProjectQuota")
                .action("outfitter:projects:setQuota")
                .codes(&[404])
                .summary("Set how much the packages of a project may take"),
            projects::set_quota,
        )
        .add::<_, (), _, _, _>(
            Operation::put("/api/v1/iam/password", "ChangePassword")
                .status(204)
                .codes(&[409])
                .summary("Change the caller's own password; tokens and sessions so far end"),
            password::change,
        )
        .add::<_, (), _, _, _>(
            Operation::post(USERS, "CreateIamUser")
                .action("outfitter:iamUsers:create")
                .status(201)
                .codes(&[409])
                .summary("Make an IAM user with rights in the project and an access key"),
            users::create,
        )
        .add(
            Operation::get(USERS, "ListIamUsers")
                .action("outfitter:iamUsers:list")
                .summary("List the IAM users with rights in the project"),
            users::list,
        )
        .add::<_, (), _, _, _>(
            Operation::patch(USER, "UpdateIamUser")
                .action(users::UPDATE)
                .codes(&[404, 409])
                .summary("Change role, password or state of an IAM user"),
            users::update,
        )
        .add::<(), (), _, _, _>(
            Operation::post(KEYS, "CreateAccessKey")
                .action(access_keys::CREATE)
                .status(201)
                .codes(&[404, 409])
                .summary("Make an access key for an IAM user"),
            access_keys::create,
        )
        .add(
            Operation::get(KEYS, "ListAccessKeys")
                .action("outfitter:accessKeys:list")
                .codes(&[404])
                .summary("List the access keys of an IAM user"),
            access_keys::list,
        )
        .add::<_, (), _, _, _>(
            Operation::patch(KEY, "UpdateAccessKey")
                .action(access_keys::UPDATE)
                .codes(&[404])
                .summary("Enable or disable an access key"),
            access_keys::update,
        )
        .add::<(), (), _, _, _>(
            Operation::delete(KEY, "DeleteAccessKey")
                .action(access_keys::DELETE)
                .codes(&[404])
                .summary("Delete an access key"),
            access_keys::delete,
        );
    register_policies(routes);
}

/// Policies and groups belong to the domain: rights in one project are not enough.
fn register_policies(routes: &mut Routes) {
    const POLICIES: &str = "/api/v1/iam/policies";
    const POLICY: &str = "/api/v1/iam/policies/{policy_id}";
    const ATTACHMENTS: &str = "/api/v1/iam/attachments";
    const GROUPS: &str = "/api/v1/iam/groups";
    const GROUP: &str = "/api/v1/iam/groups/{group_id}";
    routes
        .add::<_, (), _, _, _>(
            Operation::post(POLICIES, "CreateIamPolicy")
                .action("outfitter:iamPolicies:create")
                .status(201)
                .codes(&[409])
                .summary("Write an IAM policy"),
            policies::create,
        )
        .add(
            Operation::get(POLICIES, "ListIamPolicies")
                .action("outfitter:iamPolicies:list")
                .summary("List the IAM policies of the domain and the ready-made ones"),
            policies::list,
        )
        .add::<(), (), _, _, _>(
            Operation::get(POLICY, "ShowIamPolicy")
                .action("outfitter:iamPolicies:show")
                .codes(&[404])
                .summary("Show an IAM policy"),
            policies::show,
        )
        .add::<_, (), _, _, _>(
            Operation::patch(POLICY, "UpdateIamPolicy")
                .action("outfitter:iamPolicies:update")
                .codes(&[404])
                .summary("Change an IAM policy; it counts from the next call on"),
            policies::update,
        )
        .add::<(), (), _, _, _>(
            Operation::delete(POLICY, "DeleteIamPolicy")
                .action("outfitter:iamPolicies:delete")
                .codes(&[404, 409])
                .summary("Delete an IAM policy that is attached to nobody"),
            policies::delete,
        )
        .add::<_, (), _, _, _>(
            Operation::post(ATTACHMENTS, "AttachIamPolicy")
                .action(crate::app::iam::ATTACH)
                .codes(&[404])
                .summary("Attach an IAM policy to a user or a group"),
            policies::attach,
        )
        .add(
            Operation::get(ATTACHMENTS, "ListIamAttachments")
                .action("outfitter:iamPolicies:listAttachments")
                .summary("List which IAM policies are attached to whom"),
            policies::list_attachments,
        )
        .add::<_, (), _, _, _>(
            Operation::post("/api/v1/iam/attachments/actions/detach", "DetachIamPolicy")
                .action("outfitter:iamPolicies:detach")
                .codes(&[404])
                .summary("Take an IAM policy back from a user or a group"),
            policies::detach,
        )
        .add::<_, (), _, _, _>(
            Operation::post(GROUPS, "CreateIamGroup")
                .action("outfitter:iamGroups:create")
                .status(201)
                .codes(&[409])
                .summary("Make a group of IAM users"),
            groups::create,
        )
        .add(
            Operation::get(GROUPS, "ListIamGroups")
                .action("outfitter:iamGroups:list")
                .summary("List the groups of IAM users"),
            groups::list,
        )
        .add::<_, (), _, _, _>(
            Operation::patch(GROUP, "UpdateIamGroup")
                .action("outfitter:iamGroups:update")
                .names(&[
                    Named::Ids("iamUser", "add_user_ids[]"),
                    Named::Ids("iamUser", "remove_user_ids[]"),
                ])
                .codes(&[404])
                .summary("Change who is in a group of IAM users"),
            groups::update,
        )
        .add::<(), (), _, _, _>(
            Operation::delete(GROUP, "DeleteIamGroup")
                .action("outfitter:iamGroups:delete")
                .codes(&[404])
                .summary("Delete a group of IAM users with what is attached to it"),
            groups::delete,
        )
        .add(
            Operation::get("/api/v1/{project_id}/iam/explain", "ExplainIamAccess")
                .action("outfitter:iamPolicies:explain")
                .codes(&[404])
                .summary("Say whether an IAM user may do something, and which statement decides"),
            policies::explain,
        );
}

fn role(policy: ReadyMadePolicy) -> IamRole {
    match policy {
        ReadyMadePolicy::Administrator => IamRole::Administrator,
        ReadyMadePolicy::AppOperator => IamRole::AppOperator,
        ReadyMadePolicy::HelpDesk => IamRole::HelpDesk,
        ReadyMadePolicy::ReadOnly => IamRole::ReadOnly,
    }
}

fn policy(role: IamRole) -> ReadyMadePolicy {
    match role {
        IamRole::Administrator => ReadyMadePolicy::Administrator,
        IamRole::AppOperator => ReadyMadePolicy::AppOperator,
        IamRole::HelpDesk => ReadyMadePolicy::HelpDesk,
        IamRole::ReadOnly => ReadyMadePolicy::ReadOnly,
    }
}

fn user(user: &store::IamUser, policy: ReadyMadePolicy) -> IamUser {
    IamUser {
        id: user.id.to_string(),
        name: user.name.clone(),
        domain_id: user.domain.id.to_string(),
        role: role(policy),
        enabled: user.enabled,
        external: user.password_hash.is_none(),
        created_at: WireTime::from_unix_millis(user.created_at.get()),
    }
}

fn first_key(made: &MadeUser) -> CreateAccessKeyResponse {
    CreateAccessKeyResponse {
        access_key: made.access_key.access.clone(),
        secret_key: shown_once(&made.access_key.secret),
        user_id: made.user.id.to_string(),
        created_at: WireTime::from_unix_millis(made.user.created_at.get()),
    }
}

fn access_key(key: store::AccessKey, user_id: &str) -> AccessKey {
    let time = |instant: outfitter_domain::Millis| WireTime::from_unix_millis(instant.get());
    AccessKey {
        access_key: key.access,
        user_id: user_id.to_owned(),
        enabled: key.enabled,
        created_at: time(key.created_at),
        last_used_at: key.last_used_at.map(time),
    }
}

fn shown_once(secret: &SecretString) -> SecretText {
    SecretText::new(secret.expose_secret())
}

/// One page of a list that is read whole, because it is short by nature.
fn page<T>(all: Vec<T>, offset: i64, limit: i64) -> (i64, impl Iterator<Item = T>) {
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    (count, all.into_iter().skip(size(offset)).take(size(limit)))
}
