//! Automatic installation and removal: from an accepted call, the contract's or ours, to a stored deployment.
//!
//! **Guarantees.** One transaction checks, widens authorizations and stores the deployment; from its commit on nothing
//! is lost, before it nothing has happened. Nothing here waits for an agent. **After a crash** the expansion goes on
//! where its cursor stands. **Does not** decide which desktops get which jobs: that is `domain::install`, page by page.

use std::collections::HashMap;
use std::time::Duration;

use outfitter_agent_protocol::{Approach, TaskKind};
use outfitter_domain::app::{FieldProblem, distinct, text_problem};
use outfitter_domain::install::{UninstallSources, uninstall_command};
use outfitter_domain::text::is_blank;
use outfitter_domain::{Account, AppStatus, AssignType, InstallType};
use outfitter_ids::{AppId, DeploymentId, DesktopId};
use outfitter_store::{
    AuditScope, DeploymentKey, DeploymentView, Expansion, FailLimit, IdempotencyClaim,
    InstallableApp, NewDeployment, PackageAccess, ProjectKey, Reach, ScopeAccounts, StoreError, Tx,
    UserKey,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Services;
use crate::app::direct_uploads;
use crate::auth::{PolicyRefusal, Widening, WideningCheck};
use crate::background::expand_page;

/// Planned jobs up to which the request itself drives the expansion to its end, so that a client that lists right
/// after the call sees them. Source: 50 apps for 50 users, the most that
/// a call of the contract names.
const INLINE_JOBS: usize = 2_500;

/// How long jobs wait for their desktop before they FAIL with `expired_offline`. Source: contract, section 5, states.
const OFFLINE_LIMIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why an install call is refused or fails; nothing is stored then.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A member breaks a rule.
    #[error(transparent)]
    Field(#[from] FieldProblem),
    /// An app does not exist.
    #[error("the application does not exist")]
    NotFound,
    /// An app is FORBIDDEN.
    #[error("application {name:?} is not authorized")]
    Forbidden {
        /// The app's name.
        name: String,
    },
    /// The app's bytes cannot be had.
    #[error("the package of application {name:?} cannot be had")]
    NoPackage {
        /// The app's name.
        name: String,
    },
    /// A desktop does not exist.
    #[error("the desktop does not exist")]
    DesktopNotFound,
    /// Another call carried the same idempotency key.
    #[error("the idempotency key was used for another call")]
    KeyTaken,
    /// A kept answer cannot be read.
    #[error("a kept answer cannot be read")]
    KeptAnswer(#[source] serde_json::Error),
    /// The caller may not, now that it is known what the call would do.
    #[error("{}", .0.reason)]
    Refused(Box<PolicyRefusal>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who an install or uninstall is for.
#[derive(Debug)]
pub enum Audience {
    /// Everyone: each app that is put on becomes ALL_USER.
    Everyone,
    /// These accounts; what they lack of what is put on is granted.
    Listed(Vec<Account>),
    /// Whoever the app is authorized to; nothing changes.
    Authorized,
    /// These desktops, `None` for ids that cannot exist; nothing is granted.
    Desktops(Vec<Option<DesktopId>>),
}

/// What makes a call that is made twice one call.
#[derive(Debug)]
pub struct Idempotency {
    /// The caller's `Idempotency-Key`.
    pub key: String,
    /// Digest of what was asked and by whom.
    pub request_digest: Vec<u8>,
}

/// An install or uninstall call.
pub struct Install<'a> {
    /// On or off.
    pub kind: TaskKind,
    /// The project.
    pub project: ProjectKey,
    /// The apps; `None` for ids that cannot exist.
    pub apps: Vec<Option<AppId>>,
    /// Who it is for.
    pub audience: Audience,
    /// Who asked.
    pub operator: &'a str,
    /// Whether the caller may widen authorizations; `None`: the call never does.
    pub widening: Option<&'a WideningCheck>,
    /// Command for this run only.
    pub install_command: Option<&'a str>,
    /// Uninstall command for this run only.
    pub uninstall_command: Option<&'a str>,
    /// What happens where the app is there already.
    pub approach: Approach,
    /// Failures above which nothing more is handed out.
    pub fail_limit: FailLimit,
    /// How long jobs wait for their desktop; `None`: [`OFFLINE_LIMIT`].
    pub expires_in: Option<Duration>,
    /// What makes a call that is made twice one call.
    pub idempotency: Option<Idempotency>,
    /// The directory user who asks for themselves; `None`: an administrator asks.
    pub requested_by: Option<UserKey>,
}

impl Install<'_> {
    /// A call with nothing beside what every call has.
    pub fn plain<'a>(
        kind: TaskKind,
        project: ProjectKey,
        apps: Vec<Option<AppId>>,
        audience: Audience,
        operator: &'a str,
        widening: Option<&'a WideningCheck>,
    ) -> Install<'a> {
        Install {
            kind,
            project,
            apps,
            audience,
            operator,
            widening,
            install_command: None,
            uninstall_command: None,
            approach: Approach::Ordinary,
            fail_limit: FailLimit::default(),
            expires_in: None,
            idempotency: None,
            requested_by: None,
        }
    }
}

