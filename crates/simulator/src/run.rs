//! One run: what is there, what is done to it, and how it ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as WallInstant};

use anyhow::Result;
use outfitter_agent_protocol::{Approach, TaskKind};
use outfitter_domain::app::AuthorizationChange;
use outfitter_domain::{Account, AccountType, PlatformType};
use outfitter_ids::{AppId, DesktopId, JobId};
use outfitter_server::app::cancel;
use outfitter_server::app::install::{Audience, Install, install};
use outfitter_store::{AppKey, DeploymentKey, DesktopKey, FreezeScope, ProjectKey};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::desktop::Desktop;
use crate::net::{Address, ServerWatcher};
use crate::oracle::{Accepted, Oracle};
use crate::server::{AppKind, Door, Population, Process, Server, Workshop, memory_folder};
use crate::world::{Counted, World};

const PROJECT: ProjectKey = ProjectKey::new(1);

/// Longest virtual time from the last mishap to the end of every job. Source: the longest pause between automatic retries is
/// 64 minutes (`domain::job::reason`), and there may be some in a row.
const SETTLED_WITHIN: Duration = Duration::from_secs(5 * 3600);

/// Virtual time after the last mishap in which every agent is back: three heartbeats until it knows that its channel is
/// dead, and its longest pause.
const BACK_WITHIN: Duration = Duration::from_secs(260);

/// After that, what a failed disk left in a journal is removed by new agents.
const LEFTOVERS_AFTER: Duration = Duration::from_secs(400);

/// What a run is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Drawn from the seed, mishaps and all.
    Drawn,
    /// No mishaps: every app on every desktop by one call, apps that are installed in no time.
    Batch {
        /// Desktops.
        desktops: usize,
        /// Apps.
        apps: usize,
        /// Whether their links have digests.
        pinned: bool,
    },
}

/// What a run was like.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Digest of the whole trace.
    pub digest: u64,
    /// Desktops.
    pub desktops: usize,
    /// Steps in the trace.
    pub steps: u64,
    /// Processes of the server that were ended by force.
    pub server_crashes: u64,
    /// Agents that were killed.
    pub agent_crashes: u64,
    /// Desktops that lost power.
    pub power_cuts: u64,
    /// Connections that broke.
    pub cuts: u64,
    /// Operations of disks that failed.
    pub disk_faults: u64,
    /// Installers that were started.
    pub installers: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// What became of jobs.
    pub outcomes: BTreeMap<String, u64>,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Virtual time until the jobs of a batch had ended.
    pub settled_after: Duration,
    /// Real time.
    pub wall_time: Duration,
}

/// A broken invariant.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that breaks it again.
    pub seed: u64,
    /// Which, and how.
    pub what: String,
    /// What led there.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} breaks {}", self.seed, self.what)?;
        writeln!(
            f,
            "again: OUTFITTER_SIMULATOR_FIRST_SEED={} OUTFITTER_SIMULATOR_SEEDS=1 cargo nextest run -p outfitter-simulator seeds \
             (OUTFITTER_SIMULATOR_TRACE=1 for all of it)",
            self.seed
        )?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

const fn kind(command: &'static str, rule: bool, pinned: bool, for_everyone: bool) -> AppKind {
    AppKind {
        command,
        rule,
        pinned,
        for_everyone,
        run_limit_secs: 300,
    }
}

const APPS: [AppKind; 9] = [
    kind("honest", true, true, false),
    kind("honest", false, true, true),
    kind("lying", true, true, false),
    kind("failing", true, true, true),
    kind("ungrateful", true, true, false),
    kind("honest", true, false, true),
    kind("again", true, true, false),
    kind("slow", true, true, false),
    AppKind {
        run_limit_secs: 30,
        ..kind("hanging", false, true, true)
    },
];

