//! Which desktops have a channel to this process, and the queue of each.
//!
//! **Guarantees.** One channel per desktop: a newer one (higher epoch) replaces an older one, whose task is told
//! to end. Queues are bounded and never waited for: a full one means the message is not sent and whoever sent it
//! decides (a lease lapses, progress is lost). Nothing here is stored: after a crash the registry is empty, agents
//! come back, and the database is the truth.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outfitter_agent_protocol::ServerMessage;
use outfitter_store::DesktopKey;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::questions::Questions;

/// Messages that wait for a channel's socket. A slow agent gets no more; its leases lapse.
const QUEUE_LENGTH: usize = 8;

/// How long a channel may take to answer when another machine wants its place.
pub const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// The live channels of this process.
#[derive(Default)]
pub struct Registry {
    channels: Mutex<BTreeMap<DesktopKey, Entry>>,
    /// What desktops were asked and have not answered.
    pub questions: Questions,
}

/// What a channel is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Whatever there is.
    Work,
    /// A new certificate and nothing else: its desktop counts as away.
    RenewalAlone,
}

struct Entry {
    epoch: i64,
    takes: Takes,
    queue: mpsc::Sender<Arc<ServerMessage>>,
    replaced: CancellationToken,
    probed: Arc<Notify>,
    heard: Arc<Notify>,
    gone: CancellationToken,
    _goes: DropGuard,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It waits for the socket.
    Queued,
    /// The queue is full.
    Full,
    /// There is no channel of that epoch.
    Gone,
}

/// A channel's own end of its entry.
pub struct Registration {
    /// What to send.
    pub outgoing: mpsc::Receiver<Arc<ServerMessage>>,
    /// Cancelled when a newer channel took the desktop or the server wants this one to end.
    pub replaced: CancellationToken,
    /// Notified when the far end has to show that it lives.
    pub probed: Arc<Notify>,
    /// To be notified, with all its waiters, whenever something is heard of the far end.
    pub heard: Arc<Notify>,
}

impl Registry {
    /// Enters a channel. `None` when a newer one is there already.
    pub fn insert(&self, desktop: DesktopKey, epoch: i64, takes: Takes) -> Option<Registration> {
        let (queue, outgoing) = mpsc::channel(QUEUE_LENGTH);
        let replaced = CancellationToken::new();
        let probed = Arc::new(Notify::new());
        let heard = Arc::new(Notify::new());
        let gone = CancellationToken::new();
        let mut channels = self.channels();
        if let Some(older) = channels.get(&desktop) {
            if older.epoch >= epoch {
                return None;
            }
            older.replaced.cancel();
        }
        channels.insert(
            desktop,
            Entry {
                epoch,
                takes,
                queue,
                replaced: replaced.clone(),
                probed: Arc::clone(&probed),
                heard: Arc::clone(&heard),
                _goes: gone.clone().drop_guard(),
                gone,
            },
        );
        Some(Registration {
            outgoing,
            replaced,
            probed,
            heard,
        })
    }

    /// Takes a channel out; a newer one of the same desktop stays.
    pub fn remove(&self, desktop: DesktopKey, epoch: i64) {
        let mut channels = self.channels();
        if channels
            .get(&desktop)
            .is_some_and(|entry| entry.epoch == epoch)
        {
            channels.remove(&desktop);
        }
    }

    /// Ends the channel of a desktop, whatever its epoch (agent revoked, desktop deleted).
    pub fn close(&self, desktop: DesktopKey) {
        if let Some(entry) = self.channels().get(&desktop) {
            entry.replaced.cancel();
        }
    }

    /// Whether a desktop has a channel here, whatever it is good for.
    pub fn is_there(&self, desktop: DesktopKey) -> bool {
        self.channels().contains_key(&desktop)
    }

    /// Whether a desktop's channel of this epoch is here.
    pub fn has(&self, desktop: DesktopKey, epoch: i64) -> bool {
        self.channels()
            .get(&desktop)
            .is_some_and(|entry| entry.epoch == epoch)
    }

    /// Has the far end of a desktop's channel show that it lives.
    pub fn probe(&self, desktop: DesktopKey) {
        if let Some(entry) = self.channels().get(&desktop) {
            entry.probed.notify_one();
        }
    }

    /// Has the far end of a desktop's channel show that it lives, and waits for that, [`PROBE_LIMIT`] at most.
    pub async fn shows_life(&self, desktop: DesktopKey) -> bool {
        let ends = self
            .channels()
            .get(&desktop)
            .map(|entry| (Arc::clone(&entry.heard), entry.gone.clone()));
        let Some((heard, gone)) = ends else {
            return false;
        };
        // What is heard from here on counts.
        let heard = heard.notified();
        self.probe(desktop);
        let lives = async {
            tokio::select! {
                () = heard => true,
                // A newer one may have taken its place.
                () = gone.cancelled() => self.is_there(desktop),
            }
        };
        timeout(PROBE_LIMIT, lives).await.unwrap_or(false)
    }

    /// Queues what may as well be lost for whatever channel the desktop has.
    pub fn tell(&self, desktop: DesktopKey, message: ServerMessage) {
        if let Some(entry) = self.channels().get(&desktop) {
            // A full queue has more to say than this.
            let _ = entry.queue.try_send(Arc::new(message));
        }
    }

