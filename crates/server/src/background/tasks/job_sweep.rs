//! Finds connected desktops with due jobs that nobody marked: work that another server stored, automatic retries
//! whose time has come, marks that a failed run or a crash lost.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

/// Desktops asked about in one query.
const DESKTOPS: usize = 500;

/// Retries found in one run; the next run finds the rest.
const RETRIES: i64 = 1000;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let mut after = None;
    loop {
        let page = services.registry.page(after, DESKTOPS);
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        let keys: Vec<_> = page.iter().map(|(desktop, _)| *desktop).collect();
        let due = services
            .store
            .db()
            .desktops_with_due_jobs(&keys, services.clock.now())
            .await?;
        services.background.look_at(due);
    }
    let retries = services
        .store
        .db()
        .job_retry_due(services.clock.now(), RETRIES)
        .await?;
    services.background.look_at(retries);
    Ok(Outcome::Idle)
}
