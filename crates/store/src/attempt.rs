//! Attempts: leasing jobs to connected desktops, releasing them, recording what came of them, and the clocks.
//!
//! - At most one attempt of a desktop is open (a partial unique index; invariant I2). Losing the race for it is
//!   an ordinary outcome.
//! - Nothing runs before [`Tx::attempt_go_if_leased`] recorded that it runs, having asked once more whether app,
//!   project and authorization stand (I5).
//! - Every writer here locks jobs first, in the order of their keys, then touches attempts.
//! - After a crash nothing is half done: a lease that nobody acknowledges lapses, a released attempt is asked
//!   after when its desktop comes back, and the clocks end what never comes back (I4).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use outfitter_agent_protocol::{
    Approach, AttemptReport, AttemptStage, DetectionRule, Evidence, ExitMeaning, Method,
    PackageRef, Phase, Statement, Task, TaskKind, UserSession,
};
use outfitter_domain::install::{UninstallSources, uninstall_command};
use outfitter_domain::job::{
    Failure, Proof, Reason, SUCCEEDED, State, Verdict, Verification, automatic_retry, judge,
    kind_from_number, kind_number, package_file_name, wants_restart,
};
use outfitter_domain::{InstallType, Millis, StoreType};
use outfitter_ids::{AppId, AttemptId, IdSource, JobId, ProjectId, RevisionId};
use sea_orm::{FromQueryResult, Value};
use serde_json::json as object;
use uuid::Uuid;

use crate::direct_upload::object_is_pending;
use crate::freeze::NOT_FROZEN;
use crate::job::{
    COUNTED_COLUMNS, Counted, JobChange, REVISION_OF_JOB, RevisionChange, authorization_stands,
    id_list, key_list, read_state,
};
use crate::program_closing::program_closing;
use crate::query::{in_ids, in_keys, json};
use crate::receipt::{SignedText, read_verification};
use crate::{Db, DesktopKey, Dialect, JobKey, StoreError, Tx};

/// What an ended attempt says when nobody acknowledged it.
const LAPSED: &str = "lapsed";

/// A connected desktop: work may be leased to this channel of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// The desktop.
    pub desktop: DesktopKey,
    /// Number of its channel.
    pub epoch: i64,
}

/// What a page of leases did.
#[derive(Debug, Default)]
pub struct LeasePage {
    /// Tasks to send.
    pub tasks: Vec<LeasedTask>,
    /// Desktops whose first job cannot be handed out at all and was failed: look at them again.
    pub failed: Vec<DesktopKey>,
    /// Desktops whose first job waits for another desktop's first use of its link from now on, and that may have another
    /// job: look at them again.
    pub passed_over: Vec<DesktopKey>,
}

/// An opened attempt.
#[derive(Debug)]
pub struct LeasedTask {
    /// To whom it goes.
    pub to: Connected,
    /// What is sent.
    pub task: Task,
}

/// An agent's acknowledgement of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoRequest {
    /// Who acknowledges.
    pub from: Connected,
    /// What.
    pub attempt: AttemptId,
}

/// The answer to an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoOutcome {
    /// It is recorded as running: the agent may begin. Also when it was before.
    Released,
    /// The job failed instead.
    Refused(Reason),
    /// The lease is gone: lapsed, another channel's, or its job deleted.
    Stale,
}

/// A result as it arrived.
#[derive(Debug, Clone)]
pub struct ResultReport {
    /// The desktop it came from, by its certificate.
    pub desktop: DesktopKey,
    /// What the agent saw.
    pub evidence: Evidence,
    /// What it signed; `None`: nothing.
    pub signed: Option<SignedText>,
}

/// What became of a result. The agent may forget it in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishOutcome {
    /// The job is in this state now.
    Recorded(State),
    /// The receipt was kept; the job stays as it was (retried since, or ended otherwise).
    Kept,
    /// It was recorded before.
    Duplicate,
    /// No such attempt on that desktop (its job was deleted).
    Unknown,
}

/// What to tell an agent about an attempt it listed when it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileAction {
    /// Run it: it is recorded as running.
    Go,
    /// Forget it.
    NoGo,
    /// Stop it.
    Cancel,
}

/// A sign of life of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSign {
    /// The attempt.
    pub attempt: AttemptId,
    /// The desktop it came from, by its certificate.
    pub desktop: DesktopKey,
    /// When, by our clock.
    pub at: Millis,
    /// Where it is, where the agent said so.
    pub phase: Option<Phase>,
    /// Share of the phase done, 0 to 100, where the agent said so.
    pub percent: Option<u8>,
    /// Rate of a download, where the agent said so.
    pub bytes_per_second: Option<u64>,
}

/// The server's clocks over attempts (contract, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptClocks {
    /// Longest silence of an agent about a running attempt.
    pub silence: Duration,
    /// What is added to the app's run limit, which the agent itself enforces, before the server ends the attempt.
    pub run_limit_margin: Duration,
    /// Longest time in which nothing comes forward, from release or the last bytes of a download to the moment the
    /// agent says that the installer runs.
    pub longest: Duration,
}

impl AttemptClocks {
    /// Silence: 2 hours (contract, section 5). The rest is ours: ten minutes for the agent to end an installer
    /// and report; a day for a network that is away.
    pub const STANDARD: Self = Self {
        silence: Duration::from_secs(2 * 3600),
        run_limit_margin: Duration::from_secs(600),
        longest: Duration::from_secs(24 * 3600),
    };
}

/// Where the bytes of a running attempt are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// In our store, or behind a link.
    pub store_type: StoreType,
    /// Lower-case hex SHA-256; `None` only for a link on its first use.
    pub sha256: Option<String>,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
    /// The link of a LINK app.
    pub file_link: Option<String>,
}

/// An attempt as views show it.
#[derive(Debug, Clone)]
pub struct AttemptView {
    /// Public id.
    pub id: AttemptId,
    /// 1 for the first.
    pub number: i64,
    /// `leased`, `running` or `ended`.
    pub state: AttemptState,
    /// Where it was last seen.
    pub phase: Option<Phase>,
    /// Since when, by our clock.
    pub phase_at: Option<Millis>,
    /// Share of that phase done, 0 to 100, where known.
    pub percent: Option<i64>,
    /// Rate of a download under way, where the agent said so.
    pub bytes_per_second: Option<i64>,
    /// Size of the package in bytes, where known.
    pub package_size_bytes: Option<u64>,
    /// When an administrator asked to stop it.
    pub cancel_requested_at: Option<Millis>,
    /// The revision it is about.
    pub revision: RevisionId,
    /// Version of that revision.
    pub version: String,
    /// Why it ended: `succeeded`, `lapsed`, or a reason code.
    pub outcome: Option<String>,
    /// When it was handed out.
    pub leased_at: Millis,
    /// When it was released.
    pub started_at: Option<Millis>,
    /// Last sign of life.
    pub seen_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// The evidence, where it has arrived.
    pub receipt: Option<Receipt>,
}

/// The evidence of an attempt.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// As it arrived.
    pub evidence: Evidence,
    /// When.
    pub received_at: Millis,
    /// What it proves; `None`: no success.
    pub proof: Option<Proof>,
    /// Whether it is whole only after a restart of the desktop.
    pub wants_restart: bool,
    /// Whether the device's signature holds.
    pub verification: Verification,
    /// Why it does not.
    pub problem: Option<String>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    /// Handed out.
    Leased,
    /// Released.
    Running,
    /// Over.
    Ended,
}

impl AttemptState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }

    fn read(row: i64, text: &str) -> Result<Self, StoreError> {
        [Self::Leased, Self::Running, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| inconsistent("attempt", "state", row, text))
    }
}

fn inconsistent(
    table: &'static str,
    column: &'static str,
    row: i64,
    value: impl Into<String>,
) -> StoreError {
    StoreError::Inconsistent {
        table,
        column,
        row,
        value: value.into(),
    }
}

