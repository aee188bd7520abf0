//! The agent as a whole: state folder, journal, desktop and channel put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outfitter_ids::HistoryId;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};

use crate::cache::PackageCache;
use crate::channel::{
    self, CopyRefusal, DesktopEvent, Introduction, Pace, Parts, RunEnd, WebSocketTransport,
};
use crate::clock::Clock;
use crate::credentials::SharedCredentials;
use crate::desk;
use crate::durable::{FileError, SystemFiles};
use crate::executor::{LocalDesktop, SystemMachine, Workplace};
use crate::history::{Histories, marks};
use crate::platform;
use crate::proxy::{Proxies, ProxyError};
use crate::receipt::Receipts;
use crate::server_client::chain;
use crate::spool::Spool;
use crate::state_dir::{Decommissioned, StateDir, StateError};
use crate::update::Updates;
use crate::update::launcher::{self, Role};
use crate::version::version;

/// Events that wait for the channel; a full queue makes attempts wait, but for progress, which is dropped.
const EVENT_QUEUE: usize = 64;

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] FileError),
    /// A variable that names a proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The folder that plays the desktop is gone.
    #[error("the sandbox root {} is no folder", .0.display())]
    SandboxRoot(PathBuf),
}

/// Why the agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEnd {
    /// It was asked to stop.
    Stopped,
    /// A newer program is to be tried out.
    TryOut,
    /// This machine is a copy, which may enroll anew: see [`anew`](crate::anew).
    Copy(CopyRefusal),
}

