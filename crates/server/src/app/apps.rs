//! Apps: uploading, changing, hiding, deleting.
//!
//! Every change locks its rows first and reads what it changes under the lock, so that parallel calls never
//! lose one another's work. What is refused leaves nothing behind.

use outfitter_domain::app::{
    AppMembers, AppPatch, FieldProblem, FileStore, Icon, IconChange, PatchRefusal, RESTORE_PERIOD,
    SUCCESS_EXIT_CODES, rule_of_new_revision, with_link_digest,
};
use outfitter_domain::{AppSource, AppStatus, AssignType};
use outfitter_ids::{AppId, ProjectId, RevisionId};
use outfitter_store::{
    App, AppKey, LinkPin, NewApp, NewRevision, ObjectFate, ProjectKey, StoreError, Tx,
};
use thiserror::Error;

use super::icons;
use crate::Services;
use crate::auth::{PolicyRefusal, Widening, WideningCheck};

/// Longest run of an installer where nobody says otherwise, in seconds. Source: contract, section 5, states.
const RUN_LIMIT_SECS: i64 = 60 * 60;

/// Most INIT jobs that one call fails itself, in jobs: about four pages of the background sweep, which takes
/// the rest. None of them is handed out meanwhile.
const FAILED_AT_ONCE: usize = 1000;

/// The project whose apps a call is about.
#[derive(Debug, Clone, Copy)]
pub struct InProject {
    /// Key.
    pub key: ProjectKey,
    /// Public id.
    pub id: ProjectId,
}

