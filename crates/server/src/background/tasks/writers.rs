//! The grouped writers behind channels: `Go` and results, each group one transaction.

use std::sync::Arc;

use outfitter_store::{FinishOutcome, GoOutcome, GoRequest, ResultReport};

use crate::audit::OwnWork;
use crate::background::grouped::Groups;
use crate::services::Services;

/// Releases acknowledged attempts.
pub(crate) async fn write_goes(services: Arc<Services>, groups: Groups<GoRequest, GoOutcome>) {
    groups
        .run(services.shutdown.clone(), |requests| {
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
        .run(services.shutdown.clone(), |reports| {
            let services = Arc::clone(&services);
            async move {
                let now = services.clock.now();
                // A result may pin the digest of a link.
                let work = OwnWork {
                    of: None,
                    at: now,
                    action: "outfitter:links:pin",
                    operation: "PinLinkDigest",
                    name: None,
                };
                let ids = Arc::clone(&services.ids);
                services
                    .audit
                    .own_work(ids, work)
                    .run(async {
                        let tx = services.store.write().await?;
                        let outcomes = tx.attempt_finish_if_running(&reports, now).await?;
                        tx.commit().await?;
                        Ok(outcomes)
                    })
                    .await
            }
        })
        .await;
}
