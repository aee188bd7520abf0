//! Verifies the receipts that arrived. Woken by each result and by the clock; a page at a time, outside any transaction.
//! Twice is as good as once: only what was not verified yet is written. After a crash what is pending is found again.
//! Does not: hold a result up, or decide a job's state.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::app::receipts;
use crate::background::driver::Outcome;
use crate::services::Services;

/// Receipts in one page: some milliseconds of work.
const PAGE: i64 = 100;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let pending = services.store.db().receipt_pending(PAGE).await?;
    let is_full = i64::try_from(pending.len()) == Ok(PAGE);
    if pending.is_empty() {
        return Ok(Outcome::Idle);
    }
    let roots = receipts::roots(&services);
    let judged = tokio::task::spawn_blocking(move || receipts::judge_all(pending, &roots))
        .await
        .unwrap_or_default();
    receipts::write_down(&services, judged).await?;
    Ok(if is_full {
        Outcome::More
    } else {
        Outcome::Idle
    })
}
