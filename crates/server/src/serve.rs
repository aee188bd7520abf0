//! The server process: opens what it needs, binds its listeners, says where it is, serves until told to end.
//!
//! **Order.** Database and keys first, then the listeners (so that their addresses are known), then the files that
//! say where we are, then service. A process that cannot do one of these ends with the reason before it answered
//! anything. **On shutdown** channels close first and leave their jobs as they are, then requests get ten seconds.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outfitter_artifacts::PackageStoreError;
use outfitter_bucket::{Keys as BucketKeys, Objects};
use outfitter_domain::{Clock, SystemClock};
use outfitter_ids::{IdSource, SystemIds};
use outfitter_push::AgentBinaries;
use outfitter_store::{OpenFailure, Store, StoreError, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agents;
use crate::agents::authority::{self, AuthorityError, CurrentAuthority};
use crate::agents::pace::Downloads;
use crate::agents::pki::PkiError;
use crate::agents::presence::Presence;
use crate::agents::registry::Registry;
use crate::app::agent_releases::{AgentUpdates, KEY_SEED_BYTES, UpdateKeyError};
use crate::app::bootstrap::{self, BootstrapError, Endpoints};
use crate::audit::Audit;
use crate::auth::{Auth, OidcProvider, OidcSetupError};
use crate::background::{self, Background};
use crate::bucket_listener;
use crate::config::{Config, Database, OpenPackagesError};
use crate::data_dir::{DataDir, DataDirError};
use crate::edge::{Edge, rate::monotonic};
use crate::http as api;
use crate::http::answers::AnswerCounters;
use crate::listen::{Endpoint, Transport, serve};
use crate::secrets::{
    KeyFileError, KeyKeeper, Randomness as _, Sealer, SecretError, ServerKeys, SettleError,
    SystemRandomness, settle_server_key, shared_secret,
};
use crate::services::Services;
use crate::tls::{self, CertificateFiles, TlsError};

/// Name of the key that updates of the agent are signed with, among them.
const UPDATE_KEY: &str = "agent-update-key";

/// Name of the secret that upload credentials follow from, among the secrets all servers share.
const BUCKET_CREDENTIALS: &str = "bucket-credentials";

/// Connections at once on the API and bucket listeners.
const API_CONNECTIONS: usize = 4096;

/// Longest wait for the package store at the start.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Descriptors kept free for the database, packages and the API when the rest goes to agents.
const RESERVED_DESCRIPTORS: u64 = 512;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// An address is taken or not ours.
    #[error("cannot listen on {address} ({listener})")]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealing key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// What all servers share.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The certificate authority.
    #[error("the certificate authority of the agents cannot be used")]
    Authority(#[source] AuthorityError),
    /// TLS of the agent listener.
    #[error("the agent listener cannot be set up")]
    AgentListener(#[from] PkiError),
    /// The key for updates as it was stored.
    #[error(transparent)]
    UpdateKey(#[from] UpdateKeyError),
    /// Package bytes.
    #[error(transparent)]
    Packages(#[from] OpenPackagesError),
    /// TLS of the API.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The login provider.
    #[error("the login provider cannot be used as configured")]
    Oidc(#[from] OidcSetupError),
    /// The first start.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
}

impl From<AuthorityError> for ServeError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Secret(error) => Self::Secret(error),
            error @ (AuthorityError::Pki(_) | AuthorityError::Stored(_)) => Self::Authority(error),
        }
    }
}

impl From<SettleError> for ServeError {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Key(error) => Self::Key(error),
            SettleError::Secret(error) => Self::Secret(error),
            SettleError::Store(error) => Self::Store(error),
        }
    }
}

