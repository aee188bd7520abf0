//! Deletes audit entries that are older than the operator keeps them.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::app::audit;
use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    if let Some(keep) = services.audit.keep() {
        let now = services.clock.now();
        audit::prune(&services, now.minus(keep), &audit::by_age(now)).await?;
    }
    Ok(Outcome::Idle)
}
