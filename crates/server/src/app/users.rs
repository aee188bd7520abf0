//! Users of the directory: creating, changing, deleting.
//!
//! Passwords are hashed before the write transaction begins, so that it stays short.

use outfitter_domain::fleet::{ActiveType, UserProfile, is_password_strong};
use outfitter_domain::{Account, AccountType, Millis, PlatformType};
use outfitter_ids::{GroupId, UserId};
use outfitter_store::{GroupKey, NewUser, ProjectKey, StoreError, Tx, UserChange, UserKey};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use crate::Services;
use crate::auth::PasswordsBusy;

/// Why users could not be made, changed or deleted. Then nothing of the call was done.
#[derive(Debug, Error)]
pub enum UserError {
    /// A member breaks a rule.
    #[error("{member}: {reason}")]
    Invalid {
        /// Which one.
        member: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The password of an account is too simple.
    #[error(
        "password: too simple: at least three of capitals, small letters, digits and other characters, and not the user's name"
    )]
    PasswordTooSimple,
    /// The directory has the user.
    #[error("a user is named {name} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The company directory keeps this.
    #[error("the company directory keeps this; change it there")]
    OfDirectory,
    /// No such user.
    #[error("the user does not exist")]
    UserUnknown,
    /// No such group.
    #[error("the user group does not exist")]
    GroupUnknown,
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] PasswordsBusy),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user to make.
pub struct UserDraft {
    /// Name.
    pub name: String,
    /// Domain; absent or blank: the local one.
    pub domain: Option<String>,
    /// Free text.
    pub description: String,
    /// Who activates the account.
    pub active_type: ActiveType,
    /// Enterprise project, as the caller named it.
    pub enterprise_project_id: Option<String>,
    /// First password.
    pub password: Option<SecretString>,
    /// The rest.
    pub profile: UserProfile,
    /// Groups the user joins, as the caller named them.
    pub groups: Vec<String>,
}

/// What to change; a member that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// Free text.
    pub description: Option<String>,
    /// Who activates the account.
    pub active_type: Option<ActiveType>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
    /// Mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// When the account expires; `Some(None)`: never.
    pub account_expires: Option<Option<Millis>>,
    /// Whether the user may change the password.
    pub enable_change_password: Option<bool>,
    /// Whether the password must change at the next sign-in.
    pub next_login_change_password: Option<bool>,
    /// Whether the password never expires.
    pub password_never_expired: Option<bool>,
    /// Service level, operation mode and type, as text.
    pub user_info_map: Option<String>,
}

/// Makes users, all or none; answers their ids in order.
///
/// # Errors
/// See [`UserError`], with the place in `drafts` of the one that broke a rule.
pub async fn create(
    services: &Services,
    project: ProjectKey,
    drafts: Vec<UserDraft>,
) -> Result<Vec<UserId>, (usize, UserError)> {
    let now = services.clock.now();
    for (index, draft) in drafts.iter().enumerate() {
        check(draft).map_err(|error| (index, error))?;
    }
    let mut users = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        let user = prepare(services, draft, now)
            .await
            .map_err(|error| (index, error))?;
        users.push(user);
    }
    let whole = |error: StoreError| (0, UserError::Store(error));
    let tx = services.store.write().await.map_err(whole)?;
    let mut ids = Vec::with_capacity(users.len());
    for (index, (user, groups)) in users.into_iter().enumerate() {
        store(&tx, project, &user, &groups, now)
            .await
            .map_err(|error| (index, error))?;
        ids.push(user.id);
    }
    tx.commit().await.map_err(whole)?;
    Ok(ids)
}

fn check(draft: &UserDraft) -> Result<(), UserError> {
    check_activation(draft.active_type, &draft.profile)?;
    if needs_password(draft) {
        let Some(password) = &draft.password else {
            return Err(UserError::Invalid {
                member: "password",
                reason: "is required with ADMIN_ACTIVATE for a LOCAL user",
            });
        };
        if !is_password_strong(password.expose_secret(), &draft.name) {
            return Err(UserError::PasswordTooSimple);
        }
    }
    Ok(())
}

fn check_activation(active_type: ActiveType, profile: &UserProfile) -> Result<(), UserError> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if active_type == ActiveType::UserActivate && !given(&profile.email) && !given(&profile.phone) {
        return Err(UserError::Invalid {
            member: "user_email",
            reason: "USER_ACTIVATE needs user_email or user_phone",
        });
    }
    Ok(())
}

fn account(draft: &UserDraft) -> Account {
    Account::new(
        AccountType::Simple,
        draft.name.clone(),
        draft.domain.clone(),
        None,
    )
}

/// The password of an AD user is the directory's, that of a USER_ACTIVATE user the person's own.
fn needs_password(draft: &UserDraft) -> bool {
    draft.active_type == ActiveType::AdminActivate
        && account(draft).platform_type == PlatformType::Local
}

