//! Takes over limits of downloads that were set through another server.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services.downloads.reload(&services.store).await?;
    Ok(Outcome::Idle)
}
