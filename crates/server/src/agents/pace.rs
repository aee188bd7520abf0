//! Who may download now, and how fast: places, the queue for them, and rates.
//!
//! **Guarantees.** Places are given in the order in which desktops first asked; who has to wait is told for how long
//! and keeps its turn when it comes back in time. A desktop has one place: its next request takes over the one of a
//! connection that died unnoticed. Bytes are granted in the order in which downloads ask, a small piece each, so that
//! all get the same share whatever their line is worth.
//!
//! **After a crash** everything here begins empty: agents ask again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::tz::TimeZone;
use outfitter_domain::Millis;
use outfitter_domain::downloads::{DownloadLimits, Rates};
use outfitter_store::{DesktopKey, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Largest piece that is read and sent at once, in bytes: what one download holds in memory, twice.
const PIECE_BYTES: u64 = 64 * 1024;

/// Pieces are cut so that one takes about an eighth of a second at the rate there is.
const PIECES_A_SECOND: u64 = 8;

/// Longest wait between two pieces that the agents' patience (60 s without a byte) is far from, in seconds.
const PIECE_WAIT_SECS: u64 = 10;

/// How much later than it was told a desktop may come back without losing its turn.
const TURN_KEPT: Duration = Duration::from_secs(30);

/// Longest wait that is told at once, in seconds.
const WAIT_LIMIT_SECS: u64 = 60;

/// What a download is taken to last before any has ended.
const FIRST_GUESS: Duration = Duration::from_secs(2);

/// Whether a download may begin.
#[derive(Debug)]
pub enum Turn {
    /// It has a place.
    Now {
        /// Names the place.
        visit: u64,
        /// Cancelled when the desktop's next request took the place over.
        taken_over: CancellationToken,
    },
    /// It comes back.
    Later {
        /// After so many seconds.
        wait_secs: u32,
        /// Desktops whose turn is before.
        ahead: usize,
    },
}

#[derive(Debug)]
struct Ticket {
    desktop: DesktopKey,
    come_back: Duration,
}

/// The places and the queue for them; pure, so that its rules can be tested without waiting.
#[derive(Debug)]
struct Queue {
    active: HashMap<DesktopKey, (u64, CancellationToken)>,
    waiting: VecDeque<Ticket>,
    /// Mean time that a download had its place, the last ones counting most.
    mean: Duration,
    last_visit: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            active: HashMap::new(),
            waiting: VecDeque::new(),
            mean: FIRST_GUESS,
            last_visit: 0,
        }
    }
}

impl Queue {
    fn ask(&mut self, desktop: DesktopKey, places: Option<u32>, now: Duration) -> Turn {
        self.waiting
            .retain(|ticket| ticket.desktop == desktop || now <= ticket.come_back + TURN_KEPT);
        let places = places.map_or(usize::MAX, |places| {
            usize::try_from(places).unwrap_or(usize::MAX)
        });
        let own = self
            .waiting
            .iter()
            .position(|ticket| ticket.desktop == desktop);
        let ahead = own.unwrap_or(self.waiting.len());
        let free = places.saturating_sub(self.active.len());
        if self.active.contains_key(&desktop) || ahead < free {
            if let Some(own) = own {
                self.waiting.remove(own);
            }
            self.last_visit += 1;
            let taken_over = CancellationToken::new();
            let place = (self.last_visit, taken_over.clone());
            if let Some((_, earlier)) = self.active.insert(desktop, place) {
                earlier.cancel();
            }
            return Turn::Now {
                visit: self.last_visit,
                taken_over,
            };
        }
        let rounds = u32::try_from((ahead + 1).div_ceil(places.max(1))).unwrap_or(u32::MAX);
        let wait_secs = self
            .mean
            .saturating_mul(rounds)
            .as_secs()
            .clamp(1, WAIT_LIMIT_SECS);
        let come_back = now + Duration::from_secs(wait_secs);
        match own {
            Some(own) => self.waiting[own].come_back = come_back,
            None => self.waiting.push_back(Ticket { desktop, come_back }),
        }
        Turn::Later {
            wait_secs: u32::try_from(wait_secs).unwrap_or(u32::MAX),
            ahead,
        }
    }