/// Runs a seed. `Ok(Err(..))` is a broken invariant.
///
/// # Errors
/// When the run could not be made: a file, the database.
pub fn run(
    workshop: &Arc<Workshop>,
    seed: u64,
    shape: Shape,
) -> Result<std::result::Result<Report, Box<Failure>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let began = WallInstant::now();
    let outcome = runtime.block_on(async {
        let world = World::new(seed);
        let mut report = Box::pin(simulate(workshop, &world, shape)).await?;
        report.wall_time = began.elapsed();
        Ok::<_, anyhow::Error>(match world.what_broke() {
            None => Ok(report),
            Some(what) => Err(Box::new(Failure {
                seed,
                what,
                trace: world.lines(),
            })),
        })
    })?;
    drop(runtime);
    Ok(outcome)
}

fn population(world: &World, shape: Shape) -> Population {
    match shape {
        Shape::Drawn => Population {
            desktops: match world.up_to(199) {
                0 => 300,
                1..=2 => 100,
                3..=10 => 30,
                11..=60 => 10,
                _ => 4,
            },
            apps: APPS.to_vec(),
        },
        Shape::Batch {
            desktops,
            apps,
            pinned,
        } => Population {
            desktops,
            apps: vec![kind("instant", false, pinned, true); apps],
        },
    }
}

struct Scene {
    world: Arc<World>,
    address: Arc<Address>,
    desktops: Vec<Arc<Desktop>>,
    oracle: Arc<Oracle>,
    process: Mutex<Option<Arc<Process>>>,
    accepted: Mutex<Vec<Accepted>>,
    apps: usize,
    /// A desktop that is thrown away in the middle and never comes back.
    gone: Option<usize>,
    /// Nothing goes wrong: nobody need be waited for.
    is_batch: bool,
    /// When a process of the server ended.
    ends: Mutex<Vec<Duration>>,
}

