//! Looks at the committed database after each commit, and at each promise on its way to an agent, and says what must not be.
//!
//! It reads the tables by itself and decides by rules of its own, written from docs/invariants.md, not by the product's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use outfitter_agent_protocol::{Evidence, ServerMessage, Statement};
use outfitter_ids::AttemptId;
use outfitter_store::carry_out;
use sqlx::SqliteConnection;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::desktop::{Desktop, short};
use crate::net::ServerWatcher;
use crate::server::{AppKind, app_file, connect};
use crate::world::World;

/// An attempt as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    state: String,
    desktop: usize,
    epoch: i64,
    app: usize,
    kind: i64,
}

type Row = (i64, Vec<u8>, i64, i64, String, i64, i64);

/// The watcher of a run.
pub(crate) struct Oracle {
    world: Arc<World>,
    runtime: Handle,
    connection: Mutex<SqliteConnection>,
    open: Mutex<BTreeMap<i64, Attempt>>,
    /// Of each attempt that was let run, the numbers of the channels it belonged to meanwhile.
    ran_for: Mutex<BTreeMap<AttemptId, BTreeSet<i64>>>,
    desktops: Mutex<Vec<Arc<Desktop>>>,
    apps: Vec<AppKind>,
}

const ATTEMPTS: &str = "SELECT t.id, t.public_id, t.desktop_id, t.epoch, t.state, j.app_id, j.kind FROM attempt t \
     JOIN job j ON j.id = t.job_id WHERE t.ended_at IS NULL ORDER BY t.id";

impl Oracle {
    pub(crate) fn new(
        world: &Arc<World>,
        runtime: Handle,
        database: &Path,
        apps: &[AppKind],
    ) -> Result<Arc<Self>> {
        let connection = carry_out(&runtime, connect(database))?;
        Ok(Arc::new(Self {
            world: Arc::clone(world),
            runtime,
            connection: Mutex::new(connection),
            open: Mutex::default(),
            ran_for: Mutex::default(),
            desktops: Mutex::default(),
            apps: apps.to_vec(),
        }))
    }

    pub(crate) fn watch(&self, desktops: &[Arc<Desktop>]) {
        *self.desktops.lock().unwrap_or_else(PoisonError::into_inner) = desktops.to_vec();
    }

