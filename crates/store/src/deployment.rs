//! Deployments: accepted requests, their expansion into jobs page by page, and what they reached.

use std::collections::BTreeMap;

use outfitter_agent_protocol::{Approach, TaskKind};
use outfitter_domain::install::{
    Aim, LiveJob, Persistence, PlanApp, PlanDesktop, PlanInput, SkipReason, plan_install,
};
use outfitter_domain::job::{
    Reason, State, kind_from_word, kind_number, kind_word, link_is_broken,
};
use outfitter_domain::text::fold;
use outfitter_domain::{
    Account, AccountType, AppStatus, AssignType, InstallType, Millis, OsType, PlatformType,
    StoreType,
};
use outfitter_ids::{AppId, DeploymentId, DesktopId, IdSource};
use sea_orm::{FromQueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use crate::attempt::{approach_of_repair, debian_package};
use crate::direct_upload::object_is_pending;
use crate::job::{Counted, CounterChanges, JobCounts, id_list, key_list, lets_user, names_user};
use crate::query::{in_ids, in_keys, word};
use crate::{AppKey, Db, DeploymentKey, DesktopKey, ProjectKey, StoreError, Tx, UserKey};

/// An app as an install request looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallableApp {
    /// Key.
    pub key: AppKey,
    /// Public id.
    pub id: AppId,
    /// Its name.
    pub name: String,
    /// Whether users see it.
    pub status: AppStatus,
    /// How it is put on.
    pub install_type: InstallType,
    /// Who may use it.
    pub authorization_type: AssignType,
    /// Command of the newest revision.
    pub install_command: Option<String>,
    /// Command of the newest revision that takes it off.
    pub uninstall_command: Option<String>,
    /// Name of the newest revision's package, where it is a Debian one.
    pub debian_package: Option<String>,
    /// Whether desktops can get the bytes.
    pub package: PackageAccess,
}

/// Whether desktops can get an app's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageAccess {
    /// As far as we know.
    Available,
    /// The object is not in our store.
    ObjectMissing,
    /// Desktops found the link gone or changed.
    LinkBroken,
}

/// A deployment to insert.
#[derive(Debug)]
pub struct NewDeployment<'a> {
    /// Public id.
    pub id: DeploymentId,
    /// Its project.
    pub project: ProjectKey,
    /// On or off.
    pub kind: TaskKind,
    /// Which desktops are reached.
    pub scope: AssignType,
    /// Who asked.
    pub operator: &'a str,
    /// Command for this run only.
    pub install_command: Option<&'a str>,
    /// Uninstall command for this run only.
    pub uninstall_command: Option<&'a str>,
    /// The apps, locked in this transaction.
    pub apps: &'a [AppKey],
    /// Accounts in scope of an ASSIGN_USER deployment.
    pub accounts: ScopeAccounts<'a>,
    /// The desktops it is for, and no others; empty: those of its scope.
    pub desktops: &'a [DesktopKey],
    /// The directory user who asks for themselves; `None`: an administrator asks.
    pub requested_by: Option<UserKey>,
    /// When jobs that could not be handed out FAIL.
    pub expires_at: Millis,
    /// What happens where the app is there already.
    pub approach: Approach,
    /// Failures after which nothing more is handed out.
    pub fail_limit: FailLimit,
}

/// Whose desktops an ASSIGN_USER deployment reaches.
#[derive(Debug, Clone, Copy)]
pub enum ScopeAccounts<'a> {
    /// These.
    Listed(&'a [Account]),
    /// Whoever the apps are authorized to now.
    StoredOfApps,
}

/// What one page of an expansion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// Jobs opened.
    pub jobs: usize,
    /// Pairs skipped.
    pub skipped: usize,
    /// Desktops that got jobs.
    pub desktops: Vec<DesktopKey>,
    /// Whether desktops remain.
    pub progress: Expansion,
}

/// How far an expansion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expansion {
    /// Desktops remain.
    Expanding,
    /// Every desktop in scope was looked at.
    Expanded,
}

/// A deployment as views show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentView {
    /// Key.
    pub key: DeploymentKey,
    /// Public id.
    pub id: DeploymentId,
    /// On or off.
    pub kind: TaskKind,
    /// Which desktops are reached.
    pub scope: AssignType,
    /// Who asked.
    pub operator: String,
    /// How far the expansion is.
    pub expansion: Expansion,
    /// Its apps.
    pub apps: Vec<AppId>,
    /// Its jobs.
    pub jobs: JobCounts,
    /// Those of its successes that are unverified.
    pub jobs_unverified: i64,
    /// Desktops with at least one job.
    pub desktops_reached: i64,
    /// Pairs of desktop and app without a job.
    pub pairs_skipped: i64,
    /// Accounts the directory did not know.
    pub accounts_unknown: i64,
    /// Authorizations that the request added.
    pub authorizations_widened: i64,
    /// When it was accepted.
    pub created_at: Millis,
    /// When jobs that could not be handed out FAIL.
    pub expires_at: Millis,
    /// What happens where the app is there already.
    pub approach: Approach,
    /// Failures after which nothing more is handed out.
    pub fail_limit: FailLimit,
    /// Since when nothing more is handed out, because the limit was passed.
    pub halted_at: Option<Millis>,
}

/// Failures of a deployment above which nothing more of it is handed out; both may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailLimit {
    /// Failed jobs.
    pub count: Option<i64>,
    /// Failed jobs in percent of all its jobs.
    pub percent: Option<i64>,
}

/// Which deployments a list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeploymentFilter {
    /// Of this app.
    pub app: Option<AppId>,
    /// In this state.
    pub progress: Option<DeploymentProgress>,
}

/// How far a deployment is, jobs included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentProgress {
    /// Jobs are still being opened.
    Expanding,
    /// Some jobs have not ended.
    Running,
    /// Every job has ended.
    Ended,
}

/// A desktop that got jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedDesktop {
    /// Public id.
    pub id: DesktopId,
    /// Its name.
    pub name: String,
    /// Jobs there.
    pub jobs: i64,
    /// Attached users that are not in scope and get the apps all the same.
    pub other_users: i64,
}

/// A desktop that got no job for an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedDesktop {
    /// Public id.
    pub id: DesktopId,
    /// Its name.
    pub name: String,
    /// The app.
    pub app: AppId,
    /// Why.
    pub reason: SkipReason,
}

/// An authorization that the request added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// The app.
    pub app: AppId,
    /// Who was added; `None`: everyone.
    pub account: Option<Account>,
}

/// Users in scope up to which desktops are found through the users; above, through the desktops.
const FEW_USERS: i64 = 2_000;

