//! Runs background tasks: on a timer with jitter, and whenever somebody nudges.
//!
//! **Guarantees.** A task takes no input, reads the database and does what is outstanding; it can run twice and is
//! never run twice at once. A failed run is logged and is no reason to stop: the next run is the retry. **After a
//! crash** the next process begins with a run of each.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use outfitter_store::StoreError;
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

/// One task.
pub struct Task {
    /// Name in logs.
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
        if let Err(error) = &outcome {
            tracing::error!(
                task = task.name,
                error = chain(error),
                "a background task failed"
            );
        }
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
