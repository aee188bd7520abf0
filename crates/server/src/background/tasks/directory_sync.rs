//! Synchronises company directories, each by its own schedule and on demand.
//!
//! **Guarantees.** Accounts that expire by what the directory said last are locked out at that time, also while it is
//! down. One server at a time works on a directory (a lease of one minute, renewed while it reads, and an
//! epoch that every transaction checks). A directory that hangs holds nobody else's. An attempt that fails changes
//! nothing of what is known, and its reason is written down. **Wakes it:** a call that set a directory or asked for a
//! synchronisation, and a timer. **On a crash** the lease lapses and the next run begins anew: every page of a
//! synchronisation can be repeated, and users whose groups were not counted yet are marked in the database. **On
//! shutdown** it is given back at once. **Does not** retry before the next time it is due.

use std::sync::Arc;
use std::time::Duration;

use outfitter_store::{ClaimedDirectory, DirectoryOutcome, StoreError};
use tokio_util::task::TaskTracker;

use crate::app::directory::{self, LEASE, SyncError};
use crate::background::driver::Outcome;
use crate::http::error::chain;
use crate::services::Services;

/// Directories of one process at once: each holds what it reads in memory.
const AT_ONCE: usize = 4;

/// Pause between renewals of a lease.
const RENEW: Duration = Duration::from_secs(15);

/// Users whose groups are counted in one transaction.
const CLOSURE_PAGE: usize = 250;

pub(crate) async fn run(
    services: Arc<Services>,
    tracker: TaskTracker,
) -> Result<Outcome, StoreError> {
    directory::expire(&services).await?;
    let now = services.clock.now();
    if services.shutdown.is_cancelled() || !services.store.db().directory_is_due(now).await? {
        return Ok(Outcome::Idle);
    }
    let free = services.background.free_directories(AT_ONCE);
    let tx = services.store.write().await?;
    // What a synchronisation that was cut left behind.
    let counted = tx.closure_refresh_due(CLOSURE_PAGE).await?;
    let claimed = if free == 0 {
        Vec::new()
    } else {
        tx.directory_claim(free, now, now.plus(LEASE)).await?
    };
    tx.commit().await?;
    for directory in claimed {
        let place = services.background.begin_directory();
        let services = Arc::clone(&services);
        tracker.spawn(async move {
            work(&services, &directory).await;
            drop(place);
            services.background.nudge_directory();
        });
    }
    Ok(if counted > 0 {
        Outcome::More
    } else {
        Outcome::Idle
    })
}

async fn work(services: &Services, claimed: &ClaimedDirectory) {
    let ended = tokio::select! {
        ended = Box::pin(directory::sync(services, claimed)) => ended,
        lost = keep(services, claimed) => Err(lost),
        () = services.shutdown.cancelled() => {
            if let Err(error) = release(services, claimed).await {
                tracing::debug!(error = chain(&error), "cannot give a synchronisation back");
            }
            return;
        }
    };
    let outcome = match ended {
        Ok(outcome) => {
            tracing::info!(project.id = %claimed.project_id, "a directory was synchronised");
            outcome
        }
        Err(SyncError::Lost) => return,
        Err(error) => {
            let text = chain(&error);
            tracing::warn!(
                project.id = %claimed.project_id,
                code = error.code(),
                error = text,
                "a directory was not synchronised; what is known of it stays"
            );
            DirectoryOutcome::Failed {
                code: error.code().to_owned(),
                text,
            }
        }
    };
    if let Err(error) = finish(services, claimed, &outcome).await {
        // The lease lapses, and it is done again.
        tracing::warn!(
            error = chain(&error),
            "cannot write down how a synchronisation ended"
        );
    }
}

/// Renews the lease until it is lost.
async fn keep(services: &Services, claimed: &ClaimedDirectory) -> SyncError {
    loop {
        tokio::time::sleep(RENEW).await;
        match renew(services, claimed).await {
            Ok(true) => {}
            Ok(false) => return SyncError::Lost,
            Err(error) => {
                tracing::debug!(
                    error = chain(&error),
                    "cannot renew a synchronisation's lease"
                );
            }
        }
    }
}

async fn renew(services: &Services, claimed: &ClaimedDirectory) -> Result<bool, StoreError> {
    let tx = services.store.write().await?;
    let until = services.clock.now().plus(LEASE);
    let held = tx
        .directory_hold(claimed.project, claimed.epoch, until)
        .await?;
    tx.commit().await?;
    Ok(held)
}

async fn release(services: &Services, claimed: &ClaimedDirectory) -> Result<(), StoreError> {
    let tx = services.store.write().await?;
    tx.directory_release(claimed.project, claimed.epoch).await?;
    tx.commit().await
}

async fn finish(
    services: &Services,
    claimed: &ClaimedDirectory,
    outcome: &DirectoryOutcome,
) -> Result<(), StoreError> {
    let tx = services.store.write().await?;
    tx.directory_finish(claimed, outcome, services.clock.now())
        .await?;
    tx.commit().await
}