impl ServeError {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DataDir(error) => match error {
                DataDirError::Taken { .. } => Some(
                    "stop that one first, or name another folder with --data-dir; several servers over one \
                     PostgreSQL have a folder each"
                        .to_owned(),
                ),
                DataDirError::File { source, path, .. } => file_hint(source, path),
            },
            Self::Listen { source, .. } => match source.kind() {
                ErrorKind::AddrInUse => Some(
                    "another program listens there, perhaps another `outfitter serve`: stop it, or choose another \
                     address with --listen, --agent-listen or --bucket-listen"
                        .to_owned(),
                ),
                ErrorKind::AddrNotAvailable => Some(
                    "this machine does not have that address; 0.0.0.0 stands for all it has".to_owned(),
                ),
                ErrorKind::PermissionDenied => Some(
                    "ports below 1024 need the right to bind them: CAP_NET_BIND_SERVICE, or a proxy in front"
                        .to_owned(),
                ),
                _ => None,
            },
            Self::Store(error) => store_hint(error),
            Self::Key(error) => key_hint(error),
            Self::Secret(error) => match error {
                SecretError::OtherKey { .. } => Some(
                    "use the server.key of the server that initialised this database (--server-key-file), or another \
                     database with this key"
                        .to_owned(),
                ),
                SecretError::Store(error) => store_hint(error),
            },
            Self::Oidc(OidcSetupError::File { path, source }) => file_hint(source, path),
            Self::Oidc(
                OidcSetupError::Content { .. } | OidcSetupError::Address(_) | OidcSetupError::Http(_),
            ) => None,
            Self::Tls(TlsError::File { path, source, .. }) => file_hint(source, path),
            Self::Packages(OpenPackagesError::Store(PackageStoreError::DiskFull { .. })) => {
                Some("make room on that disk".to_owned())
            }
            Self::Bootstrap(BootstrapError::File { path, source, .. }) => file_hint(source, path),
            Self::Bootstrap(BootstrapError::Store(error)) => store_hint(error),
            Self::Bootstrap(
                BootstrapError::Pending { .. }
                | BootstrapError::Authority(_)
                | BootstrapError::Passwords(_),
            )
            | Self::Tls(TlsError::Pem { .. } | TlsError::Pair(_) | TlsError::Make(_))
            | Self::Packages(_)
            | Self::Authority(_)
            | Self::UpdateKey(_)
            | Self::AgentListener(_) => None,
        }
    }
}

fn file_hint(source: &std::io::Error, path: &Path) -> Option<String> {
    match source.kind() {
        ErrorKind::PermissionDenied => Some(format!(
            "the account that runs the server must own {}: chown it, or name another place",
            path.display()
        )),
        ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is mounted read-only: name another place".to_owned())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("make room on that disk".to_owned())
        }
        ErrorKind::NotADirectory => {
            Some("a part of that path is a file: name another place".to_owned())
        }
        _ => None,
    }
}

/// What to do about a key file that cannot be used.
pub fn key_hint(error: &KeyFileError) -> Option<String> {
    match error {
        KeyFileError::Missing { .. } => Some(
            "put the server.key of the first server there, or name it with --server-key-file".to_owned(),
        ),
        KeyFileError::Lacks { .. } => Some(
            "the key was rotated: copy server.key from a server that runs".to_owned(),
        ),
        KeyFileError::Malformed { .. } => Some(
            "put the right file there, from a backup or another server; without it what is sealed stays sealed"
                .to_owned(),
        ),
        KeyFileError::Exposed { path } => Some(format!("chmod 600 {}", path.display())),
        KeyFileError::Store(error) => store_hint(error),
        KeyFileError::Io { path, source, .. } => file_hint(source, path),
    }
}

fn store_hint(error: &StoreError) -> Option<String> {
    let text = match error {
        StoreError::Newer { .. } => {
            "start the newer version again; going back needs the backup from before the upgrade"
        }
        StoreError::Open { source, .. } => match OpenFailure::of(source) {
            OpenFailure::Unreachable => {
                "is PostgreSQL running there, and does its pg_hba.conf let this machine in?"
            }
            OpenFailure::Refused => "check user and password in --database-url",
            OpenFailure::NoDatabase => {
                "make it first, for example with `createdb`; outfitter makes its tables itself"
            }
            OpenFailure::Other => return None,
        },
        StoreError::Busy { .. } => {
            "another program holds the database: a backup, or an editor of SQLite files?"
        }
        StoreError::Conflict { .. }
        | StoreError::Inconsistent { .. }
        | StoreError::Driver { .. } => return None,
    };
    Some(text.to_owned())
}

/// Where the data of a configuration is.
pub fn store_options(config: &Config) -> StoreOptions {
    match &config.database {
        Database::File => StoreOptions::Sqlite {
            path: config.data_dir.join("outfitter.db"),
        },
        Database::Url(url) => StoreOptions::Postgres { url: url.clone() },
    }
}

/// Runs the server until `shutdown`.
///
/// # Errors
/// [`ServeError`] when it cannot begin.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), ServeError> {
    run_by(config, Arc::new(SystemClock), shutdown).await
}