/// Latest attempts that are asked about a link.
const LINK_HISTORY: i64 = 50;

fn account(
    table: &'static str,
    row: i64,
    account_type: &str,
    platform_type: &str,
    name: String,
    domain: String,
) -> Result<Account, StoreError> {
    Ok(Account {
        account_type: word(table, "account_type", row, account_type, AccountType::parse)?,
        platform_type: word(
            table,
            "platform_type",
            row,
            platform_type,
            PlatformType::parse,
        )?,
        account: name,
        domain,
    })
}

#[derive(FromQueryResult)]
struct DeploymentRow {
    id: i64,
    public_id: Uuid,
    project_id: i64,
    kind: String,
    assign_scope: String,
    operator: String,
    state: String,
    desktop_cursor: i64,
    desktops_reached: i64,
    pairs_skipped: i64,
    expires_at: i64,
    created_at: i64,
    repair: i64,
    fail_limit_count: Option<i64>,
    fail_limit_percent: Option<i64>,
    halted_at: Option<i64>,
    names_desktops: i64,
}

const COLUMNS: &str = "d.id, d.public_id, d.project_id, d.kind, d.assign_scope, d.operator, d.state, \
     d.desktop_cursor, d.desktops_reached, d.pairs_skipped, d.expires_at, d.created_at, \
     d.repair, d.fail_limit_count, d.fail_limit_percent, d.halted_at, d.names_desktops";

impl DeploymentRow {
    fn kind(&self) -> Result<TaskKind, StoreError> {
        word("deployment", "kind", self.id, &self.kind, kind_from_word)
    }

    fn scope(&self) -> Result<AssignType, StoreError> {
        word(
            "deployment",
            "assign_scope",
            self.id,
            &self.assign_scope,
            AssignType::parse,
        )
    }

    fn reach(&self) -> Result<Reach, StoreError> {
        if self.names_desktops != 0 {
            return Ok(Reach::Named);
        }
        Ok(match self.scope()? {
            AssignType::AllUser => Reach::All,
            AssignType::AssignUser => Reach::OfUsers,
        })
    }

    fn expansion(&self) -> Result<Expansion, StoreError> {
        word(
            "deployment",
            "state",
            self.id,
            &self.state,
            |text| match text {
                "expanding" => Some(Expansion::Expanding),
                "expanded" => Some(Expansion::Expanded),
                _ => None,
            },
        )
    }
}

/// Which desktops a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every desktop of the project.
    All,
    /// Those of users in scope.
    OfUsers,
    /// Those it names.
    Named,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
}

/// Users in scope, as a query with the columns `user_id` and `user_name`: deployment `$1`, project `$2`.
const SCOPE_USERS: &str = "SELECT u.id AS user_id FROM deployment_account x \
       JOIN directory_user u ON u.project_id = $2 AND u.domain_folded = x.domain_folded \
         AND u.name_folded = x.account_folded \
       WHERE x.deployment_id = $1 AND x.account_type = 'SIMPLE' AND u.disabled = 0 \
         AND u.external_disabled = 0 \
     UNION SELECT c.user_id FROM deployment_account x \
       JOIN directory_group g ON g.project_id = $2 AND g.domain_folded = x.domain_folded \
         AND g.name_folded = x.account_folded \
       JOIN group_closure c ON c.group_id = g.id \
       JOIN directory_user u ON u.id = c.user_id AND u.disabled = 0 AND u.external_disabled = 0 \
       WHERE x.deployment_id = $1 AND x.account_type = 'USER_GROUP'";

#[derive(FromQueryResult)]
struct DesktopRow {
    id: i64,
    os_type: String,
    persistent: i64,
}

