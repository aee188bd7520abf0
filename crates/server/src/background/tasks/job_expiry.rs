//! Every job ends (invariant I4): leases that nobody acknowledged, agents that fell silent, installers that ran too
//! long, desktops that never came.

use std::sync::Arc;
use std::time::Duration;

use outfitter_store::{AttemptClocks, StoreError, SweepCursor};

use crate::background::driver::Outcome;
use crate::services::Services;

/// Rows looked at in one transaction.
const PAGE: i64 = 100;

/// Pages of INIT jobs looked at in one run: a million jobs are seen in some minutes, for an expiry of days.
const SWEEP_PAGES: usize = 50;

/// A lease that lapsed is given up a while after its end, so that an acknowledgement on its way still counts.
pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let now = services.clock.now();
    let tx = services.store.write().await?;
    let lapsed = tx.attempt_lapse(PAGE, now).await?;
    let expired = tx
        .attempt_expire(AttemptClocks::STANDARD, PAGE, now)
        .await?;
    let given_up = tx
        .job_expire_retry_wait(AttemptClocks::STANDARD.silence, PAGE, now)
        .await?;
    tx.commit().await?;
    let full = [lapsed.len(), expired.len(), given_up]
        .iter()
        .any(|rows| i64::try_from(*rows).is_ok_and(|rows| rows >= PAGE));
    services.background.look_at(lapsed);
    services.background.look_at(expired);
    if full {
        return Ok(Outcome::More);
    }
    let mut cursor = services.background.sweep_cursor();
    for _ in 0..SWEEP_PAGES {
        let tx = services.store.write().await?;
        let (next, _) = tx
            .job_sweep_init(cursor.unwrap_or(SweepCursor::START), PAGE, now)
            .await?;
        tx.commit().await?;
        cursor = next;
        if cursor.is_none() || services.shutdown.is_cancelled() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    services.background.set_sweep_cursor(cursor);
    Ok(Outcome::Idle)
}
