//! Jobs: lists, counters, and what administrators do with them. What agents do is in `attempt.rs`.
//!
//! Every change of a job goes through [`Tx::job_change`], which names the state it expects, keeps the counters
//! in the same transaction, and leaves a row alone that is no longer in that state. Rows are locked and
//! written in the order of their keys, so that two writers never wait for each other.

use std::collections::{BTreeMap, HashSet};

use outfitter_agent_protocol::{Phase, TaskKind};
use outfitter_domain::job::{
    Failure, Proof, Reason, State, WireState, kind_from_number, kind_number,
};
use outfitter_domain::{AppStatus, Millis};
use outfitter_ids::{AppId, AttemptId, DeploymentId, DesktopId, JobId};
use sea_orm::{DbErr, FromQueryResult, QueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use crate::attempt::phase_from_word;
use crate::query::{id_array, in_ids, in_keys, key_array};
use crate::user::IS_ENABLED;
use crate::{AppKey, Db, DeploymentKey, DesktopKey, Dialect, JobKey, ProjectKey, StoreError, Tx};

/// Rows a counter is spread over, so that writers of different jobs rarely meet.
const COUNTER_SLOTS: i64 = 8;

/// Which jobs a list shows; conditions combine with AND.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct JobFilter {
    /// On this desktop.
    pub desktop: Option<DesktopKey>,
    /// For this app.
    pub app: Option<AppKey>,
    /// For this user, exactly as the target is written.
    pub target: Option<String>,
    /// In this state.
    pub wire: Option<WireState>,
    /// That do this; `None`: installs and uninstalls. The contract's lists speak of installs alone.
    pub kind: Option<TaskKind>,
    /// Alone those that succeeded and that nothing verifies ([`Proof::is_verified`]).
    pub unverified: bool,
}

/// A job as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Key.
    pub key: JobKey,
    /// Public id.
    pub id: JobId,
    /// On or off.
    pub kind: TaskKind,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// Its app.
    pub app: AppId,
    /// The app's name, of a deleted one too.
    pub app_name: String,
    /// Version of the revision it was handed out with; of the newest while INIT.
    pub app_version: String,
    /// Its desktop.
    pub desktop: DesktopId,
    /// The desktop's name, of a deleted one too.
    pub desktop_name: String,
    /// Who asked.
    pub operator: String,
    /// The contract's `target`.
    pub target: Option<String>,
    /// Where it is.
    pub state: State,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// The contract's `error_message`.
    pub message: Option<String>,
    /// How well a success is proven.
    pub proof: Option<Proof>,
    /// Whether its success is whole only after a restart of the desktop, which is still to come.
    pub restart_pending: bool,
    /// When it was opened.
    pub created_at: Millis,
    /// When its folded state changed last.
    pub updated_at: Millis,
}

/// Why RetryJobs was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryRefusal {
    /// One of the jobs does not exist.
    UnknownJob,
    /// One job's app was deleted.
    AppDeleted,
    /// An app is FORBIDDEN, or nobody in scope is authorized on the desktop any more.
    NotAuthorized {
        /// The app's name.
        app_name: String,
    },
    /// A job is not FAIL, or its desktop is gone or has a live job for the same app, or two of the call are for
    /// the same app and desktop.
    NotSupported,
}

/// Why BatchDeleteJobs was refused; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteRefusal {
    /// One of the jobs is WAITING.
    Running,
}

/// What became of a wish to cancel jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CancelOutcome {
    /// Jobs that ended at once.
    pub cancelled: i64,
    /// Running attempts that were asked to stop, each with its desktop: the agents are to be told.
    pub stopping: Vec<(DesktopKey, AttemptId)>,
    /// Jobs that had ended before.
    pub ended: i64,
}

/// A job as it is now, for whoever watches.
#[derive(Debug, Clone)]
pub struct JobLive {
    /// Its project.
    pub project: ProjectKey,
    /// Key of its deployment.
    pub deployment: DeploymentKey,
    /// The job.
    pub view: JobView,
    /// Where its open attempt was last seen.
    pub phase: Option<Phase>,
    /// Share of that phase done, 0 to 100, where known.
    pub percent: Option<i64>,
    /// Rate of a download under way, where the agent said so.
    pub bytes_per_second: Option<i64>,
}

/// Where a sweep over the INIT jobs of all projects goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepCursor {
    project: ProjectKey,
    job: JobKey,
}

impl SweepCursor {
    /// The beginning.
    pub const START: Self = Self {
        project: ProjectKey::new(0),
        job: JobKey::new(0),
    };
}

/// What the counters know of a job.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Counted {
    pub(crate) kind: i64,
    pub(crate) project_id: i64,
    pub(crate) app_id: i64,
    pub(crate) deployment_id: i64,
    pub(crate) target: Option<String>,
}

/// Columns of [`Counted`], of a job `j`.
pub(crate) const COUNTED_COLUMNS: &str =
    "j.kind, j.project_id, j.app_id, j.deployment_id, j.target";

/// What is added to the dimensions of a project, an app and a target (0, 1, 2) in the counters of a kind: the
/// contract's lists count installs alone.
const fn dimension_of(kind: i64, dimension: i64) -> i64 {
    dimension + 10 * kind
}

/// Dimension of the counters of a deployment's unverified successes.
const UNVERIFIED_OF_DEPLOYMENT: i64 = 4;

/// The revision that a job `j` of app `a` is about, while it is not fixed: of an uninstall the one that the desktop has
/// as far as we know, else the newest.
pub(crate) const REVISION_OF_JOB: &str = "COALESCE(j.revision_id, CASE WHEN j.kind = 1 THEN ( \
     SELECT i.revision_id FROM desktop_app i WHERE i.desktop_id = j.desktop_id AND i.app_id = j.app_id) END, \
     a.revision_id)";

/// A change of one job.
#[derive(Debug, Clone)]
pub(crate) struct JobChange {
    pub(crate) job: i64,
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) counted: Counted,
    pub(crate) failure: Option<Failure>,
    pub(crate) proof: Option<Proof>,
    /// New due time; `None` keeps it.
    pub(crate) due_at: Option<Millis>,
    /// New number of automatic retries; `None` keeps it.
    pub(crate) retries: Option<i64>,
    pub(crate) revision: RevisionChange,
    /// Whether what was done is whole only after a restart.
    pub(crate) wants_restart: bool,
}