impl Db<'_> {
    /// Pages the desktops in scope of a deployment by key, after `after`: every live desktop of the project,
    /// or those attached to a user in scope.
    async fn deployment_desktops(
        &self,
        deployment: DeploymentKey,
        project: ProjectKey,
        reach: Reach,
        after: i64,
        limit: i64,
    ) -> Result<Vec<DesktopRow>, StoreError> {
        const DOING: &str = "read the desktops in scope";
        const DESKTOP: &str = "k.id, k.os_type, k.persistent";
        let values = |rest: [i64; 2]| -> Vec<Value> {
            vec![
                deployment.into(),
                project.into(),
                rest[0].into(),
                rest[1].into(),
            ]
        };
        match reach {
            Reach::Named => {
                self.all(
                    DOING,
                    &format!(
                        "SELECT {DESKTOP} FROM deployment_desktop x JOIN desktop k ON k.id = x.desktop_id \
                         WHERE x.deployment_id = $1 AND k.project_id = $2 AND x.desktop_id > $3 \
                         AND k.deleted_at IS NULL ORDER BY x.desktop_id LIMIT $4"
                    ),
                    values([after, limit]),
                )
                .await
            }
            Reach::All => {
                self.all(
                    DOING,
                    &format!(
                        "SELECT {DESKTOP} FROM desktop k WHERE k.project_id = $1 AND k.id > $2 \
                         AND k.deleted_at IS NULL ORDER BY k.id LIMIT $3"
                    ),
                    [project.into(), after.into(), limit.into()],
                )
                .await
            }
            Reach::OfUsers => {
                let users: i64 = self
                    .scalar(
                        DOING,
                        &format!("SELECT COUNT(*) FROM (SELECT user_id FROM ({SCOPE_USERS}) AS s LIMIT $3) AS few"),
                        [
                            deployment.into(),
                            project.into(),
                            (FEW_USERS + 1).into(),
                        ],
                    )
                    .await?
                    .unwrap_or(0);
                let sql = if users <= FEW_USERS {
                    format!(
                        "SELECT DISTINCT {DESKTOP} FROM ({SCOPE_USERS}) AS s \
                         JOIN desktop_user du ON du.user_id = s.user_id \
                         JOIN desktop k ON k.id = du.desktop_id \
                         WHERE k.project_id = $2 AND k.id > $3 AND k.deleted_at IS NULL \
                         ORDER BY k.id LIMIT $4"
                    )
                } else {
                    format!(
                        "SELECT {DESKTOP} FROM desktop k WHERE k.project_id = $2 AND k.id > $3 \
                         AND k.deleted_at IS NULL AND EXISTS (SELECT 1 FROM desktop_user du \
                           JOIN directory_user u ON u.id = du.user_id \
                           WHERE du.desktop_id = k.id AND {}) ORDER BY k.id LIMIT $4",
                        lets_user("deployment_account", "x.deployment_id = $1")
                    )
                };
                self.all(DOING, &sql, values([after, limit])).await
            }
        }
    }

    /// How many desktops a deployment is for, counted up to `most`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_desktops_up_to(
        &self,
        deployment: DeploymentKey,
        project: ProjectKey,
        reach: Reach,
        most: usize,
    ) -> Result<usize, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self
            .deployment_desktops(deployment, project, reach, 0, most)
            .await?;
        Ok(rows.len())
    }

    /// Deployments that are not expanded, oldest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_expanding(&self, limit: i64) -> Result<Vec<DeploymentKey>, StoreError> {
        let rows: Vec<KeyRow> = self
            .all(
                "find deployments to expand",
                "SELECT id FROM deployment WHERE state = 'expanding' ORDER BY id LIMIT $1",
                [limit.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| DeploymentKey::new(row.id))
            .collect())
    }

    /// A page of a project's deployments, newest first, and how many the filter finds.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_list(
        &self,
        project: ProjectKey,
        filter: DeploymentFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<DeploymentView>), StoreError> {
        const DOING: &str = "list deployments";
        let mut values: Vec<Value> = vec![project.into()];
        let mut condition = "d.project_id = $1".to_owned();
        if let Some(app) = filter.app {
            values.push(app.uuid().into());
            condition.push_str(
                " AND EXISTS (SELECT 1 FROM deployment_app da JOIN app a ON a.id = da.app_id \
                 WHERE da.deployment_id = d.id AND a.public_id = $2)",
            );
        }
        let live = "EXISTS (SELECT 1 FROM job_count n WHERE n.project_id = d.project_id AND n.dimension = 3 \
             AND n.dimension_key = CAST(d.id AS TEXT) AND n.wire IN (0, 1) GROUP BY n.project_id \
             HAVING SUM(n.jobs) > 0)";
        match filter.progress {
            Some(DeploymentProgress::Expanding) => condition.push_str(" AND d.state = 'expanding'"),
            Some(DeploymentProgress::Running) => {
                condition.push_str(&format!(" AND d.state = 'expanded' AND {live}"));
            }
            Some(DeploymentProgress::Ended) => {
                condition.push_str(&format!(" AND d.state = 'expanded' AND NOT {live}"));
            }
            None => {}
        }
        let count: i64 = self
            .scalar(
                DOING,
                &format!("SELECT COUNT(*) FROM deployment d WHERE {condition}"),
                values.clone(),
            )
            .await?
            .unwrap_or(0);
        values.extend([limit.into(), offset.into()]);
        let rows: Vec<DeploymentRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT {COLUMNS} FROM deployment d WHERE {condition} ORDER BY d.id DESC \
                     LIMIT ${} OFFSET ${}",
                    values.len() - 1,
                    values.len()
                ),
                values,
            )
            .await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.deployment_view(row).await?);
        }
        Ok((count, views))
    }

    /// Finds a deployment of a project.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_find(
        &self,
        project: ProjectKey,
        id: DeploymentId,
    ) -> Result<Option<DeploymentView>, StoreError> {
        let row = self
            .one::<DeploymentRow>(
                "find a deployment",
                &format!(
                    "SELECT {COLUMNS} FROM deployment d WHERE d.public_id = $1 AND d.project_id = $2"
                ),
                [id.uuid().into(), project.into()],
            )
            .await?;
        match row {
            Some(row) => Ok(Some(self.deployment_view(row).await?)),
            None => Ok(None),
        }
    }

    async fn deployment_view(&self, row: DeploymentRow) -> Result<DeploymentView, StoreError> {
        #[derive(FromQueryResult)]
        struct AppRow {
            public_id: Uuid,
        }
        let apps: Vec<AppRow> = self
            .all(
                "read a deployment's applications",
                "SELECT a.public_id FROM deployment_app da JOIN app a ON a.id = da.app_id \
                 WHERE da.deployment_id = $1 ORDER BY a.id",
                [row.id.into()],
            )
            .await?;
        let count = async |sql: &str| -> Result<i64, StoreError> {
            Ok(self
                .scalar("count a deployment's parts", sql, [row.id.into()])
                .await?
                .unwrap_or(0))
        };
        Ok(DeploymentView {
            key: DeploymentKey::new(row.id),
            id: DeploymentId::new(row.public_id),
            kind: row.kind()?,
            scope: row.scope()?,
            expansion: row.expansion()?,
            apps: apps
                .into_iter()
                .map(|app| AppId::new(app.public_id))
                .collect(),
            jobs: self
                .job_counters(ProjectKey::new(row.project_id), 3, &row.id.to_string())
                .await?,
            jobs_unverified: self
                .deployment_unverified(
                    ProjectKey::new(row.project_id),
                    DeploymentKey::new(row.id),
                )
                .await?,
            accounts_unknown: count(
                "SELECT COUNT(*) FROM deployment_account WHERE deployment_id = $1 AND known = 0",
            )
            .await?,
            authorizations_widened: count(
                "SELECT (SELECT COUNT(*) FROM deployment_widening WHERE deployment_id = $1) \
                 + (SELECT COUNT(*) FROM deployment_app WHERE deployment_id = $1 AND widened_to_all = 1)",
            )
            .await?,
            operator: row.operator,
            desktops_reached: row.desktops_reached,
            pairs_skipped: row.pairs_skipped,
            created_at: Millis::new(row.created_at),
            expires_at: Millis::new(row.expires_at),
            approach: approach_of_repair(row.repair),
            fail_limit: FailLimit {
                count: row.fail_limit_count,
                percent: row.fail_limit_percent,
            },
            halted_at: row.halted_at.map(Millis::new),
        })
    }

    /// Deployments by key, each with its project; those that do not exist are left out.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_by_keys(
        &self,
        deployments: &[DeploymentKey],
    ) -> Result<Vec<(ProjectKey, DeploymentView)>, StoreError> {
        let rows: Vec<DeploymentRow> = self
            .all(
                "read deployments that changed",
                &format!(
                    "SELECT {COLUMNS} FROM deployment d WHERE {} ORDER BY d.id",
                    in_keys(self.dialect(), "d.id", "$1")
                ),
                [key_list(deployments.iter().map(|key| key.get()))],
            )
            .await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let project = ProjectKey::new(row.project_id);
            views.push((project, self.deployment_view(row).await?));
        }
        Ok(views)
    }

    /// A page of the desktops that got jobs, by key.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_reached(
        &self,
        deployment: &DeploymentView,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<ReachedDesktop>, StoreError> {
        #[derive(FromQueryResult)]
        struct ReachedRow {
            public_id: Uuid,
            name: String,
            jobs: i64,
            other_users: i64,
        }
        let in_scope = match deployment.scope {
            AssignType::AllUser => "1 = 1".to_owned(),
            AssignType::AssignUser => lets_user("deployment_account", "x.deployment_id = $1"),
        };
        let rows: Vec<ReachedRow> = self
            .all(
                "list a deployment's desktops",
                &format!(
                    "SELECT k.public_id, k.name, page.jobs, \
                     (SELECT COUNT(*) FROM desktop_user du JOIN directory_user u ON u.id = du.user_id \
                       WHERE du.desktop_id = k.id AND NOT {in_scope}) AS other_users \
                     FROM (SELECT desktop_id, COUNT(*) AS jobs FROM job WHERE deployment_id = $1 \
                       GROUP BY desktop_id ORDER BY desktop_id LIMIT $2 OFFSET $3) AS page \
                     JOIN desktop k ON k.id = page.desktop_id ORDER BY k.id"
                ),
                [deployment.key.into(), limit.into(), offset.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| ReachedDesktop {
                id: DesktopId::new(row.public_id),
                name: row.name,
                jobs: row.jobs,
                other_users: row.other_users,
            })
            .collect())
    }

    /// A page of the pairs that got no job, by the desktop's key.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_skipped(
        &self,
        deployment: &DeploymentView,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<SkippedDesktop>, StoreError> {
        #[derive(FromQueryResult)]
        struct SkippedRow {
            desktop_id: i64,
            public_id: Uuid,
            name: String,
            app_public_id: Uuid,
            reason: String,
        }
        let rows: Vec<SkippedRow> = self
            .all(
                "list what a deployment skipped",
                "SELECT s.desktop_id, k.public_id, k.name, a.public_id AS app_public_id, s.reason \
                 FROM deployment_skip s JOIN desktop k ON k.id = s.desktop_id JOIN app a ON a.id = s.app_id \
                 WHERE s.deployment_id = $1 ORDER BY s.desktop_id, s.app_id LIMIT $2 OFFSET $3",
                [deployment.key.into(), limit.into(), offset.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SkippedDesktop {
                    id: DesktopId::new(row.public_id),
                    name: row.name,
                    app: AppId::new(row.app_public_id),
                    reason: word(
                        "deployment_skip",
                        "reason",
                        row.desktop_id,
                        &row.reason,
                        SkipReason::parse,
                    )?,
                })
            })
            .collect()
    }

    /// A page of the accounts in scope that the directory did not know when the request came.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_unknown_accounts(
        &self,
        deployment: &DeploymentView,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Account>, StoreError> {
        #[derive(FromQueryResult)]
        struct AccountRow {
            account_type: String,
            platform_type: String,
            account: String,
            domain: String,
        }
        let key = deployment.key;
        let rows: Vec<AccountRow> = self
            .all(
                "list a deployment's unknown accounts",
                "SELECT account_type, platform_type, account, domain FROM deployment_account \
                 WHERE deployment_id = $1 AND known = 0 \
                 ORDER BY account_type, domain_folded, account_folded LIMIT $2 OFFSET $3",
                [key.into(), limit.into(), offset.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                account(
                    "deployment_account",
                    key.get(),
                    &row.account_type,
                    &row.platform_type,
                    row.account,
                    row.domain,
                )
            })
            .collect()
    }

    /// A page of the authorizations that the request added: apps opened to everyone first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_widenings(
        &self,
        deployment: &DeploymentView,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Widening>, StoreError> {
        #[derive(FromQueryResult)]
        struct WideningRow {
            app_public_id: Uuid,
            account_type: Option<String>,
            platform_type: Option<String>,
            account: Option<String>,
            domain: Option<String>,
        }
        let key = deployment.key;
        let rows: Vec<WideningRow> = self
            .all(
                "list what a deployment widened",
                "SELECT a.public_id AS app_public_id, w.account_type, w.platform_type, w.account, w.domain FROM ( \
                   SELECT app_id, NULL AS account_type, NULL AS platform_type, NULL AS account, NULL AS domain \
                   FROM deployment_app WHERE deployment_id = $1 AND widened_to_all = 1 \
                   UNION ALL SELECT w.app_id, w.account_type, x.platform_type, w.account, w.domain \
                   FROM deployment_widening w JOIN deployment_account x ON x.deployment_id = w.deployment_id \
                     AND x.account_type = w.account_type AND x.account = w.account AND x.domain = w.domain \
                   WHERE w.deployment_id = $1) AS w \
                 JOIN app a ON a.id = w.app_id \
                 ORDER BY CASE WHEN w.account IS NULL THEN 0 ELSE 1 END, a.id, w.account_type, w.domain, \
                   w.account LIMIT $2 OFFSET $3",
                [key.into(), limit.into(), offset.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let account = match (row.account_type, row.platform_type, row.account, row.domain) {
                    (Some(account_type), Some(platform_type), Some(name), Some(domain)) => {
                        Some(account(
                            "deployment_widening",
                            key.get(),
                            &account_type,
                            &platform_type,
                            name,
                            domain,
                        )?)
                    }
                    _ => None,
                };
                Ok(Widening {
                    app: AppId::new(row.app_public_id),
                    account,
                })
            })
            .collect()
    }

    async fn link_is_broken(&self, app: AppKey) -> Result<bool, StoreError> {
        #[derive(FromQueryResult)]
        struct OutcomeRow {
            desktop_id: i64,
            outcome: Option<String>,
        }
        let rows: Vec<OutcomeRow> = self
            .all(
                "ask what desktops said about a link",
                "SELECT t.desktop_id, t.outcome FROM attempt t \
                 WHERE t.revision_id = (SELECT revision_id FROM app WHERE id = $1) \
                 AND t.ended_at IS NOT NULL AND t.started_at IS NOT NULL ORDER BY t.ended_at DESC LIMIT $2",
                [app.into(), LINK_HISTORY.into()],
            )
            .await?;
        Ok(link_is_broken(rows.into_iter().map(|row| {
            (
                row.desktop_id,
                row.outcome.as_deref().and_then(Reason::from_code),
            )
        })))
    }
}

