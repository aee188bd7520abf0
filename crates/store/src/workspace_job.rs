//! Batch work on desktops: a job with one sub-job a desktop.
//!
//! A job's state is the fold of its sub-jobs' and is never stored. A deleted sub-job is hidden and still counts
//! in it, so that clearing away failures does not turn a job into a success.

use outfitter_domain::Millis;
use outfitter_domain::fleet::{SubJobStatus, fold_sub_jobs};
use outfitter_ids::{DesktopId, WorkspaceJobId, WorkspaceSubJobId};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{Conditions, id_array, in_ids, in_keys, key_array, word};
use crate::{
    Db, DesktopKey, Listed, Page, ProjectKey, StoreError, Tx, WorkspaceJobKey, WorkspaceSubJobKey,
};

/// How a sub-job stands when it is stored, or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubJobOutcome {
    /// Where it stands.
    pub status: SubJobStatus,
    /// Code of a failure.
    pub error_code: Option<String>,
    /// What a person reads about a failure; of a success: a note.
    pub fail_reason: Option<String>,
}

impl SubJobOutcome {
    /// Not begun: somebody will take it up.
    pub const WAITING: Self = Self {
        status: SubJobStatus::Waiting,
        error_code: None,
        fail_reason: None,
    };

    /// Done.
    pub const SUCCESS: Self = Self {
        status: SubJobStatus::Success,
        error_code: None,
        fail_reason: None,
    };
}

/// A sub-job to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubJob {
    /// Public id.
    pub id: WorkspaceSubJobId,
    /// The desktop it acts on.
    pub desktop: DesktopKey,
    /// The user it is about.
    pub attach_user: Option<String>,
    /// How it stands.
    pub outcome: SubJobOutcome,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceJob {
    /// Key.
    pub key: WorkspaceJobKey,
    /// Public id.
    pub id: WorkspaceJobId,
    /// What it does.
    pub job_type: String,
    /// Where it stands.
    pub status: SubJobStatus,
    /// When it began.
    pub created_at: Millis,
    /// When its last sub-job ended, once all have.
    pub ended_at: Option<Millis>,
}

/// A stored sub-job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubJob {
    /// Key.
    pub key: WorkspaceSubJobKey,
    /// Public id.
    pub id: WorkspaceSubJobId,
    /// Its job.
    pub job_id: WorkspaceJobId,
    /// What the job does.
    pub job_type: String,
    /// Key of the desktop.
    pub desktop: DesktopKey,
    /// The desktop it acts on; it may be deleted.
    pub desktop_id: DesktopId,
    /// Its name.
    pub desktop_name: String,
    /// Its address.
    pub ip_address: Option<String>,
    /// The user it is about.
    pub attach_user: Option<String>,
    /// How it stands.
    pub outcome: SubJobOutcome,
    /// How far it is, in percent, while it is an agent push that has not ended.
    pub percent: Option<i64>,
    /// When it began.
    pub begun_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
}

/// Which sub-jobs to list; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubJobFilter {
    /// One of these ids.
    pub ids: Option<Vec<WorkspaceSubJobId>>,
    /// Of this job.
    pub job: Option<WorkspaceJobId>,
    /// Of jobs of this type.
    pub job_type: Option<String>,
    /// In this state, by its word.
    pub status: Option<String>,
}