/// What happens to the revision of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RevisionChange {
    Keep,
    Fix(i64),
    FollowNewest,
}

impl JobChange {
    pub(crate) fn new(job: i64, from: State, to: State, counted: Counted) -> Self {
        Self {
            job,
            from,
            to,
            counted,
            failure: None,
            proof: None,
            due_at: None,
            retries: None,
            revision: RevisionChange::Keep,
            wants_restart: false,
        }
    }

    pub(crate) fn failed(job: i64, from: State, counted: Counted, failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::new(job, from, State::Failed, counted)
        }
    }
}

/// Changes of counters, gathered and written once.
#[derive(Default)]
pub(crate) struct CounterChanges(BTreeMap<(i64, i64, String, i64), i64>);

impl CounterChanges {
    pub(crate) fn add(&mut self, of: &Counted, wire: WireState, by: i64) {
        let mut dimensions = vec![
            (dimension_of(of.kind, 0), String::new()),
            (dimension_of(of.kind, 1), of.app_id.to_string()),
            (3, of.deployment_id.to_string()),
        ];
        dimensions.extend(
            of.target
                .clone()
                .map(|target| (dimension_of(of.kind, 2), target)),
        );
        for (dimension, key) in dimensions {
            *self
                .0
                .entry((of.project_id, dimension, key, wire.number()))
                .or_default() += by;
        }
    }

    /// Counts successes of a deployment that are unverified.
    pub(crate) fn add_unverified(&mut self, of: &Counted, by: i64) {
        *self
            .0
            .entry((
                of.project_id,
                UNVERIFIED_OF_DEPLOYMENT,
                of.deployment_id.to_string(),
                WireState::Success.number(),
            ))
            .or_default() += by;
    }

    /// Writes them into the slot that `spread` (any number, such as a key) falls into.
    pub(crate) async fn write(self, tx: &Tx, spread: i64) -> Result<(), StoreError> {
        let rows: Vec<_> = self
            .0
            .into_iter()
            .filter(|(_, by)| *by != 0)
            .map(|((project, dimension, key, wire), by)| {
                json!({"p": project, "d": dimension, "k": key, "w": wire, "n": by})
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        // In the order of the primary key (the map's), so that writers on PostgreSQL never deadlock.
        tx.run(
            "count jobs",
            &format!(
                "INSERT INTO job_count (project_id, dimension, dimension_key, wire, slot, jobs) \
                 SELECT CAST(value ->> 'p' AS BIGINT), CAST(value ->> 'd' AS BIGINT), value ->> 'k', \
                 CAST(value ->> 'w' AS BIGINT), $2, CAST(value ->> 'n' AS BIGINT) FROM {} WHERE 1 = 1 \
                 ON CONFLICT (project_id, dimension, dimension_key, wire, slot) \
                 DO UPDATE SET jobs = job_count.jobs + excluded.jobs",
                tx.dialect().each("$1")
            ),
            [
                serde_json::Value::Array(rows).to_string().into(),
                spread.rem_euclid(COUNTER_SLOTS).into(),
            ],
        )
        .await
        .map(drop)
    }
}

/// Whether an account list of `table` (alias `x`, chosen by `owner`) lets the user `u` in: names the user, directly
/// or by a group, and the account is not disabled.
pub(crate) fn lets_user(table: &str, owner: &str) -> String {
    format!("({IS_ENABLED} AND {})", names_user(table, owner))
}

/// Whether an account list of `table` (alias `x`, chosen by `owner`) names the user `u`, directly or by a group.
pub(crate) fn names_user(table: &str, owner: &str) -> String {
    format!(
        "(EXISTS (SELECT 1 FROM {table} x WHERE {owner} AND x.account_type = 'SIMPLE' \
           AND x.domain_folded = u.domain_folded AND x.account_folded = u.name_folded) \
         OR EXISTS (SELECT 1 FROM group_closure c JOIN directory_group g ON g.id = c.group_id \
           JOIN {table} x ON {owner} AND x.account_type = 'USER_GROUP' \
           AND x.domain_folded = g.domain_folded AND x.account_folded = g.name_folded \
           WHERE c.user_id = u.id))"
    )
}

/// Whether the authorization of a job `j` of app `a` and deployment `d` still stands (invariant I5; contract,
/// section 5, Shared desktops): the app is for everyone, or a user in scope on the desktop is authorized. A
/// job without target stands while the app is for everyone. What an end user asked for stands while that very user is
/// attached to the desktop, not disabled, and authorized (docs/adr/0025-end-users.md).
pub(crate) fn authorization_stands() -> String {
    format!(
        "CAST(CASE WHEN d.requested_by IS NOT NULL THEN (CASE WHEN EXISTS (SELECT 1 FROM desktop_user du \
           JOIN directory_user u ON u.id = du.user_id WHERE du.desktop_id = j.desktop_id \
           AND du.user_id = d.requested_by AND {IS_ENABLED} \
           AND (a.authorization_type = 'ALL_USER' OR {})) THEN 1 ELSE 0 END) \
         WHEN a.authorization_type = 'ALL_USER' THEN 1 \
         WHEN j.target IS NOT NULL AND EXISTS (SELECT 1 FROM desktop_user du \
           JOIN directory_user u ON u.id = du.user_id WHERE du.desktop_id = j.desktop_id \
           AND (d.assign_scope = 'ALL_USER' OR {}) AND {}) THEN 1 ELSE 0 END AS BIGINT)",
        names_user("app_authorization", "x.app_id = a.id"),
        lets_user("deployment_account", "x.deployment_id = d.id"),
        lets_user("app_authorization", "x.app_id = a.id"),
    )
}

pub(crate) fn read_state(job: i64, number: i64) -> Result<State, StoreError> {
    State::from_number(number).ok_or_else(|| StoreError::Inconsistent {
        table: "job",
        column: "state",
        row: job,
        value: number.to_string(),
    })
}

/// Keys, to be bound for [`in_keys`].
pub(crate) fn key_list(keys: impl IntoIterator<Item = i64>) -> Value {
    key_array(keys).into()
}

/// Public ids, to be bound for [`in_ids`].
pub(crate) fn id_list(ids: impl IntoIterator<Item = Uuid>) -> Value {
    id_array(ids).into()
}

#[derive(FromQueryResult)]
struct ViewRow {
    id: i64,
    public_id: Uuid,
    kind: i64,
    deployment_public_id: Uuid,
    app_public_id: Uuid,
    app_name: String,
    app_version: String,
    desktop_public_id: Uuid,
    desktop_name: String,
    operator: String,
    target: Option<String>,
    state: i64,
    reason: Option<String>,
    message: Option<String>,
    proof: Option<i64>,
    restart_pending: i64,
    created_at: i64,
    updated_at: i64,
}

impl ViewRow {
    fn read(self) -> Result<JobView, StoreError> {
        let id = self.id;
        let inconsistent = |column, value| StoreError::Inconsistent {
            table: "job",
            column,
            row: id,
            value,
        };
        Ok(JobView {
            key: JobKey::new(id),
            id: JobId::new(self.public_id),
            kind: kind_from_number(self.kind)
                .ok_or_else(|| inconsistent("kind", self.kind.to_string()))?,
            restart_pending: self.restart_pending != 0,
            deployment: DeploymentId::new(self.deployment_public_id),
            app: AppId::new(self.app_public_id),
            app_name: self.app_name,
            app_version: self.app_version,
            desktop: DesktopId::new(self.desktop_public_id),
            desktop_name: self.desktop_name,
            operator: self.operator,
            target: self.target,
            state: read_state(id, self.state)?,
            reason: self
                .reason
                .map(|code| Reason::from_code(&code).ok_or_else(|| inconsistent("reason", code)))
                .transpose()?,
            message: self.message,
            proof: self
                .proof
                .map(|number| {
                    Proof::from_number(number)
                        .ok_or_else(|| inconsistent("proof", number.to_string()))
                })
                .transpose()?,
            created_at: Millis::new(self.created_at),
            updated_at: Millis::new(self.updated_at),
        })
    }
}

/// What a page of jobs is read with.
struct PageQuery {
    sql: String,
    values: Vec<Value>,
}

/// Where the reading of a page begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// So many jobs after the newest.
    Newest(i64),
    /// So many jobs before the oldest.
    Oldest(i64),
    /// Right after this job.
    After(JobKey),
}

impl JobFilter {
    /// Whether what it finds is counted live and not by counters: few jobs.
    fn is_counted_live(&self) -> bool {
        self.unverified || self.desktop.is_some() || (self.app.is_some() && self.target.is_some())
    }