async fn prepare(
    services: &Services,
    draft: UserDraft,
    now: Millis,
) -> Result<(NewUser, Vec<String>), UserError> {
    let needs_password = needs_password(&draft);
    let account = account(&draft);
    let password_hash = match draft.password {
        Some(password) if needs_password => Some(
            services
                .auth
                .passwords()
                .hash(password)
                .await?
                .expose()
                .to_owned(),
        ),
        _ => None,
    };
    let user = NewUser {
        id: UserId::new(services.ids.uuid(now.get())),
        name: account.account,
        domain: account.domain,
        platform_type: account.platform_type,
        description: draft.description,
        active_type: draft.active_type,
        enterprise_project_id: draft.enterprise_project_id,
        password_hash,
        profile: draft.profile,
    };
    Ok((user, draft.groups))
}

async fn store(
    tx: &Tx,
    project: ProjectKey,
    user: &NewUser,
    groups: &[String],
    now: Millis,
) -> Result<(), UserError> {
    let groups = group_keys(tx, project, groups).await?;
    let key = match tx.user_insert(project, user, now).await {
        Err(error) if error.is_conflict() => {
            return Err(UserError::NameTaken {
                name: user.name.clone(),
            });
        }
        other => other?,
    };
    for group in groups {
        tx.group_members_add(group, &[key]).await?;
    }
    Ok(())
}

async fn group_keys(
    tx: &Tx,
    project: ProjectKey,
    texts: &[String],
) -> Result<Vec<GroupKey>, UserError> {
    let ids = texts
        .iter()
        .map(|text| GroupId::lookup(text).ok_or(UserError::GroupUnknown))
        .collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    let ids: Vec<GroupId> = ids.into_iter().collect();
    let found = tx.db().group_keys(project, &ids).await?;
    if found.len() != ids.len() {
        return Err(UserError::GroupUnknown);
    }
    let keys: Vec<GroupKey> = found.into_iter().map(|(_, key)| key).collect();
    if tx.db().any_group_of_directory(project, &keys).await? {
        return Err(UserError::OfDirectory);
    }
    Ok(keys)
}

/// The keys of users, each once.
///
/// # Errors
/// [`UserError::UserUnknown`] when one is not the project's.
pub async fn keys(
    tx: &Tx,
    project: ProjectKey,
    texts: &[String],
) -> Result<Vec<UserKey>, UserError> {
    let ids = texts
        .iter()
        .map(|text| UserId::lookup(text).ok_or(UserError::UserUnknown))
        .collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    let ids: Vec<UserId> = ids.into_iter().collect();
    let found = tx.db().user_keys(project, &ids).await?;
    if found.len() != ids.len() {
        return Err(UserError::UserUnknown);
    }
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

/// Changes a user.
///
/// # Errors
/// See [`UserError`].
pub async fn update(
    services: &Services,
    project: ProjectKey,
    id: &str,
    patch: UserPatch,
) -> Result<UserId, UserError> {
    let id = UserId::lookup(id).ok_or(UserError::UserUnknown)?;
    let tx = services.store.write().await?;
    let key = tx
        .user_lock(project, id)
        .await?
        .ok_or(UserError::UserUnknown)?;
    let user = tx
        .db()
        .user_find(project, id)
        .await?
        .ok_or(UserError::UserUnknown)?;
    let differs = |new: &Option<String>, old: Option<&String>| {
        new.as_ref().is_some_and(|new| Some(new) != old)
    };
    if user.external_id.is_some()
        && (differs(&patch.description, Some(&user.description))
            || differs(&patch.email, user.profile.email.as_ref())
            || differs(&patch.phone, user.profile.phone.as_ref()))
    {
        return Err(UserError::OfDirectory);
    }
    let stored = user.profile;
    let change = UserChange {
        description: patch.description.unwrap_or(user.description),
        active_type: patch.active_type.unwrap_or(user.active_type),
        disabled: patch.disabled.unwrap_or(user.disabled_here),
        profile: UserProfile {
            email: patch.email.or(stored.email),
            phone: patch.phone.or(stored.phone),
            alias: stored.alias,
            user_info_map: patch.user_info_map.or(stored.user_info_map),
            account_expires: patch.account_expires.unwrap_or(stored.account_expires),
            enable_change_password: patch
                .enable_change_password
                .unwrap_or(stored.enable_change_password),
            next_login_change_password: patch
                .next_login_change_password
                .unwrap_or(stored.next_login_change_password),
            password_never_expired: patch
                .password_never_expired
                .unwrap_or(stored.password_never_expired),
        },
    };
    if patch.active_type.is_some() {
        check_activation(change.active_type, &change.profile)?;
    }
    tx.user_update(key, &change).await?;
    tx.commit().await?;
    Ok(id)
}

/// Deletes users, all or none, with their memberships, attachments and app authorizations.
///
/// # Errors
/// [`UserError::UserUnknown`] when one is not the project's.
pub async fn delete(
    services: &Services,
    project: ProjectKey,
    ids: &[String],
) -> Result<(), UserError> {
    let tx = services.store.write().await?;
    let keys = keys(&tx, project, ids).await?;
    if tx.db().any_user_of_directory(project, &keys).await? {
        return Err(UserError::OfDirectory);
    }
    tx.users_delete(project, &keys).await?;
    tx.commit().await?;
    Ok(())
}
