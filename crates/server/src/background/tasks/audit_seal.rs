//! Writes counted refusals and seals the audit log. On PostgreSQL one server at a time seals: the chain's row is locked.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    services.audit.write_refusals(&services, false).await?;
    Ok(if services.audit.seal(&services).await? {
        Outcome::More
    } else {
        Outcome::Idle
    })
}