    /// The place is free again, unless another request of the desktop has it by now.
    fn leave(&mut self, desktop: DesktopKey, visit: u64, lasted: Duration) {
        if self
            .active
            .get(&desktop)
            .is_some_and(|(has, _)| *has == visit)
        {
            self.active.remove(&desktop);
            self.mean = (self.mean * 3 + lasted) / 4;
        }
    }
}

/// When bytes may go at a rate: nothing is saved up while nobody asks.
#[derive(Debug, Default, Clone, Copy)]
pub struct Pace {
    free_at: Duration,
}

impl Pace {
    /// Grants bytes; answers how long to wait before they go.
    fn grant(&mut self, bytes: u64, rate: Option<u64>, now: Duration) -> Duration {
        let begin = self.free_at.max(now);
        let Some(rate) = rate else {
            self.free_at = now;
            return Duration::ZERO;
        };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        self.free_at = begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        begin - now
    }
}

struct InForce {
    limits: DownloadLimits,
    zone: TimeZone,
}

/// What this process's downloads share.
pub struct Downloads {
    in_force: RwLock<Arc<InForce>>,
    queue: Mutex<Queue>,
    total: Mutex<Pace>,
    origin: Instant,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            in_force: RwLock::new(Arc::new(InForce {
                limits: DownloadLimits::default(),
                zone: TimeZone::UTC,
            })),
            queue: Mutex::default(),
            total: Mutex::default(),
            origin: Instant::now(),
        }
    }
}

