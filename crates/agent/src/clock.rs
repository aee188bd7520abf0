//! The agent's two clocks behind one argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the agent reads time. A seam: tests move it by hand.
pub trait Clock: Send + Sync {
    /// The wall clock, in milliseconds UTC. May jump.
    fn unix_millis(&self) -> i64;
    /// Time since a fixed origin; never moves back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn unix_millis(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// When this build was made, in milliseconds UTC: no honest clock shows less.
pub fn build_unix_millis() -> i64 {
    // A number written by the build script; a broken one would only weaken the lower bound.
    env!("OUTFITTER_BUILD_UNIX_SECS")
        .parse::<i64>()
        .map_or(0, |secs| secs.saturating_mul(1000))
}