impl Scene {
    fn process(&self) -> Option<Arc<Process>> {
        self.process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_process(&self, process: Option<Arc<Process>>) {
        self.address.set(
            process
                .as_ref()
                .map(|process| Arc::new(Door(Arc::downgrade(process))) as _),
        );
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }

    fn any_desktop(&self) -> &Arc<Desktop> {
        &self.desktops[self.index(self.desktops.len())]
    }

    fn index(&self, of: usize) -> usize {
        usize::try_from(self.world.up_to(of as u64 - 1)).unwrap_or(0)
    }

    fn some(&self, of: usize, most: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = (0..=self.index(most)).map(|_| self.index(of)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

async fn simulate(workshop: &Arc<Workshop>, world: &Arc<World>, shape: Shape) -> Result<Report> {
    let population = population(world, shape);
    let folder = memory_folder()?;
    let database = folder.path().join("run.db");
    workshop.database(&population, &database)?;
    let oracle = Oracle::new(
        world,
        workshop.handle().clone(),
        &database,
        &population.apps,
    )?;
    let mut server = Server::new(world, workshop, &database, Arc::clone(&oracle))?;
    if shape != Shape::Drawn {
        world.calm_down();
    }
    let desktops: Vec<_> = (0..population.desktops)
        .map(|index| Desktop::new(world, index))
        .collect();
    oracle.watch(&desktops);
    let scene = Arc::new(Scene {
        world: Arc::clone(world),
        address: Arc::default(),
        desktops,
        oracle: Arc::clone(&oracle),
        process: Mutex::default(),
        accepted: Mutex::default(),
        apps: population.apps.len(),
        // Waiting for the clocks that end its jobs is hours of heartbeats of the others.
        gone: (shape == Shape::Drawn && population.desktops <= 10 && world.chance(250))
            .then_some(0),
        is_batch: shape != Shape::Drawn,
        ends: Mutex::default(),
    });
    let mut lives = tokio::task::JoinSet::new();
    for desktop in &scene.desktops {
        lives.spawn(Arc::clone(desktop).live(
            Arc::clone(&scene.address),
            Arc::clone(&oracle) as Arc<dyn ServerWatcher>,
        ));
    }
    let settled_after = {
        let played = async {
            match shape {
                Shape::Drawn => {
                    let chaos = async {
                        let millis = world.between(30_000, 300_000);
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        world.calm_down();
                    };
                    tokio::select! {
                        biased;
                        // Ended by itself: a process must not be left half ended.
                        _ = futures_util::future::join(chaos, serve(&scene, &mut server)) => {}
                        () = administer(&scene) => {}
                        () = disturb(&scene) => {}
                    }
                    calm(&scene, &mut server).await;
                }
                Shape::Batch { desktops, .. } => {
                    let process = server.start();
                    scene.set_process(Some(process));
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    let users: Vec<usize> = (0..desktops).collect();
                    let apps: Vec<usize> = (0..scene.apps).collect();
                    deploy(&scene, apps, Asked::Users(users), TaskKind::Install).await;
                }
            }
            settle(&scene).await
        };
        tokio::select! {
            biased;
            () = world.stop.notified() => Duration::ZERO,
            settled = played => settled,
        }
    };
    if world.what_broke().is_none() {
        oracle.finally(
            &scene
                .accepted
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
            scene.gone,
        );
        check_calls(&scene);
    }
    let virtual_time = world.elapsed();
    let counted = &world.counted;
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let report = Report {
        digest: world.digest(),
        desktops: scene.desktops.len(),
        steps: of(&world.steps),
        server_crashes: of(&counted.server_crashes),
        agent_crashes: of(&counted.agent_crashes),
        power_cuts: of(&counted.power_cuts),
        cuts: of(&counted.cuts),
        disk_faults: of(&counted.disk_faults),
        installers: of(&counted.installers),
        messages: of(&counted.messages),
        outcomes: oracle.outcomes(),
        virtual_time,
        settled_after,
        wall_time: Duration::ZERO,
    };
    lives.shutdown().await;
    for desktop in &scene.desktops {
        desktop.stop().await;
    }
    let process = scene.process();
    scene.set_process(None);
    if let Some(process) = process {
        server.end(process).await;
    }
    server.finish();
    Ok(report)
}

/// The server's processes, one after the other.
async fn serve(scene: &Scene, server: &mut Server) {
    let world = &scene.world;
    while !world.is_calm() {
        let process = server.start();
        scene.set_process(Some(Arc::clone(&process)));
        let until = match world.up_to(9) {
            // Dies at a step of its database, whichever that is.
            0..=5 => {
                let steps = world.between(1, 4_000);
                process
                    .fuse
                    .store(i64::try_from(steps).unwrap_or(i64::MAX), Ordering::Relaxed);
                3_600_000
            }
            6..=7 => world.between(1_000, 240_000),
            _ => 3_600_000,
        };
        tokio::select! {
            biased;
            () = process.life.died.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(until)) => {}
            // Goes on until all is mended.
            () = world.calmed() => return,
        }
        scene.set_process(None);
        Counted::one(&world.counted.server_crashes);
        scene
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(world.elapsed());
        server.end(process).await;
        if world.mishap(100) {
            // The clock of the new machine is another one.
            let jump = world.between(0, 1_200_000);
            let jump = i64::try_from(jump).unwrap_or(0) - 600_000;
            world.note(format_args!("the server's clock jumps by {jump} ms"));
            server.clock.skew.fetch_add(jump, Ordering::Relaxed);
        }
        world.pause_millis(100, 60_000).await;
    }
}

/// Whom a call is for.
#[derive(Debug, Clone)]
enum Asked {
    Users(Vec<usize>),
    Desktops(Vec<usize>),
    Authorized,
}

fn id_of(kind: u32, index: usize) -> Uuid {
    Uuid::parse_str(&format!("{kind:08x}-0000-7000-8000-{:012x}", index + 1)).unwrap_or_default()
}

fn account(index: usize) -> Account {
    Account {
        account_type: AccountType::Simple,
        account: format!("u{index}"),
        domain: "local.com".to_owned(),
        platform_type: PlatformType::Local,
    }
}

/// A call of an administrator, answered or not.
async fn deploy(scene: &Scene, apps: Vec<usize>, asked: Asked, kind: TaskKind) {
    let Some(process) = scene.process() else {
        return;
    };
    scene
        .world
        .note(format_args!("{kind:?} of apps {apps:?} for {asked:?}"));
    let pairs = match &asked {
        Asked::Users(users) => users.len() * apps.len(),
        Asked::Desktops(desktops) => desktops.len() * apps.len(),
        Asked::Authorized => 0,
    };
    let services = Arc::clone(&process.services);
    let repair = scene.world.chance(100);
    let (answer, answered) = oneshot::channel();
    process.spawn(async move {
        let audience = match asked {
            Asked::Users(users) => Audience::Listed(users.into_iter().map(account).collect()),
            Asked::Desktops(desktops) => Audience::Desktops(
                desktops
                    .into_iter()
                    .map(|index| Some(DesktopId::new(id_of(2, index))))
                    .collect(),
            ),
            Asked::Authorized => Audience::Authorized,
        };
        let apps = apps
            .into_iter()
            .map(|index| Some(AppId::new(id_of(4, index))))
            .collect();
        let mut call = Install::plain(kind, PROJECT, apps, audience, "administrator", None);
        if repair && kind == TaskKind::Install {
            call.approach = Approach::Repair;
        }
        call.expires_in = Some(Duration::from_secs(3600));
        let _ = answer.send(install(&services, call).await);
    });
    drop(process);
    match answered.await {
        Ok(Ok(id)) => {
            scene.world.note(format_args!("accepted as {id}"));
            scene
                .accepted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Accepted {
                    id: id.uuid(),
                    pairs: i64::try_from(pairs).unwrap_or(0),
                });
        }
        Ok(Err(error)) => scene.world.note(format_args!("refused: {error}")),
        Err(_) => scene.world.note("never answered"),
    }
}

/// What administrators do.
async fn administer(scene: &Scene) {
    let world = &scene.world;
    world.pause_millis(500, 10_000).await;
    loop {
        match world.up_to(19) {
            0..=8 => {
                let asked = if world.chance(700) {
                    Asked::Users(scene.some(scene.desktops.len(), scene.desktops.len().min(40)))
                } else if world.chance(700) {
                    Asked::Desktops(scene.some(scene.desktops.len(), scene.desktops.len().min(40)))
                } else {
                    Asked::Authorized
                };
                deploy(scene, scene.some(scene.apps, 4), asked, TaskKind::Install).await;
                if world.chance(100) {
                    // A mistake, and seen at once.
                    world.pause_millis(0, 200).await;
                    freeze(scene, true).await;
                }
            }
            9..=10 => {
                let asked =
                    Asked::Desktops(scene.some(scene.desktops.len(), scene.desktops.len().min(10)));
                deploy(scene, scene.some(scene.apps, 2), asked, TaskKind::Uninstall).await;
            }
            11..=13 => authorize(scene).await,
            14..=15 => cancel_one(scene).await,
            16 => retry(scene).await,
            17 => freeze(scene, true).await,
            _ => freeze(scene, false).await,
        }
        world.pause_millis(10, 25_000).await;
    }
}

/// Runs a piece of work in the server's process; nobody hears of it when that dies.
async fn within<Fut>(scene: &Scene, work: impl FnOnce(Arc<outfitter_server::Services>) -> Fut)
where
    Fut: Future<Output = std::result::Result<(), outfitter_store::StoreError>> + Send + 'static,
{
    let Some(process) = scene.process() else {
        return;
    };
    let work = work(Arc::clone(&process.services));
    let (done, told) = oneshot::channel();
    process.spawn(async move {
        let _ = done.send(work.await);
    });
    drop(process);
    match told.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => scene.world.note(format_args!("refused: {error}")),
        Err(_) => scene.world.note("never answered"),
    }
}

async fn authorize(scene: &Scene) {
    let users = scene.some(scene.desktops.len(), scene.desktops.len().min(10));
    let apps: Vec<AppKey> = scene
        .some(scene.apps, 3)
        .into_iter()
        .map(|index| AppKey::new(index as i64 + 1))
        .collect();
    let grants = scene.world.chance(300);
    scene.world.note(format_args!(
        "{} {users:?} for {apps:?}",
        if grants { "grants" } else { "revokes" }
    ));
    let accounts: Vec<Account> = users.into_iter().map(account).collect();
    let change = if grants {
        AuthorizationChange {
            grant: accounts,
            revoke: Vec::new(),
        }
    } else {
        AuthorizationChange {
            grant: Vec::new(),
            revoke: accounts,
        }
    };
    within(scene, |services| async move {
        let tx = services.store.write().await?;
        tx.authorization_apply(&apps, &change, services.clock.now())
            .await?;
        tx.commit().await
    })
    .await;
}

async fn cancel_one(scene: &Scene) {
    let count = scene
        .accepted
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len();
    if count == 0 {
        return;
    }
    let key = DeploymentKey::new(scene.index(count) as i64 + 1);
    scene.world.note(format_args!("cancels deployment {key:?}"));
    within(scene, |services| async move {
        cancel::cancel_deployment(&services, key).await.map(drop)
    })
    .await;
}

async fn retry(scene: &Scene) {
    let failed = scene.oracle.failed_jobs();
    if failed.is_empty() {
        return;
    }
    let jobs: Vec<JobId> = scene
        .some(failed.len(), 10)
        .into_iter()
        .map(|index| JobId::new(failed[index]))
        .collect();
    scene
        .world
        .note(format_args!("retries {} jobs", jobs.len()));
    within(scene, |services| async move {
        let tx = services.store.write().await?;
        if let Ok(desktops) = tx.job_retry(PROJECT, &jobs, services.clock.now()).await? {
            tx.commit().await?;
            services.background.look_at(desktops);
        }
        Ok(())
    })
    .await;
}

async fn freeze(scene: &Scene, on: bool) {
    scene
        .world
        .note(if on { "freezes" } else { "lifts the freeze" });
    within(scene, |services| async move {
        let tx = services.store.write().await?;
        let scope = FreezeScope::Project(PROJECT);
        if on {
            tx.freeze_set(scope, "administrator", None, services.clock.now())
                .await?;
        } else {
            tx.freeze_lift(scope).await?;
        }
        tx.commit().await
    })
    .await;
}

/// What goes wrong on desktops and lines.
async fn disturb(scene: &Arc<Scene>) {
    let world = &scene.world;
    let busy = 20_000 / (scene.desktops.len() as u64).clamp(1, 40);
    loop {
        world.pause_millis(1, busy * 2).await;
        let desktop = Arc::clone(scene.any_desktop());
        match world.up_to(99) {
            0..=14 => {
                world.note(format_args!(
                    "desktop {}: the agent is killed",
                    desktop.index
                ));
                desktop.kill_agent();
            }
            15..=34 => desktop.kill_agent_after(world.up_to(25)),
            35..=44 => desktop.cut_power().await,
            45..=49 => desktop.kill_a_supervisor(),
            50..=69 => {
                world.note(format_args!("the line of desktop {} is cut", desktop.index));
                desktop.line.cut(world);
            }
            70..=79 => {
                let millis = world.between(100, 400_000);
                world.note(format_args!(
                    "nothing reaches desktop {} for {millis} ms",
                    desktop.index
                ));
                desktop.line.set_open(false);
                let scene = Arc::clone(scene);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    if !scene.world.is_calm() {
                        let_go_of(&scene, &desktop);
                        desktop.line.set_open(true);
                    }
                });
            }
            80..=84 => desktop.line.set_slow(world.between(1, 3_000)),
            85..=89 => {
                let millis = world.between(1_000, 400_000);
                let scene = Arc::clone(scene);
                tokio::spawn(async move {
                    desktop.suspend(millis).await;
                    let _ = scene;
                });
            }
            90..=95 => {
                let millis = world.between(100, 60_000);
                world.note(format_args!("desktop {}: the disk is full", desktop.index));
                desktop.disk.set_full(true);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    desktop.disk.set_full(false);
                });
            }
            _ => {
                let jump = i64::try_from(world.up_to(200_000_000)).unwrap_or(0) - 100_000_000;
                world.note(format_args!(
                    "desktop {}: its clock jumps by {jump} ms",
                    desktop.index
                ));
                desktop.skew.store(jump, Ordering::Relaxed);
            }
        }
    }
}

