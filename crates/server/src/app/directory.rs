//! The company directory: how it is reached, and taking over what it says.
//!
//! A synchronisation reads first and writes afterwards, in pages that can each be repeated: users, groups, direct
//! members, then the closure. It writes only while the connection is as it was when it began and no other server
//! has taken over. Whatever fails, what is known stays, and the state says since when.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use outfitter_directory::{
    Connection, Failure, FailureCode, Limits, Scope, Tested, check_ca, check_filter, check_url,
};
use outfitter_domain::account::LOCAL_DOMAIN;
use outfitter_domain::directory::{
    AccountPlan, ChangeMark, DirectoryKind, DnKey, MembershipPlan, NewAccount, PlanError, Resolver,
    Skip, Snapshot, StoredAccount, StoredMembers, domain_of_base, plan_groups, plan_memberships,
    plan_users, primary_members,
};
use outfitter_domain::text::{fold, is_blank};
use outfitter_domain::{AccountType, Millis};
use outfitter_store::{
    ClaimedDirectory, DirectoryOutcome, DirectoryWish, ProjectKey, StoreError, StoredDirectory, Tx,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::Services;
use crate::audit::OwnWork;
use crate::secrets::SealError;

const PURPOSE: &str = "directory_connection.secret_sealed";

/// How long a synchronisation is ours without a renewal.
pub const LEASE: Duration = Duration::from_secs(60);

/// Rows of one transaction: about as long as a page of an expansion, and as many as one audit entry names.
const PAGE: usize = 200;

/// Known accounts changed in one transaction: as many as one audit entry keeps the states of.
const KNOWN_PAGE: usize = 50;

/// What the audit log calls it.
const SYNC: &str = "outfitter:directory:sync";

/// Members written in one transaction.
const MEMBERS_PAGE: usize = 2_000;

/// Everything is read again after so long, in seconds: what a partial read cannot show (entries that were moved,
/// changes of replicas) is found then.
const FULL_EVERY_SECS: i64 = 86_400;

/// Entries left out that a report names.
const SKIPS_SHOWN: usize = 20;

/// Longest account domain. Source: contract, section 2.
const DOMAIN_CHARACTERS_MAX: usize = 64;

/// How a directory is reached and what of it is read, without the secret. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What kind of directory it is.
    pub kind: DirectoryKind,
    /// Where it is.
    pub url: String,
    /// The CAs that are believed, PEM.
    pub ca_pem: String,
    /// The bind account.
    pub bind_name: String,
    /// Domain of its accounts in this project.
    pub domain: String,
    /// Users stand below it.
    pub user_base: String,
    /// Groups stand below it.
    pub group_base: String,
    /// Which users.
    pub user_filter: Option<String>,
    /// Which groups.
    pub group_filter: Option<String>,
    /// Attribute with a user's account name.
    pub user_name_attribute: String,
    /// Attribute with a group's account name.
    pub group_name_attribute: String,
}

/// What an administrator says of a directory; what is `None` follows from the rest.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What kind of directory it is.
    pub kind: DirectoryKind,
    /// Where it is.
    pub url: String,
    /// The CAs that are believed, PEM.
    pub ca_pem: String,
    /// The bind account.
    pub bind_name: String,
    /// Its password; `None`: as before.
    pub bind_password: Option<SecretString>,
    /// Everything stands below it.
    pub base: String,
    /// Users stand below it.
    pub user_base: Option<String>,
    /// Groups stand below it.
    pub group_base: Option<String>,
    /// Which users.
    pub user_filter: Option<String>,
    /// Which groups.
    pub group_filter: Option<String>,
    /// Domain of its accounts.
    pub domain: Option<String>,
    /// Attribute with a user's account name.
    pub user_name_attribute: Option<String>,
    /// Attribute with a group's account name.
    pub group_name_attribute: Option<String>,
    /// Seconds between synchronisations.
    pub interval_secs: i64,
}

