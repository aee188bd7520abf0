//! Automatic installation: from an accepted call to a stored deployment.
//!
//! **Guarantees.** One transaction checks, widens authorizations and stores the deployment; from its commit on nothing
//! is lost, before it nothing has happened. Nothing here waits for an agent. **After a crash** the expansion goes on
//! where its cursor stands. **Does not** decide which desktops get which jobs: that is `domain::install`, page by page.

use std::collections::HashMap;
use std::time::Duration;

use outfitter_agent_protocol::TaskKind;
use outfitter_domain::app::{FieldProblem, distinct, text_problem};
use outfitter_domain::text::is_blank;
use outfitter_domain::{Account, AppStatus, AssignType, InstallType};
use outfitter_ids::{AppId, DeploymentId};
use outfitter_store::{
    AuditScope, Approach, DeploymentKey, DeploymentView, Expansion, FailLimit, InstallableApp, NewDeployment,
    PackageAccess, ProjectKey, ScopeAccounts, StoreError, Tx,
};
use thiserror::Error;

use crate::Services;
use crate::auth::{PolicyRefusal, Widening, WideningCheck};
use crate::background::expand_page;

/// Planned jobs up to which the request itself drives the expansion to its end, so that a client that lists right
/// after the call sees them. Source: design, section 4 (50 apps for 50 users).
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
    /// The caller may not, now that it is known what the call would do.
    #[error("{}", .0.reason)]
    Refused(Box<PolicyRefusal>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who an install is for.
#[derive(Debug)]
pub enum Audience {
    /// Everyone: each app becomes ALL_USER.
    Everyone,
    /// These accounts; what they lack is granted.
    Listed(Vec<Account>),
    /// Whoever the app is authorized to; nothing changes.
    Authorized,
}

/// An install call.
pub struct Install<'a> {
    /// The project.
    pub project: ProjectKey,
    /// The apps; `None` for ids that cannot exist.
    pub apps: Vec<Option<AppId>>,
    /// Who it is for.
    pub audience: Audience,
    /// Who asked.
    pub operator: &'a str,
    /// Whether the caller may widen authorizations.
    pub widening: &'a WideningCheck,
    /// Command for this run only.
    pub install_command: Option<&'a str>,
    /// Uninstall command for this run only.
    pub uninstall_command: Option<&'a str>,
}

/// A deployment that is stored in a transaction that is still open.
struct Stored {
    tx: Tx,
    id: DeploymentId,
    deployment: DeploymentKey,
    scope: AssignType,
    apps: usize,
}

/// Checks a call, widens authorizations and stores the deployment; the caller commits, or does not.
async fn store_deployment(services: &Services, call: &Install<'_>) -> Result<Stored, InstallError> {
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
    let now = services.clock.now();
    let tx = services.store.write().await?;
    let found = tx.deployment_apps(call.project, &ids).await?;
    let by_id: HashMap<AppId, &InstallableApp> = found.iter().map(|app| (app.id, app)).collect();
    let apps = ids
        .iter()
        .map(|id| by_id.get(id).copied())
        .collect::<Option<Vec<_>>>()
        .ok_or(InstallError::NotFound)?;
    for app in &apps {
        check_field_rules(app, call.install_command)?;
    }
    for app in &apps {
        check_state(app)?;
    }
    let keys: Vec<_> = apps.iter().map(|app| app.key).collect();
    let (scope, accounts) = match &call.audience {
        Audience::Everyone => (AssignType::AllUser, ScopeAccounts::Listed(&[])),
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
                kind: TaskKind::Install,
                scope,
                operator: call.operator,
                install_command: call.install_command,
                uninstall_command: call.uninstall_command,
                apps: &keys,
                accounts,
                expires_at: now.plus(OFFLINE_LIMIT),
                approach: Approach::Ordinary,
                fail_limit: FailLimit::default(),
            },
            now,
        )
        .await?;
    let widened = match &call.audience {
        Audience::Everyone | Audience::Listed(_) => {
            tx.deployment_widen(deployment, scope, now).await?
        }
        Audience::Authorized => 0,
    };
    call.widening
        .settle(Widening::when(widened > 0))
        .map_err(InstallError::Refused)?;
    Ok(Stored {
        tx,
        id,
        deployment,
        scope,
        apps: keys.len(),
    })
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
    let Stored {
        tx, id, deployment, ..
    } = store_deployment(services, &call).await?;
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
        scope,
        apps,
    } = store_deployment(services, &call).await?;
    tx.commit().await?;

    // From here on the call has succeeded: what fails now, the background does.
    let desktops = services
        .store
        .db()
        .deployment_desktops_up_to(
            deployment,
            call.project,
            scope,
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
) -> Result<(), InstallError> {
    match app.install_type {
        InstallType::QuietInstall | InstallType::UnzipInstall => {}
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