/// Runs the server by a clock of the caller's until `shutdown`.
///
/// # Errors
/// [`ServeError`] when it cannot begin.
pub async fn run_by(
    config: Config,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    // The agent's half of a test process may have installed its own.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let agent_connections = raise_descriptor_limit();
    // Held until the end: nobody else works in this folder meanwhile.
    let _data_dir = DataDir::lock(&config.data_dir)?;

    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    let randomness = Arc::new(SystemRandomness);
    let store = Store::open(&store_options(&config)).await?;
    let keys =
        ServerKeys::load_or_make(&store, &config.server_key_file, randomness.as_ref()).await?;
    let sealer = Sealer::new(&keys, randomness.clone());
    settle_server_key(
        &store,
        &keys,
        &sealer,
        &config.server_key_file,
        clock.as_ref(),
    )
    .await?;
    drop(keys);
    let key_keeper = KeyKeeper::new(
        sealer.clone(),
        config.server_key_file.clone(),
        ids.uuid(clock.now().get()),
        process_name(),
    );
    key_keeper.look(&store, clock.now()).await?;
    let authority = authority::open(&store, &sealer, clock.as_ref()).await?;
    let bucket_keys = shared_secret(&store, &sealer, clock.as_ref(), BUCKET_CREDENTIALS, || {
        let mut key = vec![0; 32];
        randomness.fill(&mut key);
        key.into()
    })
    .await?;
    let update_seed = shared_secret(&store, &sealer, clock.as_ref(), UPDATE_KEY, || {
        let mut seed = vec![0; KEY_SEED_BYTES];
        randomness.fill(&mut seed);
        seed.into()
    })
    .await?;
    let updates = AgentUpdates::new(&update_seed)?;
    let audit = Audit::open(&store, clock.as_ref(), &sealer, randomness.as_ref())
        .await?
        .keeping(config.audit_keep_days);
    let auth = Auth::open(&store, clock.as_ref(), sealer.clone(), randomness).await?;
    let packages = config
        .packages
        .open(&config.data_dir, Arc::clone(&ids))
        .await?;
    // A store that does not answer yet stops nobody: `/readyz` says so until it does.
    let usable = tokio::time::timeout(STORE_PATIENCE, packages.ping()).await;
    if let Err(error) = usable
        .map_err(|_| "it does not answer".to_owned())
        .and_then(|answer| answer.map_err(|error| api::error::chain(&error)))
    {
        let store = packages.description();
        tracing::error!(error, store, "the package store cannot be used");
    }
    let listener_tls = Arc::new(authority.listener_config(&clock)?);
    let certificate = tls::files(&config.tls, &config.data_dir, clock.now())?;
    let api_tls = certificate
        .as_ref()
        .map(CertificateFiles::load)
        .transpose()?;

    let api_socket = bind("api", config.listen).await?;
    let agent_socket = bind("agents", config.agent_listen).await?;
    let bucket_socket = bind("bucket", config.bucket_listen).await?;
    let endpoints = endpoints(
        &config,
        api_tls.is_some(),
        &api_socket,
        &agent_socket,
        &bucket_socket,
    )?;

    let downloads = Downloads::default();
    downloads.reload(&store).await?;
    let oidc = match &config.oidc {
        None => None,
        Some(provider) => Some(Arc::new(OidcProvider::new(
            provider.clone(),
            format!("{}{}", endpoints.endpoint, api::LOGIN_RETURN),
            Arc::clone(&clock),
        )?)),
    };

    let (background, writers) = Background::new();
    let objects = Objects::new(
        store.clone(),
        packages.clone(),
        Arc::clone(&clock),
        config.retention,
    );
    let services = Arc::new(Services {
        store,
        objects: Arc::new(objects),
        bucket_keys: Arc::new(BucketKeys::new(bucket_keys)),
        packages,
        clock,
        ids,
        audit,
        auth,
        key_keeper,
        oidc,
        authority: CurrentAuthority::new(authority),
        registry: Registry::default(),
        presence: Presence::default(),
        downloads,
        background,
        edge: Arc::new(Edge::new(
            config.proxies.clone(),
            &config.limits,
            &monotonic(),
        )),
        updates,
        agent_binaries: Arc::new(AgentBinaries::new(config.agent_binaries.clone())),
        link_allow: config.link_allow.clone(),
        endpoints: endpoints.clone(),
        region: config.region.clone(),
        inventories: Default::default(),
        heartbeat_secs: config.agent_heartbeat_secs,
        shutdown: shutdown.clone(),
        answers: AnswerCounters::default(),
    });
    bootstrap::run(&services, &config.data_dir).await?;

    let (listener_tls, listener_tls_now) = watch::channel(listener_tls);
    let tasks = TaskTracker::new();
    let transport = match certificate.zip(api_tls) {
        None => Transport::Plain,
        Some((files, usable)) => {
            let health = Arc::clone(&services.edge.certificate);
            health.not_after.set(usable.not_after.get() / 1000);
            let (current, now) = watch::channel(usable.config);
            let shutdown = shutdown.clone();
            tasks.spawn(tls::follow(
                files,
                current,
                health,
                tls::LOOK_EVERY,
                shutdown,
            ));
            Transport::Tls(now)
        }
    };
    tasks.spawn(serve(
        Endpoint::new(
            "api",
            api_socket,
            transport.clone(),
            api::router(&services),
            API_CONNECTIONS,
            Arc::clone(&services.edge),
        ),
        shutdown.clone(),
    ));
    tasks.spawn(serve(
        Endpoint {
            // A whole site of desktops stands behind one address.
            max_of_one_address: None,
            // TLS ends here: what stands in an agent's request, the agent wrote.
            reads_forwarded: false,
            ..Endpoint::new(
                "agents",
                agent_socket,
                Transport::Tls(listener_tls_now),
                agents::listener::router(Arc::clone(&services)),
                agent_connections,
                Arc::clone(&services.edge),
            )
        },
        shutdown.clone(),
    ));
    tasks.spawn(serve(
        Endpoint::new(
            "bucket",
            bucket_socket,
            transport,
            bucket_listener::router(&services),
            API_CONNECTIONS,
            Arc::clone(&services.edge),
        ),
        shutdown.clone(),
    ));
    tasks.spawn(authority::follow(
        Arc::clone(&services),
        sealer,
        listener_tls,
    ));
    background::spawn(&services, writers, &tasks);
    tracing::info!(
        endpoint = endpoints.endpoint,
        agents = endpoints.agent_endpoint,
        console = endpoints.console_url,
        "serving"
    );
    shutdown.cancelled().await;
    tasks.close();
    tasks.wait().await;
    if let Err(error) = services.audit.write_refusals(&services, true).await {
        tracing::warn!(
            error = api::error::chain(&error),
            "the last refusals are missing in the audit log"
        );
    }
    if let Err(error) = services.key_keeper.let_go(&services.store).await {
        tracing::debug!(
            error = api::error::chain(&error),
            "the database does not hear that this server ends"
        );
    }
    match Arc::try_unwrap(services) {
        Ok(services) => services.store.close().await,
        // A request that outlived its time still holds the parts: the process ends all the same.
        Err(_) => tracing::debug!("the database is closed by the end of the process"),
    }
    Ok(())
}