    /// The index that answers the filter (docs/adr/0002-keys-and-storage.md).
    fn index(&self) -> &'static str {
        match (&self.desktop, &self.target, &self.app, &self.wire) {
            (Some(_), _, _, _) => "job_desktop_wire",
            (None, Some(_), _, _) => "job_target_wire",
            (None, None, _, _) if self.unverified => "job_unverified",
            (None, None, Some(_), _) => "job_app_wire",
            (None, None, None, Some(_)) => "job_project_wire",
            (None, None, None, None) => "job_project",
        }
    }

    /// `WHERE` text without the word, and its values.
    fn conditions(&self, project: ProjectKey) -> (String, Vec<Value>) {
        let mut values: Vec<Value> = vec![project.into()];
        let mut sql = "job.project_id = $1".to_owned();
        let mut and = |column: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND job.{column} = ${}", values.len()));
        };
        if let Some(desktop) = self.desktop {
            and("desktop_id", desktop.into());
        }
        if let Some(target) = &self.target {
            and("target", target.as_str().into());
        }
        if let Some(app) = self.app {
            and("app_id", app.into());
        }
        if let Some(wire) = self.wire {
            and("wire", wire.number().into());
        }
        if let Some(kind) = self.kind {
            and("kind", kind_number(kind).into());
        }
        if self.unverified {
            // In the words of index `job_unverified`.
            sql.push_str(" AND job.proof IN (3, 5)");
        }
        (sql, values)
    }

    /// The page's keys from one end of the index, or from a job on, then their rows: only these are read.
    fn page(&self, dialect: Dialect, project: ProjectKey, start: Start, limit: i64) -> PageQuery {
        let (mut conditions, mut values) = self.conditions(project);
        let (order, offset) = match start {
            Start::Newest(offset) => ("DESC", offset),
            Start::Oldest(offset) => ("ASC", offset),
            Start::After(job) => {
                values.push(job.into());
                conditions.push_str(&format!(" AND job.id < ${}", values.len()));
                ("DESC", 0)
            }
        };
        values.extend([limit.into(), offset.into()]);
        let tables = view_tables();
        let sql = format!(
            "SELECT {VIEW_COLUMNS} FROM (SELECT job.id FROM job{} WHERE {conditions} ORDER BY job.id {order} \
               LIMIT ${} OFFSET ${}) AS page \
             JOIN job j ON j.id = page.id {tables} ORDER BY j.id DESC",
            dialect.indexed_by(self.index()),
            values.len() - 1,
            values.len(),
        );
        PageQuery { sql, values }
    }
}

const LIST: &str = "list jobs";

/// Columns of [`ViewRow`] and the tables they come from, but for `job j` itself.
const VIEW_COLUMNS: &str = "j.id, j.public_id, j.kind, d.public_id AS deployment_public_id, \
     a.public_id AS app_public_id, a.name AS app_name, r.version AS app_version, \
     k.public_id AS desktop_public_id, k.name AS desktop_name, d.operator, j.target, j.state, j.reason, \
     j.message, j.proof, CAST(CASE WHEN j.wants_restart = 1 AND k.reboot_needed_at IS NOT NULL THEN 1 ELSE 0 END \
     AS BIGINT) AS restart_pending, j.created_at, j.updated_at";

