//! Groups of the directory: creating, renaming, members, deleting.

use outfitter_domain::PlatformType;
use outfitter_domain::account::LOCAL_DOMAIN;
use outfitter_domain::text::is_blank;
use outfitter_ids::GroupId;
use outfitter_store::{Db, Group, GroupKey, NewGroup, ProjectKey, StoreError};
use thiserror::Error;

use super::users::{self, UserError};
use crate::Services;

/// Why groups could not be made, changed or deleted. Then nothing of the call was done.
#[derive(Debug, Error)]
pub enum GroupError {
    /// A blank name.
    #[error("must not be blank")]
    NameBlank,
    /// The directory has the group.
    #[error("a user group is named {name} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// An AD group keeps its directory's name.
    #[error("an AD group cannot be renamed")]
    AdRename,
    /// The company directory keeps the group.
    #[error("the company directory keeps this group; change it there")]
    OfDirectory,
    /// No such group.
    #[error("the user group does not exist")]
    GroupUnknown,
    /// No such user.
    #[error(transparent)]
    User(#[from] UserError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Users whose groups are counted at once, after groups that held groups were deleted.
const CLOSURE_PAGE: usize = 250;

/// Whether users join or leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// They join.
    Join,
    /// They leave.
    Leave,
}

/// Makes a group. It stands in `local.com`, the domain of accounts that name none, until a directory
/// synchronisation knows better.
///
/// # Errors
/// See [`GroupError`].
pub async fn create(
    services: &Services,
    project: ProjectKey,
    name: String,
    platform_type: PlatformType,
    description: String,
) -> Result<(), GroupError> {
    if is_blank(&name) {
        return Err(GroupError::NameBlank);
    }
    let now = services.clock.now();
    let group = NewGroup {
        id: GroupId::new(services.ids.uuid(now.get())),
        name,
        domain: LOCAL_DOMAIN.to_owned(),
        platform_type,
        description,
    };
    let tx = services.store.write().await?;
    named(tx.group_insert(project, &group, now).await, &group.name)?;
    tx.commit().await?;
    Ok(())
}

/// Renames or describes a group; `None` stays. Its app authorizations follow a new name.
///
/// # Errors
/// See [`GroupError`].
pub async fn update(
    services: &Services,
    project: ProjectKey,
    id: &str,
    name: Option<String>,
    description: Option<String>,
) -> Result<(), GroupError> {
    let tx = services.store.write().await?;
    let group = find(tx.db(), project, id).await?;
    if let Some(name) = name.filter(|name| *name != group.name) {
        if group.platform_type == PlatformType::Ad {
            return Err(GroupError::AdRename);
        }
        if is_blank(&name) {
            return Err(GroupError::NameBlank);
        }
        named(tx.group_rename(project, &group, &name).await, &name)?;
    }
    if let Some(description) = description.filter(|text| *text != group.description) {
        if group.external_id.is_some() {
            return Err(GroupError::OfDirectory);
        }
        tx.group_describe(group.key, &description).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn named<T>(outcome: Result<T, StoreError>, name: &str) -> Result<T, GroupError> {
    match outcome {
        Err(error) if error.is_conflict() => Err(GroupError::NameTaken {
            name: name.to_owned(),
        }),
        other => Ok(other?),
    }
}

/// A group by the id of the wire.
///
/// # Errors
/// [`GroupError::GroupUnknown`].
pub async fn find(db: Db<'_>, project: ProjectKey, id: &str) -> Result<Group, GroupError> {
    let id = GroupId::lookup(id).ok_or(GroupError::GroupUnknown)?;
    db.group_find(project, id)
        .await?
        .ok_or(GroupError::GroupUnknown)
}

/// Lets users join or leave a group; who is in (or out) already stays so.
///
/// # Errors
/// See [`GroupError`].
pub async fn change_members(
    services: &Services,
    project: ProjectKey,
    id: &str,
    membership: Membership,
    users: &[String],
) -> Result<(), GroupError> {
    let tx = services.store.write().await?;
    let group = find(tx.db(), project, id).await?;
    if group.external_id.is_some() {
        return Err(GroupError::OfDirectory);
    }
    let users = users::keys(&tx, project, users).await?;
    match membership {
        Membership::Join => tx.group_members_add(group.key, &users).await?,
        Membership::Leave => tx.group_members_remove(group.key, &users).await?,
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes groups, all or none, with their memberships and app authorizations.
///
/// # Errors
/// [`GroupError::GroupUnknown`] when one is not the project's.
pub async fn delete(
    services: &Services,
    project: ProjectKey,
    ids: &[String],
) -> Result<(), GroupError> {
    let ids = ids
        .iter()
        .map(|text| GroupId::lookup(text).ok_or(GroupError::GroupUnknown))
        .collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    let ids: Vec<GroupId> = ids.into_iter().collect();
    let tx = services.store.write().await?;
    let found = tx.db().group_keys(project, &ids).await?;
    if found.len() != ids.len() {
        return Err(GroupError::GroupUnknown);
    }
    let keys: Vec<GroupKey> = found.into_iter().map(|(_, key)| key).collect();
    if tx.db().any_group_of_directory(project, &keys).await? {
        return Err(GroupError::OfDirectory);
    }
    tx.groups_delete(project, &keys).await?;
    while tx.closure_refresh_due(CLOSURE_PAGE).await? > 0 {}
    tx.commit().await?;
    Ok(())
}
