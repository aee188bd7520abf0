//! Desktops: registering, attaching users, deleting.

use outfitter_domain::OsType;
use outfitter_domain::fleet::{
    DesktopName, DesktopNameError, DesktopType, LocalUserName, LocalUserNameError,
};
use outfitter_ids::{DesktopId, UserId};
use outfitter_store::{
    Desktop, DesktopKey, LeftUsers, NewDesktop, Persistence, ProjectKey, StoreError, Tx,
};
use thiserror::Error;

use crate::Services;

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
    let mut seen = std::collections::HashSet::new();
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
    tx.desktops_delete(project, desktops, left_users, services.clock.now())
        .await
}

/// Closes the channels of deleted desktops that end in this process; those elsewhere end at their next
/// statement, which finds the certificate revoked.
pub fn close_channels(services: &Services, desktops: &[DesktopKey]) {
    for desktop in desktops {
        services.registry.close(*desktop);
    }
}

/// Whether a desktop's agent is connected: to this process, or by a sign of life in the last three heartbeats.
pub fn is_connected(services: &Services, desktop: &Desktop) -> bool {
    let grace = std::time::Duration::from_secs(u64::from(services.heartbeat_secs) * 3);
    desktop.agent.is_some()
        && (services.registry.epoch(desktop.key).is_some()
            || desktop
                .last_seen_at
                .is_some_and(|seen| seen.plus(grace) >= services.clock.now()))
}
