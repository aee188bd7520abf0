//! The grouped writers behind channels: `Go` and results, each group one transaction.

use std::sync::Arc;

use outfitter_store::{FinishOutcome, GoOutcome, GoRequest, ResultReport};

use crate::background::grouped::Groups;
use crate::services::Services;

/// Releases acknowledged attempts.
pub(crate) async fn write_goes(services: Arc<Services>, groups: Groups<GoRequest, GoOutcome>) {
    groups
        .run(|requests| {
            let services = Arc::clone(&services);
            async move {
                let tx = services.store.write().await?;
                let outcomes = tx
                    .attempt_go_if_leased(&requests, services.clock.now())
                    .await?;
                tx.commit().await?;
                Ok(outcomes)
            }
        })
        .await;
}

/// Records results.
pub(crate) async fn write_results(
    services: Arc<Services>,
    groups: Groups<ResultReport, FinishOutcome>,
) {
    groups
        .run(|reports| {
            let services = Arc::clone(&services);
            async move {
                let tx = services.store.write().await?;
                let outcomes = tx
                    .attempt_finish_if_running(&reports, services.clock.now())
                    .await?;
                tx.commit().await?;
                Ok(outcomes)
            }
        })
        .await;
}
