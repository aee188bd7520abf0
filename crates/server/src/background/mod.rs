//! Work that no request waits for: expanding deployments, handing out jobs, ending what does not end by itself.
//!
//! The database is the truth; what is kept here (which desktops to look at next) is a hint that a crash may lose:
//! sweeps find everything again.

pub mod driver;
pub mod grouped;
pub mod pushes;
mod tasks;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outfitter_store::{DesktopKey, FinishOutcome, GoOutcome, GoRequest, ResultReport, SweepCursor};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::app::events::{self, Events};
use crate::services::Services;

pub(crate) use tasks::deployment_expand::expand_page;

use driver::{Task, drive};
use grouped::{Grouped, Groups, grouped};
use pushes::Pushes;
use tasks::deployment_expand::PageSize;

/// What requests and channels share with the background tasks.
pub struct Background {
    /// Acknowledgements that wait for `Go`.
    pub goes: Grouped<GoRequest, GoOutcome>,
    /// Results that wait to be recorded.
    pub results: Grouped<ResultReport, FinishOutcome>,
    /// Pushes of the agent that this process works on.
    pub pushes: Pushes,
    /// Who listens to what happens.
    pub events: Events,
    desktops: Mutex<BTreeSet<DesktopKey>>,
    dispatch: Arc<Notify>,
    expand: Arc<Notify>,
    directory: Arc<Notify>,
    /// One for each directory that this process works on.
    directories: Arc<()>,
    digest: Arc<Notify>,
    direct_uploads: Arc<Notify>,
    updates: Arc<Notify>,
    receipts: Arc<Notify>,
    sweep: Mutex<Option<SweepCursor>>,
    page_size: PageSize,
}

/// The writers behind [`Background`]; handed to [`spawn`].
pub struct Writers {
    goes: Groups<GoRequest, GoOutcome>,
    results: Groups<ResultReport, FinishOutcome>,
}

impl Background {
    /// Both ends.
    pub fn new() -> (Self, Writers) {
        let (goes, go_writer) = grouped();
        let (results, result_writer) = grouped();
        (
            Self {
                goes,
                results,
                pushes: Pushes::default(),
                events: Events::default(),
                desktops: Mutex::default(),
                dispatch: Arc::default(),
                expand: Arc::default(),
                directory: Arc::default(),
                directories: Arc::default(),
                digest: Arc::default(),
                direct_uploads: Arc::default(),
                updates: Arc::default(),
                receipts: Arc::default(),
                sweep: Mutex::default(),
                page_size: PageSize::default(),
            },
            Writers {
                goes: go_writer,
                results: result_writer,
            },
        )
    }

    /// Says that desktops may have work that can be handed out.
    pub fn look_at(&self, desktops: impl IntoIterator<Item = DesktopKey>) {
        let mut marked = self.desktops.lock().unwrap_or_else(PoisonError::into_inner);
        let before = marked.len();
        marked.extend(desktops);
        if marked.len() > before {
            drop(marked);
            self.dispatch.notify_one();
        }
    }

    /// Says that a deployment waits to be expanded.
    pub fn nudge_expansion(&self) {
        self.expand.notify_one();
    }

    /// Says that a directory may be due.
    pub fn nudge_directory(&self) {
        self.directory.notify_one();
    }

    /// How many more directories this process may work on, of `most`.
    fn free_directories(&self, most: usize) -> usize {
        (most + 1).saturating_sub(Arc::strong_count(&self.directories))
    }

    /// Takes a place, until what is answered is dropped.
    fn begin_directory(&self) -> Arc<()> {
        Arc::clone(&self.directories)
    }

    /// Says that a release of the agent may be offered to more desktops.
    pub fn nudge_updates(&self) {
        self.updates.notify_one();
    }

    /// Says that a package waits to be digested.
    pub fn nudge_digest(&self) {
        self.digest.notify_one();
    }

    /// Says that something was put into the object store past the server.
    pub fn nudge_direct_uploads(&self) {
        self.direct_uploads.notify_one();
    }

    /// Says that a receipt waits to be verified.
    pub fn nudge_receipts(&self) {
        self.receipts.notify_one();
    }