/// Runs the agent of a state folder until `shutdown` turns true, until a newer program waits to be tried out, or until it may
/// become another desktop. One at a time in each folder.
///
/// # Errors
/// When it cannot begin; once it runs, failures are logged and tried again, but for a desktop that is decommissioned.
pub async fn run(
    state: StateDir,
    clock: Arc<dyn Clock>,
    role: Role,
    mut shutdown: watch::Receiver<bool>,
) -> Result<AgentEnd, AgentError> {
    let _lock = state.lock()?;
    let identity = state.require_identity()?;
    if let Some(root) = identity.sandbox_root.as_ref().filter(|root| !root.is_dir()) {
        return Err(AgentError::SandboxRoot(root.clone()));
    }
    let settings = state.settings()?;
    let proxies = Proxies::of_process(&settings)?;
    tracing::info!("proxies: {proxies}");
    let credentials = SharedCredentials::load(state.clone(), Arc::clone(&clock), proxies.clone())?;
    let spool = Spool::open(state.attempts())?;
    let receipts = Receipts::new(
        identity.agent,
        identity.desktop,
        Arc::new(credentials.clone()),
    );
    let loaded = spool.load(&*clock, |evidence| receipts.seal(None, evidence))?;
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let workplace = Workplace {
        apps: state.apps(),
        sandbox_root: identity.sandbox_root.clone(),
        receipts,
        machine: Arc::new(SystemMachine {
            credentials: credentials.clone(),
            proxies: proxies.clone(),
            cache: PackageCache::open(state.cache(), settings.cache_bytes),
            clock: Arc::clone(&clock),
            jitter,
        }),
        clock: Arc::clone(&clock),
    };
    tracing::info!(
        desktop.id = %identity.desktop,
        agent.id = %identity.agent,
        server = %identity.server,
        attempts = loaded.attempts.len(),
        "the agent of {} begins",
        identity.name
    );
    // Whatever goes on under these credentials ends with the run.
    let (stop, stopping) = watch::channel(false);
    let people = tokio::spawn(desk::serve(
        desk::socket_path(identity.sandbox_root.as_deref()),
        credentials.clone(),
        stopping.clone(),
    ));
    let (try_out, mut wanted) = watch::channel(false);
    let updates = Updates::new(
        state.clone(),
        role,
        credentials.clone(),
        events_sender.clone(),
        try_out,
    );
    if let Some(report) = updates.report() {
        // The queue is empty.
        let _ = events_sender.try_send(DesktopEvent::UpdateReported(report));
    }
    let left = state.clone();
    let steady = tokio::spawn(async move {
        tokio::time::sleep(launcher::STEADY_AFTER).await;
        if let Err(error) = launcher::is_steady(&state) {
            tracing::warn!("{}", chain(&error));
        }
    });
    let desktop = LocalDesktop::new(
        spool,
        workplace,
        events_sender,
        loaded.unfinished,
        Some(updates),
    );
    let clients = credentials.clone();
    let parts = Parts {
        transport: WebSocketTransport::new(move || clients.client()),
        desktop,
        events,
        renewals: credentials,
        identity: Box::new(Histories::open_on(
            Arc::new(SystemFiles),
            left.history(),
            marks(identity.sandbox_root.as_deref()),
            || HistoryId::new(uuid::Uuid::new_v4()),
        )),
        introduction: Introduction {
            agent_version: version().to_owned(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            boot_id: platform::boot_id().unwrap_or_else(|error| {
                tracing::warn!("the boot id cannot be read: {error}");
                "unknown".to_owned()
            }),
            sandbox_root: identity.sandbox_root.map(|root| root.display().to_string()),
        },
        pace: Pace::default(),
        journal: loaded.attempts,
        seed: random(),
    };
    let mut channel = Box::pin(channel::run(parts, &*clock, stopping));
    let end = tokio::select! {
        biased;
        _ = shutdown.wait_for(|stop| *stop) => Ok(AgentEnd::Stopped),
        _ = wanted.wait_for(|wanted| *wanted) => Ok(AgentEnd::TryOut),
        end = &mut channel => Err(end),
    };
    let end = match end {
        Ok(asked) => {
            stop.send_replace(true);
            channel.await;
            Ok(asked)
        }
        Err(RunEnd::Shutdown) => Ok(AgentEnd::Stopped),
        Err(RunEnd::Copy(refusal)) => Ok(AgentEnd::Copy(refusal)),
        Err(RunEnd::Decommissioned { reason }) => {
            let gone = Decommissioned {
                server: identity.server,
                desktop: identity.desktop,
                name: identity.name,
                at_millis: clock.unix_millis(),
                reason,
            };
            left.decommission(&gone)?;
            Err(StateError::Decommissioned(Box::new(gone)).into())
        }
    };
    steady.abort();
    // Also of those who are being answered.
    stop.send_replace(true);
    people.abort();
    match &end {
        Ok(_) => tracing::info!("the agent ends; installers that run go on"),
        Err(_) => tracing::warn!("the agent ends for good: its credentials are removed"),
    }
    end
}

/// The client for packages that are not in the server's own store: under the system's trust, and the roots beside it.
pub(crate) fn system_client(
    proxies: &Proxies,
    roots: impl IntoIterator<Item = reqwest::Certificate>,
    redirects: reqwest::redirect::Policy,
) -> Result<reqwest::Client, reqwest::Error> {
    // Refused when the process has one already, which is as good.
    let _ = rustls::crypto::CryptoProvider::install_default((*crate::tls::provider()).clone());
    let builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(0)
        .redirect(redirects)
        .tls_certs_merge(roots);
    proxies.apply(builder)?.build()
}

/// A number nobody can foresee.
fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

/// A time up to `ceiling` that nobody can foresee.
pub(crate) fn jitter(ceiling: Duration) -> Duration {
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random() % millis.saturating_add(1))
}

/// What tells this machine from others: opaque, the same in each enrollment of the same (played) desktop.
pub fn machine_id(sandbox_root: Option<&std::path::Path>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"outfitter machine\0");
    hasher.update(platform::machine_identity().unwrap_or_default());
    hasher.update(b"\0");
    hasher.update(gethostname::gethostname().as_encoded_bytes());
    if let Some(root) = sandbox_root {
        hasher.update(b"\0");
        hasher.update(root.as_os_str().as_encoded_bytes());
    }
    hex::encode(hasher.finalize())
}
