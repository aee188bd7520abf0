//! Policies that the account wrote, groups of IAM users, and what is attached to whom.
//!
//! All of it belongs to the domain, so only who has rights in the domain gets here: a project's administrator
//! cannot give themselves more. **Guarantees.** A change counts from the next call on, on every server. A policy
//! that is attached cannot be deleted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use outfitter_domain::iam::condition::{ASSIGN_SCOPE, WIDENS_AUTHORIZATION};
use outfitter_domain::iam::{Doubt, Pending, PolicyDocument, ReadyMadePolicy};
use outfitter_domain::text::fold;
use outfitter_ids::{IamGroupId, IamPolicyId, IamUserId, ProjectId};
use outfitter_store::{
    AttachedPolicy, DomainKey, IamGroup, IamPolicy, IamUser, PolicyHolder, ProjectKey,
};

use super::iam::taken;
use crate::auth::{Caller, Principal, ProjectAccess, Question, Rights, Ruling, held_by};
use crate::http::ApiError;
use crate::services::Services;

const POLICY_NOT_FOUND: ApiError = ApiError::NotFound { noun: "IAM policy" };
const GROUP_NOT_FOUND: ApiError = ApiError::NotFound { noun: "IAM group" };

/// Writes a policy.
///
/// # Errors
/// 409 when the domain, or the product, has a policy of that name.
pub async fn policy_add(
    services: &Services,
    caller: &Caller,
    name: &str,
    description: &str,
    document: &PolicyDocument,
) -> Result<IamPolicy, ApiError> {
    if ReadyMadePolicy::parse(&fold(name)).is_some() {
        return Err(ApiError::conflict(
            "WKS.0409",
            format!("{name} is the name of a ready-made policy: choose another name"),
        ));
    }
    let now = services.clock.now();
    let id = IamPolicyId::new(services.ids.uuid(now.get()));
    let tx = services.store.write().await?;
    tx.iam_policy_insert(caller.domain, id, name, description, document, now)
        .await
        .map_err(|error| taken(error, "IAM policy", name))?;
    tx.commit().await?;
    policy_find(services, caller.domain, &id.to_string()).await
}

/// A policy that the account wrote.
///
/// # Errors
/// 404.
pub async fn policy_find(
    services: &Services,
    domain: DomainKey,
    id: &str,
) -> Result<IamPolicy, ApiError> {
    let id = IamPolicyId::lookup(id).ok_or(POLICY_NOT_FOUND)?;
    services
        .store
        .db()
        .iam_policy_find(domain, id)
        .await?
        .ok_or(POLICY_NOT_FOUND)
}

/// Changes what a policy says; what is `None` stays.
///
/// # Errors
/// 404.
pub async fn policy_change(
    services: &Services,
    caller: &Caller,
    id: &str,
    description: Option<&str>,
    document: Option<&PolicyDocument>,
) -> Result<IamPolicy, ApiError> {
    let policy = policy_find(services, caller.domain, id).await?;
    let tx = services.store.write().await?;
    tx.iam_policy_update(policy.key, description, document, services.clock.now())
        .await?;
    tx.commit().await?;
    policy_find(services, caller.domain, id).await
}

/// Deletes a policy.
///
/// # Errors
/// 404; 409 while it is attached.
pub async fn policy_delete(services: &Services, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let policy = policy_find(services, caller.domain, id).await?;
    let tx = services.store.write().await?;
    if !tx.iam_policy_delete(policy.key).await? {
        return Err(ApiError::conflict(
            "WKS.0409",
            format!("{} is attached: detach it first", policy.name),
        ));
    }
    Ok(tx.commit().await?)
}

/// What is attached, or taken back.
pub struct Attachment<'a> {
    /// Id of a policy, or name of a ready-made one.
    pub policy: &'a str,
    /// The user.
    pub user_id: Option<&'a str>,
    /// The group.
    pub group_id: Option<&'a str>,
    /// In this project only.
    pub project_id: Option<&'a str>,
}

/// Whether a policy is given or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentChange {
    /// Given; what is attached already stays.
    Attach,
    /// Taken back; what is not attached is passed over.
    Detach,
}

/// Attaches or detaches a policy.
///
/// # Errors
/// 404 for a policy, user, group or project that the domain does not have; 400 unless exactly one of user and
/// group is named.
pub async fn attachment_change(
    services: &Services,
    caller: &Caller,
    wanted: &Attachment<'_>,
    change: AttachmentChange,
) -> Result<(), ApiError> {
    let db = services.store.db();
    let policy = match ReadyMadePolicy::parse(wanted.policy) {
        Some(ready_made) => AttachedPolicy::ReadyMade(ready_made),
        None => AttachedPolicy::Written(
            policy_find(services, caller.domain, wanted.policy)
                .await?
                .key,
        ),
    };
    let holder = match (wanted.user_id, wanted.group_id) {
        (Some(id), None) => PolicyHolder::User(user_find(services, caller, id).await?.key),
        (None, Some(id)) => PolicyHolder::Group(group_find(services, caller, id).await?.key),
        _ => {
            return Err(ApiError::invalid(
                "user_id",
                "exactly one of user_id and group_id must be given",
            ));
        }
    };
    let project = match wanted.project_id {
        None => None,
        Some(text) => {
            let unknown = ApiError::NotFound { noun: "project" };
            let found = match ProjectId::lookup(text) {
                Some(id) => db.project_by_id(caller.domain, id).await?,
                None => None,
            };
            Some(found.ok_or(unknown)?.key)
        }
    };
    let tx = services.store.write().await?;
    match change {
        AttachmentChange::Attach => tx.iam_attach(policy, holder, project).await?,
        AttachmentChange::Detach => drop(tx.iam_detach(policy, holder, project).await?),
    }
    Ok(tx.commit().await?)
}