/// See [`VIEW_COLUMNS`].
fn view_tables() -> String {
    format!(
        "JOIN app a ON a.id = j.app_id JOIN app_revision r ON r.id = {REVISION_OF_JOB} \
         JOIN desktop k ON k.id = j.desktop_id JOIN deployment d ON d.id = j.deployment_id"
    )
}

impl Db<'_> {
    /// A page of a project's jobs, newest first by insertion, and how many the filter finds.
    ///
    /// Counts come from counters; those of filters by desktop, by app and target together, and of what is unverified are
    /// counted live (a desktop's or a user's jobs are few). A page past the middle is read from the other end, a page
    /// that follows one which was read before from where that ended (`job_position.rs`).
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_list(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<JobView>), StoreError> {
        let count = self.job_count(project, filter).await?;
        if offset >= count || limit <= 0 {
            return Ok((count, Vec::new()));
        }
        let rows = limit.min(count - offset);
        let positions = self.job_positions();
        let known = positions.and_then(|kept| kept.before(project, filter, count, offset));
        let start = match known {
            Some(job) => Start::After(job),
            None if offset > count / 2 => Start::Oldest(count - offset - rows),
            None => Start::Newest(offset),
        };
        let query =
            self.job_page_filter(project, filter)
                .await?
                .page(self.dialect(), project, start, rows);
        let rows: Vec<ViewRow> = self.all(LIST, &query.sql, query.values).await?;
        let jobs = rows
            .into_iter()
            .map(ViewRow::read)
            .collect::<Result<Vec<_>, _>>()?;
        if let (Some(kept), Some(last)) = (positions, jobs.last()) {
            let next = offset + i64::try_from(jobs.len()).unwrap_or(0);
            kept.remember(project, filter, count, next, last.key);
        }
        Ok((count, jobs))
    }

    /// Jobs as they are now, by key; those that are gone are left out.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_live(&self, jobs: &[JobKey]) -> Result<Vec<JobLive>, StoreError> {
        #[derive(FromQueryResult)]
        struct LiveRow {
            #[sea_orm(nested)]
            view: ViewRow,
            project_id: i64,
            deployment_id: i64,
            phase: Option<String>,
            percent: Option<i64>,
            bytes_per_second: Option<i64>,
        }
        let tables = view_tables();
        let rows: Vec<LiveRow> = self
            .all(
                "read jobs that changed",
                &format!(
                    "SELECT {VIEW_COLUMNS}, j.project_id, j.deployment_id, o.phase, o.percent, \
                     o.bytes_per_second FROM job j \
                     {tables} LEFT JOIN attempt o ON o.job_id = j.id AND o.ended_at IS NULL \
                     WHERE {} ORDER BY j.id",
                    in_keys(self.dialect(), "j.id", "$1")
                ),
                [key_list(jobs.iter().map(|job| job.get()))],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(JobLive {
                    project: ProjectKey::new(row.project_id),
                    deployment: DeploymentKey::new(row.deployment_id),
                    phase: row.phase.as_deref().and_then(phase_from_word),
                    percent: row.percent,
                    bytes_per_second: row.bytes_per_second,
                    view: row.view.read()?,
                })
            })
            .collect()
    }

    /// A page of a deployment's jobs by desktop and app (index `job_once`), and how many there are: the order
    /// stays while the jobs change, so that a grid of them stands still.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment_job_list(
        &self,
        project: ProjectKey,
        deployment: DeploymentKey,
        wire: Option<WireState>,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<JobView>), StoreError> {
        let counts = self
            .job_counters(project, 3, &deployment.get().to_string())
            .await?;
        let mut values: Vec<Value> = vec![deployment.into(), limit.into(), offset.into()];
        let mut condition = "";
        if let Some(wire) = wire {
            values.push(wire.number().into());
            condition = " AND job.wire = $4";
        }
        let index = self.dialect().indexed_by("job_once");
        let tables = view_tables();
        let rows: Vec<ViewRow> = self
            .all(
                "list the jobs of a deployment",
                &format!(
                    "SELECT {VIEW_COLUMNS} FROM (SELECT job.id FROM job{index} \
                       WHERE job.deployment_id = $1{condition} ORDER BY job.desktop_id, job.app_id \
                       LIMIT $2 OFFSET $3) AS page \
                     JOIN job j ON j.id = page.id {tables} ORDER BY j.desktop_id, j.app_id"
                ),
                values,
            )
            .await?;
        let jobs = rows
            .into_iter()
            .map(ViewRow::read)
            .collect::<Result<_, _>>()?;
        Ok((wire.map_or(counts.total(), |wire| counts.of(wire)), jobs))
    }

    /// How the database would read a page of [`Db::job_list`], in its own words: for diagnosis, and for the
    /// tests that hold every filter to its index.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_list_explain(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
    ) -> Result<String, StoreError> {
        let query = filter.page(self.dialect(), project, Start::Newest(0), 10);
        self.explain(&query.sql, query.values).await
    }

    /// The same for a page that is read from a known position.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_list_explain_after(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
        last: JobKey,
    ) -> Result<String, StoreError> {
        let query = filter.page(self.dialect(), project, Start::After(last), 10);
        self.explain(&query.sql, query.values).await
    }

    async fn job_count(&self, project: ProjectKey, filter: &JobFilter) -> Result<i64, StoreError> {
        if filter.is_counted_live() {
            let (conditions, values) = filter.conditions(project);
            let index = self.dialect().indexed_by(filter.index());
            return Ok(self
                .scalar(
                    LIST,
                    &format!("SELECT COUNT(*) FROM job{index} WHERE {conditions}"),
                    values,
                )
                .await?
                .unwrap_or(0));
        }
        let (dimension, key) = match (&filter.app, &filter.target) {
            (Some(app), _) => (1_i64, app.get().to_string()),
            (None, Some(target)) => (2, target.clone()),
            (None, None) => (0, String::new()),
        };
        let kinds = match filter.kind {
            Some(kind) => vec![kind],
            None => vec![TaskKind::Install, TaskKind::Uninstall],
        };
        let mut count = 0;
        for kind in kinds {
            let dimension = dimension_of(kind_number(kind), dimension);
            let counts = self.job_counters(project, dimension, &key).await?;
            count += match filter.wire {
                Some(wire) => counts.of(wire),
                None => counts.total(),
            };
        }
        Ok(count)
    }

    /// The filter a page is read with: the indexes do not hold the kind, so it is asked for only where the list has
    /// jobs of another.
    async fn job_page_filter(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
    ) -> Result<JobFilter, StoreError> {
        let Some(kind) = filter.kind else {
            return Ok(filter.clone());
        };
        let other = match kind {
            TaskKind::Install => TaskKind::Uninstall,
            TaskKind::Uninstall => TaskKind::Install,
        };
        let others = JobFilter {
            kind: Some(other),
            ..filter.clone()
        };
        if !filter.is_counted_live() && self.job_count(project, &others).await? == 0 {
            return Ok(JobFilter {
                kind: None,
                ..filter.clone()
            });
        }
        Ok(filter.clone())
    }

    pub(crate) async fn job_counters(
        &self,
        project: ProjectKey,
        dimension: i64,
        key: &str,
    ) -> Result<JobCounts, StoreError> {
        #[derive(FromQueryResult)]
        struct CountRow {
            wire: i64,
            jobs: i64,
        }
        let rows: Vec<CountRow> = self
            .all(
                "count jobs",
                "SELECT wire, CAST(SUM(jobs) AS BIGINT) AS jobs FROM job_count \
                 WHERE project_id = $1 AND dimension = $2 AND dimension_key = $3 GROUP BY wire",
                [project.into(), dimension.into(), key.into()],
            )
            .await?;
        let mut counts = JobCounts::default();
        for row in rows {
            match WireState::from_number(row.wire) {
                Some(WireState::Init) => counts.init = row.jobs,
                Some(WireState::Waiting) => counts.waiting = row.jobs,
                Some(WireState::Success) => counts.success = row.jobs,
                Some(WireState::Fail) => counts.fail = row.jobs,
                None => {
                    return Err(StoreError::Inconsistent {
                        table: "job_count",
                        column: "wire",
                        row: project.get(),
                        value: row.wire.to_string(),
                    });
                }
            }
        }
        Ok(counts)
    }

    /// How many successes of a deployment are unverified.
    pub(crate) async fn deployment_unverified(
        &self,
        project: ProjectKey,
        deployment: DeploymentKey,
    ) -> Result<i64, StoreError> {
        Ok(self
            .scalar(
                "count unverified successes",
                "SELECT CAST(COALESCE(SUM(jobs), 0) AS BIGINT) FROM job_count \
                 WHERE project_id = $1 AND dimension = $2 AND dimension_key = $3",
                [
                    project.into(),
                    UNVERIFIED_OF_DEPLOYMENT.into(),
                    deployment.get().to_string().into(),
                ],
            )
            .await?
            .unwrap_or(0))
    }

    /// Finds a job of a project.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_find(
        &self,
        project: ProjectKey,
        id: JobId,
    ) -> Result<Option<JobKey>, StoreError> {
        Ok(self
            .scalar::<i64>(
                "find a job",
                "SELECT id FROM job WHERE public_id = $1 AND project_id = $2",
                [id.uuid().into(), project.into()],
            )
            .await?
            .map(JobKey::new))
    }

    async fn explain(&self, sql: &str, values: Vec<Value>) -> Result<String, StoreError> {
        /// SQLite's column is `detail`, PostgreSQL's `QUERY PLAN`.
        struct Step(String);
        impl FromQueryResult for Step {
            fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
                row.try_get(prefix, "detail")
                    .or_else(|_| row.try_get(prefix, "QUERY PLAN"))
                    .map(Self)
            }
        }
        let sql = format!("{}{sql}", self.dialect().explain());
        let steps: Vec<String> = self
            .all::<Step>("explain a query", &sql, values)
            .await?
            .into_iter()
            .map(|Step(text)| text)
            .collect();
        Ok(steps.join("\n"))
    }
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// INIT.
    pub init: i64,
    /// WAITING.
    pub waiting: i64,
    /// SUCCESS.
    pub success: i64,
    /// FAIL.
    pub fail: i64,
}

