//! Keeps this server's keys in step with their file and with the database, so that the server key can be rotated.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services
        .key_keeper
        .look(&services.store, services.clock.now())
        .await?;
    Ok(Outcome::Idle)
}
