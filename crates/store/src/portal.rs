//! What end users see and ask for (docs/adr/0025-end-users.md): who they are, the apps they may have on a desktop and what
//! became of each there, tickets, and jobs that are put off. Nobody but the user given is ever read for.

use std::collections::HashMap;

use outfitter_domain::Millis;
use outfitter_domain::app::Icon;
use outfitter_domain::job::{Proof, State};
use outfitter_domain::text::fold;
use outfitter_ids::{AppId, DesktopId, JobId, ProjectId, UserId};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::job::{key_list, names_user};
use crate::query::{Conditions, in_keys};
use crate::user::IS_ENABLED;
use crate::{
    AppKey, Db, DesktopKey, DomainKey, JobKey, JobLive, Listed, Page, ProjectKey, RevisionKey,
    SecretDigest, StoreError, Tx, UserKey,
};

/// A directory user, as somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndUser {
    /// Key.
    pub user: UserKey,
    /// Public id.
    pub user_id: UserId,
    /// Account name.
    pub name: String,
    /// Domain of the account.
    pub account_domain: String,
    /// `objectSid` or `entryUUID` of a user whom the company directory keeps.
    pub external_id: Option<String>,
    /// The project whose directory knows the user.
    pub project: ProjectKey,
    /// Its public id.
    pub project_id: ProjectId,
    /// The account (tenant) of the project.
    pub domain: DomainKey,
    /// Whether neither the account nor the project is disabled.
    pub enabled: bool,
}

#[derive(FromQueryResult)]
struct EndUserRow {
    id: i64,
    public_id: Uuid,
    name: String,
    domain: String,
    external_id: Option<String>,
    project_id: i64,
    project_public_id: Uuid,
    domain_id: i64,
    enabled: i64,
}

impl From<EndUserRow> for EndUser {
    fn from(row: EndUserRow) -> Self {
        Self {
            user: UserKey::new(row.id),
            user_id: UserId::new(row.public_id),
            name: row.name,
            account_domain: row.domain,
            external_id: row.external_id,
            project: ProjectKey::new(row.project_id),
            project_id: ProjectId::new(row.project_public_id),
            domain: DomainKey::new(row.domain_id),
            enabled: row.enabled != 0,
        }
    }
}

fn end_users() -> String {
    format!(
        "SELECT u.id, u.public_id, u.name, u.domain, u.external_id, u.project_id, p.public_id AS project_public_id, \
         p.domain_id, CAST(CASE WHEN {IS_ENABLED} AND p.enabled = 1 THEN 1 ELSE 0 END AS BIGINT) AS enabled \
         FROM directory_user u JOIN project p ON p.id = u.project_id"
    )
}

/// An app that a user may have on a desktop.
#[derive(Debug, Clone)]
pub struct PortalApp {
    /// Key.
    pub key: AppKey,
    /// Public id.
    pub id: AppId,
    /// Name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Category.
    pub catalog_id: String,
    /// What users should know before they install it.
    pub install_info: Option<String>,
    /// Its icon.
    pub icon: Icon,
    /// The newest revision.
    pub revision: RevisionKey,
    /// Its version.
    pub version: String,
    /// What the desktop has of it.
    pub installed: Option<PortalInstalled>,
    /// The newest job for it on the desktop.
    pub job: Option<PortalJob>,
}

/// What a desktop has of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalInstalled {
    /// Which revision.
    pub revision: RevisionKey,
    /// Its version.
    pub version: String,
    /// When it was installed.
    pub at: Millis,
    /// How well it was proven.
    pub proof: Proof,
    /// The end user whose request put it there; `None`: an administrator's did.
    pub requested_by: Option<UserKey>,
}

/// A job as the users of its desktop see it.
#[derive(Debug, Clone)]
pub struct PortalJob {
    /// The job.
    pub live: JobLive,
    /// It is not handed out before.
    pub due_at: Millis,
    /// When it FAILs if it could not be handed out.
    pub expires_at: Millis,
    /// The end user who asked for it; `None`: an administrator.
    pub requested_by: Option<UserKey>,
}

