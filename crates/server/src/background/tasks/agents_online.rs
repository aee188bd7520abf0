//! Counts the agents online, once in five minutes, so that the overview can show them over time.
//!
//! **Guarantees.** One row a project and slot, whichever server counts first; a week at most is kept. Woken by its timer.
//! **After a crash** slots are missing, nothing else. **Does not** say who was online.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::app::agents_online::{KEPT, slot_of};
use crate::app::desktops::presence_grace;
use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let now = services.clock.now();
    let slot = slot_of(now);
    let db = services.store.db();
    if db.agents_online_is_counted(slot).await? {
        return Ok(Outcome::Idle);
    }
    let counts = db
        .agents_count(now.minus(presence_grace(&services)))
        .await?;
    if counts.is_empty() {
        return Ok(Outcome::Idle);
    }
    let tx = services.store.write().await?;
    tx.agents_online_insert(slot, &counts, now.minus(KEPT))
        .await?;
    tx.commit().await?;
    Ok(Outcome::Idle)
}