/// I8: a peer of which nothing was heard for three heartbeats is not kept.
fn let_go_of(scene: &Scene, desktop: &Desktop) {
    let Some(process) = scene.process() else {
        return;
    };
    let key = DesktopKey::new(desktop.index as i64 + 1);
    let silent = desktop.line.silent_for();
    if silent > Duration::from_secs(200) && process.services.registry.epoch(key).is_some() {
        scene.world.broken(
            "I8",
            format_args!(
                "the server still holds the channel of desktop {}, of which it heard nothing for {silent:?}",
                desktop.index
            ),
        );
    }
}

/// Everything works again.
async fn calm(scene: &Scene, server: &mut Server) {
    for desktop in &scene.desktops {
        if scene.gone == Some(desktop.index) {
            scene
                .world
                .note(format_args!("desktop {} is thrown away", desktop.index));
            desktop.line.set_open(false);
            continue;
        }
        let_go_of(scene, desktop);
        desktop.line.set_open(true);
        desktop.line.set_slow(5);
        desktop.disk.set_full(false);
        desktop.disk.light_fuse(None);
    }
    let running = scene.process();
    scene.set_process(None);
    if let Some(process) = running {
        scene
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(scene.world.elapsed());
        server.end(process).await;
    }
    let process = server.start();
    scene.set_process(Some(process));
    freeze(scene, false).await;
}