/// What a synchronisation found and did. Stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Users the directory lists.
    pub users: usize,
    /// Groups the directory lists.
    pub groups: usize,
    /// Users and groups that are new.
    pub added: usize,
    /// Those that changed.
    pub changed: usize,
    /// Those that are gone.
    pub removed: usize,
    /// Direct memberships that began or ended.
    pub memberships_changed: usize,
    /// Members that are nobody we know, of the groups that were read.
    pub members_unknown: usize,
    /// Entries that were left out.
    pub skipped_count: usize,
    /// The first of them: name and reason.
    pub skipped: Vec<(String, String)>,
}

/// Why a directory cannot be set, read or asked.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// A member breaks a rule.
    #[error("{member}: {reason}")]
    Invalid {
        /// Which one.
        member: &'static str,
        /// Why.
        reason: String,
    },
    /// The project has none.
    #[error("the project has no directory")]
    Unknown,
    /// What is sealed does not open.
    #[error("the stored password does not open")]
    Sealed(#[from] SealError),
    /// What is stored cannot be read.
    #[error("what is stored of the directory cannot be read")]
    Stored(#[source] serde_json::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn invalid(member: &'static str, reason: impl Into<String>) -> DirectoryError {
    DirectoryError::Invalid {
        member,
        reason: reason.into(),
    }
}

/// Checks a draft and fills in what follows from the rest.
///
/// # Errors
/// [`DirectoryError::Invalid`] with the member's name.
pub fn check(draft: &Draft) -> Result<Settings, DirectoryError> {
    check_url(&draft.url).map_err(|reason| invalid("url", reason))?;
    check_ca(&draft.ca_pem).map_err(|error| invalid("ca_pem", error.to_string()))?;
    if is_blank(&draft.bind_name) {
        return Err(invalid("bind_user", "must not be blank"));
    }
    let base = |member, text: &str| match DnKey::parse(text) {
        Ok(key) if key.as_str().is_empty() => Err(invalid(member, "must not be the root")),
        Ok(key) => Ok(key),
        Err(error) => Err(invalid(member, error.to_string())),
    };
    let key = base("base_dn", &draft.base)?;
    for (member, text) in [
        ("user_base_dn", &draft.user_base),
        ("group_base_dn", &draft.group_base),
    ] {
        if let Some(text) = text {
            base(member, text)?;
        }
    }
    for (member, text) in [
        ("user_filter", &draft.user_filter),
        ("group_filter", &draft.group_filter),
    ] {
        if text.as_deref().is_some_and(|text| !check_filter(text)) {
            return Err(invalid(
                member,
                "is no LDAP filter, such as (department=IT), in parentheses",
            ));
        }
    }
    for (member, text) in [
        ("user_name_attribute", &draft.user_name_attribute),
        ("group_name_attribute", &draft.group_name_attribute),
    ] {
        if text.as_deref().is_some_and(|text| !is_attribute(text)) {
            return Err(invalid(member, "is no name of an attribute"));
        }
    }
    let domain = match &draft.domain {
        Some(domain) => domain.clone(),
        None => domain_of_base(&key).ok_or_else(|| {
            invalid(
                "domain",
                "is required: the base has no DC parts to make it of",
            )
        })?,
    };
    let is_plain =
        |text: &str| !text.chars().any(|c| c.is_whitespace() || c.is_control()) && !text.is_empty();
    if !is_plain(&domain) || domain.chars().count() > DOMAIN_CHARACTERS_MAX {
        return Err(invalid(
            "domain",
            "must be 1 to 64 characters without spaces",
        ));
    }
    if fold(&domain) == LOCAL_DOMAIN {
        return Err(invalid("domain", "is that of local accounts"));
    }
    let named = |given: &Option<String>, ad: &str, ldap: &str| {
        given.clone().unwrap_or_else(|| {
            match draft.kind {
                DirectoryKind::Ad => ad,
                DirectoryKind::Ldap => ldap,
            }
            .to_owned()
        })
    };
    let below = |given: &Option<String>| given.clone().unwrap_or_else(|| draft.base.clone());
    Ok(Settings {
        kind: draft.kind,
        url: draft.url.clone(),
        ca_pem: draft.ca_pem.clone(),
        bind_name: draft.bind_name.clone(),
        domain,
        user_base: below(&draft.user_base),
        group_base: below(&draft.group_base),
        user_filter: draft.user_filter.clone(),
        group_filter: draft.group_filter.clone(),
        user_name_attribute: named(&draft.user_name_attribute, "sAMAccountName", "uid"),
        group_name_attribute: named(&draft.group_name_attribute, "sAMAccountName", "cn"),
    })
}

/// Source: RFC 4512, section 1.4: a keystring.
fn is_attribute(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Sets the project's directory; the next synchronisation is due at once and reads everything. Without a password the
/// stored one stays, but only for the same account on the same server under the same CA: whoever may set a directory
/// must not learn the password of one by sending it elsewhere.
///
/// # Errors
/// See [`DirectoryError`].
pub async fn set(
    services: &Services,
    project: ProjectKey,
    project_id: Uuid,
    draft: &Draft,
) -> Result<(), DirectoryError> {
    let settings = check(draft)?;
    let identity = project_id.to_string();
    let sealer = services.auth.sealer();
    let tx = services.store.write().await?;
    let secret_sealed = match &draft.bind_password {
        Some(password) => sealer.seal(PURPOSE, &identity, password.expose_secret().as_bytes()),
        None => {
            let kept = match tx.db().directory(project).await? {
                Some(stored) => {
                    let before = read_settings(&stored)?;
                    let is_same = (&before.url, &before.ca_pem, &before.bind_name)
                        == (&settings.url, &settings.ca_pem, &settings.bind_name);
                    is_same.then_some(stored.secret_sealed)
                }
                None => None,
            };
            kept.ok_or_else(|| {
                invalid(
                    "bind_password",
                    "is required, unless URL, CA and bind account stay as they are",
                )
            })?
        }
    };
    let stored = StoredDirectory {
        settings: serde_json::to_string(&settings).map_err(DirectoryError::Stored)?,
        secret_sealed,
        interval_secs: draft.interval_secs,
        updated_at: services.clock.now(),
    };
    tx.directory_set(project, &stored).await?;
    tx.commit().await?;
    services.background.nudge_directory();
    Ok(())
}

/// What may be shown of a stored directory.
///
/// # Errors
/// [`DirectoryError::Stored`].
pub fn read_settings(stored: &StoredDirectory) -> Result<Settings, DirectoryError> {
    serde_json::from_str(&stored.settings).map_err(DirectoryError::Stored)
}

/// Connects to the project's directory and counts what is there; nothing is stored.
///
/// # Errors
/// See [`DirectoryError`]; a [`Failure`] of the directory is an answer.
pub async fn test(
    services: &Services,
    project: ProjectKey,
    project_id: Uuid,
) -> Result<Result<Tested, Failure>, DirectoryError> {
    let stored = services
        .store
        .db()
        .directory(project)
        .await?
        .ok_or(DirectoryError::Unknown)?;
    let (_, connection) = connection(services, project_id, &stored)?;
    let limits = Limits {
        // A caller waits.
        whole: Duration::from_secs(60),
        ..Limits::default()
    };
    Ok(outfitter_directory::test(connection, limits).await)
}

/// Locks out whom the directory lets expire by now, whether the directory can be reached or not.
///
/// # Errors
/// When the database cannot.
pub async fn expire(services: &Services) -> Result<(), StoreError> {
    let now = services.clock.now();
    for of in services.store.db().directory_expired(now).await? {
        let work = OwnWork {
            of: Some(of),
            at: now,
            action: "outfitter:directory:expire",
            operation: "ExpireAccounts",
            name: None,
        };
        let scope = services.audit.own_work(Arc::clone(&services.ids), work);
        let page = i64::try_from(KNOWN_PAGE).unwrap_or(i64::MAX);
        loop {
            let expired = scope.run(async {
                let tx = services.store.write().await?;
                let expired = tx.directory_users_expire(of.0, page, now).await?;
                tx.commit().await?;
                Ok::<_, StoreError>(expired)
            });
            if expired.await? < KNOWN_PAGE {
                break;
            }
        }
    }
    Ok(())
}

/// Whether a password is that of a user whom the project's directory keeps.
///
/// # Errors
/// See [`DirectoryError`]; a [`Failure`] of the directory is an answer.
pub async fn verify_password(
    services: &Services,
    project: ProjectKey,
    project_id: Uuid,
    user: (String, String),
    password: SecretString,
) -> Result<Result<bool, Failure>, DirectoryError> {
    let stored = services
        .store
        .db()
        .directory(project)
        .await?
        .ok_or(DirectoryError::Unknown)?;
    let (_, connection) = connection(services, project_id, &stored)?;
    let limits = Limits {
        // A person waits.
        answer: Duration::from_secs(10),
        whole: Duration::from_secs(20),
        ..Limits::default()
    };
    Ok(outfitter_directory::verify(connection, limits, user, password).await)
}

/// Asks for a synchronisation.
///
/// # Errors
/// [`DirectoryError::Unknown`] when the project has no directory.
pub async fn ask(
    services: &Services,
    project: ProjectKey,
    wish: DirectoryWish,
) -> Result<(), DirectoryError> {
    let tx = services.store.write().await?;
    if !tx.directory_ask(project, wish).await? {
        return Err(DirectoryError::Unknown);
    }
    tx.commit().await?;
    services.background.nudge_directory();
    Ok(())
}

/// Forgets the project's directory; its accounts stay as they are known.
///
/// # Errors
/// [`DirectoryError::Unknown`] when the project has none.
pub async fn remove(services: &Services, project: ProjectKey) -> Result<(), DirectoryError> {
    let tx = services.store.write().await?;
    if !tx.directory_remove(project).await? {
        return Err(DirectoryError::Unknown);
    }
    tx.commit().await?;
    Ok(())
}

fn connection(
    services: &Services,
    project_id: Uuid,
    stored: &StoredDirectory,
) -> Result<(Settings, Connection), DirectoryError> {
    let settings = read_settings(stored)?;
    let secret =
        services
            .auth
            .sealer()
            .open(PURPOSE, &project_id.to_string(), &stored.secret_sealed)?;
    let password = String::from_utf8_lossy(secret.expose_secret()).into_owned();
    let connection = Connection {
        kind: settings.kind,
        url: settings.url.clone(),
        ca_pem: settings.ca_pem.clone(),
        bind_name: settings.bind_name.clone(),
        bind_password: password.into(),
        scope: Scope {
            user_base: settings.user_base.clone(),
            group_base: settings.group_base.clone(),
            user_filter: settings.user_filter.clone(),
            group_filter: settings.group_filter.clone(),
            user_name_attribute: settings.user_name_attribute.clone(),
            group_name_attribute: settings.group_name_attribute.clone(),
        },
    };
    Ok((settings, connection))
}

/// Why a synchronisation did not come to its end.
#[derive(Debug, Error)]
pub enum SyncError {
    /// The directory.
    #[error(transparent)]
    Directory(#[from] Failure),
    /// What it says does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What is stored of the connection.
    #[error(transparent)]
    Connection(#[from] DirectoryError),
    /// The connection was changed, or another server took over.
    #[error("the synchronisation is another server's, or the connection was changed")]
    Lost,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory(failure) => failure.code.as_str(),
            Self::Plan(PlanError::TooManyRemovals { .. }) => "too_many_removals",
            Self::Plan(PlanError::NeedsFullRead) => "inconsistent",
            Self::Connection(_) => "connection_unreadable",
            Self::Lost => "superseded",
            Self::Store(error) if error.is_conflict() => "name_conflict",
            Self::Store(_) => "database",
        }
    }
}

/// Said of a synchronisation that would remove too much, in English and Chinese.
const TOO_MANY_REMOVALS: (&str, &str) = (
    "Check bases and filters; if they really went, synchronise once and allow removals",
    "请检查基准和过滤条件；如果这些账号确已不在，请允许移除后同步一次。",
);

/// Said of every other end that is the server's own business, in English and Chinese.
const SEE_LOG: (&str, &str) = (
    "The server's log says more; the next synchronisation tries again",
    "服务器日志中有更多说明；下次同步会重试。",
);

/// What to do about a stored code.
pub fn hint(code: &str) -> &'static str {
    let mut of_directory = FailureCode::ALL.iter();
    match of_directory.find(|known| known.as_str() == code) {
        Some(known) => known.hint(),
        None if code == "too_many_removals" => TOO_MANY_REMOVALS.0,
        None => SEE_LOG.0,
    }
}

/// Every hint, with the same in Chinese.
pub fn hints() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_directory = FailureCode::ALL.iter().map(|code| code.hints());
    of_directory.chain([TOO_MANY_REMOVALS, SEE_LOG])
}

