//! Rates by key: `governor`'s arithmetic over a table that stays small.
//!
//! A full table first forgets who owes nothing, then the half that owes least: whoever is being limited is
//! remembered, and a stranger with many addresses cannot make room for itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{NotUntil, RateLimiter};

use super::seconds_of;

/// Seconds' worth of requests that may come at once.
pub(super) const BURST_SECS: u32 = 10;

/// Seconds after which it is worth trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

/// A clock that never goes back: the time since some instant.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The system's.
pub fn monotonic() -> Monotonic {
    let began = tokio::time::Instant::now();
    Arc::new(move || began.elapsed())
}

/// How much the edge lets through; zero stands for no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Requests that one address may make each second, and ten seconds' worth at once.
    pub requests_per_address: u32,
    /// Requests that one credential may make each second, and ten seconds' worth at once.
    pub requests_per_credential: u32,
    /// Wrong passwords that one address may try each minute, and ten minutes' worth at once.
    pub wrong_passwords_per_minute: u32,
    /// Connections that one address may hold on a listener for people and programs; `None`: no limit.
    pub connections_per_address: Option<usize>,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            // Estimated, not measured: half of what two cores answer of small requests. More than tools need, less than one
            // of them must have.
            requests_per_address: 2000,
            requests_per_credential: 2000,
            wrong_passwords_per_minute: 60,
            // A quarter of the places; a browser takes one with HTTP/2, six without.
            connections_per_address: Some(1024),
        }
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    pub(super) per_minute: u32,
    pub(super) at_once: u32,
}

/// Counts by key.
pub(super) struct Limiter<K: Clone + Eq + Hash> {
    counting: RateLimiter<K, Counting<K>, Ticks, NoOpMiddleware<Duration>>,
    looking: RateLimiter<K, Looking<K>, Ticks, NoOpMiddleware<Duration>>,
    clock: Ticks,
    #[cfg(test)]
    states: Arc<States<K>>,
}

#[derive(Clone)]
struct Ticks(Monotonic);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    /// A limiter that remembers at most `most` keys; `None` for a quota of zero, which stands for no limit.
    pub(super) fn new(quota: Quota, most: usize, now: &Monotonic) -> Option<Self> {
        let per_minute = NonZeroU32::new(quota.per_minute)?;
        let at_once = NonZeroU32::new(quota.at_once)?;
        let quota = governor::Quota::per_minute(per_minute).allow_burst(at_once);
        let states = Arc::new(States {
            most,
            states: Mutex::default(),
        });
        // Both begin at the same instant: their states are one.
        let begin = now();
        let ticks = {
            let now = Arc::clone(now);
            Ticks(Arc::new(move || now().saturating_sub(begin)))
        };
        Some(Self {
            counting: RateLimiter::new(quota, Counting(Arc::clone(&states)), ticks.clone()),
            looking: RateLimiter::new(quota, Looking(Arc::clone(&states)), ticks.clone()),
            clock: ticks,
            #[cfg(test)]
            states,
        })
    }

    /// Takes one from what a key may do.
    pub(super) fn count(&self, key: &K) -> Result<(), RetryAfter> {
        self.counting
            .check_key(key)
            .map_err(|until| self.wait(&until))
    }

    /// Whether a key might do one more.
    pub(super) fn look(&self, key: &K) -> Result<(), RetryAfter> {
        self.looking
            .check_key(key)
            .map_err(|until| self.wait(&until))
    }

    fn wait(&self, until: &NotUntil<Duration>) -> RetryAfter {
        RetryAfter(seconds_of(until.wait_time_from(self.clock.now())))
    }
}

/// When each key will owe nothing any more.
struct States<K> {
    most: usize,
    states: Mutex<HashMap<K, Nanos>>,
}

struct Counting<K>(Arc<States<K>>);
struct Looking<K>(Arc<States<K>>);

