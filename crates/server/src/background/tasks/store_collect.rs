//! Removes package bytes that nothing needs, and ends what deleted apps could be restored from. What it guarantees
//! stands with [`Objects::collect`](outfitter_bucket::Objects::collect).

use std::sync::Arc;

use outfitter_bucket::CollectMode;
use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services.objects.collect(CollectMode::Remove).await?;
    Ok(Outcome::Idle)
}