/// Reads the directory and writes what follows.
///
/// # Errors
/// See [`SyncError`]. What was written until then stands and is right; the next run does the rest.
pub async fn sync(
    services: &Services,
    claimed: &ClaimedDirectory,
) -> Result<DirectoryOutcome, SyncError> {
    let (settings, connection) = connection(services, claimed.project_id, &claimed.stored)?;
    let limits = Limits::default();
    let now = services.clock.now();
    let full_is_due = claimed.last_full_at.is_none_or(|at| {
        now.get().saturating_sub(at.get()) >= FULL_EVERY_SECS.saturating_mul(1000)
    });
    let mark: Option<ChangeMark> = match &claimed.mark {
        Some(text) if !claimed.wants_full && !full_is_due => {
            serde_json::from_str(text).map_err(DirectoryError::Stored)?
        }
        _ => None,
    };
    let mut snapshot = outfitter_directory::read(connection.clone(), limits, mark).await?;
    snapshot.expire(services.clock.now());
    let sync = Sync {
        services,
        claimed,
        domain: &settings.domain,
        url: &settings.url,
    };
    let mut report = Report::default();
    let accounts = async |snapshot: &Snapshot, report: &mut Report| {
        Box::pin(sync.audited(sync.users(snapshot, report))).await?;
        Box::pin(sync.audited(sync.groups(snapshot, report))).await
    };
    match accounts(&snapshot, &mut report).await {
        // Who is new here may be a member of groups that did not change: moved into the base, or restored.
        Ok(()) if snapshot.is_complete || report.added == 0 => {}
        Ok(()) | Err(SyncError::Plan(PlanError::NeedsFullRead)) => {
            snapshot = outfitter_directory::read(connection, limits, None).await?;
            snapshot.expire(services.clock.now());
            accounts(&snapshot, &mut report).await?;
        }
        Err(error) => return Err(error),
    }
    sync.audited(sync.members(&snapshot, &mut report)).await?;
    sync.closure().await?;
    report.users = snapshot.listed_users.len();
    report.groups = snapshot.listed_groups.len();
    note_skipped(&mut report, &snapshot.skipped);
    Ok(DirectoryOutcome::Done {
        mark: snapshot
            .mark
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(DirectoryError::Stored)?,
        was_full: snapshot.is_complete,
        report: serde_json::to_string(&report).map_err(DirectoryError::Stored)?,
    })
}

