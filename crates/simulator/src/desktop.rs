//! One desktop: its disk, clocks, supervisors, installers, and the agent's process with its deaths.
//!
//! The agent is the product's: driver, state machine, journal, executor. What it asks of its machine (supervisor, download,
//! detection) is answered here. A supervisor lives apart from the agent, writes `started.json` before and `exit.json` after
//! its installer as the real one does, and dies with the power alone or by a kill of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outfitter_agent::channel::{self, Introduction, Pace, Parts, Renewals, TimeLearned};
use outfitter_agent::clock::Clock;
use outfitter_agent::durable::Files;
use outfitter_agent::evidence::Stop;
use outfitter_agent::executor::{
    Answer, LocalDesktop, Machine, Place, Report, Sources, Transferred, View, Workplace,
};
use outfitter_agent::history::Histories;
use outfitter_agent::platform::PlatformError;
use outfitter_agent::programs::{EndBy, Notice, ProgramNames, RunningProgram};
use outfitter_agent::receipt::{Receipts, Signer};
use outfitter_agent::spool::{AttemptFolder, Spool};
use outfitter_agent::supervision::{
    Exit, Prepared, ProcessMark, RunEnd, Started, SupervisionEnd, cancel_path, exit_path,
    installer_path, left_behind, run_path, started_path,
};
use outfitter_agent_protocol::{AgentMessage, DetectionRule, Evidence, FailureCode, PackageRef};
use outfitter_ids::{AgentId, AttemptId, DesktopId, HistoryId};
use outfitter_packages::{FileDigest, digest_reader};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::disk::{Disk, Life, ProcessDisk};
use crate::net::{Address, AgentWatcher, Dialler, Line, ServerWatcher};
use crate::world::{Counted, START_MILLIS, Switch, World};

/// The bytes of every package.
pub(crate) const PACKAGE: &[u8] = b"a package";

const JOURNAL: &str = "/state/attempts";

/// What the agent counts its connects in.
const HISTORY: &str = "/state/history.json";

/// What really happened to an app on a desktop.
#[derive(Debug, Default, Clone)]
pub(crate) struct Truth {
    /// Attempts whose installer was started, and how often.
    pub(crate) starts: BTreeMap<AttemptId, u32>,
    /// Attempts whose installer ran to its own end, with its exit code.
    pub(crate) ends: BTreeMap<AttemptId, i32>,
    /// Files that detection would find.
    pub(crate) installed: BTreeSet<String>,
    /// Files that were ever there.
    pub(crate) ever_installed: BTreeSet<String>,
    running: Option<AttemptId>,
    /// Supervisors at work.
    supervisors: BTreeSet<AttemptId>,
    /// The evidence that was sent of each attempt.
    pub(crate) sent: BTreeMap<AttemptId, Evidence>,
}

/// A desktop.
pub(crate) struct Desktop {
    pub(crate) world: Arc<World>,
    pub(crate) index: usize,
    pub(crate) line: Arc<Line>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) truth: Mutex<Truth>,
    changed: Notify,
    awake: Switch,
    /// The wall clock's error, in milliseconds.
    pub(crate) skew: AtomicI64,
    slept_millis: AtomicU64,
    boot: AtomicU64,
    /// What the machine's other processes see of the disk; dies with the power.
    power: Mutex<Arc<Life>>,
    agent: Mutex<Arc<Life>>,
    processes: Mutex<JoinSet<()>>,
    pub(crate) loaded: AtomicU64,
}

impl Desktop {
    pub(crate) fn new(world: &Arc<World>, index: usize) -> Arc<Self> {
        let disk = Disk::new(Arc::clone(world), format!("desktop {index}"));
        let power = Arc::new(Life::default());
        let files = ProcessDisk {
            disk: Arc::clone(&disk),
            life: Arc::clone(&power),
        };
        // Made by the enrollment, long ago.
        while files.create_folder(Path::new("/state")).is_err() {}
        while files.sync_folder(Path::new("/")).is_err() {}
        Arc::new(Self {
            world: Arc::clone(world),
            index,
            line: Arc::default(),
            disk,
            truth: Mutex::default(),
            changed: Notify::new(),
            awake: Switch::new(true),
            skew: AtomicI64::new(0),
            slept_millis: AtomicU64::new(0),
            boot: AtomicU64::new(1),
            power: Mutex::new(power),
            agent: Mutex::new(Arc::new(Life::default())),
            processes: Mutex::new(JoinSet::new()),
            loaded: AtomicU64::new(0),
        })
    }

