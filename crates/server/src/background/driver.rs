//! Runs background tasks: on a timer with jitter, and whenever somebody nudges.
//!
//! **Guarantees.** A task takes no input, reads the database and does what is outstanding; it can run twice and is
//! never run twice at once. A failed run is logged and is no reason to stop: the next run is the retry. **After a
//! crash** the next process begins with a run of each.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outfitter_domain::Millis;
use outfitter_store::StoreError;
use serde::Serialize;
use tokio::sync::Notify;

use crate::http::error::chain;
use crate::services::Services;

/// Shortest pause after a failed run.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What a run found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left.
    Idle,
    /// A page was done and there may be more: run again at once.
    More,
}

/// How a task's last runs went.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Runs since the process began.
    pub runs: u64,
    /// Failed runs since the process began.
    pub failures: u64,
    /// When the last run ended, in milliseconds UTC.
    pub last_run_at: Option<i64>,
    /// Why the last failed run failed.
    pub last_error: Option<String>,
}

/// The tasks' states by name, for operators.
#[derive(Default)]
pub struct Statuses {
    by_name: Mutex<BTreeMap<&'static str, Status>>,
}

impl Statuses {
    /// A copy of all.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Status> {
        self.by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn record(&self, name: &'static str, at: Millis, error: Option<String>) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let status = by_name.entry(name).or_default();
        status.runs += 1;
        status.last_run_at = Some(at.get());
        if let Some(error) = error {
            status.failures += 1;
            status.last_error = Some(error);
        }
    }
}

/// One task.
pub struct Task {
    /// Name in logs and statuses.
    pub name: &'static str,
    /// Longest pause between runs.
    pub every: Duration,
}

/// Runs a task until shutdown. `nudge` wakes it early.
pub async fn drive<F, Fut>(services: Arc<Services>, task: Task, nudge: Arc<Notify>, run: F)
where
    F: Fn(Arc<Services>) -> Fut,
    Fut: Future<Output = Result<Outcome, StoreError>>,
{
    loop {
        let outcome = run(Arc::clone(&services)).await;
        let now = services.clock.now();
        let failed = match &outcome {
            Ok(_) => None,
            Err(error) => {
                let text = chain(error);
                tracing::error!(task = task.name, error = text, "a background task failed");
                Some(text)
            }
        };
        services.background.statuses.record(task.name, now, failed);
        if services.shutdown.is_cancelled() {
            return;
        }
        if matches!(outcome, Ok(Outcome::More)) {
            // Others get their turn between two pages.
            tokio::task::yield_now().await;
            continue;
        }
        if outcome.is_err() {
            // A nudge does not shorten it: what failed a moment ago would fail again, as fast as the database can say no.
            tokio::select! {
                biased;
                () = services.shutdown.cancelled() => return,
                () = tokio::time::sleep(FAILURE_PAUSE.min(task.every)) => {}
            }
        }
        let pause = jittered(task.every, services.auth.randomness());
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return,
            () = nudge.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Between three quarters of a pause and the whole, so that servers do not run in step.
fn jittered(pause: Duration, randomness: &dyn crate::secrets::Randomness) -> Duration {
    let mut byte = [0_u8; 1];
    randomness.fill(&mut byte);
    pause.mul_f64(0.75 + 0.25 * f64::from(byte[0]) / 255.0)
}
