//! What everything in one run shares: the seed, what happened so far, and whether an invariant broke.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Lines of the trace that a failure shows.
const SHOWN: usize = 120;

/// The first instant of every run, in milliseconds UTC: 2026-01-10T08:30:15Z.
pub(crate) const START_MILLIS: i64 = 1_768_033_815_000;

/// Something that is on or off, and that many may wait for. They wake in the order in which they came to wait; a `watch`
/// channel of tokio's draws their order by itself.
pub(crate) struct Switch {
    on: AtomicBool,
    changed: Notify,
}

impl Switch {
    pub(crate) fn new(on: bool) -> Self {
        Self {
            on: AtomicBool::new(on),
            changed: Notify::new(),
        }
    }

    pub(crate) fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) async fn until(&self, on: bool) {
        loop {
            let changed = self.changed.notified();
            if self.is_on() == on {
                return;
            }
            changed.await;
        }
    }
}

/// SplitMix64. Source: Steele, Lea, Flood 2014.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// One run's world.
pub(crate) struct World {
    pub(crate) seed: u64,
    random: Mutex<SplitMix>,
    trace: Mutex<Trace>,
    broken: Mutex<Option<String>>,
    pub(crate) stop: Notify,
    start: Instant,
    pub(crate) steps: AtomicU64,
    pub(crate) counted: Counted,
    /// Nothing goes wrong any more: the run comes to its end.
    calm: Switch,
}

/// What a run counts for its report.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) server_crashes: AtomicU64,
    pub(crate) agent_crashes: AtomicU64,
    pub(crate) power_cuts: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) installers: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) disk_faults: AtomicU64,
}

impl Counted {
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

struct Trace {
    digest: u64,
    last: VecDeque<String>,
    all: Option<Vec<String>>,
    live: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            random: Mutex::new(SplitMix(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5eed)),
            trace: Mutex::new(Trace {
                digest: 0xcbf2_9ce4_8422_2325,
                last: VecDeque::new(),
                all: std::env::var_os("OUTFITTER_SIMULATOR_TRACE").map(|_| Vec::new()),
                live: std::env::var_os("OUTFITTER_SIMULATOR_WATCH").is_some(),
            }),
            broken: Mutex::default(),
            stop: Notify::new(),
            start: Instant::now(),
            steps: AtomicU64::new(0),
            counted: Counted::default(),
            calm: Switch::new(false),
        })
    }

    /// Virtual time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn draw(&self) -> u64 {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    }

    /// A number from 0 to `most`, both included.
    pub(crate) fn up_to(&self, most: u64) -> u64 {
        self.draw() % (most + 1)
    }

    pub(crate) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.up_to(most - least)
    }

    /// True `per_mille` times in a thousand, while things go wrong at all.
    pub(crate) fn mishap(&self, per_mille: u64) -> bool {
        !self.is_calm() && self.draw() % 1000 < per_mille
    }

    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        self.draw() % 1000 < per_mille
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.is_on()
    }

    pub(crate) fn calm_down(&self) {
        self.note("from here on nothing goes wrong any more");
        self.calm.set(true);
    }

    /// Ready when nothing goes wrong any more.
    pub(crate) async fn calmed(&self) {
        self.calm.until(true).await;
    }

    pub(crate) async fn pause_millis(&self, least: u64, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.between(least, most))).await;
    }

    /// One step of the run, in its trace.
    pub(crate) fn note(&self, what: impl Display) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        let line = format!("{:>10} {what}", self.elapsed().as_millis());
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in line.bytes() {
            trace.digest = (trace.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if trace.live {
            #[expect(
                clippy::print_stderr,
                reason = "a run that does not end can be watched no other way"
            )]
            {
                eprintln!("{line}");
            }
        }
        if let Some(all) = &mut trace.all {
            all.push(line.clone());
        }
        if trace.last.len() == SHOWN {
            trace.last.pop_front();
        }
        trace.last.push_back(line);
    }

    /// An invariant does not hold: the run ends.
    pub(crate) fn broken(&self, invariant: &str, what: impl Display) {
        let text = format!("{invariant}: {what}");
        self.note(format_args!("BROKEN {text}"));
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(text);
        self.stop.notify_one();
    }

    pub(crate) fn what_broke(&self) -> Option<String> {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Digest of every line so far.
    pub(crate) fn digest(&self) -> u64 {
        self.trace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .digest
    }

    /// The last lines, or all where `OUTFITTER_SIMULATOR_TRACE` is set.
    pub(crate) fn lines(&self) -> Vec<String> {
        let trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        match &trace.all {
            Some(all) => all.clone(),
            None => trace.last.iter().cloned().collect(),
        }
    }
}