/// An accepted call, as it is kept for a repetition of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// Its deployment.
    pub id: DeploymentId,
}

/// A deployment that is stored in a transaction that is still open.
struct Stored {
    tx: Tx,
    id: DeploymentId,
    deployment: DeploymentKey,
    reach: Reach,
    apps: usize,
}

/// What came of a call.
enum Outcome {
    Stored(Box<Stored>),
    /// It was carried out before.
    Repeated(Accepted),
}

/// Checks a call, widens authorizations and stores the deployment; the caller commits, or does not.
async fn store_deployment(
    services: &Services,
    call: &Install<'_>,
) -> Result<Outcome, InstallError> {
    if let Audience::Listed(accounts) = &call.audience {
        distinct("users", accounts)?;
    }
    for (field, command) in [
        ("install_command", call.install_command),
        ("uninstall_command", call.uninstall_command),
    ] {
        if let Some(problem) = command.and_then(|text| text_problem(field, text)) {
            return Err(problem.into());
        }
    }
    let ids: Vec<AppId> = call
        .apps
        .iter()
        .copied()
        .collect::<Option<_>>()
        .ok_or(InstallError::NotFound)?;
    if call.kind == TaskKind::Install {
        direct_uploads::look(services, call.project, &ids).await?;
    }
    let now = services.clock.now();
    let tx = services.store.write().await?;
    if let Some(Idempotency {
        key,
        request_digest,
    }) = &call.idempotency
    {
        match tx
            .idempotency_claim(call.project, key, request_digest, now)
            .await?
        {
            IdempotencyClaim::New => {}
            IdempotencyClaim::Repeated { body } => {
                let accepted = serde_json::from_str(&body).map_err(InstallError::KeptAnswer)?;
                return Ok(Outcome::Repeated(accepted));
            }
            IdempotencyClaim::Taken => return Err(InstallError::KeyTaken),
        }
    }
    let found = tx.deployment_apps(call.project, &ids).await?;
    let by_id: HashMap<AppId, &InstallableApp> = found.iter().map(|app| (app.id, app)).collect();
    let apps = ids
        .iter()
        .map(|id| by_id.get(id).copied())
        .collect::<Option<Vec<_>>>()
        .ok_or(InstallError::NotFound)?;
    match call.kind {
        TaskKind::Install => {
            for app in &apps {
                check_field_rules(app, call.install_command, call.requested_by)?;
            }
            for app in &apps {
                check_state(app)?;
            }
        }
        TaskKind::Uninstall => {
            for app in &apps {
                check_can_be_taken_off(app, call.uninstall_command)?;
            }
        }
    }
    let mut desktops = Vec::new();
    if let Audience::Desktops(ids) = &call.audience {
        let ids = ids
            .iter()
            .copied()
            .collect::<Option<Vec<_>>>()
            .ok_or(InstallError::DesktopNotFound)?;
        desktops = tx
            .db()
            .desktop_keys(call.project, &ids)
            .await?
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or(InstallError::DesktopNotFound)?;
    }
    let keys: Vec<_> = apps.iter().map(|app| app.key).collect();
    let (scope, accounts) = match &call.audience {
        Audience::Everyone | Audience::Desktops(_) => {
            (AssignType::AllUser, ScopeAccounts::Listed(&[]))
        }
        Audience::Listed(accounts) => (AssignType::AssignUser, ScopeAccounts::Listed(accounts)),
        // While everyone is authorized, the stored list has no effect.
        Audience::Authorized
            if apps
                .iter()
                .all(|app| app.authorization_type == AssignType::AllUser) =>
        {
            (AssignType::AllUser, ScopeAccounts::Listed(&[]))
        }
        Audience::Authorized => (AssignType::AssignUser, ScopeAccounts::StoredOfApps),
    };
    let id = DeploymentId::new(services.ids.uuid(now.get()));
    let deployment = tx
        .deployment_insert(
            &NewDeployment {
                id,
                project: call.project,
                kind: call.kind,
                scope,
                operator: call.operator,
                install_command: call.install_command,
                uninstall_command: call.uninstall_command,
                apps: &keys,
                accounts,
                desktops: &desktops,
                requested_by: call.requested_by,
                expires_at: now.plus(call.expires_in.unwrap_or(OFFLINE_LIMIT)),
                approach: call.approach,
                fail_limit: call.fail_limit,
            },
            now,
        )
        .await?;
    let widened = match (call.kind, &call.audience) {
        (TaskKind::Install, Audience::Everyone | Audience::Listed(_)) => {
            tx.deployment_widen(deployment, scope, now).await?
        }
        (TaskKind::Install, Audience::Authorized | Audience::Desktops(_))
        | (TaskKind::Uninstall, _) => 0,
    };
    if let Some(widening) = call.widening {
        widening
            .settle(Widening::when(widened > 0))
            .map_err(InstallError::Refused)?;
    }
    if let Some(Idempotency { key, .. }) = &call.idempotency {
        let body = serde_json::to_string(&Accepted { id }).map_err(InstallError::KeptAnswer)?;
        tx.idempotency_answer(call.project, key, 201, &body).await?;
    }
    let reach = match (&call.audience, scope) {
        (Audience::Desktops(_), _) => Reach::Named,
        (_, AssignType::AllUser) => Reach::All,
        (_, AssignType::AssignUser) => Reach::OfUsers,
    };
    Ok(Outcome::Stored(Box::new(Stored {
        tx,
        id,
        deployment,
        reach,
        apps: keys.len(),
    })))
}