fn note_skipped(report: &mut Report, skipped: &[Skip]) {
    report.skipped_count += skipped.len();
    let room = SKIPS_SHOWN.saturating_sub(report.skipped.len());
    report.skipped.extend(
        skipped
            .iter()
            .take(room)
            .map(|skip| (skip.name.clone(), skip.reason.as_str().to_owned())),
    );
}

struct Sync<'a> {
    services: &'a Services,
    claimed: &'a ClaimedDirectory,
    domain: &'a str,
    url: &'a str,
}

impl Sync<'_> {
    /// Writes what the directory said: each page leaves an entry in the audit log, in its own transaction.
    async fn audited<F: Future>(&self, writes: F) -> F::Output {
        let work = OwnWork {
            of: Some((self.claimed.project, self.claimed.domain)),
            at: self.services.clock.now(),
            action: SYNC,
            operation: "SynchroniseDirectory",
            name: Some(self.url.to_owned()),
        };
        let ids = Arc::clone(&self.services.ids);
        let scope = self.services.audit.own_work(ids, work);
        scope.run(writes).await
    }

    /// A transaction that is ours.
    async fn begin(&self) -> Result<Tx, SyncError> {
        let tx = self.services.store.write().await?;
        let until = self.services.clock.now().plus(LEASE);
        if !tx
            .directory_hold(self.claimed.project, self.claimed.epoch, until)
            .await?
        {
            return Err(SyncError::Lost);
        }
        Ok(tx)
    }

    fn ids<F: Clone>(&self, page: &[NewAccount<F>], now: Millis) -> Vec<(Uuid, NewAccount<F>)> {
        page.iter()
            .map(|account| (self.services.ids.uuid(now.get()), account.clone()))
            .collect()
    }

    async fn users(&self, snapshot: &Snapshot, report: &mut Report) -> Result<(), SyncError> {
        let project = self.claimed.project;
        let db = self.services.store.db();
        let plan = plan_users(
            self.domain,
            snapshot,
            &db.directory_users(project).await?,
            self.claimed.allows_removals,
        )?;
        note(report, &plan);
        for page in plan.remove.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_users_remove(project, page).await?;
            tx.commit().await?;
        }
        self.names(AccountType::Simple, &plan).await?;
        for page in plan.update.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_users_update(page).await?;
            tx.commit().await?;
        }
        for page in plan.insert.chunks(PAGE) {
            let tx = self.begin().await?;
            let now = self.services.clock.now();
            tx.directory_users_insert(project, self.domain, &self.ids(page, now), now)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn groups(&self, snapshot: &Snapshot, report: &mut Report) -> Result<(), SyncError> {
        let project = self.claimed.project;
        let db = self.services.store.db();
        let plan = plan_groups(
            self.domain,
            snapshot,
            &db.directory_groups(project).await?,
            self.claimed.allows_removals,
        )?;
        note(report, &plan);
        for page in plan.remove.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_groups_remove(project, page).await?;
            tx.commit().await?;
        }
        self.names(AccountType::UserGroup, &plan).await?;
        for page in plan.update.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_groups_update(page).await?;
            tx.commit().await?;
        }
        for page in plan.insert.chunks(PAGE) {
            let tx = self.begin().await?;
            let now = self.services.clock.now();
            tx.directory_groups_insert(project, self.domain, &self.ids(page, now), now)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Names are given in one order: first every name that somebody else is about to take is freed.
    async fn names<F>(
        &self,
        account_type: AccountType,
        plan: &AccountPlan<F>,
    ) -> Result<(), SyncError> {
        let project = self.claimed.project;
        for page in plan.vacate.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_vacate(project, account_type, page).await?;
            tx.commit().await?;
        }
        for page in plan.adopt.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_adopt(account_type, page).await?;
            tx.commit().await?;
        }
        for page in plan.rename.chunks(KNOWN_PAGE) {
            let tx = self.begin().await?;
            tx.directory_rename(project, account_type, self.domain, page)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn members(&self, snapshot: &Snapshot, report: &mut Report) -> Result<(), SyncError> {
        let project = self.claimed.project;
        let db = self.services.store.db();
        let users = ids_of(&db.directory_users(project).await?);
        let groups = ids_of(&db.directory_groups(project).await?);
        let resolver = Resolver::new(snapshot, &users, &groups);
        let mut writer = MemberWriter::new(self, false);
        for page in snapshot.groups.chunks(PAGE) {
            let ids: Vec<String> = page.iter().map(|group| group.id.clone()).collect();
            let stored = db.directory_members(project, &ids).await?;
            let nobody = StoredMembers::default();
            for group in page.iter().filter(|group| groups.contains(&group.id)) {
                let known = stored.get(&group.id).unwrap_or(&nobody);
                let plan = plan_memberships(group, &resolver, known);
                report.members_unknown += plan.unresolved;
                writer.write(&group.id, plan).await?;
            }
        }
        report.memberships_changed += writer.finish().await?;

        let listed = primary_members(snapshot, &users, &groups);
        let stored = db.directory_primary_members(project).await?;
        let mut writer = MemberWriter::new(self, true);
        for (group, plan) in primary_plans(&listed, &stored) {
            writer.write(&group, plan).await?;
        }
        report.memberships_changed += writer.finish().await?;
        Ok(())
    }

    async fn closure(&self) -> Result<(), SyncError> {
        loop {
            let tx = self.begin().await?;
            let counted = tx.closure_refresh_due(PAGE).await?;
            tx.commit().await?;
            if counted == 0 {
                return Ok(());
            }
        }
    }
}

