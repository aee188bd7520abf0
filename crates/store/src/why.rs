//! What tells why a desktop has an app or has it not: who is authorized there, what was asked, what came of it.

use outfitter_agent_protocol::Phase;
use outfitter_domain::Millis;
use outfitter_domain::install::SkipReason;
use outfitter_domain::why::AuthorizedUser;
use sea_orm::{FromQueryResult, Value};

use crate::query::word;
use crate::{AppKey, AttemptView, Db, DeploymentKey, DesktopKey, JobKey, JobView, StoreError};

/// Most users of a desktop that are named as authorized.
const NAMED: i64 = 20;

/// What is known beside the app and the desktop themselves.
#[derive(Debug, Clone)]
pub struct WhyRecord {
    /// Users of the desktop who may have the app, by name first; at most twenty.
    pub authorized: Vec<AuthorizedUser>,
    /// The newest deployment that gave no job.
    pub skipped: Option<WhySkip>,
    /// The newest job.
    pub job: Option<WhyJob>,
    /// Name of the app that the desktop's open attempt is for.
    pub busy_with: Option<(String, AppKey)>,
}

/// A deployment that gave no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhySkip {
    /// The deployment.
    pub deployment: DeploymentKey,
    /// Why.
    pub reason: SkipReason,
    /// When the deployment was accepted.
    pub at: Millis,
}

/// The newest job of an app on a desktop.
#[derive(Debug, Clone)]
pub struct WhyJob {
    /// The job.
    pub view: JobView,
    /// Its deployment.
    pub deployment: DeploymentKey,
    /// When it is tried next.
    pub due_at: Millis,
    /// Since when its deployment is halted.
    pub halted_at: Option<Millis>,
    /// Its newest attempt.
    pub attempt: Option<AttemptView>,
    /// Where that attempt is.
    pub phase: Option<Phase>,
}

impl Db<'_> {
    /// What is known of an app on a desktop of the same project.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn why(&self, app: AppKey, desktop: DesktopKey) -> Result<WhyRecord, StoreError> {
        #[derive(FromQueryResult)]
        struct UserRow {
            user_name: String,
            group_name: Option<String>,
        }
        #[derive(FromQueryResult)]
        struct SkipRow {
            deployment_id: i64,
            reason: String,
            created_at: i64,
        }
        #[derive(FromQueryResult)]
        struct JobRow {
            id: i64,
            due_at: i64,
            halted_at: Option<i64>,
        }
        #[derive(FromQueryResult)]
        struct BusyRow {
            name: String,
            app_id: i64,
        }
        const DOING: &str = "ask why";
        let pair: [Value; 2] = [app.into(), desktop.into()];
        let authorized: Vec<UserRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT user_name, group_name FROM ( \
                       SELECT u.name AS user_name, NULL AS group_name FROM desktop_user du \
                       JOIN directory_user u ON u.id = du.user_id \
                       JOIN app_authorization x ON x.app_id = $1 AND x.account_type = 'SIMPLE' \
                         AND x.domain_folded = u.domain_folded AND x.account_folded = u.name_folded \
                       WHERE du.desktop_id = $2 \
                       UNION ALL SELECT u.name AS user_name, g.name AS group_name FROM desktop_user du \
                       JOIN directory_user u ON u.id = du.user_id \
                       JOIN group_closure c ON c.user_id = u.id JOIN directory_group g ON g.id = c.group_id \
                       JOIN app_authorization x ON x.app_id = $1 AND x.account_type = 'USER_GROUP' \
                         AND x.domain_folded = g.domain_folded AND x.account_folded = g.name_folded \
                       WHERE du.desktop_id = $2) AS both_ways \
                     ORDER BY CASE WHEN group_name IS NULL THEN 0 ELSE 1 END, user_name, group_name LIMIT {NAMED}"
                ),
                pair.clone(),
            )
            .await?;
        // The index deployment_skip_desktop holds the order.
        let skipped = self
            .one::<SkipRow>(
                DOING,
                "SELECT s.deployment_id, s.reason, d.created_at FROM deployment_skip s \
                 JOIN deployment d ON d.id = s.deployment_id WHERE s.app_id = $1 AND s.desktop_id = $2 \
                 ORDER BY s.deployment_id DESC LIMIT 1",
                pair.clone(),
            )
            .await?
            .map(|row| {
                Ok::<_, StoreError>(WhySkip {
                    deployment: DeploymentKey::new(row.deployment_id),
                    reason: word(
                        "deployment_skip",
                        "reason",
                        row.deployment_id,
                        &row.reason,
                        SkipReason::parse,
                    )?,
                    at: Millis::new(row.created_at),
                })
            })
            .transpose()?;
        let newest = self
            .one::<JobRow>(
                DOING,
                &format!(
                    "SELECT j.id, j.due_at, d.halted_at FROM job j{} JOIN deployment d ON d.id = j.deployment_id \
                     WHERE j.app_id = $1 AND j.desktop_id = $2 ORDER BY j.id DESC LIMIT 1",
                    self.dialect().indexed_by("job_desktop_wire")
                ),
                pair,
            )
            .await?;
        let mut job = None;
        if let Some(row) = newest {
            let key = JobKey::new(row.id);
            let live = self.job_live(&[key]).await?.into_iter().next();
            let (_, attempts) = self.attempt_list(key, 0, 1).await?;
            job = live.map(|live| WhyJob {
                deployment: live.deployment,
                due_at: Millis::new(row.due_at),
                halted_at: row.halted_at.map(Millis::new),
                attempt: attempts.into_iter().next(),
                phase: live.phase,
                view: live.view,
            });
        }
        let busy = self
            .one::<BusyRow>(
                DOING,
                "SELECT a.name, a.id AS app_id FROM attempt o JOIN job j ON j.id = o.job_id \
                 JOIN app a ON a.id = j.app_id WHERE o.desktop_id = $1 AND o.ended_at IS NULL",
                [desktop.into()],
            )
            .await?;
        Ok(WhyRecord {
            authorized: authorized
                .into_iter()
                .map(|row| AuthorizedUser {
                    name: row.user_name,
                    by_group: row.group_name,
                })
                .collect(),
            skipped,
            job,
            busy_with: busy.map(|row| (row.name, AppKey::new(row.app_id))),
        })
    }
}