#[derive(FromQueryResult)]
struct AppIdRow {
    app_id: i64,
}

#[derive(FromQueryResult)]
struct TextRow {
    text: String,
}

impl Tx {
    /// Finds apps of a project for an install request, and holds them until the end of the transaction, so
    /// that nobody deletes or changes them before the deployment stands. Ids that do not exist are left out.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_apps(
        &self,
        project: ProjectKey,
        ids: &[AppId],
    ) -> Result<Vec<InstallableApp>, StoreError> {
        #[derive(FromQueryResult)]
        struct AppRow {
            id: i64,
            public_id: Uuid,
            name: String,
            status: String,
            install_type: String,
            authorization_type: String,
            install_command: Option<String>,
            uninstall_command: Option<String>,
            package_facts: Option<String>,
            store_type: String,
            object_missing: i64,
        }
        const DOING: &str = "read the applications of an install request";
        let dialect = self.dialect();
        let locked: Vec<KeyRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "SELECT id FROM app WHERE project_id = $1 AND deleted_at IS NULL AND {} ORDER BY id{}",
                    in_ids(dialect, "public_id", "$2"),
                    dialect.for_update()
                ),
                [project.into(), id_list(ids.iter().map(|id| id.uuid()))],
            )
            .await?;
        // An object that came after its app was uploaded is bound now at the latest.
        let keys: Vec<AppKey> = locked.iter().map(|row| AppKey::new(row.id)).collect();
        self.revision_bind(project, &keys).await?;
        let rows: Vec<AppRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "SELECT a.id, a.public_id, a.name, a.status, a.install_type, a.authorization_type, \
                     r.install_command, r.uninstall_command, r.store_type, p.facts AS package_facts, \
                     CAST(CASE WHEN {pending} THEN 0 WHEN r.store_type = 'OBS' AND (COALESCE(p.state, 'gone') \
                       IN ('gone', 'collecting', 'refused') OR p.condition <> 'intact') THEN 1 ELSE 0 END AS BIGINT) \
                     AS object_missing \
                     FROM app a JOIN app_revision r ON r.id = a.revision_id \
                     LEFT JOIN package p ON p.id = r.package_id WHERE {} ORDER BY a.id",
                    in_keys(dialect, "a.id", "$1"),
                    pending = object_is_pending("a.project_id"),
                ),
                [key_list(locked.into_iter().map(|row| row.id))],
            )
            .await?;
        let mut apps = Vec::with_capacity(rows.len());
        for row in rows {
            let store_type = word(
                "app_revision",
                "store_type",
                row.id,
                &row.store_type,
                StoreType::parse,
            )?;
            let key = AppKey::new(row.id);
            let package = match store_type {
                StoreType::Obs if row.object_missing != 0 => PackageAccess::ObjectMissing,
                StoreType::Link if self.db().link_is_broken(key).await? => {
                    PackageAccess::LinkBroken
                }
                StoreType::Obs | StoreType::Link => PackageAccess::Available,
            };
            apps.push(InstallableApp {
                key,
                id: AppId::new(row.public_id),
                status: word("app", "status", row.id, &row.status, AppStatus::parse)?,
                install_type: word(
                    "app",
                    "install_type",
                    row.id,
                    &row.install_type,
                    InstallType::parse,
                )?,
                authorization_type: word(
                    "app",
                    "authorization_type",
                    row.id,
                    &row.authorization_type,
                    AssignType::parse,
                )?,
                name: row.name,
                install_command: row.install_command,
                uninstall_command: row.uninstall_command,
                debian_package: debian_package(row.id, row.package_facts.as_deref())?,
                package,
            });
        }
        Ok(apps)
    }

    /// Stores a deployment with its apps and the accounts in scope, each marked whether the directory knows it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn deployment_insert(
        &self,
        new: &NewDeployment<'_>,
        now: Millis,
    ) -> Result<DeploymentKey, StoreError> {
        const DOING: &str = "store a deployment";
        let dialect = self.dialect();
        let key = self
            .insert(
                DOING,
                "INSERT INTO deployment (public_id, project_id, kind, assign_scope, operator, \
                 install_command, uninstall_command, state, expires_at, created_at, repair, fail_limit_count, \
                 fail_limit_percent, names_desktops, requested_by) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'expanding', $8, $9, $10, $11, $12, $13, $14) RETURNING id",
                [
                    new.id.uuid().into(),
                    new.project.into(),
                    kind_word(new.kind).into(),
                    new.scope.as_str().into(),
                    new.operator.into(),
                    new.install_command.map(str::to_owned).into(),
                    new.uninstall_command.map(str::to_owned).into(),
                    new.expires_at.get().into(),
                    now.get().into(),
                    i64::from(new.approach == Approach::Repair).into(),
                    new.fail_limit.count.into(),
                    new.fail_limit.percent.into(),
                    i64::from(!new.desktops.is_empty()).into(),
                    new.requested_by.map(UserKey::get).into(),
                ],
            )
            .await?;
        self.made("deployment", new.id);
        self.run(
            DOING,
            &format!(
                "INSERT INTO deployment_app (deployment_id, app_id) SELECT $1, CAST({} AS BIGINT) FROM {}",
                dialect.element_text(),
                dialect.each("$2")
            ),
            [key.into(), key_list(new.apps.iter().map(|app| app.get()))],
        )
        .await?;
        if !new.desktops.is_empty() {
            self.run(
                DOING,
                &format!(
                    "INSERT INTO deployment_desktop (deployment_id, desktop_id) \
                     SELECT $1, CAST({} AS BIGINT) FROM {} WHERE 1 = 1 ON CONFLICT DO NOTHING",
                    dialect.element_text(),
                    dialect.each("$2")
                ),
                [
                    key.into(),
                    key_list(new.desktops.iter().map(|desktop| desktop.get())),
                ],
            )
            .await?;
        }
        let known = "CASE WHEN x.account_type = 'SIMPLE' THEN (CASE WHEN EXISTS (SELECT 1 FROM directory_user u \
               WHERE u.project_id = $2 AND u.domain_folded = x.domain_folded \
               AND u.name_folded = x.account_folded) THEN 1 ELSE 0 END) \
             ELSE (CASE WHEN EXISTS (SELECT 1 FROM directory_group g WHERE g.project_id = $2 \
               AND g.domain_folded = x.domain_folded AND g.name_folded = x.account_folded) \
               THEN 1 ELSE 0 END) END";
        let insert = "INSERT INTO deployment_account (deployment_id, account_type, account, account_folded, \
             domain, domain_folded, platform_type, known)";
        match new.accounts {
            ScopeAccounts::Listed([]) => {}
            ScopeAccounts::Listed(accounts) => {
                let rows: Vec<_> = accounts
                    .iter()
                    .map(|account| {
                        json!({
                            "t": account.account_type.as_str(),
                            "a": account.account,
                            "af": fold(&account.account),
                            "d": account.domain,
                            "df": fold(&account.domain),
                            "p": account.platform_type.as_str(),
                        })
                    })
                    .collect();
                self.run(
                    DOING,
                    &format!(
                        "{insert} SELECT $1, x.account_type, x.account, x.account_folded, x.domain, \
                         x.domain_folded, x.platform_type, {known} FROM ( \
                           SELECT value ->> 't' AS account_type, value ->> 'a' AS account, \
                           value ->> 'af' AS account_folded, value ->> 'd' AS domain, \
                           value ->> 'df' AS domain_folded, value ->> 'p' AS platform_type FROM {}) AS x \
                         WHERE 1 = 1 ON CONFLICT DO NOTHING",
                        dialect.each("$3")
                    ),
                    [
                        key.into(),
                        new.project.into(),
                        serde_json::Value::Array(rows).to_string().into(),
                    ],
                )
                .await?;
            }
            ScopeAccounts::StoredOfApps => {
                self.run(
                    DOING,
                    &format!(
                        "{insert} SELECT $1, x.account_type, x.account, x.account_folded, x.domain, \
                         x.domain_folded, x.platform_type, {known} FROM app_authorization x \
                         JOIN deployment_app da ON da.app_id = x.app_id WHERE da.deployment_id = $1 \
                         ON CONFLICT DO NOTHING"
                    ),
                    [key.into(), new.project.into()],
                )
                .await?;
            }
        }
        Ok(DeploymentKey::new(key))
    }

    /// Widens the authorizations of a deployment's apps as BatchInstallApps says, and records what was added:
    /// for ALL_USER every app becomes ALL_USER; for ASSIGN_USER the accounts in scope that an ASSIGN_USER app
    /// lacks, directly and through a group, are added to its list. Answers how many apps or accounts that were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn deployment_widen(
        &self,
        deployment: DeploymentKey,
        scope: AssignType,
        now: Millis,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "widen authorizations";
        match scope {
            AssignType::AllUser => {
                let widened = self
                    .run(
                        DOING,
                        "UPDATE deployment_app SET widened_to_all = 1 WHERE deployment_id = $1 \
                     AND app_id IN (SELECT id FROM app WHERE authorization_type = 'ASSIGN_USER')",
                        [deployment.into()],
                    )
                    .await?;
                self.run(
                    DOING,
                    "UPDATE app SET authorization_type = 'ALL_USER', updated_at = $2 WHERE id IN ( \
                     SELECT app_id FROM deployment_app WHERE deployment_id = $1 AND widened_to_all = 1)",
                    [deployment.into(), now.get().into()],
                )
                .await?;
                if widened > 0 {
                    let apps = self
                        .deployment_apps_of(
                            "SELECT app_id FROM deployment_app WHERE deployment_id = $1 AND widened_to_all = 1",
                            deployment,
                        )
                        .await?;
                    self.widened(&apps, Vec::new()).await?;
                }
                Ok(widened)
            }
            AssignType::AssignUser => {
                let widened = self
                    .run(
                    DOING,
                    &format!(
                        "INSERT INTO deployment_widening (deployment_id, app_id, account_type, account, domain) \
                         SELECT $1, a.id, y.account_type, y.account, y.domain FROM deployment_app da \
                         JOIN app a ON a.id = da.app_id \
                         JOIN deployment_account y ON y.deployment_id = da.deployment_id \
                         WHERE da.deployment_id = $1 AND a.authorization_type = 'ASSIGN_USER' \
                         AND NOT EXISTS (SELECT 1 FROM app_authorization x WHERE x.app_id = a.id \
                           AND x.account_type = y.account_type AND x.domain_folded = y.domain_folded \
                           AND x.account_folded = y.account_folded) \
                         AND NOT (y.account_type = 'SIMPLE' AND EXISTS (SELECT 1 FROM directory_user u \
                           WHERE u.project_id = a.project_id AND u.domain_folded = y.domain_folded \
                           AND u.name_folded = y.account_folded AND {}))",
                        names_user("app_authorization", "x.app_id = a.id")
                    ),
                    [deployment.into()],
                )
                .await?;
                self.run(
                    DOING,
                    "INSERT INTO app_authorization (app_id, account_type, account, account_folded, domain, \
                     domain_folded, platform_type, created_at) \
                     SELECT w.app_id, x.account_type, x.account, x.account_folded, x.domain, x.domain_folded, \
                     x.platform_type, $2 FROM deployment_widening w JOIN deployment_account x \
                       ON x.deployment_id = w.deployment_id AND x.account_type = w.account_type \
                       AND x.account = w.account AND x.domain = w.domain \
                     WHERE w.deployment_id = $1 ON CONFLICT DO NOTHING",
                    [deployment.into(), now.get().into()],
                )
                .await?;
                if widened > 0 && self.is_audited() {
                    let apps = self
                        .deployment_apps_of(
                            "SELECT DISTINCT app_id FROM deployment_widening WHERE deployment_id = $1 ORDER BY app_id",
                            deployment,
                        )
                        .await?;
                    let accounts = self
                        .db()
                        .all::<TextRow>(
                            DOING,
                            "SELECT DISTINCT account_type || ' ' || account AS text FROM deployment_widening \
                             WHERE deployment_id = $1 ORDER BY 1",
                            [deployment.into()],
                        )
                        .await?
                        .into_iter()
                        .map(|row| row.text)
                        .collect();
                    self.widened(&apps, accounts).await?;
                }
                Ok(widened)
            }
        }
    }

    async fn deployment_apps_of(
        &self,
        sql: &str,
        deployment: DeploymentKey,
    ) -> Result<Vec<AppKey>, StoreError> {
        let rows: Vec<AppIdRow> = self
            .db()
            .all("list widened applications", sql, [deployment.into()])
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AppKey::new(row.app_id))
            .collect())
    }

    /// Expands one page of a deployment: about `pairs` pairs of desktop and app, at least one desktop. Jobs,
    /// counters, skips and the cursor are one transaction, so a page that is lost is simply done again.
    /// `None` when the deployment does not exist.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn deployment_expand(
        &self,
        deployment: DeploymentKey,
        pairs: usize,
        ids: &dyn IdSource,
        now: Millis,
    ) -> Result<Option<Expanded>, StoreError> {
        const DOING: &str = "expand a deployment";
        let dialect = self.dialect();
        let Some(row) = self
            .db()
            .one::<DeploymentRow>(
                DOING,
                &format!(
                    "SELECT {COLUMNS} FROM deployment d WHERE d.id = $1{}",
                    dialect.for_update()
                ),
                [deployment.into()],
            )
            .await?
        else {
            return Ok(None);
        };
        let done = Expanded {
            jobs: 0,
            skipped: 0,
            desktops: Vec::new(),
            progress: Expansion::Expanded,
        };
        if row.expansion()? == Expansion::Expanded {
            return Ok(Some(done));
        }
        let project = ProjectKey::new(row.project_id);
        let reach = row.reach()?;
        let apps = self.expansion_apps(deployment).await?;
        let limit = (pairs / apps.len().max(1)).max(1);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let desktops = self
            .db()
            .deployment_desktops(deployment, project, reach, row.desktop_cursor, limit)
            .await?;
        let input = self
            .plan_input(deployment, reach, row.kind()?, &apps, &desktops)
            .await?;
        let plan = plan_install(&input);

        let job_rows: Vec<_> = plan
            .jobs
            .iter()
            .map(|job| {
                json!({
                    "u": ids.uuid(now.get()).simple().to_string(),
                    "a": apps[job.app].id,
                    "k": desktops[job.desktop].id,
                    "t": job.target,
                })
            })
            .collect();
        if !job_rows.is_empty() {
            self.run(
                DOING,
                &format!(
                    "INSERT INTO job (public_id, project_id, deployment_id, app_id, desktop_id, kind, wire, \
                     state, target, due_at, created_at, updated_at) \
                     SELECT {}, $2, $3, CAST(value ->> 'a' AS BIGINT), CAST(value ->> 'k' AS BIGINT), $4, $5, \
                     $6, value ->> 't', $7, $7, $7 FROM {}",
                    dialect.uuid_from_hex("value ->> 'u'"),
                    dialect.each("$1")
                ),
                [
                    serde_json::Value::Array(job_rows).to_string().into(),
                    project.into(),
                    deployment.into(),
                    kind_number(row.kind()?).into(),
                    State::Queued.wire().number().into(),
                    State::Queued.number().into(),
                    now.get().into(),
                ],
            )
            .await?;
        }
        let mut counters = CounterChanges::default();
        for job in &plan.jobs {
            counters.add(
                &Counted {
                    kind: kind_number(row.kind()?),
                    project_id: project.get(),
                    app_id: apps[job.app].id,
                    deployment_id: deployment.get(),
                    target: job.target.clone(),
                },
                State::Queued.wire(),
                1,
            );
        }
        counters.write(self, deployment.get()).await?;
        let skip_rows: Vec<_> = plan
            .skips
            .iter()
            .map(|skip| {
                json!({
                    "a": apps[skip.app].id,
                    "k": desktops[skip.desktop].id,
                    "r": skip.reason.as_str(),
                })
            })
            .collect();
        if !skip_rows.is_empty() {
            self.run(
                DOING,
                &format!(
                    "INSERT INTO deployment_skip (deployment_id, desktop_id, app_id, reason) \
                     SELECT $2, CAST(value ->> 'k' AS BIGINT), CAST(value ->> 'a' AS BIGINT), value ->> 'r' FROM {}",
                    dialect.each("$1")
                ),
                [
                    serde_json::Value::Array(skip_rows).to_string().into(),
                    deployment.into(),
                ],
            )
            .await?;
        }
        let progress = if i64::try_from(desktops.len()).is_ok_and(|rows| rows < limit) {
            Expansion::Expanded
        } else {
            Expansion::Expanding
        };
        let mut reached: Vec<DesktopKey> = plan
            .jobs
            .iter()
            .map(|job| DesktopKey::new(desktops[job.desktop].id))
            .collect();
        reached.dedup();
        self.run(
            DOING,
            "UPDATE deployment SET state = $2, desktop_cursor = $3, desktops_reached = desktops_reached + $4, \
             pairs_skipped = pairs_skipped + $5 WHERE id = $1",
            [
                deployment.into(),
                match progress {
                    Expansion::Expanding => "expanding",
                    Expansion::Expanded => "expanded",
                }
                .into(),
                desktops
                    .last()
                    .map_or(row.desktop_cursor, |last| last.id)
                    .into(),
                i64::try_from(reached.len()).unwrap_or(i64::MAX).into(),
                i64::try_from(plan.skips.len()).unwrap_or(i64::MAX).into(),
            ],
        )
        .await?;
        self.note(|noted| {
            noted.deployments.insert(deployment);
        });
        Ok(Some(Expanded {
            jobs: plan.jobs.len(),
            skipped: plan.skips.len(),
            desktops: reached,
            progress,
        }))
    }

    /// Counts failures of deployments that have a limit, and halts those that pass it. A desktop that never
    /// came online, and what an administrator cancelled or deleted, say nothing about the app.
    pub(crate) async fn deployment_count_failures(
        &self,
        failures: impl Iterator<Item = (i64, Reason)>,
        now: Millis,
    ) -> Result<(), StoreError> {
        const DOING: &str = "count failures of deployments";
        let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
        for (deployment, reason) in failures {
            if reason.counts_against_deployment() {
                *counts.entry(deployment).or_default() += 1;
            }
        }
        if counts.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = counts
            .iter()
            .map(|(deployment, failures)| json!({"d": deployment, "n": failures}))
            .collect();
        let limited: Vec<KeyRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "UPDATE deployment SET fails_counted = fails_counted + CAST(value ->> 'n' AS BIGINT) FROM {} \
                     WHERE deployment.id = CAST(value ->> 'd' AS BIGINT) \
                     AND (fail_limit_count IS NOT NULL OR fail_limit_percent IS NOT NULL) RETURNING deployment.id",
                    self.dialect().each("$1")
                ),
                [serde_json::Value::Array(rows).to_string().into()],
            )
            .await?;
        if limited.is_empty() {
            return Ok(());
        }
        let halted: Vec<KeyRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "UPDATE deployment SET halted_at = $2 WHERE {} AND halted_at IS NULL AND ( \
                       fails_counted - fails_forgiven > fail_limit_count \
                       OR (state = 'expanded' AND (fails_counted - fails_forgiven) * 100 > fail_limit_percent * ( \
                         SELECT SUM(n.jobs) FROM job_count n WHERE n.project_id = deployment.project_id \
                         AND n.dimension = 3 AND n.dimension_key = CAST(deployment.id AS TEXT)))) RETURNING id",
                    in_keys(self.dialect(), "id", "$1")
                ),
                [
                    key_list(limited.into_iter().map(|row| row.id)),
                    now.get().into(),
                ],
            )
            .await?;
        self.note(|noted| {
            noted
                .deployments
                .extend(halted.iter().map(|row| DeploymentKey::new(row.id)));
        });
        Ok(())
    }

    /// Lets a halted deployment go on; the failures until now are forgiven. Answers whether it was halted.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn deployment_resume(&self, deployment: DeploymentKey) -> Result<bool, StoreError> {
        let resumed = self
            .run(
                "resume a deployment",
                "UPDATE deployment SET halted_at = NULL, fails_forgiven = fails_counted \
                 WHERE id = $1 AND halted_at IS NOT NULL",
                [deployment.into()],
            )
            .await?
            > 0;
        self.note(|noted| {
            noted.deployments.insert(deployment);
        });
        Ok(resumed)
    }

    /// The deployment's apps, held: no other expansion or retry opens jobs for them meanwhile, and their
    /// newest revision stays the newest.
    async fn expansion_apps(
        &self,
        deployment: DeploymentKey,
    ) -> Result<Vec<ExpansionApp>, StoreError> {
        self.db()
            .all(
                "read a deployment's applications",
                &format!(
                    "SELECT id, support_os, revision_id, deleted_at FROM app WHERE id IN ( \
                     SELECT app_id FROM deployment_app WHERE deployment_id = $1) ORDER BY id{}",
                    self.dialect().for_update()
                ),
                [deployment.into()],
            )
            .await
    }

    async fn plan_input(
        &self,
        deployment: DeploymentKey,
        reach: Reach,
        kind: TaskKind,
        apps: &[ExpansionApp],
        desktops: &[DesktopRow],
    ) -> Result<PlanInput, StoreError> {
        #[derive(FromQueryResult)]
        struct UserRow {
            desktop_id: i64,
            name: String,
        }
        #[derive(FromQueryResult)]
        struct LiveRow {
            desktop_id: i64,
            app_id: i64,
            kind: i64,
            revision_id: Option<i64>,
            wire: i64,
        }
        #[derive(FromQueryResult)]
        struct PairRow {
            desktop_id: i64,
            app_id: i64,
        }
        let dialect = self.dialect();
        let keys = key_list(desktops.iter().map(|desktop| desktop.id));
        // A user who asks for themselves is the only one it is for.
        let who =
            "u.id = COALESCE((SELECT w.requested_by FROM deployment w WHERE w.id = $2), u.id)";
        let in_scope = match reach {
            Reach::All => "$2 = $2".to_owned(),
            Reach::Named => who.to_owned(),
            Reach::OfUsers => lets_user("deployment_account", "x.deployment_id = $2"),
        };
        let element = format!("CAST({} AS BIGINT)", dialect.element_text());
        let users: Vec<UserRow> = self
            .db()
            .all(
                "read the users of desktops",
                &format!(
                    "SELECT du.desktop_id, u.name FROM {} JOIN desktop_user du ON du.desktop_id = {element} \
                     JOIN directory_user u ON u.id = du.user_id WHERE {in_scope}",
                    dialect.each("$1")
                ),
                [keys.clone(), deployment.into()],
            )
            .await?;
        let live: Vec<LiveRow> = self
            .db()
            .all(
                "read the live jobs of desktops",
                &format!(
                    "SELECT j.desktop_id, j.app_id, j.kind, j.revision_id, j.wire FROM {} \
                     JOIN job j ON j.desktop_id = {element} AND j.wire IN (0, 1) \
                     WHERE j.app_id IN (SELECT app_id FROM deployment_app WHERE deployment_id = $2)",
                    dialect.each("$1")
                ),
                [keys.clone(), deployment.into()],
            )
            .await?;
        // Who is named by account is granted what they lack; whoever uses a named desktop is not.
        let not_authorized: Vec<PairRow> = match (reach, kind) {
            (Reach::Named, TaskKind::Install) => {
                self.db()
                    .all(
                        "ask who may have what on desktops",
                        &format!(
                            "SELECT k.id AS desktop_id, a.id AS app_id FROM {} \
                             JOIN desktop k ON k.id = {element} \
                             JOIN deployment_app da ON da.deployment_id = $2 JOIN app a ON a.id = da.app_id \
                             WHERE a.authorization_type = 'ASSIGN_USER' AND NOT EXISTS ( \
                               SELECT 1 FROM desktop_user du JOIN directory_user u ON u.id = du.user_id \
                               WHERE du.desktop_id = k.id AND {who} AND {})",
                            dialect.each("$1"),
                            lets_user("app_authorization", "x.app_id = a.id"),
                        ),
                        [keys, deployment.into()],
                    )
                    .await?
            }
            _ => Vec::new(),
        };
        let mut plan_desktops = desktops
            .iter()
            .map(|desktop| {
                Ok(PlanDesktop {
                    os: word(
                        "desktop",
                        "os_type",
                        desktop.id,
                        &desktop.os_type,
                        OsType::parse,
                    )?,
                    persistence: if desktop.persistent == 0 {
                        Persistence::NonPersistent
                    } else {
                        Persistence::Persistent
                    },
                    users_in_scope: Vec::new(),
                    live_jobs: Vec::new(),
                    not_authorized: Vec::new(),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        // Both lists are sorted by key.
        let position = |key: i64| {
            desktops
                .binary_search_by_key(&key, |desktop| desktop.id)
                .ok()
        };
        for user in users {
            if let Some(desktop) = position(user.desktop_id) {
                plan_desktops[desktop].users_in_scope.push(user.name);
            }
        }
        for job in live {
            let app = apps.binary_search_by_key(&job.app_id, |app| app.id).ok();
            if let (Some(desktop), Some(app)) = (position(job.desktop_id), app) {
                let aim = if job.kind == kind_number(kind) {
                    Aim::Same
                } else {
                    Aim::Opposite
                };
                plan_desktops[desktop].live_jobs.push(LiveJob {
                    app,
                    // An uninstall is about whatever revision is there.
                    revision: job
                        .revision_id
                        .filter(|_| job.wire != 0 && kind == TaskKind::Install),
                    aim,
                });
            }
        }
        for pair in not_authorized {
            let app = apps.binary_search_by_key(&pair.app_id, |app| app.id).ok();
            if let (Some(desktop), Some(app)) = (position(pair.desktop_id), app) {
                plan_desktops[desktop].not_authorized.push(app);
            }
        }
        let apps = apps
            .iter()
            .map(|app| {
                Ok(PlanApp {
                    support_os: word("app", "support_os", app.id, &app.support_os, OsType::parse)?,
                    newest_revision: app.revision_id.filter(|_| app.deleted_at.is_none()),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(PlanInput {
            apps,
            desktops: plan_desktops,
        })
    }
}

#[derive(FromQueryResult)]
struct ExpansionApp {
    id: i64,
    support_os: String,
    revision_id: Option<i64>,
    deleted_at: Option<i64>,
}