/// Which apps a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalAppFilter {
    /// This one.
    pub app: Option<AppId>,
    /// Text the name holds, whatever its case.
    pub name: Option<String>,
}

#[derive(FromQueryResult)]
struct AppRow {
    id: i64,
    public_id: Uuid,
    name: String,
    description: String,
    catalog_id: String,
    install_info: Option<String>,
    icon_url: Option<String>,
    icon_sha256: Option<String>,
    revision_id: i64,
    version: String,
    installed_revision: Option<i64>,
    installed_version: Option<String>,
    installed_at: Option<i64>,
    installed_by: Option<i64>,
    proof: Option<i64>,
}

impl AppRow {
    fn read(self) -> Result<PortalApp, StoreError> {
        let id = self.id;
        let installed = match (
            self.installed_revision,
            self.installed_version,
            self.installed_at,
            self.proof,
        ) {
            (Some(revision), Some(version), Some(at), Some(proof)) => Some(PortalInstalled {
                revision: RevisionKey::new(revision),
                version,
                at: Millis::new(at),
                proof: Proof::from_number(proof).ok_or_else(|| StoreError::Inconsistent {
                    table: "desktop_app",
                    column: "proof",
                    row: id,
                    value: proof.to_string(),
                })?,
                requested_by: self.installed_by.map(UserKey::new),
            }),
            _ => None,
        };
        Ok(PortalApp {
            key: AppKey::new(id),
            id: AppId::new(self.public_id),
            name: self.name,
            description: self.description,
            catalog_id: self.catalog_id,
            install_info: self.install_info,
            icon: match (self.icon_url, self.icon_sha256) {
                (_, Some(sha256)) => Icon::Png { sha256 },
                (Some(address), None) => Icon::Link(address),
                (None, None) => Icon::Absent,
            },
            revision: RevisionKey::new(self.revision_id),
            version: self.version,
            installed,
            job: None,
        })
    }
}

#[derive(FromQueryResult)]
struct JobRow {
    id: i64,
    due_at: i64,
    expires_at: i64,
    requested_by: Option<i64>,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
}