    /// Queues a message; never waits.
    pub fn try_send(
        &self,
        desktop: DesktopKey,
        epoch: i64,
        message: Arc<ServerMessage>,
    ) -> Delivery {
        let channels = self.channels();
        let Some(entry) = channels
            .get(&desktop)
            .filter(|entry| entry.epoch == epoch && entry.takes == Takes::Work)
        else {
            return Delivery::Gone;
        };
        match entry.queue.try_send(message) {
            Ok(()) => Delivery::Queued,
            Err(mpsc::error::TrySendError::Full(_)) => Delivery::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Delivery::Gone,
        }
    }

    /// The epoch of a desktop's channel, where it has one here that takes work.
    pub fn epoch(&self, desktop: DesktopKey) -> Option<i64> {
        let channels = self.channels();
        let entry = channels.get(&desktop)?;
        (entry.takes == Takes::Work).then_some(entry.epoch)
    }

    /// Connected desktops that take work above `after` in the order of their keys, at most `limit`.
    pub fn page(&self, after: Option<DesktopKey>, limit: usize) -> Vec<(DesktopKey, i64)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.channels()
            .range((from, Bound::Unbounded))
            .filter(|(_, entry)| entry.takes == Takes::Work)
            .take(limit)
            .map(|(desktop, entry)| (*desktop, entry.epoch))
            .collect()
    }

    /// Number of channels.
    pub fn len(&self) -> usize {
        self.channels().len()
    }

    /// Whether there is no channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<DesktopKey, Entry>> {
        // Every change is one map operation: a panic elsewhere leaves the map whole.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Arc<ServerMessage> {
        Arc::new(ServerMessage::Heartbeat {
            server_time_millis: 0,
        })
    }

    #[test]
    fn a_newer_channel_replaces_an_older_one_and_never_the_other_way_round() {
        let registry = Registry::default();
        let desktop = DesktopKey::new(1);
        let first = registry
            .insert(desktop, 4, Takes::Work)
            .expect("the first channel");
        assert!(registry.insert(desktop, 3, Takes::Work).is_none());
        let _second = registry
            .insert(desktop, 5, Takes::Work)
            .expect("a newer channel");
        assert!(first.replaced.is_cancelled());
        registry.remove(desktop, 4);
        assert_eq!(registry.epoch(desktop), Some(5));
        assert!(registry.has(desktop, 5) && !registry.has(desktop, 4));
        assert_eq!(registry.try_send(desktop, 4, heartbeat()), Delivery::Gone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_shows_life_by_what_is_heard_after_it_was_asked() {
        let registry = Registry::default();
        let desktop = DesktopKey::new(1);
        assert!(!registry.shows_life(desktop).await, "there is none");
        let first = registry.insert(desktop, 1, Takes::Work).expect("a channel");
        first.heard.notify_waiters();
        assert!(!registry.shows_life(desktop).await, "it says nothing");
        let answered = async {
            first.probed.notified().await;
            first.heard.notify_waiters();
        };
        assert!(tokio::join!(registry.shows_life(desktop), answered).0);
        let replaced = async {
            first.probed.notified().await;
            registry.insert(desktop, 2, Takes::Work)
        };
        let (lives, second) = tokio::join!(registry.shows_life(desktop), replaced);
        assert!(lives && second.is_some(), "a newer one took its place");
        let lost = async { registry.remove(desktop, 2) };
        assert!(!tokio::join!(registry.shows_life(desktop), lost).0);
    }

    #[test]
    fn a_full_queue_is_said_and_not_waited_for() {
        let registry = Registry::default();
        let desktop = DesktopKey::new(1);
        let registration = registry.insert(desktop, 1, Takes::Work).expect("a channel");
        for _ in 0..QUEUE_LENGTH {
            assert_eq!(registry.try_send(desktop, 1, heartbeat()), Delivery::Queued);
        }
        assert_eq!(registry.try_send(desktop, 1, heartbeat()), Delivery::Full);
        drop(registration);
        assert_eq!(registry.try_send(desktop, 1, heartbeat()), Delivery::Gone);
    }

    #[test]
    fn a_channel_that_may_only_renew_is_given_nothing() {
        let registry = Registry::default();
        let desktop = DesktopKey::new(1);
        let _kept = registry.insert(desktop, 1, Takes::RenewalAlone);
        assert_eq!(registry.epoch(desktop), None);
        assert!(registry.page(None, 9).is_empty());
        assert_eq!(registry.try_send(desktop, 1, heartbeat()), Delivery::Gone);
        let _kept = registry.insert(desktop, 2, Takes::Work);
        assert_eq!(registry.epoch(desktop), Some(2));
    }

    #[test]
    fn pages_walk_every_desktop_once() {
        let registry = Registry::default();
        let _kept: Vec<_> = (0..5)
            .map(|key| registry.insert(DesktopKey::new(key), 1, Takes::Work))
            .collect();
        let first = registry.page(None, 3);
        let second = registry.page(first.last().map(|(key, _)| *key), 3);
        assert_eq!(first.len() + second.len(), 5);
    }
}
