//! What committed transactions changed, for whoever watches: hints, never the truth.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::{DeploymentKey, JobKey};

/// Transactions that a slow watcher may be behind; then it is told that it missed some.
const BACKLOG: usize = 1024;

/// What one committed transaction changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Jobs whose state or progress is another now. Deleted ones are left out.
    pub jobs: BTreeSet<JobKey>,
    /// Deployments whose jobs were opened, deleted, halted or resumed.
    pub deployments: BTreeSet<DeploymentKey>,
}

/// Where changes are told, after their commit. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ChangeFeed(broadcast::Sender<Arc<Changes>>);

impl Default for ChangeFeed {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl ChangeFeed {
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Changes>> {
        self.0.subscribe()
    }
}

/// The changes of a transaction under way.
#[derive(Debug)]
pub(crate) struct PendingChanges {
    feed: ChangeFeed,
    changes: Mutex<Changes>,
}

impl PendingChanges {
    pub(crate) fn new(feed: ChangeFeed) -> Self {
        Self {
            feed,
            changes: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Changes)) {
        if self.feed.0.receiver_count() > 0 {
            note(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// After the commit.
    pub(crate) fn tell(self) {
        let changes = self
            .changes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if changes != Changes::default() {
            // Nobody may be watching any more.
            let _ = self.feed.0.send(Arc::new(changes));
        }
    }
}
