//! The server: its database, its parts, its processes with their deaths.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use outfitter_agent::channel::ConnectError;
use outfitter_agent_protocol::LinkAllowList;
use outfitter_artifacts::PackageStore;
use outfitter_bucket::{Keys as BucketKeys, Objects, Retention};
use outfitter_domain::{Clock, Millis};
use outfitter_ids::IdSource;
use outfitter_push::AgentBinaries;
use outfitter_server::agents::authority::CurrentAuthority;
use outfitter_server::agents::channel::session;
use outfitter_server::agents::pace::Downloads;
use outfitter_server::agents::peer::Standing;
use outfitter_server::agents::pki::Authority;
use outfitter_server::agents::presence::Presence;
use outfitter_server::agents::registry::Registry;
use outfitter_server::app::agent_releases::AgentUpdates;
use outfitter_server::app::bootstrap::Endpoints;
use outfitter_server::audit::Audit;
use outfitter_server::auth::Auth;
use outfitter_server::background::{self, Background};
use outfitter_server::edge::Edge;
use outfitter_server::http::answers::AnswerCounters;
use outfitter_server::secrets::{KeyKeeper, Randomness, Sealer, ServerKeys};
use outfitter_server::services::Services;
use outfitter_store::{
    DatabaseHost, DatabaseStep, HolderState, HostWait, Store, StoreOptions, carry_out,
};
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::disk::Life;
use crate::net::{Listener, ServerEnd};
use crate::oracle::Oracle;
use crate::world::{START_MILLIS, SplitMix, World};

/// A folder on a file system in memory, where there is one.
pub(crate) fn memory_folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        Ok(tempfile::tempdir_in(memory)?)
    } else {
        Ok(tempfile::tempdir()?)
    }
}

/// How many desktops, users and apps a database begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Population {
    pub(crate) desktops: usize,
    pub(crate) apps: Vec<AppKind>,
}

/// What an app does when it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AppKind {
    pub(crate) command: &'static str,
    pub(crate) rule: bool,
    /// Its link has a digest; else the first use pins one.
    pub(crate) pinned: bool,
    pub(crate) for_everyone: bool,
    pub(crate) run_limit_secs: i64,
}

pub(crate) fn app_file(app: usize) -> String {
    format!("/opt/app-{app}")
}

pub(crate) fn fingerprint(desktop: usize) -> [u8; 32] {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(desktop as u64).to_be_bytes());
    bytes
}

/// The server key's and everything else's bytes, the same in each run of a seed.
#[derive(Debug)]
pub(crate) struct Seeded(Mutex<SplitMix>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(SplitMix(seed))))
    }

    fn again(&self, seed: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = SplitMix(seed);
    }

    fn next(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Randomness for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }
}

impl IdSource for Seeded {
    fn uuid(&self, unix_millis: i64) -> Uuid {
        let mut bytes = [0_u8; 10];
        self.fill(&mut bytes);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(unix_millis).unwrap_or(0), &bytes)
            .into_uuid()
    }
}

/// The server's wall clock.
pub(crate) struct ServerClock {
    world: Mutex<Option<Arc<World>>>,
    pub(crate) skew: AtomicI64,
}

impl Clock for ServerClock {
    fn now(&self) -> Millis {
        let elapsed = self
            .world
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map_or(0, |world| {
                i64::try_from(world.elapsed().as_millis()).unwrap_or(i64::MAX)
            });
        Millis::new(START_MILLIS + elapsed + self.skew.load(Ordering::Relaxed))
    }
}

/// What is made once and used by run after run: databases to copy, keys, and the runtime of the databases' own tasks.
pub struct Workshop {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    templates: Mutex<std::collections::BTreeMap<Population, PathBuf>>,
    spare: Mutex<Option<Parts>>,
}

/// Parts of a server that outlive its processes: making them costs more than a whole run.
struct Parts {
    clock: Arc<ServerClock>,
    randomness: Arc<Seeded>,
    ids: Arc<Seeded>,
    audit: Audit,
    auth: Auth,
    key_keeper: KeyKeeper,
    authority: CurrentAuthority,
    packages: PackageStore,
    edge: Arc<Edge>,
}