impl<K: Clone + Eq + Hash> StateStore for Counting<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get_mut(key) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        if states.len() >= self.0.most {
            make_room(&mut states, next);
        }
        states.insert(key.clone(), next);
        Ok(outcome)
    }
}

impl<K: Clone + Eq + Hash> StateStore for Looking<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        measure(states.get(key).copied()).map(|(outcome, _)| outcome)
    }
}

/// Forgets whoever will owe nothing by `fresh`, which is what a first request owes until; where that is nobody, the
/// half that owes least.
fn make_room<K: Eq + Hash>(states: &mut HashMap<K, Nanos>, fresh: Nanos) {
    let before = states.len();
    states.retain(|_, state| *state > fresh);
    if states.len() < before {
        return;
    }
    let mut debts: Vec<_> = states.values().copied().collect();
    let middle = debts.len() / 2;
    let (_, middle, _) = debts.select_nth_unstable(middle);
    let middle = *middle;
    states.retain(|_, state| *state > middle);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn clock() -> (Arc<AtomicU64>, Monotonic) {
        let millis = Arc::new(AtomicU64::new(5_000));
        let read = Arc::clone(&millis);
        let now: Monotonic = Arc::new(move || Duration::from_millis(read.load(Ordering::SeqCst)));
        (millis, now)
    }

    const QUOTA: Quota = Quota {
        per_minute: 60,
        at_once: 3,
    };

    #[test]
    fn a_key_gets_its_burst_then_its_rate_and_others_are_untouched() {
        let (millis, now) = clock();
        let limiter = Limiter::new(QUOTA, 10, &now).unwrap();
        for _ in 0..3 {
            assert_eq!(limiter.count(&"a"), Ok(()));
        }
        assert_eq!(limiter.count(&"a"), Err(RetryAfter(1)));
        assert_eq!(limiter.count(&"b"), Ok(()));
        millis.fetch_add(1_000, Ordering::SeqCst);
        assert_eq!(limiter.count(&"a"), Ok(()));
        assert_eq!(limiter.count(&"a"), Err(RetryAfter(1)));
        millis.fetch_add(60_000, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(limiter.count(&"a"), Ok(()));
        }
        assert!(limiter.count(&"a").is_err(), "a rest does not add up");
    }

    #[test]
    fn looking_costs_nothing_and_sees_what_was_counted() {
        let (_, now) = clock();
        let limiter = Limiter::new(QUOTA, 10, &now).unwrap();
        for _ in 0..100 {
            assert_eq!(limiter.look(&"a"), Ok(()));
        }
        for _ in 0..3 {
            limiter.count(&"a").unwrap();
        }
        assert_eq!(limiter.look(&"a"), Err(RetryAfter(1)));
    }

    #[test]
    fn a_full_table_forgets_who_owes_least_and_keeps_who_is_limited() {
        let (millis, now) = clock();
        let limiter = Limiter::new(QUOTA, 100, &now).unwrap();
        for _ in 0..3 {
            limiter.count(&0).unwrap();
        }
        for stranger in 1..10_000 {
            limiter.count(&stranger).unwrap();
        }
        assert!(limiter.states.states.lock().unwrap().len() <= 100);
        assert!(
            limiter.count(&0).is_err(),
            "the one that is limited was forgotten"
        );
        // Everybody owes something: half of them is kept.
        for stranger in 10_000..20_000 {
            for _ in 0..2 {
                limiter.count(&stranger).unwrap();
            }
        }
        assert!(limiter.states.states.lock().unwrap().len() <= 100);
        assert!(
            limiter.count(&0).is_err(),
            "the one that is limited was forgotten"
        );
        millis.fetch_add(1_000, Ordering::SeqCst);
        assert_eq!(limiter.count(&0), Ok(()));
    }

    #[test]
    fn nothing_is_limited_by_a_quota_of_zero() {
        let (_, now) = clock();
        let none = Quota {
            per_minute: 0,
            at_once: 0,
        };
        assert!(Limiter::<u8>::new(none, 10, &now).is_none());
    }
}