    fn rows<T>(&self, sql: &'static str, values: &[Value<'_>]) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut query = sqlx::query_as::<_, T>(sql);
        for value in values {
            query = match value {
                Value::Number(number) => query.bind(*number),
                Value::Bytes(bytes) => query.bind(bytes.to_vec()),
            };
        }
        carry_out(&self.runtime, query.fetch_all(&mut *connection))
            .expect("the oracle can read the database")
    }

    fn number(&self, sql: &'static str, values: &[Value<'_>]) -> i64 {
        self.rows::<(i64,)>(sql, values)
            .first()
            .map_or(0, |(number,)| *number)
    }

    fn desktop(&self, index: usize) -> Option<Arc<Desktop>> {
        self.desktops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(index)
            .cloned()
    }

    /// After a commit.
    pub(crate) fn look(&self) {
        let now: BTreeMap<i64, (Uuid, Attempt)> = self
            .rows::<Row>(ATTEMPTS, &[])
            .into_iter()
            .map(|(id, public_id, desktop, epoch, state, app, kind)| {
                let attempt = Attempt {
                    state,
                    epoch,
                    desktop: usize::try_from(desktop - 1).unwrap_or(usize::MAX),
                    app: usize::try_from(app - 1).unwrap_or(usize::MAX),
                    kind,
                };
                (
                    id,
                    (Uuid::from_slice(&public_id).unwrap_or_default(), attempt),
                )
            })
            .collect();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy = BTreeSet::new();
        for (id, (public_id, attempt)) in &now {
            if !busy.insert(attempt.desktop) {
                self.world.broken(
                    "I2",
                    format_args!("desktop {} has two open attempts", attempt.desktop),
                );
            }
            if attempt.state == "running" {
                self.ran_for
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(AttemptId::new(*public_id))
                    .or_default()
                    .insert(attempt.epoch);
            }
            let before = open.get(id).map(|before| before.state.as_str());
            if before == Some("running") && attempt.state == "leased" {
                self.world.broken(
                    "I2",
                    format_args!("attempt {public_id} went back to leased"),
                );
            }
            if attempt.state == "running" && before != Some("running") {
                self.world.note(format_args!(
                    "attempt {} of app {} runs on desktop {}",
                    short(AttemptId::new(*public_id)),
                    attempt.app,
                    attempt.desktop
                ));
                self.released(AttemptId::new(*public_id), attempt);
            }
        }
        let closed: Vec<i64> = open
            .keys()
            .copied()
            .filter(|id| !now.contains_key(id))
            .collect();
        for id in closed {
            if let Some(attempt) = open.get(&id) {
                self.ended(id, attempt);
            }
        }
        *open = now
            .into_iter()
            .map(|(id, (_, attempt))| (id, attempt))
            .collect();
    }

    /// I5, and that nothing is let run while hand-outs are frozen.
    fn released(&self, id: AttemptId, attempt: &Attempt) {
        if self.number("SELECT COUNT(*) FROM hand_out_freeze", &[]) > 0 {
            self.world
                .broken("I5", format_args!("{id} was released while all is frozen"));
        }
        if attempt.kind != 0 {
            return;
        }
        let app = Value::Number(attempt.app as i64 + 1);
        let everyone = self.number(
            "SELECT COUNT(*) FROM app WHERE id = $1 AND authorization_type = 'ALL_USER'",
            &[app],
        );
        let listed = self.number(
            "SELECT COUNT(*) FROM app_authorization WHERE app_id = $1 AND account_folded = 'u' || ($2 - 1)",
            &[app, Value::Number(attempt.desktop as i64 + 1)],
        );
        if everyone == 0 && listed == 0 {
            self.world.broken(
                "I5",
                format_args!(
                    "{id} was released on desktop {}, whose user may not have app {}",
                    attempt.desktop, attempt.app
                ),
            );
        }
    }

    fn ended(&self, id: i64, attempt: &Attempt) {
        let rows = self.rows::<(Vec<u8>, Option<String>, i64, Option<String>)>(
            "SELECT t.public_id, t.outcome, j.state, r.statement FROM attempt t JOIN job j ON j.id = t.job_id \
             LEFT JOIN receipt r ON r.attempt_id = t.id WHERE t.id = $1",
            &[Value::Number(id)],
        );
        let Some((public_id, outcome, job_state, statement)) = rows.into_iter().next() else {
            return;
        };
        let public_id = AttemptId::new(Uuid::from_slice(&public_id).unwrap_or_default());
        let outcome = outcome.unwrap_or_default();
        self.world.note(format_args!(
            "attempt {} on desktop {} ends: {outcome}, job state {job_state}",
            short(public_id),
            attempt.desktop
        ));
        let Some(desktop) = self.desktop(attempt.desktop) else {
            return;
        };
        let truth = desktop.truth();
        let app = self.apps[attempt.app];
        let file = app_file(attempt.app);
        if outcome == "lapsed" && truth.starts.contains_key(&public_id) {
            self.world.broken(
                "I2",
                format_args!(
                    "{public_id} is taken back as never begun, and its installer was started"
                ),
            );
        }
        if outcome == "succeeded" {
            let ran_well = truth.ends.get(&public_id) == Some(&0);
            let never_ran = !truth.starts.contains_key(&public_id);
            let proven = match (attempt.kind, app.rule) {
                (0, true) => truth.ever_installed.contains(&file) && (ran_well || never_ran),
                (0, false) => ran_well,
                (_, true) => ran_well || (never_ran && !truth.installed.contains(&file)),
                (_, false) => ran_well,
            };
            if !proven {
                self.world.broken(
                    "I3",
                    format_args!(
                        "{public_id} of app {} ({}) is a success that never was",
                        attempt.app, app.command
                    ),
                );
            }
        }
        // Why it failed is what the desktop said, in its word for it.
        let told = statement
            .as_deref()
            .and_then(evidence_of)
            .and_then(|seen| seen.failure);
        let told = told.and_then(|code| serde_json::to_value(code).ok());
        if let Some(told) = told.as_ref().and_then(|code| code.as_str())
            && told != outcome
        {
            self.world.broken(
                "I3",
                format_args!("{public_id} failed by {told} and is told as {outcome}"),
            );
        }
        let honest = matches!(app.command, "honest" | "slow" | "instant");
        if attempt.kind == 0
            && honest
            && matches!(outcome.as_str(), "not_detected_after_install" | "exit_code")
        {
            self.world.broken(
                "I3",
                format_args!("{public_id} of an honest app is told as {outcome}"),
            );
        }
    }

    /// At the end of a run: everything has ended, and what was accepted is there.
    pub(crate) fn settled(&self) -> Option<String> {
        let open = self.number("SELECT COUNT(*) FROM attempt WHERE ended_at IS NULL", &[]);
        let jobs = self.number("SELECT COUNT(*) FROM job WHERE wire IN (0, 1)", &[]);
        let expanding = self.number(
            "SELECT COUNT(*) FROM deployment WHERE state = 'expanding'",
            &[],
        );
        (open + jobs + expanding > 0).then(|| {
            let some: Vec<(i64, i64, i64, i64, i64, Option<String>)> = self.rows(
                "SELECT j.id, j.desktop_id - 1, j.app_id - 1, j.state, j.due_at - 1768033815000, t.state FROM job j \
                 LEFT JOIN attempt t ON t.job_id = j.id AND t.ended_at IS NULL WHERE j.wire IN (0, 1) LIMIT 5",
                &[],
            );
            format!("{open} open attempts, {jobs} open jobs, {expanding} expanding deployments: {some:?}")
        })
    }

    /// Checks that are made once, when all has ended.
    pub(crate) fn finally(&self, accepted: &[Accepted], gone: Option<usize>) {
        for call in accepted {
            let rows = self.rows::<(i64, i64)>(
                "SELECT d.id, (SELECT COUNT(*) FROM job j WHERE j.deployment_id = d.id) \
                   + (SELECT COUNT(*) FROM deployment_skip s WHERE s.deployment_id = d.id) \
                 FROM deployment d WHERE d.public_id = $1",
                &[Value::Bytes(call.id.as_bytes())],
            );
            match rows.first() {
                None => self.world.broken(
                    "I1",
                    format_args!("the accepted deployment {} is lost", call.id),
                ),
                Some((_, pairs)) if *pairs < call.pairs => self.world.broken(
                    "I1",
                    format_args!(
                        "the accepted deployment {} has {pairs} jobs and skips for {} pairs",
                        call.id, call.pairs
                    ),
                ),
                Some(_) => {}
            }
        }
        let unproven = self.number(
            "SELECT COUNT(*) FROM job j WHERE j.state = 4 AND NOT EXISTS (SELECT 1 FROM attempt t \
             JOIN receipt r ON r.attempt_id = t.id WHERE t.job_id = j.id AND t.number = j.attempts \
             AND t.outcome = 'succeeded')",
            &[],
        );
        if unproven > 0 {
            self.world.broken(
                "I3",
                format_args!("{unproven} jobs are a success without a receipt"),
            );
        }
        let miscounted = self.number(
            "SELECT COUNT(*) FROM (SELECT w.wire, (SELECT COUNT(*) FROM job j WHERE j.wire = w.wire AND j.kind = 0) AS real, \
             COALESCE((SELECT SUM(c.jobs) FROM job_count c WHERE c.dimension = 0 AND c.wire = w.wire), 0) AS counted \
             FROM (SELECT 0 AS wire UNION SELECT 1 UNION SELECT 2 UNION SELECT 3) w) WHERE real <> counted",
            &[],
        );
        let unverified = self.number(
            "SELECT (SELECT COUNT(*) FROM job WHERE proof IN (3, 5)) \
             - COALESCE((SELECT SUM(c.jobs) FROM job_count c WHERE c.dimension = 4), 0)",
            &[],
        );
        if miscounted > 0 || unverified != 0 {
            self.world
                .broken("I1", "the counters of jobs are not the jobs");
        }
        for desktop in self
            .desktops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let left = desktop.journal();
            if gone == Some(desktop.index) {
                continue;
            }
            if !left.is_empty() {
                self.world.broken(
                    "I4",
                    format_args!("desktop {} still keeps {left:?}", desktop.index),
                );
            }
        }
    }

    /// When every agent is back: no attempt runs of which its desktop knows nothing.
    pub(crate) fn no_orphans(&self, gone: Option<usize>) {
        for (public_id, desktop) in self.rows::<(Vec<u8>, i64)>(
            "SELECT public_id, desktop_id - 1 FROM attempt WHERE state = 'running'",
            &[],
        ) {
            let index = usize::try_from(desktop).unwrap_or(usize::MAX);
            let id = Uuid::from_slice(&public_id).unwrap_or_default();
            let known = self.desktop(index).is_some_and(|desktop| {
                desktop
                    .journal()
                    .iter()
                    .any(|name| name.starts_with(&id.simple().to_string()))
            });
            if !known && gone != Some(index) {
                self.world.broken(
                    "I4",
                    format_args!(
                        "{id} runs on desktop {index}, which is connected and knows nothing of it"
                    ),
                );
            }
        }
    }

    /// I2: what is let run belongs to the channel that is told.
    fn told_to_run(&self, desktop: usize, epoch: Option<i64>, attempt: AttemptId) {
        let ran_for = self.ran_for.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(ran_for), Some(epoch)) = (ran_for.get(&attempt), epoch)
            && !ran_for.contains(&epoch)
        {
            self.world.broken(
                "I2",
                format_args!(
                    "desktop {desktop} is told to run {attempt} by channel {epoch}; it runs for {ran_for:?}"
                ),
            );
        }
    }

    /// I4: a channel that has come as far as heartbeats has asked after everything that ran for an earlier one.
    fn nothing_runs_for_earlier(&self, desktop: usize, epoch: i64) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for attempt in open.values() {
            if attempt.desktop == desktop && attempt.state == "running" && attempt.epoch < epoch {
                self.world.broken(
                    "I4",
                    format_args!(
                        "an attempt of app {} still runs for channel {} of desktop {desktop}, which is back with channel {epoch} \
                         and has not named it",
                        attempt.app, attempt.epoch
                    ),
                );
            }
        }
    }

    /// Jobs that failed.
    pub(crate) fn failed_jobs(&self) -> Vec<Uuid> {
        self.rows::<(Vec<u8>,)>(
            "SELECT public_id FROM job WHERE wire = 3 ORDER BY id DESC LIMIT 50",
            &[],
        )
        .into_iter()
        .filter_map(|(bytes,)| Uuid::from_slice(&bytes).ok())
        .collect()
    }

    /// What became of the jobs, for the report.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, u64> {
        self.rows::<(String, i64)>(
            "SELECT CASE WHEN state = 4 THEN 'success' ELSE COALESCE(reason, 'none') END, COUNT(*) FROM job GROUP BY 1",
            &[],
        )
        .into_iter()
        .map(|(outcome, count)| (outcome, u64::try_from(count).unwrap_or(0)))
        .collect()
    }
}