#[derive(FromQueryResult)]
struct JobRow {
    id: i64,
    public_id: Uuid,
    job_type: String,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct StatusRow {
    id: i64,
    status: String,
    ended_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct SubJobRow {
    id: i64,
    public_id: Uuid,
    job_public_id: Uuid,
    job_type: String,
    desktop_id: i64,
    desktop_public_id: Uuid,
    desktop_name: String,
    ip_address: Option<String>,
    status: String,
    attach_user: Option<String>,
    error_code: Option<String>,
    fail_reason: Option<String>,
    percent: Option<i64>,
    begun_at: i64,
    ended_at: Option<i64>,
}

const SUB_JOB_COLUMNS: &str = "s.id, s.public_id, j.public_id AS job_public_id, j.job_type, s.desktop_id, \
     d.public_id AS desktop_public_id, d.name AS desktop_name, d.ip_address, s.status, s.attach_user, \
     s.error_code, s.fail_reason, p.percent, s.begun_at, s.ended_at";

const SUB_JOB_TABLES: &str = "workspace_sub_job s JOIN workspace_job j ON j.id = s.workspace_job_id \
     JOIN desktop d ON d.id = s.desktop_id LEFT JOIN agent_push p ON p.sub_job_id = s.id";

fn status(row: i64, text: &str) -> Result<SubJobStatus, StoreError> {
    word(
        "workspace_sub_job",
        "status",
        row,
        text,
        SubJobStatus::parse,
    )
}

impl SubJobRow {
    fn read(self) -> Result<SubJob, StoreError> {
        Ok(SubJob {
            key: WorkspaceSubJobKey::new(self.id),
            id: WorkspaceSubJobId::new(self.public_id),
            job_id: WorkspaceJobId::new(self.job_public_id),
            job_type: self.job_type,
            desktop: DesktopKey::new(self.desktop_id),
            desktop_id: DesktopId::new(self.desktop_public_id),
            desktop_name: self.desktop_name,
            ip_address: self.ip_address,
            attach_user: self.attach_user,
            outcome: SubJobOutcome {
                status: status(self.id, &self.status)?,
                error_code: self.error_code,
                fail_reason: self.fail_reason,
            },
            percent: self.percent,
            begun_at: Millis::new(self.begun_at),
            ended_at: self.ended_at.map(Millis::new),
        })
    }
}

impl Db<'_> {
    /// A job of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn workspace_job_find(
        &self,
        project: ProjectKey,
        id: WorkspaceJobId,
    ) -> Result<Option<WorkspaceJob>, StoreError> {
        let row: Option<JobRow> = self
            .one(
                "read a workspace job",
                "SELECT id, public_id, job_type, created_at FROM workspace_job \
                 WHERE project_id = $1 AND public_id = $2",
                [project.into(), id.uuid().into()],
            )
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let rows: Vec<StatusRow> = self
            .all(
                "read the states of sub-jobs",
                "SELECT id, status, ended_at FROM workspace_sub_job WHERE workspace_job_id = $1",
                [row.id.into()],
            )
            .await?;
        let states = rows
            .iter()
            .map(|row| status(row.id, &row.status))
            .collect::<Result<Vec<_>, _>>()?;
        let folded = fold_sub_jobs(states);
        let last = rows.iter().filter_map(|row| row.ended_at).max();
        Ok(Some(WorkspaceJob {
            key: WorkspaceJobKey::new(row.id),
            id: WorkspaceJobId::new(row.public_id),
            job_type: row.job_type,
            status: folded,
            created_at: Millis::new(row.created_at),
            ended_at: if folded.is_ended() {
                last.map(Millis::new)
            } else {
                None
            },
        }))
    }

