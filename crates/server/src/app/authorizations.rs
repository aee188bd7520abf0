//! Who may use apps.

use outfitter_domain::AssignType;
use outfitter_domain::app::AuthorizationChange;
use outfitter_ids::AppId;

use super::apps::{AppError, InProject, lock_all};
use crate::Services;
use crate::auth::{Widening, WideningCheck};

/// Sets who apps are for and changes their lists of accounts, all apps or none.
///
/// # Errors
/// An app does not exist, the caller may not widen authorizations, or the database fails; nothing is changed then.
pub async fn update(
    services: &Services,
    project: InProject,
    ids: &[Option<AppId>],
    authorization_type: AssignType,
    change: &AuthorizationChange,
    widening: &WideningCheck,
) -> Result<(), AppError> {
    let tx = services.store.write().await?;
    let apps = lock_all(&tx, project, ids).await?;
    let now = services.clock.now();
    let opened = tx
        .app_set_authorization_type(&apps, authorization_type, now)
        .await?;
    let granted = tx.authorization_apply(&apps, change, now).await?;
    let opened = match authorization_type {
        AssignType::AllUser => opened,
        AssignType::AssignUser => 0,
    };
    // A list widens also while it has no effect: it may have one later.
    widening
        .settle(Widening::when(opened + granted > 0))
        .map_err(AppError::Refused)?;
    Ok(tx.commit().await?)
}
