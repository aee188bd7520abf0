//! Takes what is left of inventories: packages of deleted desktops, and then packages that no desktop has.
//!
//! **Guarantees.** Only what nobody has goes, a page at a time. Woken by its timer. **After a crash** it goes on where
//! it was. A desktop that tells of such a package at the same moment loses that transaction, or this does: both repeat.
//! **Does not** touch what a desktop that is there told.

use std::sync::Arc;

use outfitter_store::StoreError;

use crate::background::driver::Outcome;
use crate::services::Services;

/// Rows that one transaction deletes.
const PAGE: i64 = 500;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let db = services.store.db();
    if let Some(desktop) = db.inventory_of_deleted().await? {
        let tx = services.store.write().await?;
        tx.inventory_take(desktop, PAGE).await?;
        tx.commit().await?;
        return Ok(Outcome::More);
    }
    let unused = db.inventory_unused(PAGE).await?;
    if unused.is_empty() {
        return Ok(Outcome::Idle);
    }
    let tx = services.store.write().await?;
    tx.inventory_packages_delete(&unused).await?;
    tx.commit().await?;
    Ok(Outcome::More)
}