/// What an install call would do.
pub struct Preview {
    /// The transaction in which it was done; dropping it takes everything back.
    pub tx: Tx,
    /// The deployment as it would be.
    pub view: DeploymentView,
}

/// Does what an install call does, up to [`INLINE_JOBS`] pairs of desktop and app, in a transaction that is not
/// committed: what is shown is what the planner says, not a second opinion.
///
/// # Errors
/// See [`InstallError`].
pub async fn preview(services: &Services, call: Install<'_>) -> Result<Preview, InstallError> {
    let project = call.project;
    let call = Install {
        idempotency: None,
        ..call
    };
    let Outcome::Stored(stored) = store_deployment(services, &call).await? else {
        return Err(InstallError::KeyTaken);
    };
    let Stored {
        tx, id, deployment, ..
    } = *stored;
    let now = services.clock.now();
    tx.deployment_expand(deployment, INLINE_JOBS, services.ids.as_ref(), now)
        .await?;
    let view = tx
        .db()
        .deployment_find(project, id)
        .await?
        .ok_or(InstallError::NotFound)?;
    Ok(Preview { tx, view })
}

/// Accepts an install call and, where it is small, opens its jobs.
///
/// # Errors
/// See [`InstallError`].
pub async fn install(services: &Services, call: Install<'_>) -> Result<DeploymentId, InstallError> {
    let Stored {
        tx,
        id,
        deployment,
        reach,
        apps,
    } = match store_deployment(services, &call).await? {
        Outcome::Stored(stored) => *stored,
        Outcome::Repeated(accepted) => return Ok(accepted.id),
    };
    tx.commit().await?;

    // From here on the call has succeeded: what fails now, the background does.
    let desktops = services
        .store
        .db()
        .deployment_desktops_up_to(
            deployment,
            call.project,
            reach,
            INLINE_JOBS / apps.max(1) + 1,
        )
        .await;
    match desktops {
        Ok(desktops) if desktops * apps <= INLINE_JOBS => loop {
            // The deployment is audited; its jobs are its own record.
            match AuditScope::apart(expand_page(services, deployment)).await {
                Ok(Some(page)) if page.progress == Expansion::Expanding => {}
                Ok(_) => break,
                Err(error) => {
                    leave_to_background(services, &error);
                    break;
                }
            }
        },
        Ok(_) => services.background.nudge_expansion(),
        Err(error) => leave_to_background(services, &error),
    }
    Ok(id)
}

fn leave_to_background(services: &Services, error: &StoreError) {
    tracing::warn!(
        error = crate::http::error::chain(error),
        "an accepted deployment is expanded later"
    );
    services.background.nudge_expansion();
}

fn check_field_rules(
    app: &InstallableApp,
    command_of_call: Option<&str>,
    requested_by: Option<UserKey>,
) -> Result<(), InstallError> {
    match app.install_type {
        InstallType::QuietInstall | InstallType::UnzipInstall => {}
        // It is opened in the session of who asked for it, with a command or without.
        InstallType::GuiInstall if requested_by.is_some() => return Ok(()),
        InstallType::GuiInstall => {
            return Err(FieldProblem::new(
                "install_type",
                format!("{:?} needs a person at the desktop (GUI_INSTALL)", app.name),
            )
            .into());
        }
    }
    let command = command_of_call.or(app.install_command.as_deref());
    if command.is_none_or(is_blank) {
        return Err(FieldProblem::new(
            "install_command",
            format!("{:?} has no command to install it with", app.name),
        )
        .into());
    }
    Ok(())
}

/// Whether anything tells how an app is taken off. A desktop may have an older revision; what that one lacks, the
/// newest tells.
fn check_can_be_taken_off(
    app: &InstallableApp,
    command_of_call: Option<&str>,
) -> Result<(), InstallError> {
    let command = uninstall_command(&UninstallSources {
        of_call: command_of_call,
        install_type: app.install_type,
        of_revision: app.uninstall_command.as_deref(),
        install_command: app.install_command.as_deref(),
        debian_package: app.debian_package.as_deref(),
        of_newest: None,
    });
    if command.is_none() {
        return Err(FieldProblem::new(
            "uninstall_command",
            format!("{:?} has no command to uninstall it with", app.name),
        )
        .into());
    }
    Ok(())
}

fn check_state(app: &InstallableApp) -> Result<(), InstallError> {
    if app.status == AppStatus::Forbidden {
        return Err(InstallError::Forbidden {
            name: app.name.clone(),
        });
    }
    match app.package {
        PackageAccess::Available => Ok(()),
        PackageAccess::ObjectMissing | PackageAccess::LinkBroken => Err(InstallError::NoPackage {
            name: app.name.clone(),
        }),
    }
}