    /// Sub-jobs of the project that are not deleted, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn sub_job_list(
        &self,
        project: ProjectKey,
        filter: &SubJobFilter,
        page: Page,
    ) -> Result<Listed<SubJob>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("s.project_id", project);
        conditions.and("s.deleted_at IS NULL");
        if let Some(ids) = &filter.ids {
            conditions.one_of_ids("s.public_id", ids.iter().map(|id| id.uuid()));
        }
        if let Some(job) = filter.job {
            conditions.equals("j.public_id", job.uuid());
        }
        if let Some(job_type) = &filter.job_type {
            conditions.equals("j.job_type", job_type.as_str());
        }
        if let Some(status) = &filter.status {
            conditions.equals("s.status", status.as_str());
        }
        let paged = conditions.page("s.id DESC", page);
        let total = self
            .scalar(
                "count sub-jobs",
                &format!(
                    "SELECT count(*) FROM {SUB_JOB_TABLES} WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<SubJobRow> = self
            .all(
                "list sub-jobs",
                &format!(
                    "SELECT {SUB_JOB_COLUMNS} FROM {SUB_JOB_TABLES} WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        Ok(Listed {
            total,
            items: rows
                .into_iter()
                .map(SubJobRow::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Db<'_> {
    /// The first of these desktops on which a sub-job has not ended, by name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktop_busy(
        &self,
        project: ProjectKey,
        desktops: &[DesktopKey],
    ) -> Result<Option<String>, StoreError> {
        let listed = in_keys(self.dialect(), "s.desktop_id", "$2");
        self.scalar(
            "look for open sub-jobs",
            &format!(
                "SELECT d.name FROM workspace_sub_job s JOIN desktop d ON d.id = s.desktop_id \
                 WHERE s.project_id = $1 AND s.status IN ('WAITING', 'RUNNING') AND {listed} \
                 ORDER BY s.id LIMIT 1"
            ),
            [
                project.into(),
                key_array(desktops.iter().map(|key| key.get())).into(),
            ],
        )
        .await
    }
}

impl Tx {
    /// Stores a job with its sub-jobs.
    ///
    /// # Errors
    /// The database's.
    pub async fn workspace_job_insert(
        &self,
        project: ProjectKey,
        id: WorkspaceJobId,
        job_type: &str,
        sub_jobs: &[NewSubJob],
        now: Millis,
    ) -> Result<WorkspaceJobKey, StoreError> {
        let job = self
            .insert(
                "store a workspace job",
                "INSERT INTO workspace_job (public_id, project_id, job_type, created_at) \
                 VALUES ($1, $2, $3, $4) RETURNING id",
                [
                    id.uuid().into(),
                    project.into(),
                    job_type.into(),
                    now.get().into(),
                ],
            )
            .await?;
        self.made("workspaceJob", id);
        for sub_job in sub_jobs {
            let ended_at = sub_job.outcome.status.is_ended().then_some(now.get());
            self.run(
                "store a sub-job",
                "INSERT INTO workspace_sub_job (public_id, project_id, workspace_job_id, desktop_id, status, \
                 attach_user, error_code, fail_reason, begun_at, ended_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                [
                    sub_job.id.uuid().into(),
                    project.into(),
                    job.into(),
                    sub_job.desktop.into(),
                    sub_job.outcome.status.as_str().into(),
                    sub_job.attach_user.clone().into(),
                    sub_job.outcome.error_code.clone().into(),
                    sub_job.outcome.fail_reason.clone().into(),
                    now.get().into(),
                    ended_at.into(),
                ],
            )
            .await?;
        }
        Ok(WorkspaceJobKey::new(job))
    }

    /// Begins failed sub-jobs of a job anew, each with how it stands now. One that has not failed stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn sub_jobs_retry(
        &self,
        outcomes: &[(WorkspaceSubJobKey, SubJobOutcome)],
        now: Millis,
    ) -> Result<(), StoreError> {
        for (sub_job, outcome) in outcomes {
            let ended_at = outcome.status.is_ended().then_some(now.get());
            self.run(
                "retry a sub-job",
                "UPDATE workspace_sub_job SET status = $2, error_code = $3, fail_reason = $4, begun_at = $5, \
                 ended_at = $6 WHERE id = $1 AND status = $7",
                [
                    (*sub_job).into(),
                    outcome.status.as_str().into(),
                    outcome.error_code.clone().into(),
                    outcome.fail_reason.clone().into(),
                    now.get().into(),
                    ended_at.into(),
                    SubJobStatus::Failed.as_str().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// Hides ended sub-jobs; answers how many. One that has not ended, or is not the project's, stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn sub_jobs_delete(
        &self,
        project: ProjectKey,
        ids: &[WorkspaceSubJobId],
        now: Millis,
    ) -> Result<u64, StoreError> {
        let listed = in_ids(self.dialect(), "public_id", "$3");
        self.sub_jobs_hide(
            project,
            now,
            &format!("status IN ('SUCCESS', 'FAILED') AND {listed}"),
            id_array(ids.iter().map(|id| id.uuid())).into(),
        )
        .await
    }

    /// Hides every sub-job of the project in a state; answers how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn sub_jobs_delete_by_status(
        &self,
        project: ProjectKey,
        status: SubJobStatus,
        now: Millis,
    ) -> Result<u64, StoreError> {
        self.sub_jobs_hide(project, now, "status = $3", status.as_str().into())
            .await
    }

    async fn sub_jobs_hide(
        &self,
        project: ProjectKey,
        now: Millis,
        condition: &str,
        value: Value,
    ) -> Result<u64, StoreError> {
        self.run(
            "delete sub-jobs",
            &format!(
                "UPDATE workspace_sub_job SET deleted_at = $2 \
                 WHERE project_id = $1 AND deleted_at IS NULL AND {condition}"
            ),
            [project.into(), now.get().into(), value],
        )
        .await
    }
}