impl Downloads {
    /// Reads the limits that hold from now on.
    ///
    /// # Errors
    /// When the database cannot answer; what held before goes on.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let stored = store.db().download_limits_find().await?;
        self.put_in_force(stored.map(|stored| stored.limits).unwrap_or_default());
        Ok(())
    }

    /// Lets limits hold from now on.
    pub fn put_in_force(&self, limits: DownloadLimits) {
        let zone = limits.zone().unwrap_or_else(|| {
            tracing::error!(
                time_zone = limits.time_zone,
                "this server does not know the time zone of the limits of downloads: UTC is used"
            );
            TimeZone::UTC
        });
        let now = Arc::new(InForce { limits, zone });
        *self
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds at a moment.
    pub fn rates(&self, now: Millis) -> Rates {
        let in_force = self.in_force();
        in_force.limits.at(&in_force.zone, now.get())
    }

    /// Downloads under way, and desktops that wait.
    pub fn counts(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.active.len(), queue.waiting.len())
    }

    /// A desktop asks for a place.
    pub fn ask(&self, desktop: DesktopKey) -> Turn {
        let places = self.in_force().limits.parallel_downloads;
        self.queue().ask(desktop, places, self.origin.elapsed())
    }

    /// A download has ended, whole or not.
    pub fn leave(&self, desktop: DesktopKey, visit: u64, lasted: Duration) {
        self.queue().leave(desktop, visit, lasted);
    }

    /// How many bytes a download reads at once.
    pub fn piece_bytes(&self, rates: Rates) -> usize {
        let active = u64::try_from(self.queue().active.len().max(1)).unwrap_or(u64::MAX);
        let of_total = rates
            .total
            .map(|rate| (rate / PIECES_A_SECOND).min(rate * PIECE_WAIT_SECS / active));
        let of_desktop = rates.per_desktop.map(|rate| rate / PIECES_A_SECOND);
        let piece = of_total
            .unwrap_or(PIECE_BYTES)
            .min(of_desktop.unwrap_or(PIECE_BYTES))
            .clamp(1, PIECE_BYTES);
        usize::try_from(piece).unwrap_or(usize::MAX)
    }

    /// How long a download waits before it sends a piece; `own` is its own pace.
    pub fn wait(&self, bytes: usize, rates: Rates, own: &mut Pace) -> Duration {
        let (bytes, now) = (bytes as u64, self.origin.elapsed());
        let of_total = self
            .total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .grant(bytes, rates.total, now);
        of_total.max(own.grant(bytes, rates.per_desktop, now))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is one statement: what a panic left is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desktop(number: i64) -> DesktopKey {
        DesktopKey::new(number)
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[track_caller]
    fn visit(turn: Turn) -> u64 {
        match turn {
            Turn::Now { visit, .. } => visit,
            Turn::Later { .. } => panic!("{turn:?}"),
        }
    }

    #[track_caller]
    fn later(turn: Turn) -> (u32, usize) {
        match turn {
            Turn::Later { wait_secs, ahead } => (wait_secs, ahead),
            Turn::Now { .. } => panic!("{turn:?}"),
        }
    }

    #[test]
    fn places_are_given_in_the_order_of_asking() {
        let mut queue = Queue::default();
        let places = Some(2);
        let first = visit(queue.ask(desktop(1), places, secs(0)));
        visit(queue.ask(desktop(2), places, secs(0)));
        assert_eq!(later(queue.ask(desktop(3), places, secs(1))), (2, 0));
        assert_eq!(later(queue.ask(desktop(4), places, secs(1))), (2, 1));
        assert_eq!(later(queue.ask(desktop(5), places, secs(1))), (4, 2));
        queue.leave(desktop(1), first, secs(2));
        // The place that is free is the third's: neither a later one nor a new one may have it.
        assert_eq!(later(queue.ask(desktop(4), places, secs(2))).1, 1);
        later(queue.ask(desktop(6), places, secs(2)));
        visit(queue.ask(desktop(3), places, secs(11)));
        assert_eq!(later(queue.ask(desktop(5), places, secs(12))).1, 1);
    }

    #[test]
    fn a_turn_is_lost_by_who_does_not_come_back() {
        let mut queue = Queue::default();
        let first = visit(queue.ask(desktop(1), Some(1), secs(0)));
        let (wait, _) = later(queue.ask(desktop(2), Some(1), secs(0)));
        later(queue.ask(desktop(3), Some(1), secs(0)));
        queue.leave(desktop(1), first, secs(1));
        later(queue.ask(desktop(3), Some(1), secs(wait.into()) + TURN_KEPT));
        visit(queue.ask(desktop(3), Some(1), secs(wait.into()) + TURN_KEPT + secs(1)));
        later(queue.ask(desktop(2), Some(1), secs(wait.into()) + TURN_KEPT + secs(2)));
    }

    #[test]
    fn a_desktop_takes_over_its_own_place() {
        let mut queue = Queue::default();
        let Turn::Now {
            visit: dead,
            taken_over,
        } = queue.ask(desktop(1), Some(1), secs(0))
        else {
            panic!("a place is free");
        };
        let alive = visit(queue.ask(desktop(1), Some(1), secs(5)));
        assert!(taken_over.is_cancelled());
        queue.leave(desktop(1), dead, secs(5));
        later(queue.ask(desktop(2), Some(1), secs(6)));
        queue.leave(desktop(1), alive, secs(6));
        visit(queue.ask(desktop(2), Some(1), secs(7)));
        // Without a limit nobody waits.
        for number in 10..20 {
            visit(queue.ask(desktop(number), None, secs(8)));
        }
    }

    #[test]
    fn downloads_share_a_rate_alike_whatever_the_size_of_their_lines() {
        // Two downloads ask in turn, each when it has sent its piece; a third asks seldom.
        let mut total = Pace::default();
        let mut sent = [0_u64; 3];
        let mut ready = [secs(0), secs(0), secs(0)];
        let slow_line = secs(2);
        while ready.iter().any(|at| *at < secs(100)) {
            let next = (0..3).min_by_key(|index| ready[*index]).expect("three");
            let now = ready[next];
            let wait = total.grant(100, Some(1000), now);
            sent[next] += 100;
            ready[next] = now
                + wait
                + if next == 2 {
                    slow_line
                } else {
                    Duration::from_millis(1)
                };
        }
        assert_eq!(sent[0].abs_diff(sent[1]) / 100, 0, "{sent:?}");
        assert!(sent[2] < sent[0] && sent[2] > 3000, "{sent:?}");
        let all: u64 = sent.iter().sum();
        assert!((99_000..=102_000).contains(&all), "{sent:?}");
    }

    #[test]
    fn pieces_are_small_where_the_rate_is() {
        let downloads = Downloads::default();
        let piece = |total, per_desktop| {
            downloads.piece_bytes(Rates {
                total,
                per_desktop,
                holds_secs: None,
            })
        };
        assert_eq!(piece(None, None), 64 * 1024);
        assert_eq!(piece(Some(8000), None), 1000);
        assert_eq!(piece(Some(80_000_000), Some(1024)), 128);
        for number in 0..1000 {
            downloads.ask(desktop(number));
        }
        assert_eq!(piece(Some(1024), None), 10);
    }
}