/// Waits for the end of every job; answers how long that took.
async fn settle(scene: &Scene) -> Duration {
    let world = &scene.world;
    let began = world.elapsed();
    let mut swept = false;
    let (mut all_back, mut back_since, mut orphans_asked) = (false, Duration::ZERO, false);
    loop {
        let waited = world.elapsed() - began;
        if !all_back && let Some(process) = scene.process() {
            let back = process.services.registry.len();
            let wanted = scene.desktops.len() - usize::from(scene.gone.is_some());
            all_back = back >= wanted;
            if !all_back && waited > BACK_WITHIN {
                world.broken(
                    "I9",
                    format_args!(
                        "{back} of {wanted} agents are back {waited:?} after the last mishap"
                    ),
                );
                return waited;
            }
            if all_back {
                back_since = waited;
            }
        }
        if all_back && !orphans_asked && waited > back_since + Duration::from_secs(60) {
            orphans_asked = true;
            scene.oracle.no_orphans(scene.gone);
        }
        let left = scene.oracle.settled();
        let journals = scene
            .desktops
            .iter()
            .filter(|desktop| scene.gone != Some(desktop.index) && !desktop.journal().is_empty())
            .count();
        if left.is_none() && journals > 0 && waited > LEFTOVERS_AFTER && !swept {
            // What could not be removed stays until the next agent: a failed disk, not a job.
            swept = true;
            for desktop in &scene.desktops {
                if !desktop.journal().is_empty() {
                    desktop.kill_agent();
                }
            }
        }
        match left {
            None if journals == 0 && (all_back || scene.is_batch) => return waited,
            None if journals == 0 => {}
            left if waited > SETTLED_WITHIN => {
                world.broken(
                    "I4",
                    format_args!(
                        "{waited:?} after the last mishap: {}; {journals} journals are not empty",
                        left.unwrap_or_default()
                    ),
                );
                return waited;
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(if waited < Duration::from_secs(60) {
            1
        } else {
            10
        }))
        .await;
    }
}

/// I9: agents that lost their server do not come back all at once.
fn check_calls(scene: &Scene) {
    let calls = scene
        .address
        .calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let ends = scene.ends.lock().unwrap_or_else(PoisonError::into_inner);
    let most = scene.desktops.len() / 2 + 5;
    for (first, (_, at)) in calls.iter().enumerate() {
        // Within the first seconds of an outage each agent tries once or twice: there is nobody to overwhelm.
        let quiet = *at > Duration::from_secs(20)
            && !ends.iter().any(|end| {
                *end < *at + Duration::from_secs(1) && *at < *end + Duration::from_secs(20)
            });
        let in_a_second = calls[first..]
            .iter()
            .take_while(|(_, other)| *other - *at < Duration::from_secs(1))
            .count();
        if quiet && in_a_second > most {
            scene.world.broken(
                "I9",
                format_args!("{in_a_second} agents call within one second at {at:?}"),
            );
            return;
        }
    }
}
