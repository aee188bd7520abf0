//! What end users see and do at their desktops (docs/adr/0025-end-users.md), whether their browser asks or the agent for them.
//!
//! **Guarantees.** A user sees and touches only desktops attached to them, and there only apps that they may have now. What
//! they ask for is a deployment like any other, for one desktop, in their name; it widens nothing, and `go` asks again
//! whether this very user may. **Does not** know how the user came in: that is `auth::portal` and the device certificate.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outfitter_agent_protocol::{AccountMeaning, Approach, TaskKind, meanings_of_account};
use outfitter_directory::Failure;
use outfitter_domain::fleet::Feature;
use outfitter_domain::portal::{
    Act, Installed, NewestJob, PortalFacts, PortalView, RequestedBy, Standing, decide_deferral,
    decide_view,
};
use outfitter_domain::text::fold;
use outfitter_ids::{AppId, DesktopId, JobId, ProjectId};
use outfitter_store::{
    AuditScope, Desktop, DesktopFilter, DesktopKey, DesktopOrder, EndUser, Listed, Page,
    Persistence, PortalApp, PortalAppFilter, PortalJob, SecretDigest, StoreError, UserKey,
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::cancel::cancel_jobs;
use super::directory::{DirectoryError, verify_password};
use super::install::{Audience, Install, InstallError, install};
use crate::audit;
use crate::edge::{RetryAfter, seconds_of};
use crate::services::Services;

/// How long a ticket is good: as long as a browser takes to start.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(60);

/// Bytes of a ticket.
const TICKET_BYTES: usize = 32;

/// Most desktops of a user that are shown.
const MOST_DESKTOPS: i64 = 100;

/// Path of the portal on the API listener.
pub const PORTAL_PATH: &str = "/portal/";

/// Why something is not done for an end user; nothing was changed.
#[derive(Debug, Error)]
pub enum PortalError {
    /// The desktop is none of theirs.
    #[error("the desktop does not exist, or is none of the user's")]
    DesktopNotFound,
    /// The app does not exist, or they may not have it.
    #[error("the application does not exist, or the user may not have it")]
    AppNotFound,
    /// The job does not exist on a desktop of theirs.
    #[error("the job does not exist")]
    JobNotFound,
    /// Not as things are.
    #[error("{0}")]
    State(&'static str),
    /// The install call was refused.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why somebody does not come in.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The ticket is none, was used, or lapsed; or what it was for does not stand any more.
    #[error("the ticket is not good, or not any more")]
    Ticket,
    /// Nobody logs in with a password here.
    #[error("no directory lets end users log in with a password here")]
    NoDirectory,
    /// Name or password is wrong, or the user is not known or disabled.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many wrong ones.
    #[error("too many wrong passwords")]
    Throttled {
        /// Seconds to wait.
        retry_after_secs: u32,
    },
    /// The directory cannot be asked.
    #[error("the company directory cannot be asked now")]
    Directory(#[source] Failure),
    /// What is stored of the directory.
    #[error(transparent)]
    Stored(#[from] DirectoryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a desktop's account is nobody's.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Nobody of this name is attached to the desktop.
    #[error("{0:?} is no user of this desktop: ask your administrator to attach the account to it")]
    Unknown(String),
    /// Several users of this name, of different domains, are.
    #[error("{0:?} may be several users of this desktop: its system does not say of which domain")]
    Ambiguous(String),
    /// The account is disabled.
    #[error("the account {0:?} is disabled")]
    Disabled(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The user of a desktop whom its system calls by this account.
///
/// # Errors
/// See [`AccountError`].
pub async fn user_of_account(
    services: &Services,
    desktop: DesktopKey,
    account: &str,
) -> Result<EndUser, AccountError> {
    for meaning in meanings_of_account(account) {
        let named = services
            .store
            .db()
            .end_users_at(desktop, meaning.name)
            .await?;
        if let Some(user) = the_one_meant(account, &meaning, named)? {
            return Ok(user);
        }
    }
    Err(AccountError::Unknown(account.to_owned()))
}

/// The user whom a system may call by this account in one of its meanings, among those of that name.
///
/// # Errors
/// [`AccountError::Ambiguous`], [`AccountError::Disabled`].
pub(super) fn the_one_meant(
    account: &str,
    meaning: &AccountMeaning<'_>,
    named: Vec<EndUser>,
) -> Result<Option<EndUser>, AccountError> {
    let mut fitting = named
        .into_iter()
        .filter(|user| meaning.may_be_of(&user.account_domain));
    match (fitting.next(), fitting.next()) {
        (None, _) => Ok(None),
        (Some(user), None) if user.enabled => Ok(Some(user)),
        (Some(_), None) => Err(AccountError::Disabled(account.to_owned())),
        (Some(_), Some(_)) => Err(AccountError::Ambiguous(account.to_owned())),
    }
}

/// Makes a ticket for a user of a desktop; answers the address that a browser opens with it. It stands in the fragment,
/// which browsers send to nobody.
///
/// # Errors
/// When the database cannot.
pub async fn issue_ticket(
    services: &Services,
    user: &EndUser,
    desktop: DesktopKey,
) -> Result<SecretString, StoreError> {
    let mut bytes = [0_u8; TICKET_BYTES];
    services.auth.randomness().fill(&mut bytes);
    let ticket = URL_SAFE_NO_PAD.encode(bytes);
    let now = services.clock.now();
    let tx = services.store.write().await?;
    tx.portal_ticket_insert(
        &digest(&ticket),
        user.user,
        desktop,
        now.plus(TICKET_LIFETIME),
        now,
    )
    .await?;
    tx.commit().await?;
    let endpoint = services.endpoints.endpoint.trim_end_matches('/');
    Ok(format!("{endpoint}{PORTAL_PATH}#ticket={ticket}").into())
}

fn digest(ticket: &str) -> SecretDigest {
    SecretDigest::new(Sha256::digest(ticket.as_bytes()).into())
}

/// Takes a ticket in, once; answers whose it is and for which desktop.
///
/// # Errors
/// See [`EntryError`].
pub async fn take_ticket(
    services: &Services,
    ticket: &str,
) -> Result<(EndUser, DesktopId), EntryError> {
    // Apart: a ticket that counts for nothing is a refusal and leaves no entry of something done.
    let taken = AuditScope::apart(async {
        let tx = services.store.write().await?;
        let taken = tx
            .portal_ticket_take(&digest(ticket), services.clock.now())
            .await?;
        // Also where nobody may come in with it any more: it counts once.
        tx.commit().await?;
        Ok::<_, StoreError>(taken)
    })
    .await?;
    let (user, desktop) = taken.ok_or(EntryError::Ticket)?;
    audit::identify_end_user(&user, "portal_ticket");
    Ok((user, desktop))
}

/// The project where end users log in with a password; `None`: nowhere, or nobody says where.
///
/// # Errors
/// When the database cannot answer.
pub async fn login_project(
    services: &Services,
    project: Option<&str>,
) -> Result<Option<ProjectId>, StoreError> {
    let project = match project {
        None => None,
        Some(text) => match ProjectId::lookup(text) {
            Some(id) => Some(id),
            None => return Ok(None),
        },
    };
    let found = services.store.db().portal_login_project(project).await?;
    Ok(found.map(|(_, id)| id))
}

/// Lets a user of the company directory in by their password there.
///
/// # Errors
/// See [`EntryError`].
pub async fn log_in(
    services: &Services,
    project: Option<&str>,
    name: &str,
    password: SecretString,
    source: IpAddr,
) -> Result<EndUser, EntryError> {
    audit::claimed(name);
    let project = login_project(services, project)
        .await?
        .ok_or(EntryError::NoDirectory)?;
    services
        .edge
        .may_try_password(source)
        .map_err(|RetryAfter(retry_after_secs)| EntryError::Throttled { retry_after_secs })?;
    let mut found = None;
    for meaning in meanings_of_account(name) {
        let users = services
            .store
            .db()
            .end_users_of_directory(project, meaning.name)
            .await?;
        let mut fitting = users
            .into_iter()
            .filter(|user| meaning.may_be_of(&user.account_domain));
        if let (Some(user), None) = (fitting.next(), fitting.next()) {
            found = Some(user);
            break;
        }
    }
    let account = match &found {
        Some(user) => user.user_id.to_string(),
        None => hex::encode(Sha256::digest(format!("{project}\0{}", fold(name)))),
    };
    let check = |now| match services.auth.account_locked_until(&account, source, now) {
        None => Ok(()),
        Some(until) => Err(EntryError::Throttled {
            retry_after_secs: seconds_of(until.since(now)),
        }),
    };
    check(services.clock.now())?;
    let known = found
        .as_ref()
        .filter(|user| user.enabled)
        .and_then(|user| Some((user, user.external_id.clone()?)));
    let is_right = match known {
        Some((user, id)) => verify_password(
            services,
            user.project,
            project.uuid(),
            (user.name.clone(), id),
            password,
        )
        .await?
        .map_err(EntryError::Directory)?,
        None => false,
    };
    let now = services.clock.now();
    // Again: guesses that were sent all at once passed the first look together.
    check(now)?;
    services
        .auth
        .password_tried(&account, source, is_right, now);
    match found {
        Some(user) if is_right => {
            audit::identify_end_user(&user, "directory_password");
            Ok(user)
        }
        _ => {
            services.edge.wrong_password_from(source);
            Err(EntryError::Wrong)
        }
    }
}

/// The desktops that a user may act on, by name.
///
/// # Errors
/// When the database cannot answer.
pub async fn desktops_of(
    services: &Services,
    user: &EndUser,
    only: Option<DesktopId>,
) -> Result<Vec<Desktop>, StoreError> {
    let filter = DesktopFilter {
        user: Some(user.user_id),
        ids: only.map(|id| vec![id]),
        ..DesktopFilter::default()
    };
    let page = Page {
        offset: 0,
        limit: MOST_DESKTOPS,
    };
    Ok(services
        .store
        .db()
        .desktop_list(user.project, &filter, DesktopOrder::NameAscending, page)
        .await?
        .items)
}

/// A desktop that a user acts on.
#[derive(Debug, Clone)]
pub struct EndUserDesktop<'a> {
    /// The user.
    pub user: &'a EndUser,
    /// The desktop, which is attached to the user.
    pub desktop: DesktopKey,
    /// Its public id.
    pub desktop_id: DesktopId,
}

impl<'a> EndUserDesktop<'a> {
    /// Finds the desktop, if it is the user's and within `only`.
    ///
    /// # Errors
    /// [`PortalError::DesktopNotFound`], or the database's.
    pub async fn find(
        services: &Services,
        user: &'a EndUser,
        only: Option<DesktopId>,
        desktop: &str,
    ) -> Result<Self, PortalError> {
        let id = DesktopId::lookup(desktop)
            .filter(|id| only.is_none_or(|only| only == *id))
            .ok_or(PortalError::DesktopNotFound)?;
        let key = services
            .store
            .db()
            .end_user_desktop(user.user, id)
            .await?
            .ok_or(PortalError::DesktopNotFound)?;
        Ok(Self {
            user,
            desktop: key,
            desktop_id: id,
        })
    }

    /// The apps that the user may have there, each with what is seen of it.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn apps(
        &self,
        services: &Services,
        filter: &PortalAppFilter,
        page: Page,
    ) -> Result<Listed<SeenApp>, StoreError> {
        let listed = services
            .store
            .db()
            .portal_apps(
                self.user.project,
                self.user.user,
                self.desktop,
                filter,
                page,
            )
            .await?;
        let now = services.clock.now();
        Ok(Listed {
            total: listed.total,
            items: listed
                .items
                .into_iter()
                .map(|app| SeenApp {
                    view: decide_view(&facts(&app, self.user.user), now),
                    app,
                })
                .collect(),
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// [`PortalError::AppNotFound`], or the database's.
    pub async fn app(&self, services: &Services, app: &str) -> Result<SeenApp, PortalError> {
        let id = AppId::lookup(app).ok_or(PortalError::AppNotFound)?;
        let filter = PortalAppFilter {
            app: Some(id),
            name: None,
        };
        let page = Page {
            offset: 0,
            limit: 1,
        };
        self.apps(services, &filter, page)
            .await?
            .items
            .into_iter()
            .next()
            .ok_or(PortalError::AppNotFound)
    }

    /// Puts an app on, in its newest version; where an older one is there, its installer runs although the app is found.
    ///
    /// # Errors
    /// See [`PortalError`].
    pub async fn install(&self, services: &Services, app: &str) -> Result<SeenApp, PortalError> {
        let seen = self.app(services, app).await?;
        let approach = if seen.view.acts.contains(&Act::Install) {
            Approach::Ordinary
        } else if seen.view.acts.contains(&Act::Update) {
            Approach::Repair
        } else {
            return Err(PortalError::State(match seen.view.standing {
                Standing::Waiting | Standing::Installing | Standing::Removing => {
                    "Something is being done with the application on this desktop already"
                }
                Standing::Absent
                | Standing::Installed
                | Standing::UpdateAvailable
                | Standing::Failed => "The newest version is on this desktop already",
            }));
        };
        let db = services.store.db();
        if !db
            .feature_enabled(self.user.project, Feature::AppCenter)
            .await?
        {
            return Err(PortalError::State(
                "The app center of this project is switched off",
            ));
        }
        let desktops = desktops_of(services, self.user, Some(self.desktop_id)).await?;
        if desktops
            .iter()
            .any(|desktop| desktop.persistence == Persistence::Recomposed)
        {
            return Err(PortalError::State(
                "This desktop is made anew at each log-off: nothing is installed on it",
            ));
        }
        self.deploy(services, TaskKind::Install, &seen, approach)
            .await
    }

    /// Takes an app off that the user asked for.
    ///
    /// # Errors
    /// See [`PortalError`].
    pub async fn remove(&self, services: &Services, app: &str) -> Result<SeenApp, PortalError> {
        let seen = self.app(services, app).await?;
        if !seen.view.acts.contains(&Act::Remove) {
            return Err(PortalError::State(match seen.view.standing {
                Standing::Waiting | Standing::Installing | Standing::Removing => {
                    "Something is being done with the application on this desktop already"
                }
                _ if seen.app.installed.is_some() => {
                    "You did not install it: ask your administrator to remove it"
                }
                _ => "The application is not on this desktop",
            }));
        }
        self.deploy(services, TaskKind::Uninstall, &seen, Approach::Ordinary)
            .await
    }

    async fn deploy(
        &self,
        services: &Services,
        kind: TaskKind,
        seen: &SeenApp,
        approach: Approach,
    ) -> Result<SeenApp, PortalError> {
        let call = Install {
            approach,
            requested_by: Some(self.user.user),
            ..Install::plain(
                kind,
                self.user.project,
                vec![Some(seen.app.id)],
                Audience::Desktops(vec![Some(self.desktop_id)]),
                &self.user.name,
                None,
            )
        };
        install(services, call).await.map_err(|error| match error {
            // What the app lacks is no fault of the user's.
            InstallError::Field(_) => PortalError::State(match kind {
                TaskKind::Install => "The application cannot be installed: ask your administrator",
                TaskKind::Uninstall => "Nothing says how it is removed: ask your administrator",
            }),
            InstallError::NotFound => PortalError::AppNotFound,
            other => PortalError::Install(other),
        })?;
        let after = self.app(services, &seen.app.id.to_string()).await?;
        let earlier = seen.app.job.as_ref().map(|job| job.live.view.id);
        if after.app.job.as_ref().map(|job| job.live.view.id) == earlier {
            // Somebody else was faster, or the authorization went in this moment: the planner opened nothing.
            return Err(PortalError::State(
                "Something changed at the same moment: look again",
            ));
        }
        Ok(after)
    }

    /// What was done there, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn history(
        &self,
        services: &Services,
        page: Page,
    ) -> Result<Listed<PortalJob>, StoreError> {
        services
            .store
            .db()
            .portal_history(self.user.user, self.desktop, page)
            .await
    }
}

/// An app and what its user sees of it.
#[derive(Debug, Clone)]
pub struct SeenApp {
    /// The app.
    pub app: PortalApp,
    /// What is seen.
    pub view: PortalView,
}

/// A job on one of these desktops of the user's.
///
/// # Errors
/// [`PortalError::JobNotFound`], or the database's.
async fn job(
    services: &Services,
    user: &EndUser,
    desktops: &[DesktopKey],
    job: &str,
) -> Result<PortalJob, PortalError> {
    let id = JobId::lookup(job).ok_or(PortalError::JobNotFound)?;
    services
        .store
        .db()
        .portal_job(user.user, desktops, id)
        .await?
        .ok_or(PortalError::JobNotFound)
}

/// Stops what the user asked for: what waits ends at once, what runs is asked to stop.
///
/// # Errors
/// See [`PortalError`].
pub async fn cancel(
    services: &Services,
    user: &EndUser,
    desktops: &[DesktopKey],
    text: &str,
) -> Result<PortalJob, PortalError> {
    let found = job(services, user, desktops, text).await?;
    if found.requested_by != Some(user.user) {
        return Err(PortalError::State(
            "You did not ask for it: you can put it off, or ask your administrator",
        ));
    }
    let id = found.live.view.id;
    let outcome = cancel_jobs(services, user.project, &[id])
        .await?
        .ok_or(PortalError::JobNotFound)?;
    if outcome.ended > 0 {
        return Err(PortalError::State("It has ended already"));
    }
    job(services, user, desktops, text).await
}

/// Puts off what an administrator sent and what has not begun.
///
/// # Errors
/// See [`PortalError`].
pub async fn defer(
    services: &Services,
    user: &EndUser,
    desktops: &[DesktopKey],
    text: &str,
    wanted: Duration,
) -> Result<PortalJob, PortalError> {
    let found = job(services, user, desktops, text).await?;
    let newest = newest_job(&found, user.user);
    let now = services.clock.now();
    let view = decide_view(
        &PortalFacts {
            installed: None,
            job: Some(newest),
        },
        now,
    );
    if !view.acts.contains(&Act::Defer) {
        return Err(PortalError::State(
            "Only what an administrator sent and what has not begun can be put off, for three days in all",
        ));
    }
    let until = decide_deferral(&newest, wanted, now).ok_or(PortalError::State(
        "It was put off for three days: it begins when its turn comes",
    ))?;
    let tx = services.store.write().await?;
    if !tx.job_defer_if_queued(found.live.view.key, until).await? {
        return Err(PortalError::State("It has begun already"));
    }
    tx.commit().await?;
    job(services, user, desktops, text).await
}

fn seen_by(user: UserKey, requested_by: Option<UserKey>) -> RequestedBy {
    match requested_by {
        None => RequestedBy::Administrator,
        Some(other) if other == user => RequestedBy::ThisUser,
        Some(_) => RequestedBy::AnotherUser,
    }
}

fn newest_job(job: &PortalJob, user: UserKey) -> NewestJob {
    NewestJob {
        kind: job.live.view.kind,
        state: job.live.view.state,
        requested_by: seen_by(user, job.requested_by),
        created_at: job.live.view.created_at,
        expires_at: job.expires_at,
    }
}

fn facts(app: &PortalApp, user: UserKey) -> PortalFacts {
    PortalFacts {
        installed: app.installed.as_ref().map(|installed| Installed {
            is_newest: installed.revision == app.revision,
            requested_by: seen_by(user, installed.requested_by),
        }),
        job: app.job.as_ref().map(|job| newest_job(job, user)),
    }
}
