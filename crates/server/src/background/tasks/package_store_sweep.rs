//! Takes away what crashes left unfinished in the package store.
//!
//! **Guarantees.** Only bytes that nothing names and uploads that were not completed go, and only when they are older
//! than any upload lasts. **Wakes it:** a timer. **On a crash** the next run does the rest; several servers may run it
//! at once. **Does not** touch packages that are named, whether anybody refers to them or not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::http::error::chain;
use crate::services::Services;

/// Older than any upload lasts: 64 GiB in three days are 2 Mbit/s.
const GRACE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let millis = u64::try_from(services.clock.now().get()).unwrap_or(0);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    match services.packages.sweep(now, GRACE).await {
        Ok(swept) if swept.objects + swept.uploads > 0 => tracing::info!(
            objects = swept.objects,
            uploads = swept.uploads,
            "took away what was left unfinished in the package store"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(error = chain(&error), "cannot sweep the package store"),
    }
    Ok(Outcome::Idle)
}