pub(crate) const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Detecting => "detecting",
        Phase::Downloading => "downloading",
        Phase::Verifying => "verifying",
        Phase::ClosingPrograms => "closing_programs",
        Phase::Running => "running",
        Phase::Confirming => "confirming",
    }
}

pub(crate) fn phase_from_word(word: &str) -> Option<Phase> {
    [
        Phase::Detecting,
        Phase::Downloading,
        Phase::Verifying,
        Phase::ClosingPrograms,
        Phase::Running,
        Phase::Confirming,
    ]
    .into_iter()
    .find(|phase| phase_word(*phase) == word)
}

/// A job that may be leased, with what its task is made of.
#[derive(FromQueryResult)]
struct CandidateRow {
    desktop_id: i64,
    epoch: i64,
    job_id: i64,
    job_public_id: Uuid,
    project_public_id: Uuid,
    kind: i64,
    app_public_id: Uuid,
    app_name: String,
    app_deleted: i64,
    install_type: String,
    run_limit_secs: i64,
    revision_id: i64,
    revision_public_id: Uuid,
    version: String,
    store_type: String,
    bucket_file_path: Option<String>,
    file_link: Option<String>,
    link_sha256: Option<String>,
    link_size_bytes: Option<i64>,
    install_command: Option<String>,
    call_install_command: Option<String>,
    uninstall_command: Option<String>,
    call_uninstall_command: Option<String>,
    newest_uninstall_command: Option<String>,
    repair: i64,
    detection_rule: Option<String>,
    success_exit_codes: String,
    exit_codes: Option<String>,
    running_programs: String,
    close_wait_secs: i64,
    package_sha256: Option<String>,
    package_size_bytes: Option<i64>,
    package_state: Option<String>,
    package_facts: Option<String>,
    requester: Option<String>,
    requester_domain: Option<String>,
}

impl CandidateRow {
    fn connected(&self) -> Connected {
        Connected {
            desktop: DesktopKey::new(self.desktop_id),
            epoch: self.epoch,
        }
    }

    fn store_type(&self) -> Result<StoreType, StoreError> {
        StoreType::parse(&self.store_type).ok_or_else(|| {
            inconsistent(
                "app_revision",
                "store_type",
                self.revision_id,
                &*self.store_type,
            )
        })
    }

    /// Whether this would be the first use of a link without a digest: one attempt goes first.
    fn is_first_use(&self) -> Result<bool, StoreError> {
        Ok(self.store_type()? == StoreType::Link && self.link_sha256.is_none())
    }

    /// The task, or why the job can never be handed out.
    fn task(&self, attempt: AttemptId) -> Result<Result<Task, Reason>, StoreError> {
        if self.app_deleted != 0 {
            return Ok(Err(Reason::AppDeleted));
        }
        let kind = kind_from_number(self.kind)
            .ok_or_else(|| inconsistent("job", "kind", self.job_id, self.kind.to_string()))?;
        let install_type = InstallType::parse(&self.install_type)
            .ok_or_else(|| inconsistent("app", "install_type", self.job_id, &*self.install_type))?;
        let command = match kind {
            TaskKind::Install => self
                .call_install_command
                .clone()
                .or_else(|| self.install_command.clone()),
            TaskKind::Uninstall => uninstall_command(&UninstallSources {
                of_call: self.call_uninstall_command.as_deref(),
                install_type,
                of_revision: self.uninstall_command.as_deref(),
                install_command: self.install_command.as_deref(),
                debian_package: self.debian_package()?.as_deref(),
                of_newest: self.newest_uninstall_command.as_deref(),
            }),
        };
        let command = command.filter(|command| !command.trim().is_empty());
        let (command, session) = match (kind, install_type) {
            (TaskKind::Install, InstallType::GuiInstall) => match self.session(command) {
                Some(session) => (String::new(), Some(session)),
                None => return Ok(Err(Reason::NoSession)),
            },
            _ => match command {
                Some(command) => (command, None),
                None => return Ok(Err(Reason::CommandMissing)),
            },
        };
        // What takes an app off without looking at its package needs no package.
        let needs_package = kind == TaskKind::Install || command.contains("FILE_PATH");
        let (place, sha256, size_bytes) = match self.store_type()? {
            StoreType::Link => (&self.file_link, &self.link_sha256, self.link_size_bytes),
            StoreType::Obs => {
                if needs_package && self.package_state.as_deref() != Some("ready") {
                    return Ok(Err(Reason::PackageMissing));
                }
                (
                    &self.bucket_file_path,
                    &self.package_sha256,
                    self.package_size_bytes,
                )
            }
        };
        let detection = self
            .detection_rule
            .as_deref()
            .map(|rule| {
                json::<DetectionRule>("app_revision", "detection_rule", self.revision_id, rule)
            })
            .transpose()?
            .map(|rule| match kind {
                TaskKind::Install => rule,
                // Gone means gone in any version, not only in the one that was installed.
                TaskKind::Uninstall => rule.of_any_version(),
            });
        Ok(Ok(Task {
            attempt,
            job: JobId::new(self.job_public_id),
            project: Some(ProjectId::new(self.project_public_id)),
            kind,
            app: AppId::new(self.app_public_id),
            app_name: self.app_name.clone(),
            app_version: self.version.clone(),
            revision: RevisionId::new(self.revision_public_id),
            method: match install_type {
                InstallType::UnzipInstall => Method::Unzip,
                InstallType::QuietInstall | InstallType::GuiInstall => Method::Quiet,
            },
            command,
            package: PackageRef {
                file_name: package_file_name(place.as_deref().unwrap_or_default()),
                sha256: sha256.clone(),
                size_bytes: size_bytes.and_then(|size| u64::try_from(size).ok()),
            },
            detection,
            success_exit_codes: json(
                "app_revision",
                "success_exit_codes",
                self.revision_id,
                &self.success_exit_codes,
            )?,
            run_limit_secs: u32::try_from(self.run_limit_secs).unwrap_or(u32::MAX),
            approach: approach_of_repair(self.repair),
            exit_codes: match &self.exit_codes {
                Some(text) => json::<BTreeMap<i32, ExitMeaning>>(
                    "app_revision",
                    "exit_codes",
                    self.revision_id,
                    text,
                )?,
                None => BTreeMap::new(),
            },
            running_programs: Some(
                program_closing(
                    "job",
                    self.job_id,
                    &self.running_programs,
                    self.close_wait_secs,
                )?
                .of_task(),
            ),
            session,
        }))
    }

    /// Where an installer that asks questions is opened: with who asked for it. `None`: nobody did, or they are gone.
    fn session(&self, command: Option<String>) -> Option<UserSession> {
        Some(UserSession {
            user: self.requester.clone()?,
            domain: self.requester_domain.clone()?,
            command,
        })
    }

    /// Name of the package, where it is a Debian one.
    fn debian_package(&self) -> Result<Option<String>, StoreError> {
        debian_package(self.revision_id, self.package_facts.as_deref())
    }
}

/// Name of a revision's package by what is known of its file, where it is a Debian one.
pub(crate) fn debian_package(
    revision: i64,
    facts: Option<&str>,
) -> Result<Option<String>, StoreError> {
    /// The part of `PackageFacts` (outfitter-packages) that is wanted here.
    #[derive(serde::Deserialize)]
    struct Facts {
        debian: Option<Debian>,
    }
    #[derive(serde::Deserialize)]
    struct Debian {
        name: String,
    }
    let Some(facts) = facts else { return Ok(None) };
    let facts: Facts = json("package", "facts", revision, facts)?;
    Ok(facts.debian.map(|package| package.name))
}

/// How `deployment.repair` is read.
pub(crate) const fn approach_of_repair(repair: i64) -> Approach {
    if repair == 0 {
        Approach::Ordinary
    } else {
        Approach::Repair
    }
}

