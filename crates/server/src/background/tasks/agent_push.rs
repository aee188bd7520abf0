//! Pushes agents onto desktops: takes waiting pushes, works on each in a task of its own, writes down how far they are.
//!
//! **Guarantees.** A push is worked on by one server at a time (a lease of [`LEASE`], renewed every second), and one
//! desktop has one push at a time. No push waits for another: a host that hangs holds only its own place, until the
//! limit of its step. Every push ends: with the agent connected, or with a reason. **Wakes it:** a call that stored
//! pushes, a push that ended, and a timer. **On a crash** the lease lapses and the next run goes on with the push:
//! repeating it is safe, its upload goes on where it was cut; a push that ends the server is given up after some
//! runs. **On shutdown** pushes are given back at once. **Does not** retry: `RunActionsOnWorkspaceJob` does.

use std::sync::Arc;
use std::time::Duration;

use outfitter_store::{ClaimedPush, StoreError, SubJobOutcome};
use tokio_util::task::TaskTracker;

use crate::app::push;
use crate::background::driver::Outcome;
use crate::http::error::chain;
use crate::services::Services;

/// How long a push is ours without a renewal: long for a busy database, short for whoever waits after a crash.
const LEASE: Duration = Duration::from_secs(30);

/// Pushes taken in one transaction.
const PAGE: usize = 100;

/// Pause before an end is written again that the database did not take.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    services: Arc<Services>,
    tracker: TaskTracker,
) -> Result<Outcome, StoreError> {
    let pushes = &services.background.pushes;
    let now = services.clock.now();
    let lease_until = now.plus(LEASE);
    let active = pushes.snapshot();
    if !active.is_empty() {
        let tx = services.store.write().await?;
        tx.push_progress(&active, lease_until).await?;
        tx.commit().await?;
    }
    let free = pushes.free().min(PAGE);
    if free == 0
        || services.shutdown.is_cancelled()
        || !services.store.db().push_is_due(now).await?
    {
        return Ok(Outcome::Idle);
    }
    let tx = services.store.write().await?;
    let claimed = tx.push_claim(free, now, lease_until).await?;
    tx.commit().await?;
    let outcome = if claimed.len() == free {
        Outcome::More
    } else {
        Outcome::Idle
    };
    for push in claimed {
        pushes.begin(push.sub_job);
        tracker.spawn(work(Arc::clone(&services), push));
    }
    Ok(outcome)
}

async fn work(services: Arc<Services>, push: ClaimedPush) {
    let pushes = &services.background.pushes;
    let at = |percent| pushes.at(push.sub_job, percent);
    let ended = tokio::select! {
        ended = push::execute(&services, &push, pushes.uploads(), &at) => Some(ended),
        () = services.shutdown.cancelled() => None,
    };
    let outcome = match ended {
        None => None,
        Some(Ok(outcome)) => Some(outcome),
        Some(Err(error)) => {
            let text = chain(&error);
            tracing::error!(desktop.id = %push.desktop_id, error = text, "a push could not begin");
            Some(SubJobOutcome {
                status: outfitter_domain::fleet::SubJobStatus::Failed,
                error_code: Some("server".to_owned()),
                fail_reason: Some(
                    "the server could not read how the desktop is reached; its log says why"
                        .to_owned(),
                ),
            })
        }
    };
    while let Err(error) = write_end(&services, &push, outcome.as_ref()).await {
        tracing::warn!(desktop.id = %push.desktop_id, error = chain(&error), "cannot write the end of a push");
        if services.shutdown.is_cancelled() {
            // The lease lapses; the next run finds the agent connected and ends the push.
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    pushes.end(push.sub_job);
    pushes.nudge();
}

async fn write_end(
    services: &Services,
    push: &ClaimedPush,
    outcome: Option<&SubJobOutcome>,
) -> Result<(), StoreError> {
    let tx = services.store.write().await?;
    match outcome {
        Some(outcome) => tx.push_finish(push, outcome, services.clock.now()).await?,
        None => tx.push_release(push.sub_job).await?,
    }
    tx.commit().await
}
