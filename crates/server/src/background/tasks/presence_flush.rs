//! Writes the signs of life that were gathered in memory: of desktops, of attempts, of access keys.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services.presence.flush(&services.store).await?;
    services.auth.flush_last_used(&services.store).await?;
    Ok(Outcome::Idle)
}