    pub(crate) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: impl std::fmt::Display) {
        self.world
            .note(format_args!("desktop {}: {what}", self.index));
    }

    /// The machine sleeps for so long; one that sleeps already does not sleep twice.
    pub(crate) async fn suspend(&self, millis: u64) {
        if !self.awake.is_on() {
            return;
        }
        self.note(format_args!("sleeps for {millis} ms"));
        self.awake.set(false);
        for _ in 0..millis.div_ceil(1000) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.slept_millis.fetch_add(1000, Ordering::Relaxed);
            if self.world.is_calm() {
                break;
            }
        }
        self.awake.set(true);
        self.note("wakes");
    }

    async fn awake(&self) {
        self.awake.until(true).await;
    }

    /// The agent's process is killed; supervisors go on.
    pub(crate) fn kill_agent(&self) {
        self.agent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .end();
    }

    /// The agent is killed in the middle of what it does to its disk.
    pub(crate) fn kill_agent_after(&self, operations: u64) {
        self.disk.light_fuse(Some(operations));
    }

    /// A supervisor at work is killed; its installer goes on without it.
    pub(crate) fn kill_a_supervisor(&self) {
        let killed = self.truth().supervisors.pop_first();
        if let Some(attempt) = killed {
            self.note(format_args!("the supervisor of {attempt} is killed"));
            self.changed.notify_waiters();
        }
    }

    /// The power goes: everything on the machine ends at once, what was not synced is there by chance, and sometimes the
    /// agent's whole journal is no more.
    pub(crate) async fn cut_power(&self) {
        Counted::one(&self.world.counted.power_cuts);
        self.note("loses power");
        let power = Arc::new(Life::default());
        std::mem::replace(
            &mut *self.power.lock().unwrap_or_else(PoisonError::into_inner),
            power,
        )
        .end();
        self.kill_agent();
        let mut processes = std::mem::take(
            &mut *self
                .processes
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        processes.shutdown().await;
        let mut truth = self.truth();
        truth.supervisors.clear();
        truth.running = None;
        drop(truth);
        self.disk.lose_power();
        if self.world.mishap(150) {
            self.note("its journal is lost");
            self.disk.lose_folder(Path::new(JOURNAL));
        }
        self.boot.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Ends what still runs on the machine.
    pub(crate) async fn stop(&self) {
        let mut processes = std::mem::take(
            &mut *self
                .processes
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        processes.shutdown().await;
    }

    fn machine_files(&self) -> ProcessDisk {
        ProcessDisk {
            disk: Arc::clone(&self.disk),
            life: Arc::clone(&self.power.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Runs agent after agent until the end of the run.
    pub(crate) async fn live(
        self: Arc<Self>,
        address: Arc<Address>,
        server_watcher: Arc<dyn ServerWatcher>,
    ) {
        loop {
            let life = Arc::new(Life::default());
            *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&life);
            let process = self.agent(&life, &address, &server_watcher);
            tokio::select! {
                biased;
                () = life.died.notified() => {
                    Counted::one(&self.world.counted.agent_crashes);
                    self.note("the agent is dead");
                }
                () = process => {}
            }
            life.end();
            self.disk.light_fuse(None);
            // What restarts services takes its time; a desktop that was cut off boots.
            self.world.pause_millis(200, 20_000).await;
        }
    }

    async fn agent(
        self: &Arc<Self>,
        life: &Arc<Life>,
        address: &Arc<Address>,
        server_watcher: &Arc<dyn ServerWatcher>,
    ) {
        let files: Arc<dyn Files> = Arc::new(ProcessDisk {
            disk: Arc::clone(&self.disk),
            life: Arc::clone(life),
        });
        let clock: Arc<dyn Clock> = Arc::new(DesktopClock(Arc::clone(self)));
        let receipts = Receipts::new(
            AgentId::new(Uuid::nil()),
            DesktopId::new(Uuid::nil()),
            Arc::new(AnyKey),
        );
        let world = Arc::clone(&self.world);
        let identity = Histories::open_on(
            Arc::clone(&files),
            HISTORY.into(),
            [("desktop".to_owned(), self.index.to_string())].into(),
            move || HistoryId::new(Uuid::from_u64_pair(world.draw(), world.draw())),
        );
        let opened = Spool::open_on(files, JOURNAL.into()).and_then(|spool| {
            let loaded = spool.load(&*clock, |evidence| receipts.seal(None, evidence))?;
            Ok((loaded, spool))
        });
        let (loaded, spool) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.note(format_args!("the agent cannot begin: {error}"));
                return;
            }
        };
        self.loaded.fetch_add(1, Ordering::Relaxed);
        self.note(format_args!(
            "an agent begins with {:?}",
            loaded
                .attempts
                .iter()
                .map(|report| (short(report.attempt), report.stage))
                .collect::<Vec<_>>()
        ));
        let (events_sender, events) = mpsc::channel(64);
        let workplace = Workplace {
            apps: "/state/apps".into(),
            sandbox_root: None,
            receipts,
            machine: Arc::new(Simulated(Arc::clone(self))),
            clock: Arc::clone(&clock),
        };
        let desktop = LocalDesktop::new(spool, workplace, events_sender, loaded.unfinished, None);
        let parts = Parts {
            transport: Dialler {
                world: Arc::clone(&self.world),
                line: Arc::clone(&self.line),
                desktop: self.index,
                life: Arc::clone(life),
                address: Arc::clone(address),
                agent_watcher: Arc::clone(self) as Arc<dyn AgentWatcher>,
                server_watcher: Arc::clone(server_watcher),
            },
            desktop,
            events,
            renewals: NoRenewals,
            identity: Box::new(identity),
            introduction: Introduction {
                agent_version: "0.1.0".to_owned(),
                os: "linux".to_owned(),
                arch: "x86_64".to_owned(),
                boot_id: format!("{}-{}", self.index, self.boot.load(Ordering::Relaxed)),
                sandbox_root: None,
            },
            pace: Pace::default(),
            journal: loaded.attempts,
            seed: self.world.draw(),
        };
        let (_running, shutdown) = watch::channel(false);
        let mut run = std::pin::pin!(channel::run(parts, &*clock, shutdown));
        // Asleep, it is not polled: what comes waits, and its time-outs run by the time that it was awake.
        loop {
            self.awake().await;
            tokio::select! {
                biased;
                () = self.awake.until(false) => {}
                _ = &mut run => return,
            }
        }
    }

    /// Whether an agent may send this: what it promises is on its disk, whatever happens to the power.
    fn promises(&self, attempt: AttemptId, file: &str) -> Option<Vec<u8>> {
        let prefix = attempt.uuid().simple().to_string();
        let folder = self
            .disk
            .names(Path::new(JOURNAL))
            .into_iter()
            .find(|name| name.starts_with(&prefix))?;
        self.disk
            .certain(&Path::new(JOURNAL).join(folder).join(file))
    }

    /// Attempts in the journal.
    pub(crate) fn journal(&self) -> Vec<String> {
        let mut names = self.disk.names(Path::new(JOURNAL));
        // On their way in or out: no attempts, removed by the next agent.
        names.retain(|name| !name.ends_with(".coming") && !name.ends_with(".going"));
        names
    }
}

impl AgentWatcher for Desktop {
    fn sends(&self, message: &AgentMessage) {
        match message {
            AgentMessage::Accepted { attempt } => {
                self.note(format_args!("accepted {}", short(*attempt)));
                if self.promises(*attempt, "task.json").is_none() {
                    self.world.broken(
                        "I1",
                        format_args!(
                            "desktop {} acknowledges {attempt}, which a power cut could take from its journal",
                            self.index
                        ),
                    );
                }
            }
            AgentMessage::Result(receipt) => {
                let evidence = match receipt.statement() {
                    Ok(statement) => statement.evidence,
                    Err(error) => {
                        self.world
                            .broken("I1", format_args!("an unreadable receipt is sent: {error}"));
                        return;
                    }
                };
                self.note(format_args!(
                    "result {} exit {:?} failure {:?}",
                    short(evidence.attempt),
                    evidence.exit_code,
                    evidence.failure
                ));
                if self.promises(evidence.attempt, "receipt.json").is_none() {
                    self.world.broken(
                        "I1",
                        format_args!(
                            "desktop {} sends a result of {} that a power cut could take from its journal",
                            self.index, evidence.attempt
                        ),
                    );
                }
                self.truth().sent.insert(evidence.attempt, evidence);
            }
            AgentMessage::Declined { attempt, reason } => {
                self.note(format_args!(
                    "declined {} because {reason}",
                    short(*attempt)
                ));
            }
            AgentMessage::Hello(hello) => self.note(format_args!(
                "hello {:?}",
                hello
                    .attempts
                    .iter()
                    .map(|report| (short(report.attempt), report.stage))
                    .collect::<Vec<_>>()
            )),
            AgentMessage::Progress { attempt, phase, .. } => {
                self.note(format_args!("progress {} {phase:?}", short(*attempt)));
            }
            AgentMessage::SourceRequest { attempt } => {
                self.note(format_args!("asks for a source of {}", short(*attempt)));
            }
            AgentMessage::Heartbeat { .. }
            | AgentMessage::Renew { .. }
            | AgentMessage::Detected { .. }
            | AgentMessage::Log { .. }
            | AgentMessage::Update(_)
            | AgentMessage::Inventory(_) => {}
        }
    }
}

/// The end of an id: enough to tell attempts apart in a trace.
pub(crate) fn short(attempt: AttemptId) -> String {
    let text = attempt.uuid().simple().to_string();
    text[text.len() - 6..].to_owned()
}

struct DesktopClock(Arc<Desktop>);

impl Clock for DesktopClock {
    fn unix_millis(&self) -> i64 {
        let elapsed = i64::try_from(self.0.world.elapsed().as_millis()).unwrap_or(i64::MAX);
        START_MILLIS + elapsed + self.0.skew.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        // Sleep does not count.
        self.0.world.elapsed().saturating_sub(Duration::from_millis(
            self.0.slept_millis.load(Ordering::Relaxed),
        ))
    }
}

/// Receipts are verified apart from what is simulated: any signature will do.
struct AnyKey;

impl Signer for AnyKey {
    fn sign(&self, _: &[u8]) -> Result<([u8; 32], Vec<u8>), String> {
        Ok(([0; 32], b"simulated".to_vec()))
    }
}

struct NoRenewals;

impl Renewals for NoRenewals {
    fn due(&mut self) -> Option<String> {
        None
    }

    fn keep(&mut self, _: &str, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    fn learn_time(&mut self, _: i64) -> TimeLearned {
        TimeLearned::Known
    }
}

/// What an installer does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behaviour {
    kind: String,
    file: String,
}

impl Behaviour {
    fn of(arguments: &[String]) -> Self {
        Self {
            kind: arguments.first().cloned().unwrap_or_default(),
            file: arguments.get(1).cloned().unwrap_or_default(),
        }
    }

    fn exit_code(&self) -> i32 {
        match self.kind.as_str() {
            "failing" | "ungrateful" => 1,
            "again" => 75,
            _ => 0,
        }
    }

    fn installs(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "honest" | "slow" | "ungrateful" | "instant"
        )
    }

    fn removes(&self) -> bool {
        self.kind == "remove"
    }
}

struct Simulated(Arc<Desktop>);

impl Machine for Simulated {
    fn fetch<'a>(
        &'a self,
        _: &'a AttemptFolder,
        _: &'a PackageRef,
        sources: &'a mut Sources,
        report: Report<'a>,
    ) -> Answer<'a, Result<FileDigest, Stop>> {
        Box::pin(async move {
            let desktop = &self.0;
            loop {
                match sources.ask().await {
                    Ok(_) => {}
                    Err(refusal) if refusal.retry => {
                        desktop.note(format_args!("no source yet: {}", refusal.reason));
                        desktop.world.pause_millis(250, 5_000).await;
                        continue;
                    }
                    Err(refusal) => {
                        let failure = refusal.failure.unwrap_or(FailureCode::DownloadForbidden);
                        return Err(Stop::new(failure, refusal.reason));
                    }
                }
                for percent in [0, 50, 100] {
                    report(Transferred {
                        percent: Some(percent),
                        bytes_per_second: 1_000,
                    });
                    desktop.world.pause_millis(1, 300).await;
                    desktop.awake().await;
                    desktop.line.flowing().await;
                }
                if desktop.world.mishap(30) {
                    if desktop.world.chance(200) {
                        return Err(Stop::new(FailureCode::DownloadFailed, "it broke off"));
                    }
                    continue;
                }
                return digest_reader(PACKAGE)
                    .map_err(|error| Stop::new(FailureCode::AgentFailure, error.to_string()));
            }
        })
    }

    fn unwrap_package(
        &self,
        folder: &AttemptFolder,
        _: &PackageRef,
        _: &FileDigest,
    ) -> Result<PathBuf, Stop> {
        Ok(folder.package_folder().join("package"))
    }

    fn rule_of_package<'a>(
        &'a self,
        _: &'a Path,
    ) -> Answer<'a, Result<Option<DetectionRule>, Stop>> {
        Box::pin(async { Ok(None) })
    }

    fn evaluate<'a>(&'a self, rule: &'a DetectionRule, _: Place<'a>) -> Answer<'a, View> {
        Box::pin(async move {
            self.0.world.pause_millis(0, 20).await;
            self.0.awake().await;
            let holds = match rule {
                DetectionRule::File { path, .. } => self.0.truth().installed.contains(path),
                _ => false,
            };
            View {
                holds: Some(holds),
                seen: format!("{rule:?}"),
            }
        })
    }

    fn running_programs<'a>(
        &'a self,
        _: &'a ProgramNames,
        _: Option<&'a Path>,
    ) -> Answer<'a, Result<Vec<RunningProgram>, PlatformError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn end_program(&self, _: &RunningProgram, _: EndBy) {}

    fn notify_user<'a>(
        &'a self,
        _: u32,
        _: Option<&'a Path>,
        _: &'a Notice,
    ) -> Answer<'a, Result<(), PlatformError>> {
        Box::pin(async { Ok(()) })
    }

    fn start_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
    ) -> Answer<'a, Result<(), PlatformError>> {
        Box::pin(async move {
            let desktop = &self.0;
            desktop.world.pause_millis(0, 30).await;
            desktop.awake().await;
            let refused = |reason: &str| PlatformError::Refused {
                action: "start the supervisor".to_owned(),
                reason: reason.to_owned(),
            };
            if desktop.world.mishap(5) {
                return Err(refused("no memory"));
            }
            let attempt = folder.attempt;
            if !desktop.truth().supervisors.insert(attempt) {
                return Err(refused("another one holds the attempt"));
            }
            let files = desktop.machine_files();
            let supervisor = Supervisor {
                desktop: Arc::clone(desktop),
                attempt,
                folder: folder.path().to_owned(),
                files,
            };
            desktop
                .processes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .spawn(supervisor.run());
            Ok(())
        })
    }

    fn await_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
        _: Option<Prepared>,
    ) -> Answer<'a, Result<SupervisionEnd, PlatformError>> {
        Box::pin(async move {
            let desktop = &self.0;
            let attempt = folder.attempt;
            loop {
                let changed = desktop.changed.notified();
                // What a killed supervisor left running is waited for too.
                let held = {
                    let truth = desktop.truth();
                    truth.supervisors.contains(&attempt) || truth.running == Some(attempt)
                };
                if !held {
                    break;
                }
                changed.await;
                desktop.awake().await;
            }
            match left_behind(folder.files(), folder.path()) {
                Ok(Some(end)) => Ok(end),
                Ok(None) => Ok(SupervisionEnd::Interrupted {
                    detail: "supervisor and installer ended without a record of how".to_owned(),
                }),
                Err(error) => Err(PlatformError::system("withdraw what was prepared", error)),
            }
        })
    }
}

