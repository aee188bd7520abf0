//! Who may use apps.

use outfitter_domain::AssignType;
use outfitter_domain::app::AuthorizationChange;
use outfitter_ids::AppId;

use super::apps::{AppError, InProject, lock_all};
use crate::Services;

/// Sets who apps are for and changes their lists of accounts, all apps or none.
///
/// # Errors
/// An app does not exist, or the database fails; nothing is changed then.
pub async fn update(
    services: &Services,
    project: InProject,
    ids: &[Option<AppId>],
    authorization_type: AssignType,
    change: &AuthorizationChange,
) -> Result<(), AppError> {
    let tx = services.store.write().await?;
    let apps = lock_all(&tx, project, ids).await?;
    let now = services.clock.now();
    tx.app_set_authorization_type(&apps, authorization_type, now)
        .await?;
    tx.authorization_apply(&apps, change, now).await?;
    Ok(tx.commit().await?)
}