impl JobCounts {
    /// In one state.
    pub fn of(&self, wire: WireState) -> i64 {
        match wire {
            WireState::Init => self.init,
            WireState::Waiting => self.waiting,
            WireState::Success => self.success,
            WireState::Fail => self.fail,
        }
    }

    /// In all states.
    pub fn total(&self) -> i64 {
        self.init + self.waiting + self.success + self.fail
    }
}

/// A job as the writers here look at it.
#[derive(FromQueryResult)]
pub(crate) struct WriteRow {
    id: i64,
    state: i64,
    proof: Option<i64>,
    #[sea_orm(nested)]
    pub(crate) counted: Counted,
}

impl WriteRow {
    /// Whether it is a success that is unverified.
    pub(crate) fn is_unverified(&self) -> bool {
        let proof = self.proof.and_then(Proof::from_number);
        proof.is_some_and(|proof| !proof.is_verified())
    }
}

impl Tx {
    /// Locks jobs until the end of the transaction, in the order of their keys. `condition` chooses them.
    pub(crate) async fn job_lock(
        &self,
        condition: &str,
        values: Vec<Value>,
    ) -> Result<Vec<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct KeyRow {
            id: i64,
        }
        let rows: Vec<KeyRow> = self
            .db()
            .all(
                "lock jobs",
                &format!(
                    "SELECT id FROM job WHERE {condition} ORDER BY id{}",
                    self.dialect().for_update()
                ),
                values,
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Makes changes where the job is in the state that the change expects; answers the keys of those that
    /// were made. Counters follow in the same transaction.
    pub(crate) async fn job_change(
        &self,
        changes: Vec<JobChange>,
        now: Millis,
    ) -> Result<HashSet<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct KeyRow {
            id: i64,
        }
        if changes.is_empty() {
            return Ok(HashSet::new());
        }
        let rows: Vec<_> = changes
            .iter()
            .map(|change| {
                debug_assert!(change.from.may_become(change.to), "{change:?}");
                json!({
                    "j": change.job,
                    "f": change.from.number(),
                    "t": change.to.number(),
                    "w": change.to.wire().number(),
                    "m": i64::from(change.from.wire() != change.to.wire()),
                    "c": change.failure.as_ref().map(|failure| failure.reason.code()),
                    "e": change.failure.as_ref().map(Failure::message),
                    "p": change.proof.map(Proof::number),
                    "d": change.due_at.map(Millis::get),
                    "n": change.retries,
                    "r": match change.revision {
                        RevisionChange::Fix(revision) => Some(revision),
                        RevisionChange::Keep | RevisionChange::FollowNewest => None,
                    },
                    "x": i64::from(change.revision == RevisionChange::FollowNewest),
                    "b": i64::from(change.wants_restart),
                })
            })
            .collect();
        let number = |name: &str| format!("CAST(value ->> '{name}' AS BIGINT)");
        let applied: Vec<KeyRow> = self
            .db()
            .all(
                "change jobs",
                &format!(
                    "UPDATE job SET state = {to}, wire = {wire}, reason = value ->> 'c', \
                     message = value ->> 'e', proof = {proof}, wants_restart = {restart}, due_at = COALESCE({due}, job.due_at), \
                     retries = COALESCE({retries}, job.retries), \
                     revision_id = CASE WHEN {follow} = 1 THEN NULL \
                       ELSE COALESCE({revision}, job.revision_id) END, \
                     updated_at = CASE WHEN {moved} = 1 THEN $2 ELSE job.updated_at END \
                     FROM {each} WHERE job.id = {job} AND job.state = {from} RETURNING job.id",
                    to = number("t"),
                    wire = number("w"),
                    proof = number("p"),
                    restart = number("b"),
                    due = number("d"),
                    retries = number("n"),
                    follow = number("x"),
                    revision = number("r"),
                    moved = number("m"),
                    job = number("j"),
                    from = number("f"),
                    each = self.dialect().each("$1"),
                ),
                [
                    serde_json::Value::Array(rows).to_string().into(),
                    now.get().into(),
                ],
            )
            .await?;
        let applied: HashSet<i64> = applied.into_iter().map(|row| row.id).collect();
        self.note(|noted| noted.jobs.extend(applied.iter().copied().map(JobKey::new)));
        let mut counters = CounterChanges::default();
        for change in &changes {
            if applied.contains(&change.job) && change.from.wire() != change.to.wire() {
                counters.add(&change.counted, change.from.wire(), -1);
                counters.add(&change.counted, change.to.wire(), 1);
                if change.proof.is_some_and(|proof| !proof.is_verified()) {
                    counters.add_unverified(&change.counted, 1);
                }
            }
        }
        counters.write(self, changes[0].job).await?;
        self.deployment_count_failures(
            changes
                .iter()
                .filter(|change| applied.contains(&change.job) && change.to == State::Failed)
                .filter_map(|change| {
                    Some((
                        change.counted.deployment_id,
                        change.failure.as_ref()?.reason,
                    ))
                }),
            now,
        )
        .await?;
        Ok(applied)
    }