/// The oldest job of the desktop `k` that is due in this state and not waiting for its package or for another
/// desktop's first use of its link.
///
/// What waits for its first hand-out waits on while its deployment is halted; what was begun goes on.
fn first_due(dialect: Dialect, state: State) -> String {
    let not_halted = if state == State::Queued {
        "AND NOT EXISTS (SELECT 1 FROM deployment h WHERE h.id = j.deployment_id \
         AND h.halted_at IS NOT NULL) "
    } else {
        ""
    };
    format!(
        "(SELECT j.id FROM job j{} JOIN app a ON a.id = j.app_id \
          JOIN app_revision r ON r.id = {REVISION_OF_JOB} \
          LEFT JOIN package b ON b.id = r.package_id \
          WHERE j.desktop_id = k.id AND j.wire = {} AND j.state = {} AND j.due_at <= $2 \
          AND COALESCE(b.state, '') <> 'pending' AND NOT {pending} {not_halted}\
          AND NOT (r.store_type = 'LINK' AND r.link_sha256 IS NULL AND EXISTS ( \
            SELECT 1 FROM attempt f WHERE f.revision_id = r.id AND f.ended_at IS NULL)) \
          ORDER BY j.id LIMIT 1)",
        dialect.indexed_by("job_desktop_wire"),
        state.wire().number(),
        state.number(),
        pending = object_is_pending("j.project_id"),
    )
}

#[derive(FromQueryResult)]
struct JobRow {
    job_id: i64,
}

#[derive(FromQueryResult)]
struct DesktopRow {
    desktop_id: i64,
}

/// An attempt with its job, as the writers here look at it.
#[derive(FromQueryResult)]
struct AttemptRow {
    attempt_id: i64,
    attempt_public_id: Uuid,
    desktop_id: i64,
    epoch: i64,
    attempt_state: String,
    number: i64,
    revision_id: i64,
    outcome: Option<String>,
    cancel_requested_at: Option<i64>,
    job_id: i64,
    job_state: i64,
    attempts: i64,
    retries: i64,
    reason: Option<String>,
    #[sea_orm(nested)]
    counted: Counted,
}

const ATTEMPT_COLUMNS: &str = "t.id AS attempt_id, t.public_id AS attempt_public_id, t.desktop_id, t.epoch, \
     t.state AS attempt_state, t.number, t.revision_id, t.outcome, t.cancel_requested_at, j.id AS job_id, j.state AS job_state, \
     j.attempts, j.retries, j.reason";

impl AttemptRow {
    fn state(&self) -> Result<AttemptState, StoreError> {
        AttemptState::read(self.attempt_id, &self.attempt_state)
    }

    fn job_state(&self) -> Result<State, StoreError> {
        read_state(self.job_id, self.job_state)
    }

    fn id(&self) -> AttemptId {
        AttemptId::new(self.attempt_public_id)
    }
}

