//! Writes counted refusals and seals results and the audit log. On PostgreSQL one server at a time seals: the chain's row is locked.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services.audit.write_refusals(&services, false).await?;
    // First, so that the log seals the new head of results at once.
    let more_results = services.audit.seal_results(&services).await?;
    let more = services.audit.seal(&services).await?;
    Ok(if more || more_results {
        Outcome::More
    } else {
        Outcome::Idle
    })
}