fn note<F>(report: &mut Report, plan: &AccountPlan<F>) {
    report.added += plan.insert.len() + plan.adopt.len();
    report.changed += plan.rename.len() + plan.update.len();
    report.removed += plan.remove.len();
    note_skipped(report, &plan.skipped);
}

fn ids_of<F>(stored: &[StoredAccount<F>]) -> HashSet<String> {
    stored
        .iter()
        .filter_map(|account| account.id.clone())
        .collect()
}

fn primary_plans(
    listed: &BTreeMap<String, BTreeSet<String>>,
    stored: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<(String, MembershipPlan)> {
    let nobody = BTreeSet::new();
    let groups: BTreeSet<&String> = listed.keys().chain(stored.keys()).collect();
    groups
        .into_iter()
        .map(|group| {
            let (told, known) = (
                listed.get(group).unwrap_or(&nobody),
                stored.get(group).unwrap_or(&nobody),
            );
            let plan = MembershipPlan {
                join: told.difference(known).cloned().collect(),
                leave: known.difference(told).cloned().collect(),
                ..MembershipPlan::default()
            };
            (group.clone(), plan)
        })
        .collect()
}

/// Gathers changes of members into transactions of bounded size.
struct MemberWriter<'a> {
    sync: &'a Sync<'a>,
    by_primary: bool,
    waiting: Vec<(String, MembershipPlan)>,
    waiting_members: usize,
    changed: usize,
}