impl Db<'_> {
    /// A user of a project by public ids.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_user_find(
        &self,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<EndUser>, StoreError> {
        Ok(self
            .one::<EndUserRow>(
                "find an end user",
                &format!(
                    "{} WHERE p.public_id = $1 AND u.public_id = $2",
                    end_users()
                ),
                [project.uuid().into(), user.uuid().into()],
            )
            .await?
            .map(EndUser::from))
    }

    /// The users of this name, in whichever domain, who are attached to a desktop; several only where domains differ.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_users_at(
        &self,
        desktop: DesktopKey,
        name: &str,
    ) -> Result<Vec<EndUser>, StoreError> {
        let rows: Vec<EndUserRow> = self
            .all(
                "find the users of a desktop",
                &format!(
                    "{} JOIN desktop_user du ON du.user_id = u.id WHERE du.desktop_id = $1 AND u.name_folded = $2 \
                     ORDER BY u.id",
                    end_users()
                ),
                [desktop.into(), fold(name).into()],
            )
            .await?;
        Ok(rows.into_iter().map(EndUser::from).collect())
    }

    /// The users of a project of this name, in whichever domain.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_users_named(
        &self,
        project: ProjectKey,
        name: &str,
    ) -> Result<Vec<EndUser>, StoreError> {
        let rows: Vec<EndUserRow> = self
            .all(
                "find users by name",
                &format!(
                    "{} WHERE u.project_id = $1 AND u.name_folded = $2 ORDER BY u.id",
                    end_users()
                ),
                [project.into(), fold(name).into()],
            )
            .await?;
        Ok(rows.into_iter().map(EndUser::from).collect())
    }

    /// The users of this name whom a project's company directory keeps.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_users_of_directory(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Vec<EndUser>, StoreError> {
        let rows: Vec<EndUserRow> = self
            .all(
                "find users of the company directory",
                &format!(
                    "{} WHERE p.public_id = $1 AND u.name_folded = $2 AND u.external_id IS NOT NULL \
                     ORDER BY u.id",
                    end_users()
                ),
                [project.uuid().into(), fold(name).into()],
            )
            .await?;
        Ok(rows.into_iter().map(EndUser::from).collect())
    }

    /// The project whose company directory lets end users log in with a password: the one given if it has a
    /// directory; without one the only project that has.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn portal_login_project(
        &self,
        project: Option<ProjectId>,
    ) -> Result<Option<(ProjectKey, ProjectId)>, StoreError> {
        #[derive(FromQueryResult)]
        struct ProjectRow {
            id: i64,
            public_id: Uuid,
        }
        const DOING: &str = "find where end users log in";
        const SELECT: &str = "SELECT p.id, p.public_id FROM directory_connection c JOIN project p ON p.id = c.project_id \
             WHERE p.enabled = 1";
        let rows: Vec<ProjectRow> = match project {
            Some(id) => {
                self.all(
                    DOING,
                    &format!("{SELECT} AND p.public_id = $1"),
                    [id.uuid().into()],
                )
                .await?
            }
            None => {
                self.all(DOING, &format!("{SELECT} LIMIT 2"), [] as [Value; 0])
                    .await?
            }
        };
        Ok(match rows.as_slice() {
            [row] => Some((ProjectKey::new(row.id), ProjectId::new(row.public_id))),
            _ => None,
        })
    }

    /// Whether a user is attached to a desktop that is not deleted; its key then.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn end_user_desktop(
        &self,
        user: UserKey,
        desktop: DesktopId,
    ) -> Result<Option<DesktopKey>, StoreError> {
        Ok(self
            .scalar::<i64>(
                "look whether a desktop is a user's",
                "SELECT k.id FROM desktop_user du JOIN desktop k ON k.id = du.desktop_id \
                 WHERE du.user_id = $1 AND k.public_id = $2 AND k.deleted_at IS NULL",
                [user.into(), desktop.uuid().into()],
            )
            .await?
            .map(DesktopKey::new))
    }

    /// The apps that a user may have on a desktop of theirs, by name: visible, for its system, and authorized to everyone,
    /// to the user or to a group that reaches the user.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn portal_apps(
        &self,
        project: ProjectKey,
        user: UserKey,
        desktop: DesktopKey,
        filter: &PortalAppFilter,
        page: Page,
    ) -> Result<Listed<PortalApp>, StoreError> {
        const FROM: &str = "FROM app a JOIN app_revision r ON r.id = a.revision_id";
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("a.project_id", project);
        let user = conditions.bind(user);
        let desktop_is = conditions.bind(desktop);
        conditions.and("a.deleted_at IS NULL AND a.status = 'NORMAL'");
        conditions.and(&format!(
            "(a.support_os = 'Other' OR a.support_os = (SELECT k.os_type FROM desktop k WHERE k.id = {desktop_is}))"
        ));
        conditions.and(&format!(
            "(a.authorization_type = 'ALL_USER' OR EXISTS (SELECT 1 FROM directory_user u WHERE u.id = {user} AND {}))",
            names_user("app_authorization", "x.app_id = a.id")
        ));
        if let Some(app) = filter.app {
            conditions.equals("a.public_id", app.uuid());
        }
        if let Some(name) = &filter.name {
            conditions.contains("a.name_folded", name);
        }
        let paged = conditions.page("a.name_folded, a.id", page);
        let total = self
            .scalar(
                "count a user's applications",
                &format!("SELECT COUNT(*) {FROM} WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<AppRow> = self
            .all(
                "list a user's applications",
                &format!(
                    "SELECT a.id, a.public_id, a.name, a.description, a.catalog_id, a.install_info, \
                     a.icon_url, a.icon_sha256, r.id AS revision_id, r.version, i.revision_id AS installed_revision, \
                     ir.version AS installed_version, i.installed_at, i.proof, \
                     i.requested_by AS installed_by {FROM} \
                     LEFT JOIN desktop_app i ON i.app_id = a.id AND i.desktop_id = {desktop_is} \
                     LEFT JOIN app_revision ir ON ir.id = i.revision_id WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let mut items = rows
            .into_iter()
            .map(AppRow::read)
            .collect::<Result<Vec<_>, _>>()?;
        self.add_jobs(desktop, &mut items).await?;
        Ok(Listed { total, items })
    }

    /// A desktop's newest job for each app (index `job_desktop_wire`).
    async fn add_jobs(
        &self,
        desktop: DesktopKey,
        apps: &mut [PortalApp],
    ) -> Result<(), StoreError> {
        if apps.is_empty() {
            return Ok(());
        }
        let newest: Vec<KeyRow> = self
            .all(
                "find a desktop's newest jobs",
                &format!(
                    "SELECT MAX(j.id) AS id FROM job j{} WHERE j.desktop_id = $1 AND {} GROUP BY j.app_id",
                    self.dialect().indexed_by("job_desktop_wire"),
                    in_keys(self.dialect(), "j.app_id", "$2"),
                ),
                [
                    desktop.into(),
                    key_list(apps.iter().map(|app| app.key.get())),
                ],
            )
            .await?;
        let keys: Vec<JobKey> = newest.iter().map(|row| JobKey::new(row.id)).collect();
        let mut newest: HashMap<AppId, PortalJob> = self
            .portal_jobs_of(&keys)
            .await?
            .into_iter()
            .map(|job| (job.live.view.app, job))
            .collect();
        for app in apps {
            app.job = newest.remove(&app.id);
        }
        Ok(())
    }

    async fn portal_jobs_of(&self, keys: &[JobKey]) -> Result<Vec<PortalJob>, StoreError> {
        let rows: Vec<JobRow> = self
            .all(
                "read when jobs are due",
                &format!(
                    "SELECT j.id, j.due_at, d.expires_at, d.requested_by FROM job j \
                     JOIN deployment d ON d.id = j.deployment_id WHERE {}",
                    in_keys(self.dialect(), "j.id", "$1")
                ),
                [key_list(keys.iter().map(|key| key.get()))],
            )
            .await?;
        let mut rows: HashMap<i64, JobRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(self
            .job_live(keys)
            .await?
            .into_iter()
            .filter_map(|live| {
                let row = rows.remove(&live.view.key.get())?;
                Some(PortalJob {
                    due_at: Millis::new(row.due_at),
                    expires_at: Millis::new(row.expires_at),
                    requested_by: row.requested_by.map(UserKey::new),
                    live,
                })
            })
            .collect())
    }

    /// A job of a desktop for an app that the user may have there.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn portal_job(
        &self,
        user: UserKey,
        desktops: &[DesktopKey],
        id: JobId,
    ) -> Result<Option<PortalJob>, StoreError> {
        let found = self
            .scalar::<i64>(
                "find a job of a user's desktop",
                &format!(
                    "SELECT j.id FROM job j JOIN app a ON a.id = j.app_id JOIN directory_user u ON u.id = $2 \
                     WHERE j.public_id = $1 AND a.deleted_at IS NULL AND a.status = 'NORMAL' \
                     AND (a.authorization_type = 'ALL_USER' OR {}) AND {}",
                    names_user("app_authorization", "x.app_id = a.id"),
                    in_keys(self.dialect(), "j.desktop_id", "$3")
                ),
                [
                    id.uuid().into(),
                    user.into(),
                    key_list(desktops.iter().map(|desktop| desktop.get())),
                ],
            )
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        Ok(self
            .portal_jobs_of(&[JobKey::new(found)])
            .await?
            .into_iter()
            .next())
    }

    /// What was done on a desktop for apps that the user may have there, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn portal_history(
        &self,
        user: UserKey,
        desktop: DesktopKey,
        page: Page,
    ) -> Result<Listed<PortalJob>, StoreError> {
        let of_desktop = format!(
            "FROM job j{} JOIN app a ON a.id = j.app_id JOIN directory_user u ON u.id = $2 WHERE j.desktop_id = $1 \
             AND a.deleted_at IS NULL AND a.status = 'NORMAL' AND (a.authorization_type = 'ALL_USER' OR {})",
            self.dialect().indexed_by("job_desktop_wire"),
            names_user("app_authorization", "x.app_id = a.id")
        );
        let total = self
            .scalar(
                "count a desktop's history",
                &format!("SELECT COUNT(*) {of_desktop}"),
                [desktop.into(), user.into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<KeyRow> = self
            .all(
                "list a desktop's history",
                &format!("SELECT j.id {of_desktop} ORDER BY j.id DESC LIMIT $3 OFFSET $4"),
                [
                    desktop.into(),
                    user.into(),
                    page.limit.into(),
                    page.offset.into(),
                ],
            )
            .await?;
        let keys: Vec<JobKey> = rows.into_iter().map(|row| JobKey::new(row.id)).collect();
        let mut items = self.portal_jobs_of(&keys).await?;
        items.sort_by_key(|job| std::cmp::Reverse(job.live.view.key));
        Ok(Listed { total, items })
    }
}

impl Tx {
    /// Keeps a ticket's digest until it lapses; those that lapsed are forgotten.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn portal_ticket_insert(
        &self,
        digest: &SecretDigest,
        user: UserKey,
        desktop: DesktopKey,
        expires_at: Millis,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "forget lapsed tickets",
            "DELETE FROM portal_ticket WHERE expires_at <= $1",
            [now.get().into()],
        )
        .await?;
        self.run(
            "keep a ticket",
            "INSERT INTO portal_ticket (ticket_digest, user_id, desktop_id, expires_at) VALUES ($1, $2, $3, $4)",
            [
                digest.bytes().to_vec().into(),
                user.into(),
                desktop.into(),
                expires_at.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Takes a ticket, which counts once; answers whose it is and for which desktop, if that is still theirs.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn portal_ticket_take(
        &self,
        digest: &SecretDigest,
        now: Millis,
    ) -> Result<Option<(EndUser, DesktopId)>, StoreError> {
        #[derive(FromQueryResult)]
        struct TakenRow {
            user_id: i64,
            desktop_id: i64,
        }
        #[derive(FromQueryResult)]
        struct DesktopRow {
            public_id: Uuid,
        }
        const DOING: &str = "take a ticket";
        let taken = self
            .db()
            .one::<TakenRow>(
                DOING,
                "DELETE FROM portal_ticket WHERE ticket_digest = $1 AND expires_at > $2 RETURNING user_id, desktop_id",
                [digest.bytes().to_vec().into(), now.get().into()],
            )
            .await?;
        let Some(taken) = taken else {
            return Ok(None);
        };
        let user = self
            .db()
            .one::<EndUserRow>(
                DOING,
                &format!("{} WHERE u.id = $1", end_users()),
                [taken.user_id.into()],
            )
            .await?
            .map(EndUser::from)
            .filter(|user| user.enabled);
        let desktop = self
            .db()
            .one::<DesktopRow>(
                DOING,
                "SELECT k.public_id FROM desktop k JOIN desktop_user du ON du.desktop_id = k.id \
                 WHERE k.id = $1 AND du.user_id = $2 AND k.deleted_at IS NULL",
                [taken.desktop_id.into(), taken.user_id.into()],
            )
            .await?
            .map(|row| DesktopId::new(row.public_id));
        Ok(user.zip(desktop))
    }

    /// Puts a job off that has not been handed out; answers whether it still had not.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_defer_if_queued(
        &self,
        job: JobKey,
        until: Millis,
    ) -> Result<bool, StoreError> {
        let changed = self
            .run(
                "put a job off",
                &format!(
                    "UPDATE job SET due_at = $2 WHERE id = $1 AND state = {}",
                    State::Queued.number()
                ),
                [job.into(), until.get().into()],
            )
            .await?;
        if changed > 0 {
            self.note(|noted| {
                noted.jobs.insert(job);
            });
        }
        Ok(changed > 0)
    }
}