impl Db<'_> {
    /// Desktops with a job that waits for an automatic retry and is due.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn job_retry_due(
        &self,
        now: Millis,
        limit: i64,
    ) -> Result<Vec<DesktopKey>, StoreError> {
        let rows: Vec<DesktopRow> = self
            .all(
                "find retries that are due",
                // WAITING jobs are at most one a desktop and a few; all jobs are a million.
                &format!(
                    "SELECT DISTINCT j.desktop_id FROM project p \
                     JOIN job j{} ON j.project_id = p.id AND j.wire = 1 \
                     WHERE j.state = $1 AND j.due_at <= $2 LIMIT $3",
                    self.dialect().indexed_by("job_project_wire")
                ),
                [
                    State::RetryWait.number().into(),
                    now.get().into(),
                    limit.into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| DesktopKey::new(row.desktop_id))
            .collect())
    }

    /// Where the bytes of an attempt are; `None` unless it runs on that desktop.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn attempt_source(
        &self,
        desktop: DesktopKey,
        attempt: AttemptId,
    ) -> Result<Option<SourceFacts>, StoreError> {
        #[derive(FromQueryResult)]
        struct SourceRow {
            id: i64,
            task: String,
            store_type: String,
            file_link: Option<String>,
        }
        let row = self
            .one::<SourceRow>(
                "find the source of an attempt",
                "SELECT t.id, t.task, r.store_type, r.file_link FROM attempt t \
                 JOIN app_revision r ON r.id = t.revision_id \
                 WHERE t.public_id = $1 AND t.desktop_id = $2 AND t.state = 'running'",
                [attempt.uuid().into(), desktop.into()],
            )
            .await?;
        row.map(|row| {
            // The digest that the task was sent with: a pin that came later does not change it.
            let task: Task = json("attempt", "task", row.id, &row.task)?;
            Ok(SourceFacts {
                store_type: StoreType::parse(&row.store_type).ok_or_else(|| {
                    inconsistent("app_revision", "store_type", row.id, row.store_type)
                })?,
                sha256: task.package.sha256,
                size_bytes: task.package.size_bytes,
                file_link: row.file_link,
            })
        })
        .transpose()
    }

    /// A page of a job's attempts, newest first, and how many there are.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn attempt_list(
        &self,
        job: JobKey,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<AttemptView>), StoreError> {
        #[derive(FromQueryResult)]
        struct ViewRow {
            id: i64,
            public_id: Uuid,
            number: i64,
            state: String,
            phase: Option<String>,
            phase_at: Option<i64>,
            percent: Option<i64>,
            bytes_per_second: Option<i64>,
            cancel_requested_at: Option<i64>,
            revision_public_id: Uuid,
            version: String,
            outcome: Option<String>,
            task: String,
            leased_at: i64,
            started_at: Option<i64>,
            seen_at: i64,
            ended_at: Option<i64>,
            evidence: Option<String>,
            statement: Option<String>,
            verification: Option<i64>,
            problem: Option<String>,
            received_at: Option<i64>,
        }
        const DOING: &str = "list attempts";
        let count: i64 = self
            .scalar(
                DOING,
                "SELECT COUNT(*) FROM attempt WHERE job_id = $1",
                [job.into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<ViewRow> = self
            .all(
                DOING,
                "SELECT t.id, t.public_id, t.number, t.state, t.phase, t.phase_at, t.percent, t.bytes_per_second, \
                 t.cancel_requested_at, r.public_id AS revision_public_id, \
                 r.version, t.outcome, t.task, t.leased_at, t.started_at, t.seen_at, t.ended_at, c.evidence, \
                 c.statement, c.verification, c.problem, c.received_at FROM attempt t JOIN app_revision r ON r.id = t.revision_id \
                 LEFT JOIN receipt c ON c.attempt_id = t.id \
                 WHERE t.job_id = $1 ORDER BY t.number DESC LIMIT $2 OFFSET $3",
                [job.into(), limit.into(), offset.into()],
            )
            .await?;
        let views = rows
            .into_iter()
            .map(|row| {
                let task: Task = json("attempt", "task", row.id, &row.task)?;
                let receipt = match (&row.evidence, row.received_at) {
                    (Some(evidence), Some(received_at)) => {
                        let evidence: Evidence = match &row.statement {
                            Some(statement) => {
                                json::<Statement>("receipt", "statement", row.id, statement)?
                                    .evidence
                            }
                            None => json("receipt", "evidence", row.id, evidence)?,
                        };
                        let verification =
                            read_verification(row.id, row.verification.unwrap_or_default())?;
                        let proof = match judge(&task, &evidence) {
                            Verdict::Succeeded(proof)
                                if row.outcome.as_deref() == Some(SUCCEEDED) =>
                            {
                                Some(match verification {
                                    Verification::Invalid => Proof::ReceiptInvalid,
                                    Verification::Unsigned
                                    | Verification::Pending
                                    | Verification::Valid => proof,
                                })
                            }
                            Verdict::Succeeded(_) | Verdict::Failed(_) => None,
                        };
                        Some(Receipt {
                            wants_restart: proof.is_some() && wants_restart(&task, &evidence),
                            evidence,
                            received_at: Millis::new(received_at),
                            proof,
                            verification,
                            problem: row.problem,
                        })
                    }
                    _ => None,
                };
                Ok(AttemptView {
                    id: AttemptId::new(row.public_id),
                    number: row.number,
                    state: AttemptState::read(row.id, &row.state)?,
                    phase: row
                        .phase
                        .map(|word| {
                            phase_from_word(&word)
                                .ok_or_else(|| inconsistent("attempt", "phase", row.id, word))
                        })
                        .transpose()?,
                    phase_at: row.phase_at.map(Millis::new),
                    percent: row.percent,
                    bytes_per_second: row.bytes_per_second,
                    package_size_bytes: task.package.size_bytes,
                    cancel_requested_at: row.cancel_requested_at.map(Millis::new),
                    revision: RevisionId::new(row.revision_public_id),
                    version: row.version,
                    outcome: row.outcome,
                    leased_at: Millis::new(row.leased_at),
                    started_at: row.started_at.map(Millis::new),
                    seen_at: Millis::new(row.seen_at),
                    ended_at: row.ended_at.map(Millis::new),
                    receipt,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok((count, views))
    }
}

impl Tx {
    /// Leases the first due job of each connected desktop that has no open attempt, and opens an attempt for
    /// it. The first attempt takes the app's newest revision; one after an automatic retry keeps its own.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_lease(
        &self,
        connected: &[Connected],
        lease: Duration,
        ids: &dyn IdSource,
        now: Millis,
    ) -> Result<LeasePage, StoreError> {
        #[derive(FromQueryResult)]
        struct LeasedRow {
            id: i64,
            attempts: i64,
        }
        const DOING: &str = "lease jobs";
        let dialect = self.dialect();
        let mut page = LeasePage::default();
        let mut leases: BTreeMap<i64, (CandidateRow, Task)> = BTreeMap::new();
        let mut impossible: BTreeMap<&'static str, (Reason, Vec<i64>)> = BTreeMap::new();
        let mut first_uses = HashSet::new();
        for row in self.lease_candidates(connected, now).await? {
            if row.is_first_use()? && !first_uses.insert(row.revision_id) {
                page.passed_over.push(row.connected().desktop);
                continue;
            }
            match row.task(AttemptId::new(ids.uuid(now.get())))? {
                Ok(task) => {
                    leases.insert(row.job_id, (row, task));
                }
                Err(reason) => {
                    page.failed.push(row.connected().desktop);
                    impossible
                        .entry(reason.code())
                        .or_insert_with(|| (reason, Vec::new()))
                        .1
                        .push(row.job_id);
                }
            }
        }
        for (reason, jobs) in impossible.into_values() {
            self.job_fail_where(
                &format!(
                    "{} AND state IN ({}, {})",
                    in_keys(dialect, "id", "$1"),
                    State::Queued.number(),
                    State::RetryWait.number()
                ),
                vec![key_list(jobs)],
                reason,
                now,
            )
            .await?;
        }
        if leases.is_empty() {
            return Ok(page);
        }
        let waiting = format!(
            "state IN ({}, {})",
            State::Queued.number(),
            State::RetryWait.number()
        );
        let locked = self
            .job_lock(
                &format!("{} AND {waiting}", in_keys(dialect, "id", "$1")),
                vec![key_list(leases.keys().copied())],
            )
            .await?;
        let leased: Vec<LeasedRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "UPDATE job SET attempts = attempts + 1, \
                     state = CASE WHEN state = {queued} THEN {leased} ELSE state END \
                     WHERE {} AND {waiting} RETURNING id, attempts",
                    in_keys(dialect, "id", "$1"),
                    queued = State::Queued.number(),
                    leased = State::Leased.number(),
                ),
                [key_list(locked)],
            )
            .await?;
        let rows: Vec<_> = leased
            .iter()
            .filter_map(|row| leases.get(&row.id).map(|lease| (row, lease)))
            .map(|(row, (candidate, task))| {
                object!({
                    "u": task.attempt.uuid().simple().to_string(),
                    "j": row.id,
                    "k": candidate.desktop_id,
                    "r": candidate.revision_id,
                    "n": row.attempts,
                    "e": candidate.epoch,
                    "t": serde_json::to_string(task).expect("a task is JSON"),
                    "l": task.run_limit_secs,
                })
            })
            .collect();
        let number = |name: &str| format!("CAST(value ->> '{name}' AS BIGINT)");
        let opened: Vec<JobRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "INSERT INTO attempt (public_id, job_id, desktop_id, revision_id, number, epoch, state, \
                     task, run_limit_secs, leased_at, lease_expires_at, seen_at) \
                     SELECT {}, {}, {}, {}, {}, {}, 'leased', value ->> 't', {}, $2, $3, $2 FROM {} \
                     WHERE 1 = 1 ON CONFLICT DO NOTHING RETURNING job_id",
                    dialect.uuid_from_hex("value ->> 'u'"),
                    number("j"),
                    number("k"),
                    number("r"),
                    number("n"),
                    number("e"),
                    number("l"),
                    dialect.each("$1"),
                ),
                [
                    serde_json::Value::Array(rows).to_string().into(),
                    now.get().into(),
                    now.plus(lease).get().into(),
                ],
            )
            .await?;
        let opened: HashSet<i64> = opened.into_iter().map(|row| row.job_id).collect();
        // Another server opened an attempt for the desktop in between: as if we had never looked.
        let lost: Vec<i64> = leased
            .iter()
            .map(|row| row.id)
            .filter(|job| !opened.contains(job))
            .collect();
        if !lost.is_empty() {
            self.run(
                DOING,
                &format!(
                    "UPDATE job SET attempts = attempts - 1, \
                     state = CASE WHEN state = {leased} THEN {queued} ELSE state END WHERE {}",
                    in_keys(dialect, "id", "$1"),
                    queued = State::Queued.number(),
                    leased = State::Leased.number(),
                ),
                [key_list(lost)],
            )
            .await?;
        }
        page.tasks = leases
            .into_iter()
            .filter(|(job, _)| opened.contains(job))
            .map(|(_, (row, task))| LeasedTask {
                to: row.connected(),
                task,
            })
            .collect();
        Ok(page)
    }

    async fn lease_candidates(
        &self,
        connected: &[Connected],
        now: Millis,
    ) -> Result<Vec<CandidateRow>, StoreError> {
        let dialect = self.dialect();
        let list: Vec<_> = connected
            .iter()
            .map(|one| object!({"k": one.desktop.get(), "e": one.epoch}))
            .collect();
        self.db()
            .all(
                "find jobs to lease",
                &format!(
                    "SELECT c.desktop_id, c.epoch, j.id AS job_id, j.public_id AS job_public_id, q.public_id AS project_public_id, j.kind, \
                     a.public_id AS app_public_id, a.name AS app_name, \
                     CAST(CASE WHEN a.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS app_deleted, a.install_type, \
                     a.run_limit_secs, r.id AS revision_id, r.public_id AS revision_public_id, r.version, \
                     r.store_type, r.bucket_file_path, r.file_link, r.link_sha256, r.link_size_bytes, \
                     r.install_command, d.install_command AS call_install_command, \
                     r.uninstall_command, d.uninstall_command AS call_uninstall_command, \
                     n.uninstall_command AS newest_uninstall_command, d.repair, \
                     r.detection_rule, r.success_exit_codes, r.exit_codes, q.running_programs, q.close_wait_secs, b.sha256 AS package_sha256, \
                     b.size_bytes AS package_size_bytes, b.state AS package_state, b.facts AS package_facts, \
                     u.name AS requester, u.domain AS requester_domain \
                     FROM (SELECT k.id AS desktop_id, k.channel_epoch AS epoch, \
                       COALESCE({retry}, {queued}) AS job_id FROM {each} \
                       JOIN desktop k ON k.id = CAST(value ->> 'k' AS BIGINT) \
                         AND k.channel_epoch = CAST(value ->> 'e' AS BIGINT) AND k.deleted_at IS NULL \
                       JOIN project p ON p.id = k.project_id AND p.enabled = 1 \
                       WHERE {NOT_FROZEN} AND NOT EXISTS (SELECT 1 FROM attempt o WHERE o.desktop_id = k.id \
                         AND o.ended_at IS NULL)) AS c \
                     JOIN job j ON j.id = c.job_id JOIN app a ON a.id = j.app_id JOIN project q ON q.id = j.project_id \
                     JOIN deployment d ON d.id = j.deployment_id \
                     LEFT JOIN directory_user u ON u.id = d.requested_by \
                     JOIN app_revision r ON r.id = {REVISION_OF_JOB} \
                     LEFT JOIN app_revision n ON n.id = a.revision_id \
                     LEFT JOIN package b ON b.id = r.package_id ORDER BY j.id",
                    retry = first_due(dialect, State::RetryWait),
                    queued = first_due(dialect, State::Queued),
                    each = dialect.each("$1"),
                ),
                [
                    Value::from(serde_json::Value::Array(list).to_string()),
                    now.get().into(),
                ],
            )
            .await
    }

    /// Locks the jobs of attempts, then reads both: what is read is what will be changed. `extra` are further
    /// columns of `t`, `j`, `a`, `d` or `p`; `condition` chooses attempts `t`.
    async fn attempt_rows<T: FromQueryResult>(
        &self,
        extra: &str,
        condition: &str,
        values: Vec<Value>,
    ) -> Result<Vec<T>, StoreError> {
        self.job_lock(
            &format!("id IN (SELECT t.job_id FROM attempt t WHERE {condition})"),
            values.clone(),
        )
        .await?;
        self.db()
            .all(
                "read attempts",
                &format!(
                    "SELECT {ATTEMPT_COLUMNS}, {COUNTED_COLUMNS}{extra} FROM attempt t \
                     JOIN job j ON j.id = t.job_id JOIN app a ON a.id = j.app_id \
                     JOIN deployment d ON d.id = j.deployment_id JOIN project p ON p.id = j.project_id \
                     WHERE {condition} ORDER BY j.id"
                ),
                values,
            )
            .await
    }

    /// Ends attempts that are open, each with its outcome.
    async fn attempt_end(
        &self,
        ended: &[(i64, &'static str)],
        now: Millis,
    ) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = ended
            .iter()
            .map(|(attempt, outcome)| object!({"t": attempt, "o": outcome}))
            .collect();
        self.run(
            "end attempts",
            &format!(
                "UPDATE attempt SET state = 'ended', ended_at = $2, outcome = value ->> 'o' FROM {} \
                 WHERE attempt.id = CAST(value ->> 't' AS BIGINT) AND attempt.ended_at IS NULL",
                self.dialect().each("$1")
            ),
            [
                serde_json::Value::Array(rows).to_string().into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Answers acknowledgements, in their order: the job of a leased attempt becomes Running, unless app,
    /// project or authorization no longer stand; then it fails.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_go_if_leased(
        &self,
        requests: &[GoRequest],
        now: Millis,
    ) -> Result<Vec<GoOutcome>, StoreError> {
        #[derive(FromQueryResult)]
        struct GoRow {
            #[sea_orm(nested)]
            attempt: AttemptRow,
            app_deleted: i64,
            project_enabled: i64,
            authorized: i64,
            asked_by_user: i64,
            held: i64,
        }
        let dialect = self.dialect();
        let rows: Vec<GoRow> = self
            .attempt_rows(
                &format!(
                    ", CAST(CASE WHEN a.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS app_deleted, \
                     p.enabled AS project_enabled, {} AS authorized, \
                     CAST(CASE WHEN d.requested_by IS NULL THEN 0 ELSE 1 END AS BIGINT) AS asked_by_user, \
                     CAST(CASE WHEN {NOT_FROZEN} AND (d.halted_at IS NULL OR j.state <> {}) THEN 0 ELSE 1 END \
                       AS BIGINT) AS held",
                    authorization_stands(),
                    State::Leased.number(),
                ),
                &in_ids(dialect, "t.public_id", "$1"),
                vec![id_list(
                    requests.iter().map(|request| request.attempt.uuid()),
                )],
            )
            .await?;
        let rows: HashMap<AttemptId, GoRow> = rows
            .into_iter()
            .map(|row| (row.attempt.id(), row))
            .collect();
        let mut releases = Vec::new();
        let mut released = Vec::new();
        let mut refused: BTreeMap<&'static str, (Reason, Vec<i64>)> = BTreeMap::new();
        let mut held = Vec::new();
        let mut seen = HashSet::new();
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            let Some(row) = rows.get(&request.attempt) else {
                outcomes.push(GoOutcome::Stale);
                continue;
            };
            let attempt = &row.attempt;
            let is_owner = attempt.desktop_id == request.from.desktop.get()
                && attempt.epoch == request.from.epoch;
            let outcome = match (is_owner, attempt.state()?, attempt.job_state()?) {
                (true, AttemptState::Running, State::Running) => GoOutcome::Released,
                (true, AttemptState::Leased, from @ (State::Leased | State::RetryWait)) => {
                    let problem = if row.app_deleted != 0 {
                        Some(Reason::AppDeleted)
                    } else if row.project_enabled == 0 {
                        Some(Reason::ProjectDisabled)
                    } else if row.authorized == 0
                        // Whoever may not have an app may lose it all the same, when an administrator says so.
                        && (row.asked_by_user != 0
                            || attempt.counted.kind == kind_number(TaskKind::Install))
                    {
                        Some(Reason::NoLongerAuthorized)
                    } else {
                        None
                    };
                    let first_time = seen.insert(attempt.job_id);
                    match problem {
                        // Frozen or halted since it was leased: as if it had never been handed out.
                        None if row.held != 0 => {
                            held.push(request.attempt);
                            GoOutcome::Stale
                        }
                        None => {
                            if first_time {
                                released.push(attempt.attempt_id);
                                releases.push(JobChange {
                                    revision: RevisionChange::Fix(attempt.revision_id),
                                    ..JobChange::new(
                                        attempt.job_id,
                                        from,
                                        State::Running,
                                        attempt.counted.clone(),
                                    )
                                });
                            }
                            GoOutcome::Released
                        }
                        Some(reason) => {
                            if first_time {
                                refused
                                    .entry(reason.code())
                                    .or_insert_with(|| (reason, Vec::new()))
                                    .1
                                    .push(attempt.job_id);
                            }
                            GoOutcome::Refused(reason)
                        }
                    }
                }
                _ => GoOutcome::Stale,
            };
            outcomes.push(outcome);
        }
        if !held.is_empty() {
            self.attempt_unsend(&held, now).await?;
        }
        self.job_change(releases, now).await?;
        if !released.is_empty() {
            self.run(
                "release attempts",
                &format!(
                    "UPDATE attempt SET state = 'running', started_at = $2, seen_at = $2 \
                     WHERE {} AND state = 'leased'",
                    in_keys(dialect, "id", "$1")
                ),
                [key_list(released), now.get().into()],
            )
            .await?;
        }
        for (reason, jobs) in refused.into_values() {
            self.job_fail_where(
                &in_keys(dialect, "id", "$1"),
                vec![key_list(jobs)],
                reason,
                now,
            )
            .await?;
        }
        Ok(outcomes)
    }

    /// Records results, in their order: the receipt is kept, the evidence judged, and the job ends, waits for
    /// an automatic retry, or, where one of our clocks alone had failed it and nobody has retried, succeeds
    /// after all.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_finish_if_running(
        &self,
        reports: &[ResultReport],
        now: Millis,
    ) -> Result<Vec<FinishOutcome>, StoreError> {
        #[derive(FromQueryResult)]
        struct FinishRow {
            #[sea_orm(nested)]
            attempt: AttemptRow,
            task: String,
            store_type: Option<String>,
            received: i64,
            requested_by: Option<i64>,
        }
        let rows: Vec<FinishRow> = self
            .attempt_rows(
                ", t.task, (SELECT v.store_type FROM app_revision v WHERE v.id = t.revision_id) AS store_type, \
                 (SELECT COUNT(*) FROM receipt c WHERE c.attempt_id = t.id) AS received, d.requested_by",
                &in_ids(self.dialect(), "t.public_id", "$1"),
                vec![id_list(
                    reports.iter().map(|report| report.evidence.attempt.uuid()),
                )],
            )
            .await?;
        let rows: HashMap<AttemptId, FinishRow> = rows
            .into_iter()
            .map(|row| (row.attempt.id(), row))
            .collect();
        let mut changes = Vec::new();
        let mut ended = Vec::new();
        let mut late = Vec::new();
        let mut receipts = Vec::new();
        let mut pins = Vec::new();
        let mut done = Vec::new();
        let mut restarts = Vec::new();
        let mut seen = HashSet::new();
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            let evidence = &report.evidence;
            let Some(row) = rows
                .get(&evidence.attempt)
                .filter(|row| row.attempt.desktop_id == report.desktop.get())
            else {
                outcomes.push(FinishOutcome::Unknown);
                continue;
            };
            let attempt = &row.attempt;
            if row.received > 0 || !seen.insert(attempt.attempt_id) {
                outcomes.push(FinishOutcome::Duplicate);
                continue;
            }
            let signature = report.signed.as_ref().and_then(|it| it.signature.as_ref());
            receipts.push(object!({
                "t": attempt.attempt_id,
                "e": match report.signed {
                    Some(_) => String::new(),
                    None => serde_json::to_string(evidence).expect("evidence is JSON"),
                },
                "s": report.signed.as_ref().map(|it| &it.statement),
                "g": signature.map(|it| &it.base64),
                "c": signature.map(|it| hex::encode(it.certificate_sha256)),
                "v": match signature {
                    Some(_) => Verification::Pending,
                    None => Verification::Unsigned,
                }.number(),
            }));
            let task: Task = json("attempt", "task", attempt.attempt_id, &row.task)?;
            let mut verdict = judge(&task, evidence);
            if row.store_type.as_deref() == Some(StoreType::Link.as_str())
                && let Verdict::Failed(failure) = &mut verdict
                && failure.reason == Reason::DigestMismatch
            {
                failure.reason = Reason::LinkChanged;
            }
            let (state, job_state) = (attempt.state()?, attempt.job_state()?);
            let restart = wants_restart(&task, evidence);
            let change = match state {
                AttemptState::Running => end_of_running(attempt, job_state, verdict, now),
                AttemptState::Leased => end_of_leased(attempt, job_state, evidence),
                AttemptState::Ended => late_success(attempt, job_state, verdict),
            };
            let Some(mut change) = change else {
                outcomes.push(FinishOutcome::Kept);
                continue;
            };
            if change.to == State::Succeeded {
                change.wants_restart = restart;
                if restart {
                    restarts.push(attempt.desktop_id);
                }
                done.push(object!({
                    "k": attempt.desktop_id,
                    "a": attempt.counted.app_id,
                    "r": attempt.revision_id,
                    "p": change.proof.map(Proof::number),
                    "o": kind_number(task.kind),
                    "b": row.requested_by,
                }));
            }
            let outcome = change
                .failure
                .as_ref()
                .map_or(SUCCEEDED, |failure| failure.reason.code());
            if state == AttemptState::Ended {
                late.push(attempt.attempt_id);
            } else {
                ended.push((attempt.attempt_id, outcome));
            }
            if change.to == State::Succeeded
                && task.package.sha256.is_none()
                && task.kind == TaskKind::Install
                && let (Some(digest), Some(size)) =
                    (&evidence.package_sha256, evidence.package_size_bytes)
            {
                pins.push((attempt.revision_id, digest.clone(), size, report.desktop));
            }
            outcomes.push(FinishOutcome::Recorded(change.to));
            changes.push(change);
        }
        self.attempt_end(&ended, now).await?;
        if !late.is_empty() {
            self.run(
                "record late results",
                &format!(
                    "UPDATE attempt SET outcome = '{SUCCEEDED}' WHERE {}",
                    in_keys(self.dialect(), "id", "$1")
                ),
                [key_list(late)],
            )
            .await?;
        }
        if !receipts.is_empty() {
            self.run(
                "keep receipts",
                &format!(
                    "INSERT INTO receipt (attempt_id, evidence, received_at, statement, signature, signer, verification) \
                     SELECT CAST(value ->> 't' AS BIGINT), value ->> 'e', $2, value ->> 's', value ->> 'g', {}, \
                     CAST(value ->> 'v' AS BIGINT) FROM {}",
                    self.dialect().bytes_from_hex("value ->> 'c'"),
                    self.dialect().each("$1")
                ),
                [
                    serde_json::Value::Array(receipts).to_string().into(),
                    now.get().into(),
                ],
            )
            .await?;
        }
        for (revision, digest, size, desktop) in pins {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            let is_new = self.run(
                "pin a link's digest",
                "UPDATE app_revision SET link_sha256 = $2, link_size_bytes = $3, link_pinned_by = $4 \
                 WHERE id = $1 AND store_type = 'LINK' AND link_sha256 IS NULL",
                [
                    revision.into(),
                    digest.as_str().into(),
                    size.into(),
                    desktop.into(),
                ],
            )
            .await?
                > 0;
            if is_new {
                self.pinned(revision, &digest, size, desktop.get()).await?;
            }
        }
        self.desktop_apps_keep(done, now).await?;
        self.desktop_reboot_needed(restarts, now).await?;
        self.job_change(changes, now).await?;
        Ok(outcomes)
    }

    /// Takes back the lease of an attempt that the agent cannot take now; its job is due again after `wait`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_decline(
        &self,
        from: Connected,
        attempt: AttemptId,
        wait: Duration,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.attempt_release_leases(
            "t.public_id = $1 AND t.desktop_id = $2 AND t.epoch = $3 AND t.state = 'leased'",
            vec![
                attempt.uuid().into(),
                from.desktop.into(),
                from.epoch.into(),
            ],
            Some(now.plus(wait)),
            now,
        )
        .await
        .map(drop)
    }

    /// Takes back leases that nobody acknowledged in time, at most `limit`; answers their desktops. Their jobs
    /// are due at once.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_lapse(
        &self,
        limit: i64,
        now: Millis,
    ) -> Result<Vec<DesktopKey>, StoreError> {
        self.attempt_release_leases(
            // Without statistics SQLite would read every attempt there ever was.
            &format!(
                "t.ended_at IS NULL AND t.id IN (SELECT o.id FROM attempt o{} WHERE o.ended_at IS NULL \
                 AND o.state = 'leased' AND o.lease_expires_at <= $1 LIMIT $2)",
                self.dialect().indexed_by("attempt_open")
            ),
            vec![now.get().into(), limit.into()],
            None,
            now,
        )
        .await
    }

    /// Takes back leases of a desktop's tasks that were never sent: the channel was gone or full.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_unsend(
        &self,
        attempts: &[AttemptId],
        now: Millis,
    ) -> Result<(), StoreError> {
        self.attempt_release_leases(
            &format!(
                "{} AND t.state = 'leased'",
                in_ids(self.dialect(), "t.public_id", "$1")
            ),
            vec![id_list(attempts.iter().map(|attempt| attempt.uuid()))],
            None,
            now,
        )
        .await
        .map(drop)
    }

    async fn attempt_release_leases(
        &self,
        condition: &str,
        values: Vec<Value>,
        due_at: Option<Millis>,
        now: Millis,
    ) -> Result<Vec<DesktopKey>, StoreError> {
        let rows: Vec<AttemptRow> = self.attempt_rows("", condition, values).await?;
        let mut ended = Vec::new();
        let mut desktops = Vec::new();
        let mut changes = Vec::new();
        let mut waiting = Vec::new();
        for row in rows {
            if row.state()? != AttemptState::Leased {
                continue;
            }
            ended.push((row.attempt_id, LAPSED));
            desktops.push(DesktopKey::new(row.desktop_id));
            match row.job_state()? {
                from @ State::Leased => changes.push(JobChange {
                    due_at,
                    ..JobChange::new(row.job_id, from, State::Queued, row.counted)
                }),
                // A job between automatic retries stays where it is.
                State::RetryWait => waiting.push(row.job_id),
                State::Queued
                | State::Running
                | State::Succeeded
                | State::Failed
                | State::Cancelled => {}
            }
        }
        self.attempt_end(&ended, now).await?;
        self.job_change(changes, now).await?;
        if let (Some(due_at), false) = (due_at, waiting.is_empty()) {
            self.run(
                "put off jobs",
                &format!(
                    "UPDATE job SET due_at = $2 WHERE {}",
                    in_keys(self.dialect(), "id", "$1")
                ),
                [key_list(waiting), due_at.get().into()],
            )
            .await?;
        }
        Ok(desktops)
    }

    /// Ends running attempts that one of our clocks has run out on, at most `limit`, and fails their jobs;
    /// answers their desktops.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_expire(
        &self,
        clocks: AttemptClocks,
        limit: i64,
        now: Millis,
    ) -> Result<Vec<DesktopKey>, StoreError> {
        #[derive(FromQueryResult)]
        struct ExpiredRow {
            #[sea_orm(nested)]
            attempt: AttemptRow,
            silent: i64,
        }
        let rows: Vec<ExpiredRow> = self
            .attempt_rows(
                ", CAST(CASE WHEN t.seen_at <= $1 THEN 1 ELSE 0 END AS BIGINT) AS silent",
                &format!(
                    "t.ended_at IS NULL AND t.id IN (SELECT o.id FROM attempt o{} WHERE o.ended_at IS NULL \
                     AND o.state = 'running' AND (o.seen_at <= $1 \
                       OR o.installer_started_at + o.run_limit_secs * 1000 <= $2 \
                       OR (o.installer_started_at IS NULL \
                         AND COALESCE(o.progress_at, o.started_at) <= $3)) LIMIT $4)",
                    self.dialect().indexed_by("attempt_open")
                ),
                vec![
                    now.minus(clocks.silence).get().into(),
                    now.minus(clocks.run_limit_margin).get().into(),
                    now.minus(clocks.longest).get().into(),
                    limit.into(),
                ],
            )
            .await?;
        let mut ended = Vec::new();
        let mut changes = Vec::new();
        let mut desktops = Vec::new();
        for ExpiredRow { attempt, silent } in rows {
            let reason = if silent != 0 {
                Reason::NoSignOfLife
            } else {
                Reason::RunLimit
            };
            ended.push((attempt.attempt_id, reason.code()));
            desktops.push(DesktopKey::new(attempt.desktop_id));
            if attempt.job_state()? == State::Running {
                changes.push(JobChange::failed(
                    attempt.job_id,
                    State::Running,
                    attempt.counted,
                    Failure::bare(reason),
                ));
            }
        }
        self.attempt_end(&ended, now).await?;
        self.job_change(changes, now).await?;
        Ok(desktops)
    }

    /// Fails jobs that wait for an automatic retry on a desktop that has been silent for too long, at most
    /// `limit`; answers how many there were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn job_expire_retry_wait(
        &self,
        silence: Duration,
        limit: i64,
        now: Millis,
    ) -> Result<usize, StoreError> {
        self.job_fail_where(
            &format!(
                "id IN (SELECT j.id FROM project p JOIN job j{index} ON j.project_id = p.id AND j.wire = 1 \
                 JOIN desktop k ON k.id = j.desktop_id WHERE j.state = {state} AND j.due_at <= $1 \
                 AND COALESCE(k.last_seen_at, 0) <= $1 LIMIT $2) AND state = {state}",
                index = self.dialect().indexed_by("job_project_wire"),
                state = State::RetryWait.number()
            ),
            vec![now.minus(silence).get().into(), limit.into()],
            Reason::NoSignOfLife,
            now,
        )
        .await
    }

    /// Compares what a desktop says it is busy with when it comes back with what we think, and makes both
    /// agree. Answers what to tell it; attempts it need not be told about are left out.
    ///
    /// - Acknowledged and leased: as an acknowledgement. Acknowledged and running: go again (it was lost).
    /// - Ours running but not listed: the agent lost it; FAIL `interrupted`. Ours leased but not listed: the
    ///   task never arrived; the lease is taken back.
    /// - Unknown or over here: forget it, or stop it where it runs, unless only our clock ended it; then its
    ///   late result still counts.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_reconcile(
        &self,
        from: Connected,
        reports: &[AttemptReport],
        now: Millis,
    ) -> Result<Vec<(AttemptId, ReconcileAction)>, StoreError> {
        let dialect = self.dialect();
        let rows: Vec<AttemptRow> = self
            .attempt_rows(
                "",
                &format!(
                    "t.desktop_id = $1 AND (t.ended_at IS NULL OR {})",
                    in_ids(dialect, "t.public_id", "$2")
                ),
                vec![
                    from.desktop.into(),
                    id_list(reports.iter().map(|report| report.attempt.uuid())),
                ],
            )
            .await?;
        let mut actions = Vec::new();
        let mut ours: BTreeMap<AttemptId, &AttemptRow> =
            rows.iter().map(|row| (row.id(), row)).collect();
        let mut kept = Vec::new();
        let mut acknowledged = Vec::new();
        for report in reports {
            let row = ours.remove(&report.attempt);
            let state = row.map(AttemptRow::state).transpose()?;
            if let (Some(row), Some(AttemptState::Leased | AttemptState::Running)) = (row, state) {
                kept.push(row.attempt_id);
            }
            let action = match (report.stage, state) {
                (AttemptStage::Accepted, Some(AttemptState::Leased)) => {
                    acknowledged.push(GoRequest {
                        from,
                        attempt: report.attempt,
                    });
                    None
                }
                (AttemptStage::Accepted | AttemptStage::Running, Some(AttemptState::Running))
                    if row.is_some_and(|row| row.cancel_requested_at.is_some()) =>
                {
                    Some(ReconcileAction::Cancel)
                }
                (AttemptStage::Accepted, Some(AttemptState::Running)) => Some(ReconcileAction::Go),
                (AttemptStage::Accepted, Some(AttemptState::Ended) | None) => {
                    Some(ReconcileAction::NoGo)
                }
                (AttemptStage::Running, Some(AttemptState::Running)) | (AttemptStage::Ended, _) => {
                    None
                }
                (AttemptStage::Running, Some(AttemptState::Ended))
                    if row.is_some_and(is_ended_by_clock) =>
                {
                    None
                }
                (
                    AttemptStage::Running,
                    Some(AttemptState::Leased | AttemptState::Ended) | None,
                ) => Some(ReconcileAction::Cancel),
            };
            actions.extend(action.map(|action| (report.attempt, action)));
        }
        if !kept.is_empty() {
            self.run(
                "take over attempts",
                &format!(
                    "UPDATE attempt SET epoch = $2, seen_at = $3 WHERE {}",
                    in_keys(dialect, "id", "$1")
                ),
                [key_list(kept), from.epoch.into(), now.get().into()],
            )
            .await?;
        }
        if !acknowledged.is_empty() {
            let outcomes = self.attempt_go_if_leased(&acknowledged, now).await?;
            for (request, outcome) in acknowledged.iter().zip(outcomes) {
                let action = match outcome {
                    GoOutcome::Released => ReconcileAction::Go,
                    GoOutcome::Refused(_) | GoOutcome::Stale => ReconcileAction::NoGo,
                };
                actions.push((request.attempt, action));
            }
        }
        let mut lost = Vec::new();
        let mut ended = Vec::new();
        let mut unsent = Vec::new();
        for row in ours.into_values() {
            match row.state()? {
                AttemptState::Running => {
                    ended.push((row.attempt_id, Reason::Interrupted.code()));
                    if row.job_state()? == State::Running {
                        lost.push(JobChange::failed(
                            row.job_id,
                            State::Running,
                            row.counted.clone(),
                            Failure::seen(
                                Reason::Interrupted,
                                "the agent came back without the attempt",
                            ),
                        ));
                    }
                }
                // A task of this very channel is on its way.
                AttemptState::Leased if row.epoch == from.epoch => {}
                AttemptState::Leased => unsent.push(row.id()),
                AttemptState::Ended => {}
            }
        }
        self.attempt_end(&ended, now).await?;
        self.job_change(lost, now).await?;
        if !unsent.is_empty() {
            self.attempt_unsend(&unsent, now).await?;
        }
        Ok(actions)
    }

    /// Notes signs of life of attempts, and where they are.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn attempt_seen(&self, signs: &[AttemptSign]) -> Result<(), StoreError> {
        let dialect = self.dialect();
        let rows: Vec<_> = signs
            .iter()
            .map(|sign| {
                object!({
                    "u": sign.attempt.uuid().simple().to_string(),
                    "k": sign.desktop.get(),
                    "a": sign.at.get(),
                    "p": sign.phase.map(phase_word),
                    "c": sign.percent,
                    "r": sign.bytes_per_second.map(|rate| i64::try_from(rate).unwrap_or(i64::MAX)),
                    "g": sign.bytes_per_second.filter(|rate| *rate > 0).map(|_| sign.at.get()),
                    "i": sign
                        .phase
                        .filter(|phase| matches!(phase, Phase::Running | Phase::Confirming))
                        .map(|_| sign.at.get()),
                })
            })
            .collect();
        let seen: Vec<JobRow> = self.db().all(
            "note signs of life",
            &format!(
                "UPDATE attempt SET seen_at = CAST(value ->> 'a' AS BIGINT), \
                 percent = CASE WHEN value ->> 'p' IS NULL THEN attempt.percent \
                   ELSE CAST(value ->> 'c' AS BIGINT) END, \
                 bytes_per_second = CASE WHEN value ->> 'p' IS NULL THEN attempt.bytes_per_second \
                   ELSE CAST(value ->> 'r' AS BIGINT) END, \
                 progress_at = COALESCE(CAST(value ->> 'g' AS BIGINT), attempt.progress_at), \
                 phase_at = CASE WHEN COALESCE(attempt.phase, '') = COALESCE(value ->> 'p', attempt.phase, '') \
                   THEN attempt.phase_at ELSE CAST(value ->> 'a' AS BIGINT) END, \
                 phase = COALESCE(value ->> 'p', attempt.phase), \
                 installer_started_at = COALESCE(attempt.installer_started_at, \
                   CAST(value ->> 'i' AS BIGINT)) FROM {} \
                 WHERE attempt.public_id = {} AND attempt.desktop_id = CAST(value ->> 'k' AS BIGINT) \
                 AND attempt.state = 'running' AND attempt.seen_at <= CAST(value ->> 'a' AS BIGINT) \
                 RETURNING attempt.job_id",
                dialect.each("$1"),
                dialect.uuid_from_hex("value ->> 'u'"),
            ),
            [serde_json::Value::Array(rows).to_string().into()],
        )
        .await?;
        self.note(|changes| {
            changes
                .jobs
                .extend(seen.iter().map(|row| JobKey::new(row.job_id)));
        });
        Ok(())
    }

    /// Asks running attempts of jobs to stop; answers who is to be told. The ends they report are recorded as
    /// ever.
    ///
    /// # Errors
    /// When the database cannot.
    pub(crate) async fn attempt_request_cancel(
        &self,
        jobs: &[i64],
        now: Millis,
    ) -> Result<Vec<(DesktopKey, AttemptId)>, StoreError> {
        #[derive(FromQueryResult)]
        struct RunningRow {
            desktop_id: i64,
            public_id: Uuid,
        }
        let rows: Vec<RunningRow> = self
            .db()
            .all(
                "ask attempts to stop",
                &format!(
                    "UPDATE attempt SET cancel_requested_at = COALESCE(cancel_requested_at, $2) \
                     WHERE {} AND ended_at IS NULL AND state = 'running' RETURNING desktop_id, public_id",
                    in_keys(self.dialect(), "job_id", "$1")
                ),
                [key_list(jobs.iter().copied()), now.get().into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                (
                    DesktopKey::new(row.desktop_id),
                    AttemptId::new(row.public_id),
                )
            })
            .collect())
    }
}

