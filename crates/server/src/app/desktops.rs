//! Desktops: registering, attaching users, deleting.

use std::collections::HashSet;

use outfitter_domain::fleet::{
    DesktopName, DesktopNameError, DesktopType, LocalUserName, LocalUserNameError,
};
use outfitter_domain::{Account, AccountType, OsType, PlatformType};
use outfitter_ids::{DesktopId, UserId, WorkspaceJobId};
use outfitter_store::{
    Desktop, DesktopKey, LeftUsers, NewDesktop, Persistence, ProjectKey, StoreError, SubJobOutcome,
    Tx, UserKey,
};
use thiserror::Error;

use super::workspace_jobs;
use crate::Services;

/// The desktop a native call names.
///
/// # Errors
/// The database's.
pub async fn find(
    services: &Services,
    project: ProjectKey,
    id: &str,
) -> Result<Option<Desktop>, StoreError> {
    match DesktopId::lookup(id) {
        None => Ok(None),
        Some(id) => services.store.db().desktop_find(project, id).await,
    }
}

/// Why a desktop could not be registered.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// No name of a desktop.
    #[error("cannot register the desktop")]
    Name(#[from] DesktopNameError),
    /// No name of a user.
    #[error("cannot attach user {index} of the list")]
    UserName {
        /// Its place in the list, from 0.
        index: usize,
        /// Why.
        source: LocalUserNameError,
    },
    /// A user twice, without regard to case.
    #[error("user {index} of the list stands there twice")]
    UserTwice {
        /// Place of the second, from 0.
        index: usize,
    },
    /// The project has a desktop of that name.
    #[error("a desktop is named {name} already")]
    NameTaken {
        /// The name.
        name: DesktopName,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A desktop to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Name.
    pub name: String,
    /// Operating system.
    pub os_type: OsType,
    /// LOCAL users to attach, made where absent.
    pub users: Vec<String>,
    /// Whether what is installed survives a log-off.
    pub persistence: Persistence,
}

/// Registers a desktop. With more than one user it is a shared one.
///
/// # Errors
/// See [`RegisterError`]; nothing is stored then.
pub async fn register(
    services: &Services,
    project: ProjectKey,
    registration: Registration,
) -> Result<Desktop, RegisterError> {
    let name = DesktopName::parse(&registration.name)?;
    let users = user_names(&registration.users)?;
    let now = services.clock.now();
    let new = NewDesktop {
        id: DesktopId::new(services.ids.uuid(now.get())),
        name,
        os_type: registration.os_type,
        desktop_type: if users.len() > 1 {
            DesktopType::Shared
        } else {
            DesktopType::Dedicated
        },
        persistence: registration.persistence,
    };
    let tx = services.store.write().await?;
    let desktop = match tx.desktop_insert(project, &new, now).await {
        Err(error) if error.is_conflict() => {
            return Err(RegisterError::NameTaken { name: new.name });
        }
        other => other?,
    };
    for name in &users {
        let id = UserId::new(services.ids.uuid(now.get()));
        let user = tx.user_ensure_local(project, name, id, now).await?;
        tx.desktop_user_attach(desktop, user, None).await?;
    }
    let stored = tx
        .db()
        .desktop_find(project, new.id)
        .await?
        .expect("the transaction sees the desktop it stored");
    tx.commit().await?;
    Ok(stored)
}

fn user_names(texts: &[String]) -> Result<Vec<LocalUserName>, RegisterError> {
    let mut seen = HashSet::new();
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let name = LocalUserName::parse(text)
                .map_err(|source| RegisterError::UserName { index, source })?;
            if !seen.insert(name.folded()) {
                return Err(RegisterError::UserTwice { index });
            }
            Ok(name)
        })
        .collect()
}

/// Deletes desktops in an open transaction: agents revoked, users detached, pending jobs failed. After the
/// commit, [`close_channels`].
///
/// # Errors
/// The database's.
pub async fn delete(
    services: &Services,
    tx: &Tx,
    project: ProjectKey,
    desktops: &[DesktopKey],
    left_users: LeftUsers,
) -> Result<(), StoreError> {
    let now = services.clock.now();
    tx.job_fail_of_desktops(desktops, now).await?;
    tx.desktops_delete(project, desktops, left_users, now).await
}

