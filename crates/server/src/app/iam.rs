//! Logging in, projects, IAM users and their access keys.
//!
//! Rules that the route table cannot state: who has rights beyond a project is changed by somebody who has
//! them too, and nobody disables themselves.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use outfitter_domain::Millis;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_domain::text::fold;
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use outfitter_store::{
    AccessKey, DomainKey, IamGrant, IamUser, IamUserKey, NewIamUser, PasswordHash, Project,
    ProjectKey, StoreError, Tx,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::audit;
use crate::auth::{
    Caller, Credential, HeldPolicy, IssuedToken, NewAccessKey, PasswordsBusy, ProjectAccess, Scope,
    TokenScope, held_by, rights_in_domain,
};
use crate::edge::{RetryAfter, seconds_of};
use crate::http::{ApiError, GatewayError};
use crate::services::Services;

/// Most access keys of one user. Ours; the vendor allows two, and rotation needs no more.
pub const MAX_ACCESS_KEYS: usize = 20;

/// The action that is needed to give rights to anybody: whoever may do it may give everything.
pub const ATTACH: &str = "outfitter:iamPolicies:attach";

/// Who logs in.
pub enum WhoLogsIn {
    /// By public id.
    Id(String),
    /// By name.
    Name {
        /// Name of the domain.
        domain: String,
        /// Name of the user.
        user: String,
    },
}

/// Something named by id or by name.
pub enum ByIdOrName {
    /// By public id.
    Id(String),
    /// By name.
    Name(String),
}

/// What a login is for.
pub enum WantedScope {
    /// The user's account.
    Account,
    /// An account by name or id.
    Domain(ByIdOrName),
    /// A project, and the account it is said to be of.
    Project {
        /// The project.
        project: ByIdOrName,
        /// Its account; absent means the user's.
        domain: Option<ByIdOrName>,
    },
}

/// A login that succeeded.
pub struct Login {
    /// The token.
    pub token: IssuedToken,
    /// Whose it is.
    pub user: IamUser,
    /// The project it is for.
    pub project: Option<Project>,
    /// What the user may do there, or in the domain.
    pub policies: Vec<HeldPolicy>,
}

/// Why a login failed.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Unknown user, wrong password, unknown or foreign scope: one answer for all.
    #[error("The username or password is wrong.")]
    Wrong,
    /// The user is disabled.
    #[error("The user is disabled.")]
    Disabled,
    /// The user has no rights in the project.
    #[error("The user has no role in the project.")]
    NoRole,
    /// The project is suspended.
    #[error("The project is unavailable.")]
    Suspended,
    /// Too many at once.
    #[error(transparent)]
    Busy(#[from] PasswordsBusy),
    /// Too many wrong passwords, of the account or of the address.
    #[error("too many wrong passwords were tried")]
    Throttled {
        /// Seconds until the next try.
        retry_after_secs: u32,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::Wrong => Self::coded(StatusCode::UNAUTHORIZED, "IAM.0001", message),
            LoginError::Disabled | LoginError::NoRole | LoginError::Suspended => {
                Self::coded(StatusCode::FORBIDDEN, "IAM.0003", message)
            }
            LoginError::Busy(busy) => busy.into(),
            LoginError::Throttled { retry_after_secs } => {
                GatewayError::throttled(retry_after_secs).into()
            }
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordsBusy> for ApiError {
    fn from(_: PasswordsBusy) -> Self {
        GatewayError::throttled(1).into()
    }
}

/// Checks a password and issues a token. An unknown user takes as long as a wrong password.
///
/// # Errors
/// [`LoginError`].
pub async fn login(
    services: &Services,
    who: &WhoLogsIn,
    password: SecretString,
    scope: &WantedScope,
    source: IpAddr,
) -> Result<Login, LoginError> {
    let db = services.store.db();
    let user = user_by_password(services, who, password, source).await?;
    let own_domain = |domain: &ByIdOrName| match domain {
        ByIdOrName::Id(text) => DomainId::lookup(text) == Some(user.domain.id),
        ByIdOrName::Name(name) => fold(name) == fold(&user.domain.name),
    };
    let project = match scope {
        WantedScope::Account => None,
        WantedScope::Domain(domain) if own_domain(domain) => None,
        WantedScope::Domain(_) => return Err(LoginError::Wrong),
        WantedScope::Project { project, domain } => {
            if !domain.as_ref().is_none_or(own_domain) {
                return Err(LoginError::Wrong);
            }
            let project = match project {
                ByIdOrName::Name(name) => db.project_by_name(user.domain.key, name).await?,
                ByIdOrName::Id(text) => match ProjectId::lookup(text) {
                    Some(id) => db.project_by_id(user.domain.key, id).await?,
                    None => None,
                },
            };
            Some(project.ok_or(LoginError::Wrong)?)
        }
    };
    let policies = held_by(
        services,
        user.key,
        project.as_ref().map(|project| project.key),
    )
    .await?;
    let token_scope = match &project {
        None => TokenScope::Domain(user.domain.id),
        Some(_) if policies.is_empty() => return Err(LoginError::NoRole),
        Some(project) if !project.enabled => return Err(LoginError::Suspended),
        Some(project) => TokenScope::Project(project.id),
    };
    Ok(Login {
        token: services
            .auth
            .issue_token(&user, token_scope, services.clock.now()),
        user,
        project,
        policies,
    })
}

fn digest_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    hex::encode(digest.finalize())
}

/// The user whose password it is. An unknown user takes as long as a wrong password, and is locked like one.
async fn user_by_password(
    services: &Services,
    who: &WhoLogsIn,
    password: SecretString,
    source: IpAddr,
) -> Result<IamUser, LoginError> {
    let db = services.store.db();
    let (WhoLogsIn::Id(claimed) | WhoLogsIn::Name { user: claimed, .. }) = who;
    audit::claimed(claimed);
    let user = match who {
        WhoLogsIn::Id(text) => match IamUserId::lookup(text) {
            Some(id) => db.iam_user_by_id(id).await?,
            None => None,
        },
        WhoLogsIn::Name { domain, user } => db.iam_user_by_name(domain, user).await?,
    };
    // Names of nobody are as long as callers like: their digest is not.
    let account = match (&user, who) {
        (Some(user), _) => user.id.to_string(),
        (None, WhoLogsIn::Id(text)) => digest_of(&[text]),
        (None, WhoLogsIn::Name { domain, user }) => digest_of(&[&fold(domain), &fold(user)]),
    };
    let hash = user.as_ref().and_then(|user| user.password_hash.as_ref());
    let verified = password_verify(services, &account, password, hash, source).await?;
    let user = user.filter(|_| verified).ok_or(LoginError::Wrong)?;
    audit::identify(&user, "password");
    if user.enabled {
        Ok(user)
    } else {
        Err(LoginError::Disabled)
    }
}

/// Whether a password is the one of the hash. Wrong ones count, of the account and of the address.
async fn password_verify(
    services: &Services,
    account: &str,
    password: SecretString,
    hash: Option<&PasswordHash>,
    source: IpAddr,
) -> Result<bool, LoginError> {
    let throttled = |retry_after_secs| LoginError::Throttled { retry_after_secs };
    let check = |now: Millis| match services.auth.account_locked_until(account, source, now) {
        None => Ok(()),
        Some(until) => {
            let left = u64::try_from(until.get() - now.get()).unwrap_or_default();
            Err(throttled(seconds_of(Duration::from_millis(left))))
        }
    };
    services
        .edge
        .may_try_password(source)
        .map_err(|RetryAfter(seconds)| throttled(seconds))?;
    check(services.clock.now())?;
    let verified = services.auth.passwords().verify(password, hash).await?;
    let now = services.clock.now();
    // Again: guesses that were sent all at once passed the first look together.
    check(now)?;
    services.auth.password_tried(account, source, verified, now);
    if !verified {
        services.edge.wrong_password_from(source);
    }
    Ok(verified)
}

/// Why a user could not change their own password.
#[derive(Debug, Error)]
pub enum PasswordChangeError {
    /// The user has none here: the company's provider knows it.
    #[error("the user logs in through the login provider and has no password here")]
    External,
    /// The new one is the old one.
    #[error("the new password is the old one")]
    Same,
    /// The old one is wrong, or was not looked at.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<PasswordChangeError> for ApiError {
    fn from(error: PasswordChangeError) -> Self {
        let message = error.to_string();
        match error {
            PasswordChangeError::External => Self::conflict("WKS.0409", message),
            PasswordChangeError::Same => Self::invalid("password", message),
            // Not 401: the credential of the call is good, and clients would throw it away.
            PasswordChangeError::Login(LoginError::Wrong) => {
                Self::invalid("original_password", "is not the user's password")
            }
            PasswordChangeError::Login(error) => error.into(),
        }
    }
}

/// Changes the caller's own password. Every token and session so far ends, the caller's too; access keys stay.
///
/// # Errors
/// [`PasswordChangeError`]; nothing is changed then.
pub async fn password_change(
    services: &Services,
    caller: &Caller,
    original: SecretString,
    password: SecretString,
) -> Result<(), PasswordChangeError> {
    let store = |error: StoreError| PasswordChangeError::Login(error.into());
    let user = services
        .store
        .db()
        .iam_user_by_id(caller.user_id)
        .await
        .map_err(store)?
        .ok_or(LoginError::Wrong)?;
    let Some(hash) = &user.password_hash else {
        return Err(PasswordChangeError::External);
    };
    let same: bool = original
        .expose_secret()
        .as_bytes()
        .ct_eq(password.expose_secret().as_bytes())
        .into();
    let account = user.id.to_string();
    if !password_verify(services, &account, original, Some(hash), caller.source).await? {
        return Err(LoginError::Wrong.into());
    }
    if same {
        return Err(PasswordChangeError::Same);
    }
    let made = services
        .auth
        .passwords()
        .hash(password)
        .await
        .map_err(LoginError::from)?;
    let tx = services.store.write().await.map_err(store)?;
    tx.iam_user_set_password(user.key, &made, services.clock.now())
        .await
        .map_err(store)?;
    tx.commit().await.map_err(store)
}

/// Checks a password and begins a browser's session.
///
/// # Errors
/// [`LoginError`]; never for a scope.
pub async fn login_in_browser(
    services: &Services,
    who: &WhoLogsIn,
    password: SecretString,
    source: IpAddr,
) -> Result<Caller, LoginError> {
    let user = user_by_password(services, who, password, source).await?;
    let claims = services.auth.begin_session(&user, services.clock.now());
    Ok(Caller::in_domain(user, Credential::Session(claims), source))
}

/// The projects a caller may enter, oldest first.
///
/// # Errors
/// The database fails.
pub async fn projects_of(services: &Services, caller: &Caller) -> Result<Vec<Project>, StoreError> {
    let mut projects = services
        .store
        .db()
        .project_list_of_user(caller.domain, caller.user)
        .await?;
    if let Scope::Project(own, _) = caller.scope {
        projects.retain(|project| project.key == own);
    }
    Ok(projects)
}

/// A user who was just made, with secrets that are shown this once.
pub struct MadeUser {
    /// The user.
    pub user: IamUser,
    /// What the user may do.
    pub policy: ReadyMadePolicy,
    /// The password, where the caller gave none.
    pub password: Option<SecretString>,
    /// A first access key.
    pub access_key: NewAccessKey,
}

/// A user to be made: everything slow or random is done, so that the transaction is short.
pub(super) struct UserDraft {
    pub(super) id: IamUserId,
    pub(super) name: String,
    pub(super) policy: ReadyMadePolicy,
    pub(super) password: Option<SecretString>,
    pub(super) password_hash: PasswordHash,
    pub(super) access_key: NewAccessKey,
}

impl UserDraft {
    /// Makes a password unless one is given, and keys.
    pub(super) async fn new(
        services: &Services,
        name: &str,
        policy: ReadyMadePolicy,
        given: Option<SecretString>,
    ) -> Result<Self, PasswordsBusy> {
        let made = given.is_none().then(|| services.auth.new_password());
        let password = given
            .or_else(|| made.clone())
            .expect("a password is given or made");
        Ok(Self {
            id: IamUserId::new(services.ids.uuid(services.clock.now().get())),
            name: name.to_owned(),
            policy,
            password: made,
            password_hash: services.auth.passwords().hash(password).await?,
            access_key: services.auth.new_access_key(),
        })
    }

    /// Stores the user with its key and its policy in a project or, with `None`, in all of the domain.
    pub(super) async fn insert(
        &self,
        services: &Services,
        tx: &Tx,
        domain: DomainKey,
        project: Option<ProjectKey>,
    ) -> Result<IamUserKey, StoreError> {
        let now = services.clock.now();
        let user = tx
            .iam_user_insert(NewIamUser {
                id: self.id,
                domain,
                name: &self.name,
                password_hash: &self.password_hash,
                created_at: now,
            })
            .await?;
        tx.iam_grant_insert(user, project, self.policy).await?;
        tx.access_key_insert(
            user,
            &self.access_key.access,
            self.access_key.secret_sealed.clone(),
            now,
        )
        .await?;
        Ok(user)
    }

    async fn made(self, tx: &Tx) -> Result<MadeUser, ApiError> {
        let user = tx
            .db()
            .iam_user_by_id(self.id)
            .await?
            .ok_or_else(|| ApiError::internal("read the user just made", "it is not there"))?;
        Ok(MadeUser {
            user,
            policy: self.policy,
            password: self.password,
            access_key: self.access_key,
        })
    }
}

/// Makes a project with an administrator of its own, named after it.
///
/// # Errors
/// 409 when the domain has a project of that name, or a user named `{name}-administrator`.
pub async fn project_add(
    services: &Services,
    caller: &Caller,
    name: &str,
) -> Result<(Project, MadeUser), ApiError> {
    let now = services.clock.now();
    let id = ProjectId::new(services.ids.uuid(now.get()));
    let draft = UserDraft::new(
        services,
        &format!("{name}-administrator"),
        ReadyMadePolicy::Administrator,
        None,
    )
    .await?;
    let tx = services.store.write().await?;
    let key = tx
        .project_insert(id, caller.domain, name, now)
        .await
        .map_err(|error| taken(error, "project", name))?;
    draft
        .insert(services, &tx, caller.domain, Some(key))
        .await
        .map_err(|error| taken(error, "IAM user", &draft.name))?;
    let made = draft.made(&tx).await?;
    tx.commit().await?;
    let project = Project {
        key,
        id,
        domain: caller.domain,
        name: name.to_owned(),
        enabled: true,
        created_at: now,
    };
    Ok((project, made))
}

/// Makes a user with rights in a project.
///
/// # Errors
/// 409 when the domain has a user of that name.
pub async fn user_add(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    name: &str,
    policy: ReadyMadePolicy,
    password: Option<SecretString>,
) -> Result<MadeUser, ApiError> {
    project.rights.check_action(ATTACH)?;
    let draft = UserDraft::new(services, name, policy, password).await?;
    let tx = services.store.write().await?;
    draft
        .insert(services, &tx, caller.domain, Some(project.project))
        .await
        .map_err(|error| taken(error, "IAM user", name))?;
    let made = draft.made(&tx).await?;
    tx.commit().await?;
    Ok(made)
}

/// What changes about a user; what is `None` stays.
pub struct UserAmendment {
    /// What the user may do in the project.
    pub policy: Option<ReadyMadePolicy>,
    /// Whether the user may do anything.
    pub enabled: Option<bool>,
    /// A new password.
    pub password: Option<SecretString>,
}

/// Changes a user.
///
/// # Errors
/// 404 when the user has no rights in the project; 403 when it has rights elsewhere too and the caller may not
/// change users there; 400 when a caller disables themselves, or for a role in a project that the user does not
/// hold there.
pub async fn user_change(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
    amendment: UserAmendment,
    action: &str,
) -> Result<(IamUser, ReadyMadePolicy), ApiError> {
    let (user, grants) = user_in_reach(services, caller, project, user_id, action).await?;
    if amendment.enabled == Some(false) && user.key == caller.user {
        return Err(ApiError::invalid(
            "enabled",
            "nobody can disable themselves",
        ));
    }
    if amendment.policy.is_some() && grants.iter().any(|grant| grant.project.is_none()) {
        return Err(ApiError::invalid(
            "role",
            "the user holds its role in the whole domain, not in this project",
        ));
    }
    if amendment.policy.is_some() {
        project.rights.check_action(ATTACH)?;
    }
    if amendment.password.is_some() && user.password_hash.is_none() {
        return Err(PasswordChangeError::External.into());
    }
    let password_hash = match amendment.password {
        Some(password) => Some(services.auth.passwords().hash(password).await?),
        None => None,
    };
    let now = services.clock.now();
    let tx = services.store.write().await?;
    if let Some(hash) = &password_hash {
        tx.iam_user_set_password(user.key, hash, now).await?;
    }
    if let Some(enabled) = amendment.enabled.filter(|enabled| *enabled != user.enabled) {
        tx.iam_user_set_enabled(user.key, enabled, now).await?;
    }
    if let Some(policy) = amendment.policy {
        tx.iam_grant_delete(user.key, project.project).await?;
        tx.iam_grant_insert(user.key, Some(project.project), policy)
            .await?;
    }
    tx.commit().await?;
    find_user(services, caller, project, user_id)
        .await
        .map(|(user, grants)| (user, role_in(project.project, &grants)))
}

/// Makes an access key for a user.
///
/// # Errors
/// As [`user_change`]; 409 when the user has [`MAX_ACCESS_KEYS`].
pub async fn access_key_add(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
    action: &str,
) -> Result<(NewAccessKey, AccessKey), ApiError> {
    let (user, _) = user_in_reach(services, caller, project, user_id, action).await?;
    if user.password_hash.is_none() {
        return Err(ApiError::conflict(
            "WKS.0409",
            "The user logs in through the login provider and has no access keys: make an IAM user for what runs by itself",
        ));
    }
    let made = services.auth.new_access_key();
    let tx = services.store.write().await?;
    if tx.db().access_key_list(user.key).await?.len() >= MAX_ACCESS_KEYS {
        return Err(ApiError::conflict(
            "WKS.0409",
            format!("The user has {MAX_ACCESS_KEYS} access keys: delete one first"),
        ));
    }
    let created_at = services.clock.now();
    let key = tx
        .access_key_insert(
            user.key,
            &made.access,
            made.secret_sealed.clone(),
            created_at,
        )
        .await?;
    tx.commit().await?;
    let stored = AccessKey {
        key,
        access: made.access.clone(),
        enabled: true,
        created_at,
        last_used_at: None,
    };
    Ok((made, stored))
}

/// The access keys of a user, newest first.
///
/// # Errors
/// As [`user_change`].
pub async fn access_key_list(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
) -> Result<Vec<AccessKey>, ApiError> {
    let (user, _) = find_user(services, caller, project, user_id).await?;
    let mut keys = services.store.db().access_key_list(user.key).await?;
    keys.reverse();
    Ok(keys)
}

/// Enables or disables an access key.
///
/// # Errors
/// As [`user_change`]; 404 when the user has no such key.
pub async fn access_key_set_enabled(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
    access: &str,
    enabled: bool,
    action: &str,
) -> Result<AccessKey, ApiError> {
    let (user, _) = user_in_reach(services, caller, project, user_id, action).await?;
    let not_found = || ApiError::NotFound { noun: "access key" };
    let tx = services.store.write().await?;
    if !tx.access_key_set_enabled(user.key, access, enabled).await? {
        return Err(not_found());
    }
    let keys = tx.db().access_key_list(user.key).await?;
    tx.commit().await?;
    keys.into_iter()
        .find(|key| key.access == access)
        .ok_or_else(not_found)
}

/// Deletes an access key.
///
/// # Errors
/// As [`access_key_set_enabled`].
pub async fn access_key_delete(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
    access: &str,
    action: &str,
) -> Result<(), ApiError> {
    let (user, _) = user_in_reach(services, caller, project, user_id, action).await?;
    let tx = services.store.write().await?;
    if !tx.access_key_delete(user.key, access).await? {
        return Err(ApiError::NotFound { noun: "access key" });
    }
    Ok(tx.commit().await?)
}

/// What a user may do in a project: the widest of its policies there.
pub fn role_in(project: ProjectKey, grants: &[IamGrant]) -> ReadyMadePolicy {
    // From the widest to the narrowest.
    ReadyMadePolicy::ALL
        .iter()
        .copied()
        .find(|policy| {
            grants.iter().any(|grant| {
                grant.policy == *policy && grant.project.is_none_or(|other| other == project)
            })
        })
        .unwrap_or(ReadyMadePolicy::ReadOnly)
}

/// A user with rights in the project, and all its grants.
async fn find_user(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
) -> Result<(IamUser, Vec<IamGrant>), ApiError> {
    let not_found = || ApiError::NotFound { noun: "IAM user" };
    let id = IamUserId::lookup(user_id).ok_or_else(not_found)?;
    let db = services.store.db();
    let user = db
        .iam_user_by_id(id)
        .await?
        .filter(|user| user.domain.key == caller.domain)
        .ok_or_else(not_found)?;
    let held = db.iam_held(user.key).await?;
    let grants = db.iam_grants_of_user(user.key).await?;
    let here = held
        .iter()
        .any(|held| held.project.is_none_or(|other| other == project.project));
    if here {
        Ok((user, grants))
    } else {
        Err(not_found())
    }
}

/// A user whom the caller may change: one that has rights beyond this project only by somebody who may change
/// users in all of the domain. Else a project's administrator could become the domain's.
async fn user_in_reach(
    services: &Services,
    caller: &Caller,
    project: &ProjectAccess,
    user_id: &str,
    action: &str,
) -> Result<(IamUser, Vec<IamGrant>), ApiError> {
    let (user, grants) = find_user(services, caller, project, user_id).await?;
    let held = services.store.db().iam_held(user.key).await?;
    let beyond = held
        .iter()
        .any(|held| held.project != Some(project.project));
    if beyond {
        rights_in_domain(services, caller)
            .await?
            .check_action(action)?;
    }
    Ok((user, grants))
}

pub(super) fn taken(error: StoreError, noun: &str, name: &str) -> ApiError {
    if error.is_conflict() {
        ApiError::conflict(
            "WKS.0409",
            format!("There is {noun} {name} already: choose another name"),
        )
    } else {
        error.into()
    }
}
