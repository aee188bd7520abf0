//! Live events: what this process committed, told to whoever listens.
//!
//! **Guarantees.** An event shows the row as it is after the commit, so that a later event is never older. Whoever lists
//! after the first event of its stream misses nothing. A listener that is too slow is told that it missed some and
//! lists again; nothing is kept for it (invariant I8). **After a crash** streams end and clients list again. **Does
//! not** tell what other servers over the same database committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outfitter_store::{
    Changes, DeploymentKey, DeploymentView, JobKey, JobLive, ProjectKey, StoreError,
};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::services::Services;

/// Events that a slow listener may be behind.
const BACKLOG: usize = 4096;

/// Streams at once; further ones are refused.
const STREAMS: usize = 256;

/// How long changes are gathered before they are read: a job that changes thrice in it is told once.
const GATHER: Duration = Duration::from_millis(100);

/// Rows read at once.
const PAGE: usize = 500;

/// What happened in a project.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job is another now.
    Job(Box<JobLive>),
    /// A deployment is another now.
    Deployment(ProjectKey, Box<DeploymentView>),
    /// A freeze was set or lifted: of one project, or (`None`) of the server.
    Freeze(Option<ProjectKey>),
    /// Events were lost on the way here.
    Lost,
}

impl Event {
    /// Whether listeners of a project hear it.
    pub fn is_of(&self, project: ProjectKey) -> bool {
        match self {
            Self::Job(job) => job.project == project,
            Self::Deployment(of, _) => *of == project,
            Self::Freeze(of) => of.is_none_or(|of| of == project),
            Self::Lost => true,
        }
    }
}

/// Where events go.
pub struct Events {
    sender: broadcast::Sender<Event>,
    streams: Arc<Semaphore>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }
}

/// A listener; its place is free again when it goes.
pub struct Listener {
    /// What happens from now on, in every project.
    pub events: broadcast::Receiver<Event>,
    _place: OwnedSemaphorePermit,
}

impl Events {
    /// Listens; `None` when too many do.
    pub fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(Listener {
            events: self.sender.subscribe(),
            _place: place,
        })
    }

    /// Tells an event.
    pub fn tell(&self, event: Event) {
        // Nobody may be listening.
        drop(self.sender.send(event));
    }
}

/// Turns committed changes into events, until the feed ends.
pub(crate) async fn run(services: Arc<Services>) {
    let mut feed = services.store.watch();
    loop {
        let mut gathered = Changes::default();
        match feed.recv().await {
            Ok(changes) => add(&mut gathered, &changes),
            Err(RecvError::Lagged(_)) => services.background.events.tell(Event::Lost),
            Err(RecvError::Closed) => return,
        }
        tokio::time::sleep(GATHER).await;
        loop {
            match feed.try_recv() {
                Ok(changes) => add(&mut gathered, &changes),
                Err(TryRecvError::Lagged(_)) => services.background.events.tell(Event::Lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if services.background.events.sender.receiver_count() == 0 {
            continue;
        }
        if let Err(error) = tell(&services, gathered).await {
            tracing::warn!(
                error = crate::http::error::chain(&error),
                "events could not be read"
            );
            services.background.events.tell(Event::Lost);
        }
    }
}

fn add(gathered: &mut Changes, changes: &Changes) {
    gathered.jobs.extend(&changes.jobs);
    gathered.deployments.extend(&changes.deployments);
}

async fn tell(services: &Services, changes: Changes) -> Result<(), StoreError> {
    let db = services.store.db();
    let events = &services.background.events;
    let mut deployments = changes.deployments;
    let jobs: Vec<JobKey> = changes.jobs.into_iter().collect();
    for page in jobs.chunks(PAGE) {
        for job in db.job_live(page).await? {
            deployments.insert(job.deployment);
            events.tell(Event::Job(Box::new(job)));
        }
    }
    tell_deployments(services, deployments).await
}

async fn tell_deployments(
    services: &Services,
    deployments: BTreeSet<DeploymentKey>,
) -> Result<(), StoreError> {
    let keys: Vec<DeploymentKey> = deployments.into_iter().collect();
    for page in keys.chunks(PAGE) {
        for (project, view) in services.store.db().deployment_by_keys(page).await? {
            services
                .background
                .events
                .tell(Event::Deployment(project, Box::new(view)));
        }
    }
    Ok(())
}