/// What a receipt's statement holds of what the desktop saw.
fn evidence_of(statement: &str) -> Option<Evidence> {
    serde_json::from_str::<Statement>(statement)
        .ok()
        .map(|statement| statement.evidence)
}

/// An accepted call.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) id: Uuid,
    /// Jobs and skips it must have come to.
    pub(crate) pairs: i64,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl ServerWatcher for Oracle {
    fn sends(&self, desktop: usize, epoch: Option<i64>, message: &ServerMessage) {
        match message {
            ServerMessage::Go { attempt } => {
                self.world
                    .note(format_args!("go {} to desktop {desktop}", short(*attempt)));
                let state = self.rows::<(String,)>(
                    "SELECT state FROM attempt WHERE public_id = $1",
                    &[Value::Bytes(attempt.uuid().as_bytes())],
                );
                if state.first().is_some_and(|(state,)| state == "leased") {
                    self.world.broken(
                        "I1",
                        format_args!(
                            "desktop {desktop} is told to run {attempt} before that is committed"
                        ),
                    );
                }
                self.told_to_run(desktop, epoch, *attempt);
            }
            ServerMessage::Heartbeat { .. } => {
                if let Some(epoch) = epoch {
                    self.nothing_runs_for_earlier(desktop, epoch);
                }
            }
            ServerMessage::Recorded { attempt } => {
                self.world.note(format_args!(
                    "recorded {} to desktop {desktop}",
                    short(*attempt)
                ));
                let known = self.number(
                    "SELECT COUNT(*) FROM attempt WHERE public_id = $1",
                    &[Value::Bytes(attempt.uuid().as_bytes())],
                );
                let kept = self.rows::<(String,)>(
                    "SELECT r.statement FROM receipt r JOIN attempt t ON t.id = r.attempt_id WHERE t.public_id = $1",
                    &[Value::Bytes(attempt.uuid().as_bytes())],
                );
                let kept = kept.first().and_then(|(text,)| evidence_of(text));
                match kept {
                    None if known > 0 => self.world.broken(
                        "I1",
                        format_args!(
                            "desktop {desktop} may forget {attempt}, of which there is no receipt"
                        ),
                    ),
                    Some(kept) if kept.attempt != *attempt => self
                        .world
                        .broken("I1", format_args!("{attempt} has another's receipt")),
                    _ => {}
                }
            }
            ServerMessage::Task(task) => self.world.note(format_args!(
                "task {} to desktop {desktop}",
                short(task.attempt)
            )),
            ServerMessage::NoGo { attempt, reason } => self.world.note(format_args!(
                "no go {} to desktop {desktop}: {reason}",
                short(*attempt)
            )),
            ServerMessage::Refused { code, .. } => self
                .world
                .note(format_args!("refused desktop {desktop}: {code}")),
            ServerMessage::Cancel { attempt } => self.world.note(format_args!(
                "cancel {} to desktop {desktop}",
                short(*attempt)
            )),
            ServerMessage::Welcome(welcome) => self.world.note(format_args!(
                "welcome desktop {desktop} epoch {}",
                welcome.epoch
            )),
            ServerMessage::Source(_)
            | ServerMessage::NoSource { .. }
            | ServerMessage::Certificate { .. }
            | ServerMessage::Detect { .. }
            | ServerMessage::ReadLog { .. }
            | ServerMessage::Notice { .. }
            | ServerMessage::Update(_)
            | ServerMessage::UpdateNoted { .. }
            | ServerMessage::InventoryNoted { .. }
            | ServerMessage::InventoryLater { .. } => {}
        }
    }
}