/// A user named in a call: by id, or by name and domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedUser {
    /// Id; it outranks the name.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Domain; absent or blank: the local one.
    pub domain: Option<String>,
    /// Privilege group on the desktop.
    pub user_group: Option<String>,
}

/// A desktop to attach, and who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Id, as the caller named it.
    pub desktop: String,
    /// New name of the desktop.
    pub name: Option<DesktopName>,
    /// Who gets it.
    pub users: Vec<NamedUser>,
}

/// A desktop to take users off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detachment {
    /// Id, as the caller named it.
    pub desktop: String,
    /// Who.
    pub users: DetachedUsers,
}

/// Who is taken off a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetachedUsers {
    /// Everyone.
    All,
    /// These.
    Named(Vec<NamedUser>),
}

/// A desktop that was left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachFailure {
    /// Id.
    pub desktop: DesktopId,
    /// Name.
    pub name: String,
    /// Who is not attached.
    pub user: String,
}

/// Why desktops could not be attached or detached. Then nothing of the call was done.
#[derive(Debug, Error)]
pub enum AttachError {
    /// No such desktop.
    #[error("the desktop does not exist")]
    DesktopUnknown,
    /// No such user, and none that could be made.
    #[error("the user does not exist")]
    UserUnknown,
    /// Nobody was named for a desktop.
    #[error("desktop {index} of the list: name at least one user")]
    NoUser {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// Other work goes on there.
    #[error("other work goes on on the desktop {name}; try again when it has ended")]
    Busy {
        /// Its name.
        name: String,
    },
    /// More users than the desktop takes.
    #[error("the desktop {name} takes one user, or at most {USERS_MAX} when it is a shared one")]
    Occupied {
        /// Its name.
        name: String,
    },
    /// The project has a desktop of that name.
    #[error("a desktop is named {name} already")]
    NameTaken {
        /// The name.
        name: DesktopName,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Most users of a shared desktop. Source: contract, section 11.
const USERS_MAX: usize = 500;

/// Attaches desktops, all or none, and answers the job that says so. A LOCAL user that is not there is made.
///
/// # Errors
/// See [`AttachError`].
pub async fn attach(
    services: &Services,
    project: ProjectKey,
    attachments: Vec<Attachment>,
) -> Result<WorkspaceJobId, AttachError> {
    let now = services.clock.now();
    let tx = services.store.write().await?;
    let mut sub_jobs = Vec::new();
    for (index, attachment) in attachments.into_iter().enumerate() {
        if attachment.users.is_empty() {
            return Err(AttachError::NoUser { index });
        }
        let desktop = locked(&tx, project, &attachment.desktop).await?;
        if let Some(name) = attachment.name {
            match tx.desktop_rename(desktop.key, &name).await {
                Err(error) if error.is_conflict() => return Err(AttachError::NameTaken { name }),
                other => other?,
            }
        }
        let mut attached: HashSet<UserKey> = desktop.users.iter().map(|user| user.key).collect();
        let mut names = Vec::new();
        for user in &attachment.users {
            let key = find_or_make(services, &tx, project, user).await?;
            tx.desktop_user_attach(desktop.key, key, user.user_group.as_deref())
                .await?;
            attached.insert(key);
            names.extend(user.name.clone().or_else(|| user.id.clone()));
        }
        let room = match desktop.desktop_type {
            DesktopType::Dedicated => 1,
            DesktopType::Shared => USERS_MAX,
        };
        if attached.len() > room {
            return Err(AttachError::Occupied { name: desktop.name });
        }
        sub_jobs.push(workspace_jobs::sub_job(
            services,
            desktop.key,
            Some(names.join(",")),
            SubJobOutcome::SUCCESS,
        ));
    }
    let job = workspace_jobs::start(
        services,
        &tx,
        project,
        workspace_jobs::ATTACH,
        &sub_jobs,
        now,
    )
    .await?;
    tx.commit().await?;
    Ok(job)
}

/// Takes users off desktops. A desktop where a named user is not attached is left as it was and answered.
///
/// # Errors
/// See [`AttachError`].
pub async fn detach(
    services: &Services,
    project: ProjectKey,
    detachments: Vec<Detachment>,
) -> Result<Vec<DetachFailure>, AttachError> {
    let tx = services.store.write().await?;
    let mut failures = Vec::new();
    'desktops: for detachment in detachments {
        let desktop = locked(&tx, project, &detachment.desktop).await?;
        let mut leaving = Vec::new();
        match &detachment.users {
            DetachedUsers::All => leaving.extend(desktop.users.iter().map(|user| user.key)),
            DetachedUsers::Named(users) => {
                for user in users {
                    let Some(key) = attached_key(&desktop, user) else {
                        failures.push(DetachFailure {
                            desktop: desktop.id,
                            name: desktop.name,
                            user: user
                                .name
                                .clone()
                                .or_else(|| user.id.clone())
                                .unwrap_or_default(),
                        });
                        continue 'desktops;
                    };
                    leaving.push(key);
                }
            }
        }
        tx.desktop_users_detach(desktop.key, &leaving).await?;
    }
    tx.commit().await?;
    Ok(failures)
}

fn attached_key(desktop: &Desktop, wanted: &NamedUser) -> Option<UserKey> {
    let id = wanted.id.as_deref().filter(|id| !id.is_empty());
    let wanted_account = wanted
        .name
        .clone()
        .map(|name| account(name, wanted.domain.clone()).key());
    desktop
        .users
        .iter()
        .find(|user| match (id, &wanted_account) {
            (Some(id), _) => user.id.to_string() == id,
            (None, Some(wanted)) => {
                account(user.name.clone(), Some(user.domain.clone())).key() == *wanted
            }
            (None, None) => false,
        })
        .map(|user| user.key)
}

fn account(name: String, domain: Option<String>) -> Account {
    Account::new(AccountType::Simple, name, domain, None)
}

async fn locked(tx: &Tx, project: ProjectKey, id: &str) -> Result<Desktop, AttachError> {
    let id = DesktopId::lookup(id).ok_or(AttachError::DesktopUnknown)?;
    let keys: Vec<DesktopKey> = tx
        .desktops_lock(project, &[id])
        .await?
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    if keys.is_empty() {
        return Err(AttachError::DesktopUnknown);
    }
    if let Some(name) = tx.db().desktop_busy(project, &keys).await? {
        return Err(AttachError::Busy { name });
    }
    tx.db()
        .desktop_find(project, id)
        .await?
        .ok_or(AttachError::DesktopUnknown)
}

async fn find_or_make(
    services: &Services,
    tx: &Tx,
    project: ProjectKey,
    wanted: &NamedUser,
) -> Result<UserKey, AttachError> {
    if let Some(id) = wanted.id.as_deref().filter(|id| !id.is_empty()) {
        let id = UserId::lookup(id).ok_or(AttachError::UserUnknown)?;
        let found = tx.db().user_keys(project, &[id]).await?;
        return found
            .first()
            .map(|(_, key)| *key)
            .ok_or(AttachError::UserUnknown);
    }
    let name = wanted.name.clone().ok_or(AttachError::UserUnknown)?;
    let account = account(name, wanted.domain.clone());
    if let Some(key) = tx
        .db()
        .user_by_name(project, &account.account, &account.domain)
        .await?
    {
        return Ok(key);
    }
    if account.platform_type == PlatformType::Ad {
        return Err(AttachError::UserUnknown);
    }
    let name = LocalUserName::parse(&account.account).map_err(|_| AttachError::UserUnknown)?;
    let now = services.clock.now();
    let id = UserId::new(services.ids.uuid(now.get()));
    Ok(tx.user_ensure_local(project, &name, id, now).await?)
}

/// Closes the channels of deleted desktops that end in this process; those elsewhere end at their next
/// statement, which finds the certificate revoked.
pub fn close_channels(services: &Services, desktops: &[DesktopKey]) {
    for desktop in desktops {
        services.registry.close(*desktop);
    }
}

/// How long after its last sign of life an agent counts as connected: three heartbeats.
pub fn presence_grace(services: &Services) -> std::time::Duration {
    std::time::Duration::from_secs(u64::from(services.heartbeat_secs) * 3)
}

/// Whether a desktop's agent is connected: to this process, or by a sign of life in the last three heartbeats.
pub fn is_connected(services: &Services, desktop: &Desktop) -> bool {
    let grace = presence_grace(services);
    desktop.agent.is_some()
        && (services.registry.epoch(desktop.key).is_some()
            || desktop
                .last_seen_at
                .is_some_and(|seen| seen.plus(grace) >= services.clock.now()))
}