/// A supervisor's process; see the real one, `agent/src/platform/linux/supervisor.rs`.
struct Supervisor {
    desktop: Arc<Desktop>,
    attempt: AttemptId,
    folder: PathBuf,
    files: ProcessDisk,
}

impl Supervisor {
    async fn run(self) {
        self.supervise().await;
        let desktop = Arc::clone(&self.desktop);
        desktop.truth().supervisors.remove(&self.attempt);
        desktop.changed.notify_waiters();
    }

    fn is_killed(&self) -> bool {
        !self.desktop.truth().supervisors.contains(&self.attempt)
    }

    async fn supervise(&self) {
        let desktop = &self.desktop;
        let files: &dyn Files = &self.files;
        let prepared: Prepared = match files.read_json(&run_path(&self.folder)) {
            Ok(Some(prepared)) => prepared,
            Ok(None) | Err(_) => return,
        };
        if files.exists(&started_path(&self.folder)) {
            desktop.note(format_args!("{} was started before", short(self.attempt)));
            return;
        }
        let mark = ProcessMark {
            pid: 1,
            start_ticks: 1,
        };
        let started = Started {
            supervisor: mark.clone(),
            boot_id: desktop.boot.load(Ordering::Relaxed).to_string(),
            at_millis: 0,
            control_group: None,
        };
        if files
            .write_json(&started_path(&self.folder), &started)
            .is_err()
        {
            return;
        }
        desktop.world.pause_millis(0, 20).await;
        if self.is_killed()
            || files
                .write_json(&installer_path(&self.folder), &mark)
                .is_err()
        {
            return;
        }
        let behaviour = Behaviour::of(&prepared.arguments);
        self.begins(&behaviour);
        let lasts = match behaviour.kind.as_str() {
            "slow" => desktop.world.between(20_000, 200_000),
            "hanging" => u64::MAX / 4,
            "instant" | "instant-lying" => 0,
            _ => desktop.world.between(5, 3_000),
        };
        let limit = u64::from(prepared.run_limit_secs) * 1000;
        let mut ran = 0;
        let end = loop {
            if ran >= lasts {
                if !desktop.truth().ends.contains_key(&self.attempt) {
                    self.ends(&behaviour);
                }
                break RunEnd::Exited(behaviour.exit_code());
            }
            if !self.is_killed() && files.exists(&cancel_path(&self.folder)) {
                break RunEnd::Cancelled;
            }
            if ran >= limit {
                break RunEnd::RunLimit;
            }
            let tick = (lasts - ran).min(if lasts > 10_000 { 2_500 } else { 250 });
            tokio::time::sleep(Duration::from_millis(tick)).await;
            desktop.awake().await;
            ran += tick;
        };
        desktop.truth().running = None;
        if self.is_killed() {
            // The installer ended; nobody is there to write down how.
            return;
        }
        let exit = Exit {
            end,
            output_tail: behaviour.kind,
        };
        if let Err(error) = files.write_json(&exit_path(&self.folder), &exit) {
            desktop.note(format_args!("no record of an end: {error}"));
        }
    }

