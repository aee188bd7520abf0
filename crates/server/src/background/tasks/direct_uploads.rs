//! Takes in what uploaders put into the object store past the server (`docs/adr/0022`). What it guarantees stands with
//! [`Objects::direct_take_in`](outfitter_bucket::Objects::direct_take_in).
//!
//! **Wakes it:** a timer, and whoever saw an upload. One upload at a time: memory and the line to the store are bounded.

use std::sync::Arc;

use outfitter_bucket::{STAYS, Taken};
use outfitter_store::StoreError;

use crate::audit::OwnWork;
use crate::background::driver::Outcome;
use crate::http::error::chain;
use crate::services::Services;

/// Uploads looked at in one page.
const PAGE: i64 = 100;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let Some(direct) = services.packages.direct_uploads() else {
        // Switched off: what is not taken in any more is not waited for for ever. Its objects are the operator's.
        if services.store.db().direct_uploads(0, 1).await?.is_empty() {
            return Ok(Outcome::Idle);
        }
        let tx = services.store.write().await?;
        tx.direct_uploads_forget(services.clock.now().minus(STAYS))
            .await?;
        tx.commit().await?;
        return Ok(Outcome::Idle);
    };
    let mut after = 0;
    loop {
        let page = services.store.db().direct_uploads(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(Outcome::Idle);
        };
        after = last.id;
        for upload in page {
            let object = upload.object_key.clone();
            let bucket = services.store.db().bucket_find(upload.project_id).await?;
            let work = OwnWork {
                of: bucket.map(|bucket| (bucket.project, bucket.domain)),
                at: services.clock.now(),
                action: "outfitter:package:takeIn",
                operation: "TakeInUpload",
                name: None,
            };
            let scope = services.audit.own_work(Arc::clone(&services.ids), work);
            let taken = tokio::select! {
                taken = scope.run(services.objects.direct_take_in(direct, upload)) => taken,
                () = services.shutdown.cancelled() => return Ok(Outcome::Idle),
            };
            match taken {
                Ok(Taken::Recorded) => {
                    tracing::info!(object, "an upload past the server is taken in");
                }
                Ok(Taken::Nothing | Taken::Refused | Taken::Elsewhere) => {}
                // The next run tries again.
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    object,
                    "cannot take in an upload past the server"
                ),
            }
        }
    }
}