impl<'a> MemberWriter<'a> {
    fn new(sync: &'a Sync<'a>, by_primary: bool) -> Self {
        Self {
            sync,
            by_primary,
            waiting: Vec::new(),
            waiting_members: 0,
            changed: 0,
        }
    }

    async fn write(&mut self, group: &str, plan: MembershipPlan) -> Result<(), SyncError> {
        // Who leaves goes first, so that a page that is written alone takes away rather than gives.
        let MembershipPlan {
            join,
            leave,
            nest,
            unnest,
            unresolved: _,
        } = plan;
        for page in leave.chunks(MEMBERS_PAGE) {
            self.page(group, |plan| plan.leave = page.to_vec(), page.len())
                .await?;
        }
        for page in unnest.chunks(PAGE) {
            self.page(group, |plan| plan.unnest = page.to_vec(), page.len())
                .await?;
        }
        for page in join.chunks(MEMBERS_PAGE) {
            self.page(group, |plan| plan.join = page.to_vec(), page.len())
                .await?;
        }
        for page in nest.chunks(PAGE) {
            self.page(group, |plan| plan.nest = page.to_vec(), page.len())
                .await?;
        }
        Ok(())
    }

    async fn page(
        &mut self,
        group: &str,
        fill: impl FnOnce(&mut MembershipPlan),
        members: usize,
    ) -> Result<(), SyncError> {
        let mut plan = MembershipPlan::default();
        fill(&mut plan);
        self.waiting.push((group.to_owned(), plan));
        self.waiting_members += members;
        self.changed += members;
        if self.waiting_members >= MEMBERS_PAGE || self.waiting.len() >= PAGE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SyncError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let tx = self.sync.begin().await?;
        for (group, plan) in self.waiting.drain(..) {
            tx.directory_members_change(self.sync.claimed.project, &group, &plan, self.by_primary)
                .await?;
        }
        tx.commit().await?;
        self.waiting_members = 0;
        Ok(())
    }