/// Why a call about apps is refused or fails.
#[derive(Debug, Error)]
pub enum AppError {
    /// A member breaks a rule.
    #[error(transparent)]
    Field(#[from] FieldProblem),
    /// An app does not exist.
    #[error("the application does not exist")]
    NotFound,
    /// What a built-in app keeps.
    #[error("built-in application: {what}")]
    BuiltIn {
        /// What was attempted.
        what: String,
    },
    /// The app's package is an object, no link.
    #[error("the application has no link")]
    NoLink,
    /// Somebody else changed the app since the caller read it.
    #[error("the application is at revision {current} now")]
    Changed {
        /// The newest revision.
        current: RevisionId,
    },
    /// The caller may not, now that it is known what the call would do.
    #[error("{}", .0.reason)]
    Refused(Box<PolicyRefusal>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PatchRefusal> for AppError {
    fn from(refusal: PatchRefusal) -> Self {
        match refusal {
            PatchRefusal::Field(problem) => Self::Field(problem),
            PatchRefusal::BuiltIn { member } => Self::BuiltIn {
                what: format!("{member} cannot be changed"),
            },
        }
    }
}

/// Adds an app with its first revision, which is bound to its package where the object is in the bucket.
///
/// # Errors
/// See [`AppError`]; nothing is stored then.
pub async fn upload(
    services: &Services,
    project: InProject,
    mut members: AppMembers,
    icon: Option<&str>,
    widening: &WideningCheck,
) -> Result<App, AppError> {
    if let Some(problem) = members.problem(project.id) {
        return Err(problem.into());
    }
    check_link(services, project.key, &members.content.file_store).await?;
    widening
        .settle(Widening::when(
            members.authorization_type == AssignType::AllUser,
        ))
        .map_err(AppError::Refused)?;
    let icon = match icon {
        Some(text) => icons::read(text).await?,
        None => IconChange::Clear,
    };
    members.icon = icon.icon();
    let now = services.clock.now();
    let id = AppId::new(services.ids.uuid(now.get()));
    let tx = services.store.write().await?;
    let app = tx
        .app_insert(
            &NewApp {
                id,
                project: project.key,
                source: AppSource::Custom,
                members: &members,
                icon: &icon,
                run_limit_secs: RUN_LIMIT_SECS,
            },
            now,
        )
        .await?;
    let link_pin = given_pin(&members.content.file_store);
    let first = NewRevision {
        id: RevisionId::new(services.ids.uuid(now.get())),
        app,
        content: &members.content,
        package: None,
        link_pin: link_pin.as_ref(),
        rule: None,
        success_exit_codes: SUCCESS_EXIT_CODES,
    };
    tx.revision_insert(&first, now).await?;
    tx.revision_bind(project.key, &[app]).await?;
    let app = commit_and_read(tx, project, id).await?;
    // Its object may have been put past the server just now.
    services.background.nudge_direct_uploads();
    Ok(app)
}

/// Changes the members that a patch names; changed content makes a new revision. A patch that changes
/// nothing writes nothing.
///
/// # Errors
/// See [`AppError`]; nothing is changed then.
pub async fn update(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    mut patch: AppPatch,
    icon: Option<&str>,
    widening: &WideningCheck,
) -> Result<App, AppError> {
    if let Some(problem) = patch.problem(project.id) {
        return Err(problem.into());
    }
    // Decoding takes its time: before the lock, not under it.
    patch.icon = match icon {
        Some(text) => Some(icons::read(text).await?),
        None => None,
    };
    if let Some(file_store) = &patch.file_store {
        check_link(services, project.key, file_store).await?;
    }
    let id = id.ok_or(AppError::NotFound)?;
    let tx = services.store.write().await?;
    let app = tx
        .app_lock(project.key, id)
        .await?
        .ok_or(AppError::NotFound)?;
    if let (Some(IconChange::Link(address)), Icon::Png { sha256 }) =
        (&patch.icon, &app.members.icon)
        && icons::is_address_of(address, id, sha256)
    {
        // The caller sends back what a list answered.
        patch.icon = None;
    }
    let after = patch.merge(&app.members, app.source)?;
    widening
        .settle(Widening::when(
            after.authorization_type == AssignType::AllUser
                && app.members.authorization_type != AssignType::AllUser,
        ))
        .map_err(AppError::Refused)?;
    if after == app.members {
        return Ok(app);
    }
    let now = services.clock.now();
    tx.app_update(&app, &after, patch.icon.as_ref(), now)
        .await?;
    let before = &app.revision;
    if after.content != before.content {
        let id = RevisionId::new(services.ids.uuid(now.get()));
        let (derived, link_pin);
        let revision = if after.content.has_package_of(&before.content) {
            NewRevision {
                id,
                app: app.key,
                content: &after.content,
                package: before.package.as_ref().map(|package| package.key),
                link_pin: before.link_pin.as_ref(),
                rule: before.rule.as_ref(),
                success_exit_codes: &before.success_exit_codes,
            }
        } else {
            // The package in the bucket gives its rule when the revision is bound to it.
            derived = rule_of_new_revision(before.rule.as_ref(), None);
            link_pin = given_pin(&after.content.file_store);
            NewRevision {
                id,
                app: app.key,
                content: &after.content,
                package: None,
                link_pin: link_pin.as_ref(),
                rule: derived.as_ref(),
                success_exit_codes: &before.success_exit_codes,
            }
        };
        tx.revision_insert(&revision, now).await?;
        tx.revision_bind(project.key, &[app.key]).await?;
    }
    let app = commit_and_read(tx, project, id).await?;
    services.background.nudge_direct_uploads();
    Ok(app)
}

/// Shows or hides apps, all or none.
///
/// # Errors
/// One of them does not exist, or the database fails; nothing is changed then.
pub async fn set_status(
    services: &Services,
    project: InProject,
    ids: &[Option<AppId>],
    status: AppStatus,
) -> Result<(), AppError> {
    let tx = services.store.write().await?;
    let apps = lock_all(&tx, project, ids).await?;
    tx.app_set_status(&apps, status, services.clock.now())
        .await?;
    Ok(tx.commit().await?)
}

/// Deletes apps with their authorizations, and fails their INIT jobs; ids that do not exist are passed over.
///
/// # Errors
/// One of them is built in, or the database fails; nothing is changed then.
pub async fn delete(
    services: &Services,
    project: InProject,
    ids: &[Option<AppId>],
    objects: ObjectFate,
) -> Result<(), AppError> {
    let ids: Vec<AppId> = ids.iter().copied().flatten().collect();
    let tx = services.store.write().await?;
    let apps = tx.app_lock_many(project.key, &ids).await?;
    if apps.iter().any(|(_, source)| *source != AppSource::Custom) {
        return Err(AppError::BuiltIn {
            what: "it cannot be deleted".to_owned(),
        });
    }
    let keys: Vec<AppKey> = apps.into_iter().map(|(key, _)| key).collect();
    let now = services.clock.now();
    tx.app_delete(project.key, &keys, objects, now).await?;
    let mut left = FAILED_AT_ONCE;
    for app in keys {
        let limit = i64::try_from(left).expect("a thousand is no large number");
        left -= tx
            .job_fail_of_app(project.key, app, limit, now)
            .await?
            .min(left);
    }
    Ok(tx.commit().await?)
}

/// What a caller takes the content behind a link for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkContent {
    /// What has this digest (lower-case hex SHA-256).
    Known(String),
    /// What the next desktop finds there.
    FirstSeen,
}

/// Accepts other content behind the link of an app than its newest revision has: the same link makes a new revision,
/// which no desktop has tried yet. Nothing is installed by that.
///
/// # Errors
/// The app is none with a link, the link or the missing digest is not allowed, or as [`update`]; nothing is changed
/// then.
pub async fn accept_link(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    content: &LinkContent,
) -> Result<App, AppError> {
    let id = id.ok_or(AppError::NotFound)?;
    let digest_required = digest_required(services, project.key).await?;
    let tx = services.store.write().await?;
    let app = tx
        .app_lock(project.key, id)
        .await?
        .ok_or(AppError::NotFound)?;
    let before = &app.revision;
    let Some(link) = before.content.file_store.link() else {
        return Err(AppError::NoLink);
    };
    let mut after = before.content.clone();
    after.file_store.file_link = Some(with_link_digest(
        link,
        match content {
            LinkContent::Known(sha256) => Some(sha256),
            LinkContent::FirstSeen => None,
        },
    ));
    if let Some(problem) = after
        .file_store
        .link_problem(&services.link_allow, digest_required)
    {
        return Err(problem.into());
    }
    let link_pin = given_pin(&after.file_store);
    let same = |pin: &LinkPin| Some(&pin.sha256) == link_pin.as_ref().map(|pin| &pin.sha256);
    if before.link_pin.as_ref().is_some_and(same) {
        return Ok(app);
    }
    let now = services.clock.now();
    let rule = rule_of_new_revision(before.rule.as_ref(), None);
    let revision = NewRevision {
        id: RevisionId::new(services.ids.uuid(now.get())),
        app: app.key,
        content: &after,
        package: None,
        link_pin: link_pin.as_ref(),
        rule: rule.as_ref(),
        success_exit_codes: &before.success_exit_codes,
    };
    tx.revision_insert(&revision, now).await?;
    commit_and_read(tx, project, id).await
}

/// Refuses a link that desktops may not fetch, or that names no digest where the project wants one.
async fn check_link(
    services: &Services,
    project: ProjectKey,
    file_store: &FileStore,
) -> Result<(), AppError> {
    if file_store.link().is_none() {
        return Ok(());
    }
    let digest_required = digest_required(services, project).await?;
    match file_store.link_problem(&services.link_allow, digest_required) {
        Some(problem) => Err(problem.into()),
        None => Ok(()),
    }
}

async fn digest_required(services: &Services, project: ProjectKey) -> Result<bool, StoreError> {
    let settings = services.store.db().package_settings(project).await?;
    Ok(settings.is_some_and(|settings| settings.require_link_digest))
}

fn given_pin(file_store: &FileStore) -> Option<LinkPin> {
    file_store.link_digest().map(LinkPin::given)
}

/// Brings back an app that was deleted less than [`RESTORE_PERIOD`] ago, with revisions, authorizations and icon. Jobs
/// that its deletion failed stay so.
///
/// # Errors
/// There is no such app to restore, the caller may not open it to anybody, or the database fails; nothing is changed
/// then.
pub async fn restore(
    services: &Services,
    project: InProject,
    id: Option<AppId>,
    widening: &WideningCheck,
) -> Result<App, AppError> {
    widening
        .settle(Widening::when(true))
        .map_err(AppError::Refused)?;
    let id = id.ok_or(AppError::NotFound)?;
    let now = services.clock.now();
    let tx = services.store.write().await?;
    if !tx
        .app_restore(project.key, id, now.minus(RESTORE_PERIOD), now)
        .await?
    {
        return Err(AppError::NotFound);
    }
    commit_and_read(tx, project, id).await
}

/// Locks apps of which none may be missing.
pub(super) async fn lock_all(
    tx: &Tx,
    project: InProject,
    ids: &[Option<AppId>],
) -> Result<Vec<AppKey>, AppError> {
    let wanted: Vec<AppId> = ids
        .iter()
        .copied()
        .collect::<Option<_>>()
        .ok_or(AppError::NotFound)?;
    let apps = tx.app_lock_many(project.key, &wanted).await?;
    if apps.len() != wanted.len() {
        return Err(AppError::NotFound);
    }
    Ok(apps.into_iter().map(|(key, _)| key).collect())
}

/// Reads an app as the transaction leaves it, and makes it so.
pub(super) async fn commit_and_read(
    tx: Tx,
    project: InProject,
    id: AppId,
) -> Result<App, AppError> {
    let app = tx
        .db()
        .app_find(project.key, id)
        .await?
        .ok_or(AppError::NotFound)?;
    tx.commit().await?;
    Ok(app)
}