/// Host and process id: what people know a server by.
fn process_name() -> String {
    format!("{} (process {})", host_name(), std::process::id())
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "this host".to_owned())
}

/// Who runs a command on this machine, as the audit log shows it: `account on host`.
pub fn operator_name() -> String {
    let account = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .ok()
        .flatten()
        .map_or_else(
            || format!("user {}", nix::unistd::Uid::current()),
            |user| user.name,
        );
    format!("{account} on {}", host_name())
}

async fn bind(listener: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            listener,
            address,
            source,
        })
}

fn endpoints(
    config: &Config,
    https: bool,
    api: &TcpListener,
    agents: &TcpListener,
    bucket: &TcpListener,
) -> Result<Endpoints, ServeError> {
    let scheme = if https { "https" } else { "http" };
    let bound = |listener: &'static str, socket: &TcpListener, wanted: SocketAddr| {
        socket.local_addr().map_err(|source| ServeError::Listen {
            listener,
            address: wanted,
            source,
        })
    };
    let api = bound("api", api, config.listen)?;
    let agents = bound("agents", agents, config.agent_listen)?;
    let bucket = bound("bucket", bucket, config.bucket_listen)?;
    let trimmed = |url: &String| url.trim_end_matches('/').to_owned();
    let endpoint = config
        .public_url
        .as_ref()
        .map_or_else(|| format!("{scheme}://{api}"), trimmed);
    Ok(Endpoints {
        iam_endpoint: format!("{endpoint}/v3"),
        console_url: format!("{endpoint}/console/"),
        bucket_endpoint: config
            .bucket_public
            .as_ref()
            .map_or_else(|| format!("{scheme}://{bucket}"), trimmed),
        agent_endpoint: config
            .agent_public
            .clone()
            .unwrap_or_else(|| agents.to_string()),
        endpoint,
    })
}

/// Raises the limit of open files as far as it goes; answers how many agents may connect.
fn raise_descriptor_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(error) => {
                tracing::warn!(%error, "cannot raise the limit of open files");
                soft
            }
        },
        Ok((soft, _)) => soft,
        Err(error) => {
            tracing::warn!(%error, "cannot read the limit of open files");
            1024
        }
    };
    usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS).max(64))
        .unwrap_or(usize::MAX)
        .min(tokio::sync::Semaphore::MAX_PERMITS)
}