    async fn finish(mut self) -> Result<usize, SyncError> {
        self.flush().await?;
        Ok(self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::new(vec!["ca".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        Draft {
            kind: DirectoryKind::Ad,
            url: "ldaps://dc1.corp.example".to_owned(),
            ca_pem: ca.pem(),
            bind_name: "sync@corp.example".to_owned(),
            bind_password: None,
            base: "OU=Staff,DC=corp,DC=example".to_owned(),
            user_base: None,
            group_base: Some("OU=Groups,DC=corp,DC=example".to_owned()),
            user_filter: None,
            group_filter: None,
            domain: None,
            user_name_attribute: None,
            group_name_attribute: None,
            interval_secs: 300,
        }
    }

    fn refused(change: impl FnOnce(&mut Draft)) -> &'static str {
        let mut draft = draft();
        change(&mut draft);
        match check(&draft) {
            Err(DirectoryError::Invalid { member, .. }) => member,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_follows_from_the_rest() {
        let settings = check(&draft()).unwrap();
        assert_eq!(settings.domain, "corp.example");
        assert_eq!(settings.user_base, "OU=Staff,DC=corp,DC=example");
        assert_eq!(settings.group_base, "OU=Groups,DC=corp,DC=example");
        assert_eq!(settings.user_name_attribute, "sAMAccountName");
        let ldap = check(&Draft {
            kind: DirectoryKind::Ldap,
            ..draft()
        })
        .unwrap();
        assert_eq!(ldap.user_name_attribute, "uid");
        assert_eq!(ldap.group_name_attribute, "cn");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert_eq!(refused(|d| d.url = "http://dc1".to_owned()), "url");
        assert_eq!(refused(|d| d.ca_pem = "hello".to_owned()), "ca_pem");
        assert_eq!(refused(|d| d.bind_name = " ".to_owned()), "bind_user");
        assert_eq!(refused(|d| d.base = "corp".to_owned()), "base_dn");
        assert_eq!(refused(|d| d.base = " ".to_owned()), "base_dn");
        assert_eq!(
            refused(|d| d.user_base = Some("x".to_owned())),
            "user_base_dn"
        );
        assert_eq!(
            refused(|d| d.group_filter = Some("a=b".to_owned())),
            "group_filter"
        );
        assert_eq!(
            refused(|d| d.user_name_attribute = Some("uid)(x=".to_owned())),
            "user_name_attribute"
        );
        assert_eq!(refused(|d| d.base = "o=corp".to_owned()), "domain");
        assert_eq!(
            refused(|d| d.domain = Some("Local.com".to_owned())),
            "domain"
        );
    }

    #[test]
    fn a_primary_group_that_nobody_has_any_more_is_emptied() {
        let set =
            |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
        let plans = primary_plans(
            &BTreeMap::from([("a".to_owned(), set(&["1", "2"]))]),
            &BTreeMap::from([("a".to_owned(), set(&["2"])), ("b".to_owned(), set(&["3"]))]),
        );
        assert_eq!(plans[0].1.join, ["1"]);
        assert_eq!(plans[1].1.leave, ["3"]);
    }
}
