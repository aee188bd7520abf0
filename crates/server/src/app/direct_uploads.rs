//! Uploads past the server, as requests see them: credentials for them, and whether one has arrived.

use std::time::Duration;

use outfitter_artifacts::{DirectCredential, DirectUploads, PackageStoreError};
use outfitter_domain::app::bucket_name;
use outfitter_ids::{AppId, ProjectId};
use outfitter_store::{AuditScope, DirectUpload, ProjectKey, StoreError};

use crate::http::error::chain;
use crate::services::Services;

/// How long a request waits for the object store.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The object store's STS.
    #[error(transparent)]
    Packages(#[from] PackageStoreError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where uploaders may put exactly this object past the server; `None` where they go through it.
pub fn place_for<'s>(services: &'s Services, object_key: &str) -> Option<&'s DirectUploads> {
    services
        .packages
        .direct_uploads()
        .filter(|direct| direct.can_scope(object_key))
}

/// A credential of the store's own for one object.
///
/// # Errors
/// The store or the database cannot be used.
pub async fn issue(
    services: &Services,
    direct: &DirectUploads,
    (project, id): (ProjectKey, ProjectId),
    object_key: &str,
    life: Duration,
) -> Result<DirectCredential, CredentialError> {
    let bucket = bucket_name(id);
    let issued = direct.credential(&bucket, object_key, life).await?;
    let expires_at = services.clock.now().plus(life);
    // Before the credential is told: what is put with it is looked for.
    let tx = services.store.write().await?;
    tx.direct_upload_allow(project, object_key, expires_at)
        .await?;
    tx.commit().await?;
    Ok(issued)
}

/// Looks whether objects that apps wait for were put past the server meanwhile, so that what is asked of the apps next
/// knows. A store that cannot be used says nothing.
///
/// # Errors
/// When the database cannot.
pub async fn look(
    services: &Services,
    project: ProjectKey,
    apps: &[AppId],
) -> Result<(), StoreError> {
    let Some(direct) = services.packages.direct_uploads() else {
        return Ok(());
    };
    let waited_for = services
        .store
        .db()
        .direct_uploads_of_apps(project, apps)
        .await?;
    // What is seen is the server's own finding, whatever becomes of the request.
    let look = AuditScope::apart(look_at(services, direct, waited_for));
    if tokio::time::timeout(LOOK_LIMIT, look).await.is_err() {
        tracing::warn!("the object store did not say in time which uploads have arrived");
    }
    Ok(())
}

/// Looks at one object that may have been put past the server. Answers whether it is still to be read, as far as anybody
/// knows: a store that does not answer may have something new.
///
/// # Errors
/// When the database cannot answer.
pub async fn look_at_one(
    services: &Services,
    project: ProjectKey,
    object_key: &str,
) -> Result<bool, StoreError> {
    let Some(direct) = services.packages.direct_uploads() else {
        return Ok(false);
    };
    let find = || async {
        let db = services.store.db();
        db.direct_upload_find(project, object_key).await
    };
    let Some(upload) = find().await? else {
        return Ok(false);
    };
    let look = AuditScope::apart(look_at(services, direct, vec![upload]));
    let looked = tokio::time::timeout(LOOK_LIMIT, look)
        .await
        .unwrap_or(false);
    Ok(!looked || find().await?.is_some_and(|upload| upload.is_pending()))
}

/// Whether the store answered for each.
async fn look_at(services: &Services, direct: &DirectUploads, uploads: Vec<DirectUpload>) -> bool {
    let mut answered = true;
    for upload in uploads {
        match services.objects.direct_look(direct, upload).await {
            Ok(upload) if upload.is_pending() => services.background.nudge_direct_uploads(),
            Ok(_) => {}
            Err(error) => {
                answered = false;
                tracing::warn!(
                    error = chain(&error),
                    "cannot look at an upload past the server"
                );
            }
        }
    }
    answered
}
