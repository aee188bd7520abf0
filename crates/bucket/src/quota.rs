//! The quota of a project, while bytes come in and when they are recorded.

use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_store::{ProjectKey, StoreError, Tx};

use crate::objects::Objects;

/// How many bytes may still come, and what sets the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most bytes, inclusive.
    pub limit_bytes: u64,
    /// The quota, where it is what limits.
    pub quota_bytes: Option<u64>,
}

impl Objects {
    /// The room for one more object or part of a project: what its quota leaves, `limit_bytes` at most. Others may
    /// take it meanwhile; [`Objects::record`] looks again.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn room(&self, project: ProjectKey, limit_bytes: u64) -> Result<Room, StoreError> {
        let unlimited = Room {
            limit_bytes,
            quota_bytes: None,
        };
        let db = self.store.db();
        let Some(quota) = db
            .package_settings(project)
            .await?
            .and_then(|settings| settings.quota_bytes)
        else {
            return Ok(unlimited);
        };
        let used = db.package_usage(project, self.restorable_since()).await?;
        let left = u64::try_from(quota.saturating_sub(used)).unwrap_or(0);
        Ok(if left < limit_bytes {
            Room {
                limit_bytes: left,
                quota_bytes: u64::try_from(quota).ok(),
            }
        } else {
            unlimited
        })
    }

    /// The quota that a transaction oversteps, if it does. `quota` is what [`Tx::quota_lock`] answered.
    pub(crate) async fn overstepped(
        &self,
        tx: &Tx,
        project: ProjectKey,
        quota: Option<i64>,
    ) -> Result<Option<u64>, StoreError> {
        let Some(quota) = quota else { return Ok(None) };
        let used = tx
            .db()
            .package_usage(project, self.restorable_since())
            .await?;
        Ok((used > quota).then(|| u64::try_from(quota).unwrap_or(0)))
    }

    fn restorable_since(&self) -> outfitter_domain::Millis {
        self.clock.now().minus(RESTORE_PERIOD)
    }
}
