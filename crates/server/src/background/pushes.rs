//! Which pushes this process works on, and how far each is. Kept in memory; the task `agent_push` writes it down in
//! groups, so that a hundred pushes cost one small transaction a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outfitter_store::WorkspaceSubJobKey;
use tokio::sync::{Notify, Semaphore};

use crate::app::push::UPLOADS_AT_ONCE;

/// Pushes of one process at once. Each is a socket and some buffers; one that hangs holds its place for its step's
/// limit, so there are more places than a call can fill (100).
const AT_ONCE: usize = 256;

/// The pushes of this process.
pub struct Pushes {
    percents: Mutex<BTreeMap<WorkspaceSubJobKey, u8>>,
    nudge: Arc<Notify>,
    uploads: Arc<Semaphore>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            percents: Mutex::default(),
            nudge: Arc::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
        }
    }
}

impl Pushes {
    /// Says that a push waits, or that a place is free.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    pub(super) fn nudged(&self) -> Arc<Notify> {
        Arc::clone(&self.nudge)
    }

    /// Who may upload.
    pub(super) fn uploads(&self) -> &Arc<Semaphore> {
        &self.uploads
    }

    /// Places that are free.
    pub(super) fn free(&self) -> usize {
        AT_ONCE.saturating_sub(self.percents().len())
    }

    /// Takes a place.
    pub(super) fn begin(&self, push: WorkspaceSubJobKey) {
        self.percents().insert(push, 0);
    }

    /// Notes how far a push is.
    pub(super) fn at(&self, push: WorkspaceSubJobKey, percent: u8) {
        if let Some(noted) = self.percents().get_mut(&push) {
            *noted = percent;
        }
    }

    /// Frees a place.
    pub(super) fn end(&self, push: WorkspaceSubJobKey) {
        self.percents().remove(&push);
    }

    /// How far each is.
    pub(super) fn snapshot(&self) -> Vec<(WorkspaceSubJobKey, u8)> {
        self.percents()
            .iter()
            .map(|(push, percent)| (*push, *percent))
            .collect()
    }

    fn percents(&self) -> MutexGuard<'_, BTreeMap<WorkspaceSubJobKey, u8>> {
        // Every change is one map operation: a panic elsewhere leaves the map whole.
        self.percents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
