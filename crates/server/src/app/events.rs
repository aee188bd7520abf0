//! Live events: what this process committed, told to whoever listens.
//!
//! **Guarantees.** An event shows the row as it is after the commit, so that a later event is never older. Whoever lists
//! after the first event of its stream misses nothing. A listener that is too slow is told that it missed some and
//! lists again; nothing is kept for it (invariant I8). **After a crash** streams end and clients list again. **Does
//! not** tell what other servers over the same database committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outfitter_store::{
    Changes, DeploymentKey, DeploymentView, JobKey, JobLive, ProjectKey, StoreError, UserKey,
};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::services::Services;

/// Events that a slow listener may be behind.
const BACKLOG: usize = 4096;

/// Streams of administrators at once; further ones are refused.
const STREAMS: usize = 256;

/// Streams of end users at once: they take no place from administrators. Source: some kilobytes each.
const END_USER_STREAMS: usize = 4096;

/// Streams of one end user at once: a page for each of their desktops.
const STREAMS_EACH: usize = 8;

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
    end_user_streams: Arc<Semaphore>,
    of_end_users: Arc<Mutex<HashMap<UserKey, usize>>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            streams: Arc::new(Semaphore::new(STREAMS)),
            end_user_streams: Arc::new(Semaphore::new(END_USER_STREAMS)),
            of_end_users: Arc::default(),
        }
    }
}

/// A listener; its place is free again when it goes.
pub struct Listener {
    /// What happens from now on, in every project.
    pub events: broadcast::Receiver<Event>,
    _place: OwnedSemaphorePermit,
    _of_user: Option<OfUser>,
}

/// One of an end user's streams.
struct OfUser {
    user: UserKey,
    all: Arc<Mutex<HashMap<UserKey, usize>>>,
}

impl OfUser {
    fn take(all: &Arc<Mutex<HashMap<UserKey, usize>>>, user: UserKey) -> Option<Self> {
        let mut held = all.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = held.entry(user).or_default();
        if *streams >= STREAMS_EACH {
            return None;
        }
        *streams += 1;
        Some(Self {
            user,
            all: Arc::clone(all),
        })
    }
}

impl Drop for OfUser {
    fn drop(&mut self) {
        let mut held = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = held.get_mut(&self.user) {
            *streams -= 1;
            if *streams == 0 {
                held.remove(&self.user);
            }
        }
    }
}

impl Events {
    /// Listens; `None` when too many do.
    pub fn listen(&self) -> Option<Listener> {
        self.listener(&self.streams, None)
    }

    /// Listens for an end user; `None` when too many do, or they themselves too often.
    pub fn listen_as(&self, user: UserKey) -> Option<Listener> {
        let of_user = OfUser::take(&self.of_end_users, user)?;
        self.listener(&self.end_user_streams, Some(of_user))
    }

    fn listener(&self, places: &Arc<Semaphore>, of_user: Option<OfUser>) -> Option<Listener> {
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Listener {
            events: self.sender.subscribe(),
            _place: place,
            _of_user: of_user,
        })
    }

    /// Tells an event.
    pub fn tell(&self, event: Event) {
        // Nobody may be listening.
        drop(self.sender.send(event));
    }
}

/// Turns committed changes into events, until the process ends: streams end with it.
pub(crate) async fn run(services: Arc<Services>) {
    let mut feed = services.store.watch();
    loop {
        let mut gathered = Changes::default();
        let received = tokio::select! {
            received = feed.recv() => received,
            () = services.shutdown.cancelled() => return,
        };
        match received {
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