impl Workshop {
    /// Makes the first of everything.
    ///
    /// # Errors
    /// When a file or the database cannot be made.
    pub fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = memory_folder()?;
        let first = folder.path().join("first.db");
        let parts = runtime.block_on(parts(folder.path(), &first))?;
        Ok(Self {
            runtime,
            folder,
            templates: Mutex::default(),
            spare: Mutex::new(Some(parts)),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// A fresh database with these inhabitants.
    pub(crate) fn database(&self, population: &Population, to: &Path) -> Result<()> {
        let mut templates = self
            .templates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let path = match templates.get(population) {
            Some(path) => path.clone(),
            None => {
                let path = self
                    .folder
                    .path()
                    .join(format!("template-{}.db", templates.len()));
                std::fs::copy(self.folder.path().join("first.db"), &path)?;
                carry_out(self.handle(), populate(&path, population))?;
                templates.insert(population.clone(), path.clone());
                path
            }
        };
        std::fs::copy(path, to)?;
        Ok(())
    }

    fn take(&self) -> Parts {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .expect("one server at a time, whose parts come back")
    }

    fn give(&self, parts: Parts) {
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
    }
}

async fn parts(folder: &Path, database: &Path) -> Result<Parts> {
    let clock = Arc::new(ServerClock {
        world: Mutex::default(),
        skew: AtomicI64::new(0),
    });
    let randomness = Seeded::new(1);
    let store = Store::open(&StoreOptions::Sqlite {
        path: database.to_owned(),
    })
    .await?;
    let sealer = Sealer::new(
        &ServerKeys::random(randomness.as_ref()),
        Arc::clone(&randomness) as Arc<dyn Randomness>,
    );
    let audit = Audit::open(&store, clock.as_ref(), &sealer, randomness.as_ref()).await?;
    let auth = Auth::open(
        &store,
        clock.as_ref(),
        sealer.clone(),
        Arc::clone(&randomness) as Arc<dyn Randomness>,
    )
    .await?;
    let packages = PackageStore::open_local(folder.join("packages")).await?;
    store.close().await;
    Ok(Parts {
        authority: CurrentAuthority::new(Authority::generate(clock.now())?),
        clock,
        randomness,
        ids: Seeded::new(2),
        audit,
        auth,
        key_keeper: KeyKeeper::new(
            sealer,
            folder.join("server.key"),
            Uuid::nil(),
            "simulated".to_owned(),
        ),
        packages,
        edge: Edge::ordinary(),
    })
}

pub(crate) async fn connect(path: &Path) -> Result<SqliteConnection> {
    Ok(sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await?)
}

async fn populate(path: &Path, population: &Population) -> Result<()> {
    let mut connection = connect(path).await?;
    let at = START_MILLIS;
    let mut sql = format!(
        "BEGIN; INSERT INTO domain (id, public_id, name, name_folded, created_at) VALUES (1, randomblob(16), 'd', 'd', {at}); \
         INSERT INTO project (id, public_id, domain_id, name, created_at) VALUES (1, randomblob(16), 1, 'p', {at});"
    );
    for index in 0..population.desktops {
        let key = index + 1;
        let id = |kind: u32| format!("x'{:08x}000070008000{:012x}'", kind, key);
        sql += &format!(
            "INSERT INTO directory_user (id, public_id, project_id, name, name_folded, domain, domain_folded, \
             platform_type, active_type, created_at) VALUES ({key}, {}, 1, 'u{index}', 'u{index}', 'local.com', \
             'local.com', 'LOCAL', 'ADMIN_ACTIVATE', {at}); \
             INSERT INTO desktop (id, public_id, project_id, name, name_folded, os_type, desktop_type, created_at) \
             VALUES ({key}, {}, 1, 'd{index}', 'd{index}', 'Linux', 'DEDICATED', {at}); \
             INSERT INTO desktop_user (desktop_id, user_id) VALUES ({key}, {key}); \
             INSERT INTO agent (id, public_id, desktop_id, machine_id, version, os, arch, enrolled_at) \
             VALUES ({key}, {}, {key}, 'm{index}', '0.1.0', 'linux', 'x86_64', {at}); \
             INSERT INTO agent_certificate (agent_id, fingerprint, not_before, not_after) \
             VALUES ({key}, x'{}', 0, 9000000000000);",
            id(1),
            id(2),
            id(3),
            hex::encode(fingerprint(index)),
        );
    }
    let digest = outfitter_packages::digest_reader(crate::desktop::PACKAGE)?;
    for (index, app) in population.apps.iter().enumerate() {
        let key = index + 1;
        let id = |kind: u32| format!("x'{:08x}000070008000{:012x}'", kind, key);
        let rule = if app.rule {
            format!(
                "'{}'",
                serde_json::to_string(&outfitter_agent_protocol::DetectionRule::File {
                    path: app_file(index),
                    sha256: Some("0".repeat(64)),
                    size_bytes: None,
                })?
            )
        } else {
            "NULL".to_owned()
        };
        let pin = if app.pinned {
            format!("'{}', {}", digest.sha256, digest.size_bytes)
        } else {
            "NULL, NULL".to_owned()
        };
        sql += &format!(
            "INSERT INTO app (id, public_id, project_id, name, name_folded, description, authorization_type, \
             install_type, support_os, status, source, catalog_id, run_limit_secs, revision_id, created_at, updated_at) \
             VALUES ({key}, {}, 1, 'a{index}', 'a{index}', '', '{}', 'QUIET_INSTALL', 'Linux', 'NORMAL', 'CUSTOM', '1', \
             {}, {key}, {at}, {at}); \
             INSERT INTO app_revision (id, public_id, app_id, number, version, store_type, file_link, link_sha256, \
             link_size_bytes, install_command, uninstall_command, detection_rule, detection_origin, success_exit_codes, \
             created_at, exit_codes) VALUES ({key}, {}, {key}, 1, '1', 'LINK', 'http://packages.test/{index}', {pin}, \
             '{} {}', 'remove {}', {rule}, {}, '[0]', {at}, '{{\"75\":{{\"outcome\":\"retry\"}}}}');",
            id(4),
            if app.for_everyone {
                "ALL_USER"
            } else {
                "ASSIGN_USER"
            },
            app.run_limit_secs,
            id(5),
            app.command,
            app_file(index),
            app_file(index),
            if app.rule { "'written'" } else { "NULL" },
        );
    }
    sql += "COMMIT;";
    connection
        .execute(sqlx::AssertSqlSafe(sql))
        .await
        .context("fill the database")?;
    sqlx::Connection::close(connection).await?;
    Ok(())
}

/// Decides when the database answers a process of the server.
struct Host {
    world: Arc<World>,
    runtime: Handle,
    life: Arc<Life>,
    oracle: Arc<Oracle>,
    /// Steps until the process dies, at this very one.
    fuse: Arc<AtomicI64>,
}

impl Host {
    fn wait(&self, step: DatabaseStep, is_after: bool) -> HostWait {
        if self.life.is_over() {
            return Box::pin(std::future::pending());
        }
        if self.fuse.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.world.note(format_args!(
                "the server dies {} a database's {step:?}",
                if is_after { "after" } else { "before" }
            ));
            self.life.end();
            return Box::pin(std::future::pending());
        }
        let millis = match step {
            DatabaseStep::Begin if !is_after => 0,
            DatabaseStep::Commit => self.world.up_to(3),
            DatabaseStep::Begin | DatabaseStep::Statement => u64::from(self.world.chance(80)),
        };
        if millis == 0 {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(tokio::time::sleep(Duration::from_millis(millis)))
    }
}

impl DatabaseHost for Host {
    fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn before(&self, step: DatabaseStep) -> HostWait {
        self.wait(step, false)
    }

    fn after(&self, step: DatabaseStep) -> HostWait {
        if step == DatabaseStep::Commit {
            self.world.note("commit");
            self.oracle.look();
        }
        self.wait(step, true)
    }
}

/// The server, from process to process.
pub(crate) struct Server {
    world: Arc<World>,
    workshop: Arc<Workshop>,
    store: Store,
    parts: Option<Parts>,
    oracle: Arc<Oracle>,
    pub(crate) clock: Arc<ServerClock>,
}

/// One process of the server.
pub(crate) struct Process {
    pub(crate) services: Arc<Services>,
    pub(crate) life: Arc<Life>,
    pub(crate) fuse: Arc<AtomicI64>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    randomness: Arc<Seeded>,
    ids: Arc<Seeded>,
}

impl Server {
    pub(crate) fn new(
        world: &Arc<World>,
        workshop: &Arc<Workshop>,
        database: &Path,
        oracle: Arc<Oracle>,
    ) -> Result<Self> {
        let parts = workshop.take();
        parts.randomness.again(world.seed);
        parts.ids.again(world.seed ^ 0x1d5);
        *parts
            .clock
            .world
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(world));
        parts.clock.skew.store(0, Ordering::Relaxed);
        let store = carry_out(
            workshop.handle(),
            Store::open(&StoreOptions::Sqlite {
                path: database.to_owned(),
            }),
        )?;
        Ok(Self {
            world: Arc::clone(world),
            workshop: Arc::clone(workshop),
            store,
            clock: Arc::clone(&parts.clock),
            parts: Some(parts),
            oracle,
        })
    }

    /// Starts a process.
    pub(crate) fn start(&mut self) -> Arc<Process> {
        let Parts {
            clock,
            randomness,
            ids,
            audit,
            auth,
            key_keeper,
            authority,
            packages,
            edge,
        } = self.parts.take().expect("the process before has ended");
        let life = Arc::new(Life::default());
        let fuse = Arc::new(AtomicI64::new(i64::MAX));
        let store = self.store.clone().hosted(Arc::new(Host {
            world: Arc::clone(&self.world),
            runtime: self.workshop.handle().clone(),
            life: Arc::clone(&life),
            oracle: Arc::clone(&self.oracle),
            fuse: Arc::clone(&fuse),
        }));
        let (background, writers) = Background::new();
        let services = Arc::new(Services {
            objects: Arc::new(Objects::new(
                store.clone(),
                packages.clone(),
                clock.clone(),
                Retention::STANDARD,
            )),
            bucket_keys: Arc::new(BucketKeys::new(vec![7; 32].into())),
            store,
            packages,
            clock,
            ids: Arc::clone(&ids) as Arc<dyn IdSource>,
            authority,
            registry: Registry::default(),
            presence: Presence::default(),
            downloads: Downloads::default(),
            background,
            agent_binaries: Arc::new(AgentBinaries::new(PathBuf::new())),
            updates: AgentUpdates::new(&vec![9; 32].into()).expect("32 bytes are a seed"),
            link_allow: LinkAllowList::everything(),
            endpoints: Endpoints {
                endpoint: String::new(),
                iam_endpoint: String::new(),
                bucket_endpoint: String::new(),
                agent_endpoint: String::new(),
                console_url: String::new(),
            },
            region: "simulated".to_owned(),
            inventories: Default::default(),
            heartbeat_secs: 60,
            shutdown: CancellationToken::new(),
            audit,
            auth,
            edge,
            key_keeper,
            oidc: None,
            answers: AnswerCounters::default(),
        });
        let mut tasks = JoinSet::new();
        for task in background::of_jobs(&services, writers) {
            tasks.spawn(task);
        }
        self.world.note("the server begins");
        Arc::new(Process {
            services,
            life,
            fuse,
            tasks: Arc::new(Mutex::new(tasks)),
            randomness,
            ids,
        })
    }

    /// Ends a process: all that it was doing stops where it is.
    pub(crate) async fn end(&mut self, process: Arc<Process>) {
        process.life.end();
        let mut tasks =
            std::mem::take(&mut *process.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let mut process = process;
        let process = loop {
            match Arc::try_unwrap(process) {
                Ok(process) => break process,
                // A call of a desktop is being refused, or an administrator's call given up.
                Err(held) => {
                    process = held;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let Process {
            mut services,
            randomness,
            ids,
            ..
        } = process;
        let services = loop {
            match Arc::try_unwrap(services) {
                Ok(services) => break services,
                Err(held) => {
                    services = held;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let Services {
            audit,
            auth,
            key_keeper,
            authority,
            packages,
            edge,
            ..
        } = services;
        self.parts = Some(Parts {
            clock: Arc::clone(&self.clock),
            randomness,
            ids,
            audit,
            auth,
            key_keeper,
            authority,
            packages,
            edge,
        });
        self.world.note("the server is gone");
    }

    /// Gives the parts back for the next run.
    pub(crate) fn finish(mut self) {
        if let Some(parts) = self.parts.take() {
            self.workshop.give(parts);
        }
        carry_out(self.workshop.handle(), self.store.close());
    }
}

impl Process {
    /// Runs something as a part of this process.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// The listener of a process: the upgrade's part that comes after TLS.
pub(crate) struct Door(pub(crate) std::sync::Weak<Process>);

impl Listener for Door {
    fn accept(
        &self,
        desktop: usize,
        end: ServerEnd,
    ) -> oneshot::Receiver<Result<(), ConnectError>> {
        let (answer, answered) = oneshot::channel();
        let Some(process) = self.0.upgrade() else {
            return answered;
        };
        let services = Arc::clone(&process.services);
        process.spawn(async move {
            let found = services
                .store
                .db()
                .certificate_holder(&fingerprint(desktop))
                .await;
            let refused = |code: &str| {
                Err(ConnectError::Refused {
                    code: code.to_owned(),
                    reason: code.to_owned(),
                    retry_after_secs: None,
                })
            };
            match found {
                Ok(Some(holder)) if holder.state == HolderState::Live => {
                    if answer.send(Ok(())).is_err() {
                        return;
                    }
                    let address = SocketAddr::from(([127, 0, 0, 1], 1));
                    Box::pin(session(services, end, holder, Standing::Good, address)).await;
                }
                Ok(_) => drop(answer.send(refused("revoked"))),
                Err(_) => drop(answer.send(refused("busy"))),
            }
        });
        answered
    }
}