    /// Where the sweep over INIT jobs goes on; `None`: at the beginning.
    fn sweep_cursor(&self) -> Option<SweepCursor> {
        *self.sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_sweep_cursor(&self, cursor: Option<SweepCursor>) {
        *self.sweep.lock().unwrap_or_else(PoisonError::into_inner) = cursor;
    }

    /// Takes up to `limit` marked desktops.
    fn take_marked(&self, limit: usize) -> Vec<DesktopKey> {
        let mut marked = self.desktops.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<DesktopKey> = marked.iter().take(limit).copied().collect();
        for desktop in &taken {
            marked.remove(desktop);
        }
        taken
    }
}

/// Starts every task; they end with the server's shutdown.
pub fn spawn(services: &Arc<Services>, writers: Writers, tracker: &TaskTracker) {
    for task in of_jobs(services, writers) {
        tracker.spawn(task);
    }
    for task in of_the_rest(services, tracker) {
        tracker.spawn(task);
    }
}

/// A task, not yet started.
pub type Prepared = Pin<Box<dyn Future<Output = ()> + Send>>;

fn every(name: &'static str, seconds: u64) -> Task {
    Task {
        name,
        every: Duration::from_secs(seconds),
    }
}

fn idle() -> Arc<Notify> {
    Arc::new(Notify::new())
}

/// The tasks that jobs need from the call to their end. They touch nothing but the database.
pub fn of_jobs(services: &Arc<Services>, writers: Writers) -> Vec<Prepared> {
    let background = &services.background;
    let of = || Arc::clone(services);
    vec![
        Box::pin(tasks::writers::write_goes(of(), writers.goes)),
        Box::pin(tasks::writers::write_results(of(), writers.results)),
        Box::pin(events::run(of())),
        Box::pin(drive(
            of(),
            every("deployment_expand", 5),
            Arc::clone(&background.expand),
            tasks::deployment_expand::run,
        )),
        Box::pin(drive(
            of(),
            every("job_dispatch", 1),
            Arc::clone(&background.dispatch),
            tasks::job_dispatch::run,
        )),
        Box::pin(drive(
            of(),
            every("job_sweep", 5),
            idle(),
            tasks::job_sweep::run,
        )),
        Box::pin(drive(
            of(),
            every("job_expiry", 10),
            idle(),
            tasks::job_expiry::run,
        )),
        Box::pin(drive(
            of(),
            every("presence_flush", 2),
            idle(),
            tasks::presence_flush::run,
        )),
    ]
}

/// The tasks of packages, directories, pushes, keys and the audit log.
fn of_the_rest(services: &Arc<Services>, tracker: &TaskTracker) -> Vec<Prepared> {
    let background = &services.background;
    let of = || Arc::clone(services);
    vec![
        Box::pin(drive(
            of(),
            every("agent_push", 1),
            background.pushes.nudged(),
            {
                let tracker = tracker.clone();
                move |services| tasks::agent_push::run(services, tracker.clone())
            },
        )),
        Box::pin(drive(
            of(),
            every("audit_seal", 1),
            idle(),
            tasks::audit_seal::run,
        )),
        Box::pin(drive(
            of(),
            every("audit_retention", 60 * 60),
            idle(),
            tasks::audit_retention::run,
        )),
        Box::pin(drive(
            of(),
            every("store_collect", 3600),
            idle(),
            tasks::store_collect::run,
        )),
        Box::pin(drive(
            of(),
            every("inventory_sweep", 3600),
            idle(),
            tasks::inventory_sweep::run,
        )),
        Box::pin(drive(
            of(),
            every("enrollment_sweep", 3600),
            idle(),
            tasks::enrollment_sweep::run,
        )),
        Box::pin(drive(
            of(),
            every("download_limits", 10),
            idle(),
            tasks::download_limits::run,
        )),
        Box::pin(drive(
            of(),
            every("directory_sync", 5),
            Arc::clone(&background.directory),
            {
                let tracker = tracker.clone();
                move |services| tasks::directory_sync::run(services, tracker.clone())
            },
        )),
        Box::pin(drive(
            of(),
            every("server_key", 5),
            idle(),
            tasks::server_key::run,
        )),
        Box::pin(drive(
            of(),
            every("package_look", 300),
            idle(),
            tasks::package_look::look,
        )),
        Box::pin(drive(
            of(),
            every("package_digest", 10),
            Arc::clone(&background.digest),
            tasks::package_look::digest,
        )),
        Box::pin(drive(
            of(),
            every("agent_update", 5),
            Arc::clone(&background.updates),
            tasks::agent_update::run,
        )),
        Box::pin(drive(
            of(),
            every("receipt_verify", 10),
            Arc::clone(&background.receipts),
            tasks::receipt_verify::run,
        )),
        Box::pin(drive(
            of(),
            every("direct_uploads", 5),
            Arc::clone(&background.direct_uploads),
            tasks::direct_uploads::run,
        )),
        Box::pin(drive(
            of(),
            every("agents_online", 60),
            idle(),
            tasks::agents_online::run,
        )),
        Box::pin(drive(
            of(),
            every("package_store_sweep", 6 * 60 * 60),
            idle(),
            tasks::package_store_sweep::run,
        )),
    ]
}