/// The end of a released attempt: success, failure, or a pause before the next try.
fn end_of_running(
    attempt: &AttemptRow,
    job_state: State,
    verdict: Verdict,
    now: Millis,
) -> Option<JobChange> {
    if job_state != State::Running {
        return None;
    }
    let change = |to| JobChange::new(attempt.job_id, job_state, to, attempt.counted.clone());
    Some(match verdict {
        Verdict::Succeeded(proof) => JobChange {
            proof: Some(proof),
            ..change(State::Succeeded)
        },
        Verdict::Failed(failure) => {
            let retry = attempt.retries + 1;
            match automatic_retry(failure.reason, retry, attempt.job_id) {
                Some(wait) => JobChange {
                    failure: Some(failure),
                    due_at: Some(now.plus(wait)),
                    retries: Some(retry),
                    ..change(State::RetryWait)
                },
                None => {
                    let to = match failure.reason {
                        Reason::Cancelled => State::Cancelled,
                        _ => State::Failed,
                    };
                    JobChange {
                        failure: Some(failure),
                        ..change(to)
                    }
                }
            }
        }
    })
}

/// An attempt that was never released cannot have run: its failure stands, its success is not believed.
fn end_of_leased(attempt: &AttemptRow, job_state: State, evidence: &Evidence) -> Option<JobChange> {
    if !job_state.may_become(State::Failed) {
        return None;
    }
    let failure = match evidence.failure {
        Some(code) => Failure {
            detail: evidence.failure_detail.clone(),
            ..Failure::bare(Reason::from(code))
        },
        None => Failure::seen(Reason::EvidenceRefused, "it ran before it was released"),
    };
    Some(JobChange::failed(
        attempt.job_id,
        job_state,
        attempt.counted.clone(),
        failure,
    ))
}

/// A success that arrives after one of our clocks alone had failed the job, and nobody has retried.
fn late_success(attempt: &AttemptRow, job_state: State, verdict: Verdict) -> Option<JobChange> {
    let Verdict::Succeeded(proof) = verdict else {
        return None;
    };
    let nobody_has_retried = job_state == State::Failed
        && attempt.number == attempt.attempts
        && attempt.reason == attempt.outcome;
    (nobody_has_retried && is_ended_by_clock(attempt)).then(|| JobChange {
        proof: Some(proof),
        ..JobChange::new(
            attempt.job_id,
            job_state,
            State::Succeeded,
            attempt.counted.clone(),
        )
    })
}

fn is_ended_by_clock(attempt: &AttemptRow) -> bool {
    attempt
        .outcome
        .as_deref()
        .and_then(Reason::from_code)
        .is_some_and(Reason::is_server_clock)
}