    /// Cancels jobs of a project, all of them or, with an unknown id among them, none (`None`). What waits ends at
    /// once; what runs is asked to stop and ends by what its agent reports; what ended stays.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_cancel(
        &self,
        project: ProjectKey,
        ids: &[JobId],
        now: Millis,
    ) -> Result<Option<CancelOutcome>, StoreError> {
        let locked = self
            .job_lock(
                &format!(
                    "{} AND project_id = $2",
                    in_ids(self.dialect(), "public_id", "$1")
                ),
                vec![id_list(ids.iter().map(|id| id.uuid())), project.into()],
            )
            .await?;
        if locked.len() != ids.len() {
            return Ok(None);
        }
        self.job_cancel_locked(locked, now).await.map(Some)
    }

    /// Cancels the jobs of a deployment that have not ended, at most `limit`; `cancelled` and `stopping` are
    /// empty when none was left.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_cancel_of_deployment(
        &self,
        deployment: DeploymentKey,
        limit: i64,
        now: Millis,
    ) -> Result<CancelOutcome, StoreError> {
        let locked = self
            .job_lock(
                "id IN (SELECT j.id FROM job j WHERE j.deployment_id = $1 AND j.wire IN (0, 1) \
                   AND NOT EXISTS (SELECT 1 FROM attempt o WHERE o.job_id = j.id AND o.ended_at IS NULL \
                     AND o.cancel_requested_at IS NOT NULL) ORDER BY j.id LIMIT $2)",
                vec![deployment.into(), limit.into()],
            )
            .await?;
        self.job_cancel_locked(locked, now).await
    }

    async fn job_cancel_locked(
        &self,
        locked: Vec<i64>,
        now: Millis,
    ) -> Result<CancelOutcome, StoreError> {
        let dialect = self.dialect();
        let rows = self
            .job_rows(&in_keys(dialect, "j.id", "$1"), vec![key_list(locked)])
            .await?;
        let mut outcome = CancelOutcome::default();
        let (mut waiting, mut running) = (Vec::new(), Vec::new());
        for row in rows {
            match read_state(row.id, row.state)? {
                from @ (State::Queued | State::Leased | State::RetryWait) => {
                    waiting.push(JobChange {
                        failure: Some(Failure::bare(Reason::Cancelled)),
                        ..JobChange::new(row.id, from, State::Cancelled, row.counted)
                    });
                }
                State::Running => running.push(row.id),
                State::Succeeded | State::Failed | State::Cancelled => outcome.ended += 1,
            }
        }
        self.run(
            "end attempts",
            &format!(
                "UPDATE attempt SET state = 'ended', ended_at = $2, outcome = $3 \
                 WHERE ended_at IS NULL AND {}",
                in_keys(dialect, "job_id", "$1")
            ),
            [
                key_list(waiting.iter().map(|change| change.job)),
                now.get().into(),
                Reason::Cancelled.code().into(),
            ],
        )
        .await?;
        let cancelled = self.job_change(waiting, now).await?.len();
        outcome.cancelled = i64::try_from(cancelled).unwrap_or(i64::MAX);
        outcome.stopping = self.attempt_request_cancel(&running, now).await?;
        Ok(outcome)
    }

    pub(crate) async fn job_rows(
        &self,
        condition: &str,
        values: Vec<Value>,
    ) -> Result<Vec<WriteRow>, StoreError> {
        self.db()
            .all(
                "read jobs",
                &format!(
                    "SELECT j.id, j.state, j.proof, {COUNTED_COLUMNS} FROM job j \
                     WHERE {condition} ORDER BY j.id"
                ),
                values,
            )
            .await
    }

    /// Queues failed jobs again, all or none; answers their desktops.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_retry(
        &self,
        project: ProjectKey,
        ids: &[JobId],
        now: Millis,
    ) -> Result<Result<Vec<DesktopKey>, RetryRefusal>, StoreError> {
        #[derive(FromQueryResult)]
        struct RetryRow {
            id: i64,
            state: i64,
            desktop_id: i64,
            app_name: String,
            app_status: String,
            app_deleted: i64,
            desktop_deleted: i64,
            authorized: i64,
            live: i64,
            #[sea_orm(nested)]
            counted: Counted,
        }
        const DOING: &str = "retry jobs";
        let dialect = self.dialect();
        let these = id_list(ids.iter().map(|id| id.uuid()));
        // The apps first, as an expansion does: no other job for them is opened meanwhile.
        self.app_lock_of_jobs(project, these.clone()).await?;
        self.job_lock(
            &format!("{} AND project_id = $2", in_ids(dialect, "public_id", "$1")),
            vec![these.clone(), project.into()],
        )
        .await?;
        let rows: Vec<RetryRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "SELECT j.id, j.state, j.desktop_id, a.name AS app_name, a.status AS app_status, \
                     CAST(CASE WHEN a.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS app_deleted, \
                     CAST(CASE WHEN k.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS desktop_deleted, \
                     {} AS authorized, \
                     (SELECT COUNT(*) FROM job l WHERE l.desktop_id = j.desktop_id AND l.wire IN (0, 1) \
                       AND l.app_id = j.app_id) AS live, \
                     {COUNTED_COLUMNS} FROM job j JOIN app a ON a.id = j.app_id \
                     JOIN desktop k ON k.id = j.desktop_id JOIN deployment d ON d.id = j.deployment_id \
                     WHERE {} AND j.project_id = $2 ORDER BY j.id",
                    authorization_stands(),
                    in_ids(dialect, "j.public_id", "$1"),
                ),
                [these, project.into()],
            )
            .await?;
        if rows.len() != ids.len() {
            return Ok(Err(RetryRefusal::UnknownJob));
        }
        if rows.iter().any(|row| row.app_deleted != 0) {
            return Ok(Err(RetryRefusal::AppDeleted));
        }
        let mut pairs = HashSet::new();
        for row in &rows {
            let failed = read_state(row.id, row.state)?.wire() == WireState::Fail;
            let alone = pairs.insert((row.desktop_id, row.counted.app_id));
            if !failed || !alone || row.live > 0 || row.desktop_deleted != 0 {
                return Ok(Err(RetryRefusal::NotSupported));
            }
        }
        // Whoever may not have an app may lose it all the same.
        if let Some(row) = rows.iter().find(|row| {
            row.counted.kind == kind_number(TaskKind::Install)
                && (row.authorized == 0 || row.app_status == AppStatus::Forbidden.as_str())
        }) {
            return Ok(Err(RetryRefusal::NotAuthorized {
                app_name: row.app_name.clone(),
            }));
        }
        let desktops = rows
            .iter()
            .map(|row| DesktopKey::new(row.desktop_id))
            .collect();
        let changes = rows
            .into_iter()
            .map(|row| {
                Ok(JobChange {
                    due_at: Some(now),
                    retries: Some(0),
                    revision: RevisionChange::FollowNewest,
                    ..JobChange::new(
                        row.id,
                        read_state(row.id, row.state)?,
                        State::Queued,
                        row.counted,
                    )
                })
            })
            .collect::<Result<_, StoreError>>()?;
        self.job_change(changes, now).await?;
        Ok(Ok(desktops))
    }

    async fn app_lock_of_jobs(&self, project: ProjectKey, ids: Value) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct AppRow {
            #[expect(dead_code, reason = "the lock is what is wanted")]
            id: i64,
        }
        let dialect = self.dialect();
        let _rows: Vec<AppRow> = self
            .db()
            .all(
                "lock applications",
                &format!(
                    "SELECT id FROM app WHERE id IN (SELECT app_id FROM job WHERE {} AND project_id = $2) \
                     ORDER BY id{}",
                    in_ids(dialect, "public_id", "$1"),
                    dialect.for_update(),
                ),
                [ids, project.into()],
            )
            .await?;
        Ok(())
    }

    /// Deletes the records of jobs, all or none; unknown ids are passed over. An INIT job is cancelled by it.
    /// Answers how many there were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_delete(
        &self,
        project: ProjectKey,
        ids: &[JobId],
    ) -> Result<Result<usize, DeleteRefusal>, StoreError> {
        let dialect = self.dialect();
        let locked = self
            .job_lock(
                &format!("{} AND project_id = $2", in_ids(dialect, "public_id", "$1")),
                vec![id_list(ids.iter().map(|id| id.uuid())), project.into()],
            )
            .await?;
        let rows = self
            .job_rows(
                &in_keys(dialect, "j.id", "$1"),
                vec![key_list(locked.iter().copied())],
            )
            .await?;
        let mut counters = CounterChanges::default();
        for row in &rows {
            let wire = read_state(row.id, row.state)?.wire();
            if wire == WireState::Waiting {
                return Ok(Err(DeleteRefusal::Running));
            }
            counters.add(&row.counted, wire, -1);
            if row.is_unverified() {
                counters.add_unverified(&row.counted, -1);
            }
        }
        if rows.is_empty() {
            return Ok(Ok(0));
        }
        self.audit_results_of_jobs_go(&locked).await?;
        // Attempts and receipts go with their job.
        self.run(
            "delete jobs",
            &format!("DELETE FROM job WHERE {}", in_keys(dialect, "id", "$1")),
            [key_list(locked.iter().copied())],
        )
        .await?;
        counters.write(self, rows[0].id).await?;
        self.note(|noted| {
            let deployments = rows.iter().map(|row| row.counted.deployment_id);
            noted
                .deployments
                .extend(deployments.map(DeploymentKey::new));
        });
        Ok(Ok(rows.len()))
    }

    /// Fails every live job of desktops that were deleted; answers how many there were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_fail_of_desktops(
        &self,
        desktops: &[DesktopKey],
        now: Millis,
    ) -> Result<usize, StoreError> {
        self.job_fail_where(
            &format!(
                "{} AND wire IN (0, 1)",
                in_keys(self.dialect(), "desktop_id", "$1")
            ),
            vec![key_list(desktops.iter().map(|desktop| desktop.get()))],
            Reason::DesktopDeleted,
            now,
        )
        .await
    }

    /// Fails INIT jobs of an app that was deleted, at most `limit` of them: the background sweep takes the
    /// rest, and none is handed out meanwhile. Answers how many there were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_fail_of_app(
        &self,
        project: ProjectKey,
        app: AppKey,
        limit: i64,
        now: Millis,
    ) -> Result<usize, StoreError> {
        self.job_fail_where(
            "id IN (SELECT id FROM job WHERE project_id = $1 AND app_id = $2 AND wire = 0 ORDER BY id LIMIT $3) \
             AND wire = 0",
            vec![project.into(), app.into(), limit.into()],
            Reason::AppDeleted,
            now,
        )
        .await
    }

    /// Looks at a page of INIT jobs from `cursor` on and fails those that can never be handed out any more:
    /// expired, app deleted, desktop deleted. A job expires after the time its deployment has, counted from
    /// when it became INIT. Answers where to go on (`None`: the end was reached) and how many failed.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_sweep_init(
        &self,
        cursor: SweepCursor,
        limit: i64,
        now: Millis,
    ) -> Result<(Option<SweepCursor>, usize), StoreError> {
        #[derive(FromQueryResult)]
        struct SweepRow {
            id: i64,
            app_deleted: i64,
            desktop_deleted: i64,
            expired: i64,
        }
        let rows: Vec<SweepRow> = self
            .db()
            .all(
                "look for jobs that expired",
                &format!("SELECT j.id, CAST(CASE WHEN a.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS app_deleted, \
                 CAST(CASE WHEN k.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS desktop_deleted, \
                 CAST(CASE WHEN j.updated_at + (d.expires_at - d.created_at) <= $3 THEN 1 ELSE 0 END AS BIGINT) AS expired \
                 FROM (SELECT id FROM job{} WHERE project_id = $4 AND wire = 0 AND id > $1 \
                   ORDER BY id LIMIT $2) AS page \
                 JOIN job j ON j.id = page.id JOIN app a ON a.id = j.app_id \
                 JOIN desktop k ON k.id = j.desktop_id JOIN deployment d ON d.id = j.deployment_id \
                 ORDER BY j.id", self.dialect().indexed_by("job_project_wire")),
                [
                    cursor.job.into(),
                    limit.into(),
                    now.get().into(),
                    cursor.project.into(),
                ],
            )
            .await?;
        let next = match rows.last() {
            Some(last) if i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit) => {
                Some(SweepCursor {
                    project: cursor.project,
                    job: JobKey::new(last.id),
                })
            }
            _ => self
                .db()
                .scalar::<Option<i64>>(
                    "find the next project",
                    "SELECT MIN(id) FROM project WHERE id > $1",
                    [cursor.project.into()],
                )
                .await?
                .flatten()
                .map(|project| SweepCursor {
                    project: ProjectKey::new(project),
                    job: JobKey::new(0),
                }),
        };
        let mut failed = 0;
        for (reason, these) in [
            (
                Reason::AppDeleted,
                rows.iter()
                    .filter(|row| row.app_deleted != 0)
                    .map(|row| row.id)
                    .collect::<Vec<_>>(),
            ),
            (
                Reason::DesktopDeleted,
                rows.iter()
                    .filter(|row| row.app_deleted == 0 && row.desktop_deleted != 0)
                    .map(|row| row.id)
                    .collect(),
            ),
            (
                Reason::ExpiredOffline,
                rows.iter()
                    .filter(|row| {
                        row.app_deleted == 0 && row.desktop_deleted == 0 && row.expired != 0
                    })
                    .map(|row| row.id)
                    .collect(),
            ),
        ] {
            if !these.is_empty() {
                failed += self
                    .job_fail_where(
                        &format!("{} AND wire = 0", in_keys(self.dialect(), "id", "$1")),
                        vec![key_list(these)],
                        reason,
                        now,
                    )
                    .await?;
            }
        }
        Ok((next, failed))
    }

    /// Fails the live jobs that a condition chooses, and ends their open attempts.
    pub(crate) async fn job_fail_where(
        &self,
        condition: &str,
        values: Vec<Value>,
        reason: Reason,
        now: Millis,
    ) -> Result<usize, StoreError> {
        let locked = self.job_lock(condition, values).await?;
        if locked.is_empty() {
            return Ok(0);
        }
        let rows = self
            .job_rows(
                &format!(
                    "{} AND j.wire IN (0, 1)",
                    in_keys(self.dialect(), "j.id", "$1")
                ),
                vec![key_list(locked.iter().copied())],
            )
            .await?;
        self.run(
            "end attempts",
            &format!(
                "UPDATE attempt SET state = 'ended', ended_at = $2, outcome = $3 \
                 WHERE ended_at IS NULL AND {}",
                in_keys(self.dialect(), "job_id", "$1")
            ),
            [
                key_list(rows.iter().map(|row| row.id)),
                now.get().into(),
                reason.code().into(),
            ],
        )
        .await?;
        let changes = rows
            .into_iter()
            .map(|row| {
                Ok(JobChange::failed(
                    row.id,
                    read_state(row.id, row.state)?,
                    row.counted,
                    Failure::bare(reason),
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(self.job_change(changes, now).await?.len())
    }
}
