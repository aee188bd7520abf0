//! Takes enrollment requests whose time is over: nobody decided, the agent did not come back, or it is in for long.
//!
//! **Guarantees.** Only what is over goes, a page at a time. Woken by its timer. **After a crash** it goes on where it
//! was. **Does not** touch agents: what a request became stays.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

/// Rows that one transaction deletes.
const PAGE: u32 = 500;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let tx = services.store.write().await?;
    let gone = tx
        .enrollment_request_sweep(services.clock.now(), i64::from(PAGE))
        .await?;
    tx.commit().await?;
    Ok(if gone < u64::from(PAGE) {
        Outcome::Idle
    } else {
        Outcome::More
    })
}