    fn begins(&self, behaviour: &Behaviour) {
        let desktop = &self.desktop;
        Counted::one(&desktop.world.counted.installers);
        desktop.note(format_args!(
            "installer of {} begins: {behaviour:?}",
            short(self.attempt)
        ));
        let mut truth = desktop.truth();
        if let Some(other) = truth.running {
            desktop.world.broken(
                "I2",
                format_args!(
                    "desktop {}: the installer of {} begins while that of {other} runs",
                    desktop.index, self.attempt
                ),
            );
        }
        truth.running = Some(self.attempt);
        let starts = truth.starts.entry(self.attempt).or_default();
        *starts += 1;
        if *starts > 1 {
            desktop.world.broken(
                "I2",
                format_args!(
                    "desktop {}: the installer of {} begins for the {starts}th time",
                    desktop.index, self.attempt
                ),
            );
        }
    }

    fn ends(&self, behaviour: &Behaviour) {
        let desktop = &self.desktop;
        desktop.note(format_args!("installer of {} ends", short(self.attempt)));
        let mut truth = desktop.truth();
        truth.ends.insert(self.attempt, behaviour.exit_code());
        if behaviour.installs() {
            truth.installed.insert(behaviour.file.clone());
            truth.ever_installed.insert(behaviour.file.clone());
        } else if behaviour.removes() {
            truth.installed.remove(&behaviour.file);
        }
    }
}