/// Makes a group without members.
///
/// # Errors
/// 409 when the domain has a group of that name.
pub async fn group_add(
    services: &Services,
    caller: &Caller,
    name: &str,
) -> Result<IamGroup, ApiError> {
    let now = services.clock.now();
    let id = IamGroupId::new(services.ids.uuid(now.get()));
    let tx = services.store.write().await?;
    let key = tx
        .iam_group_insert(caller.domain, id, name, now)
        .await
        .map_err(|error| taken(error, "IAM group", name))?;
    tx.commit().await?;
    Ok(IamGroup {
        key,
        id,
        name: name.to_owned(),
        created_at: now,
    })
}

/// Changes who is in a group.
///
/// # Errors
/// 404 for a group or user that the domain does not have; nothing is changed then.
pub async fn group_change(
    services: &Services,
    caller: &Caller,
    id: &str,
    add: &[String],
    remove: &[String],
    provider_groups: Option<&[String]>,
) -> Result<IamGroup, ApiError> {
    let group = group_find(services, caller, id).await?;
    let mut members = Vec::new();
    for id in add {
        members.push((user_find(services, caller, id).await?.key, true));
    }
    for id in remove {
        members.push((user_find(services, caller, id).await?.key, false));
    }
    let tx = services.store.write().await?;
    for (user, stays) in members {
        if stays {
            tx.iam_group_add(group.key, user).await?;
        } else {
            tx.iam_group_remove(group.key, user).await?;
        }
    }
    if let Some(provider_groups) = provider_groups {
        tx.iam_group_set_provider_groups(group.key, provider_groups)
            .await?;
    }
    tx.commit().await?;
    Ok(group)
}

/// Deletes a group with what is attached to it.
///
/// # Errors
/// 404.
pub async fn group_delete(services: &Services, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let group = group_find(services, caller, id).await?;
    let tx = services.store.write().await?;
    tx.iam_group_delete(group.key).await?;
    Ok(tx.commit().await?)
}

async fn group_find(services: &Services, caller: &Caller, id: &str) -> Result<IamGroup, ApiError> {
    let id = IamGroupId::lookup(id).ok_or(GROUP_NOT_FOUND)?;
    services
        .store
        .db()
        .iam_group_find(caller.domain, id)
        .await?
        .ok_or(GROUP_NOT_FOUND)
}

async fn user_find(services: &Services, caller: &Caller, id: &str) -> Result<IamUser, ApiError> {
    let not_found = || ApiError::NotFound { noun: "IAM user" };
    let id = IamUserId::lookup(id).ok_or_else(not_found)?;
    services
        .store
        .db()
        .iam_user_by_id(id)
        .await?
        .filter(|user| user.domain.key == caller.domain)
        .ok_or_else(not_found)
}

/// What is asked of [`explain`].
pub struct Explained<'a> {
    /// Id or name of the user.
    pub user: &'a str,
    /// The action.
    pub action: &'a str,
    /// The resource.
    pub resource: Option<&'a str>,
    /// Where the call would come from.
    pub source: IpAddr,
    /// Whom the call would name.
    pub assign_scope: Option<&'a str>,
    /// Whether it would widen authorizations.
    pub widens: Option<bool>,
}

/// What would be decided about a call of a user in a project, now. Tags of the resource are those it has.
///
/// # Errors
/// 404 when the domain has no such user.
pub async fn explain(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    asked: &Explained<'_>,
) -> Result<(IamUser, Ruling), ApiError> {
    let user = match IamUserId::lookup(asked.user) {
        Some(_) => user_find(services, caller, asked.user).await?,
        None => services
            .store
            .db()
            .iam_user_by_name(&caller.domain_name, asked.user)
            .await?
            .ok_or(ApiError::NotFound { noun: "IAM user" })?,
    };
    let rights = Rights {
        principal: Principal {
            domain: user.domain.id,
            user: user.id,
            user_name: user.name.clone(),
        },
        project: Some(project.id),
        held: held_by(services, user.key, Some(project.project)).await?,
        session: None,
        source: asked.source,
        now: services.clock.now(),
    };
    let mut facts = tags_of(services, project.project, asked.resource).await?;
    if let Some(scope) = asked.assign_scope {
        facts.insert(ASSIGN_SCOPE.to_owned(), scope.to_owned());
    }
    if let Some(widens) = asked.widens {
        facts.insert(WIDENS_AUTHORIZATION.to_owned(), widens.to_string());
    }
    let ruling = rights.rule(&Question {
        action: asked.action,
        resource: asked.resource,
        facts: &facts,
        pending: Pending::Nothing,
        doubt: Doubt::Refuses,
    });
    Ok((user, ruling))
}

async fn tags_of(
    services: &Services,
    project: ProjectKey,
    resource: Option<&str>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let resources: Vec<String> = resource.map(str::to_owned).into_iter().collect();
    let tags = crate::http::resources::tags(services, project, &resources).await?;
    Ok(tags.into_values().flatten().collect())
}
