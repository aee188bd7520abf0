//! Cancelling: what waits ends at once, what runs is asked to stop.
//!
//! **Guarantees.** The wish is stored before an agent is told; one that is away is told when it comes back. A job that
//! runs ends by what its desktop reports: an installer that finished before it could be stopped is told as it was.

use std::sync::Arc;

use outfitter_agent_protocol::ServerMessage;
use outfitter_ids::JobId;
use outfitter_store::{CancelOutcome, DeploymentKey, ProjectKey, StoreError};

use crate::services::Services;

/// Jobs of a deployment that are cancelled in one transaction.
const PAGE: i64 = 250;

/// Cancels jobs; `None` when one of them does not exist, and then none is.
///
/// # Errors
/// When the database cannot.
pub async fn cancel_jobs(
    services: &Services,
    project: ProjectKey,
    jobs: &[JobId],
) -> Result<Option<CancelOutcome>, StoreError> {
    let tx = services.store.write().await?;
    let Some(outcome) = tx.job_cancel(project, jobs, services.clock.now()).await? else {
        return Ok(None);
    };
    if outcome.cancelled > 0 || !outcome.stopping.is_empty() {
        tx.commit().await?;
        tell(services, &outcome);
    }
    Ok(Some(outcome))
}

/// Cancels whatever of a deployment has not ended, page by page.
///
/// # Errors
/// When the database cannot: earlier pages stand.
pub async fn cancel_deployment(
    services: &Services,
    deployment: DeploymentKey,
) -> Result<CancelOutcome, StoreError> {
    let mut whole = CancelOutcome::default();
    loop {
        let tx = services.store.write().await?;
        let page = tx
            .job_cancel_of_deployment(deployment, PAGE, services.clock.now())
            .await?;
        tx.commit().await?;
        tell(services, &page);
        if page.cancelled == 0 && page.stopping.is_empty() {
            return Ok(whole);
        }
        whole.cancelled += page.cancelled;
        whole.stopping.extend(page.stopping);
    }
}

fn tell(services: &Services, outcome: &CancelOutcome) {
    for (desktop, attempt) in &outcome.stopping {
        if let Some(epoch) = services.registry.epoch(*desktop) {
            let message = Arc::new(ServerMessage::Cancel { attempt: *attempt });
            // No room or no channel: said again when the agent says hello.
            let _ = services.registry.try_send(*desktop, epoch, message);
        }
    }
}
