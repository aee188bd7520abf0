//! Objects that were put into the object store past the server: seen, digested, made objects like all others.
//!
//! **Guarantees.** What is recorded is what was read once, whatever happens to the upload afterwards. Quota, size and a
//! digest that the uploader gave hold as for uploads through the bucket. **On a crash** the lease ends and the upload is
//! read again. An upload is removed only when no credential for it can be in use any more.

use std::time::Duration;

use outfitter_artifacts::{DirectUploads, PackageStoreError, PutError};
use outfitter_domain::app::bucket_name;
use outfitter_store::{DirectUpload, StoreError};
use thiserror::Error;

use crate::objects::{MAX_OBJECT_BYTES, ObjectError, Objects, Origin};

/// How long after its credential has lapsed an upload stays: requests that began in time have ended then.
pub const STAYS: Duration = Duration::from_secs(60 * 60);

/// How long the work on one upload is kept, and how often that is prolonged. After a crash an upload waits no longer.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_STEP: Duration = Duration::from_secs(10);

/// Why an upload could not be looked at or taken in; it is tried again.
#[derive(Debug, Error)]
pub enum DirectError {
    /// The object store.
    #[error(transparent)]
    Packages(#[from] PackageStoreError),
    /// The bytes broke off, or could not be staged.
    #[error(transparent)]
    Staging(PutError),
    /// They could not be recorded.
    #[error(transparent)]
    Record(ObjectError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of an upload that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nothing was to be done.
    Nothing,
    /// It is an object of the bucket now.
    Recorded,
    /// It is none: too large, another digest than its uploader gave, or beyond the quota.
    Refused,
    /// Another server is at it.
    Elsewhere,
}

impl Objects {
    /// Looks whether something new lies there, and writes it down: installs may wait for it from then on. Gives what
    /// is known afterwards.
    ///
    /// # Errors
    /// The object store or the database cannot be used.
    pub async fn direct_look(
        &self,
        direct: &DirectUploads,
        upload: DirectUpload,
    ) -> Result<DirectUpload, DirectError> {
        let bucket = bucket_name(upload.project_id);
        let found = direct.look(&bucket, &upload.object_key).await?;
        // Equal bytes that are put once more are a new upload: their object may have been deleted meanwhile.
        let seen_tag = found.map(|object| format!("{} {}", object.etag, object.came_at_millis));
        if seen_tag != upload.seen_tag {
            let tx = self.store.write().await?;
            tx.direct_upload_seen(upload.id, seen_tag.as_deref())
                .await?;
            tx.commit().await?;
        }
        Ok(DirectUpload { seen_tag, ..upload })
    }

    /// Looks at an upload, takes in what is new, and removes it when nobody can be writing it any more.
    ///
    /// # Errors
    /// The object store or the database cannot be used.
    pub async fn direct_take_in(
        &self,
        direct: &DirectUploads,
        upload: DirectUpload,
    ) -> Result<Taken, DirectError> {
        let upload = self.direct_look(direct, upload).await?;
        if upload.is_pending() {
            return self.take_in(direct, &upload).await;
        }
        let lapsed_before = self.clock.now().minus(STAYS);
        // Asked again: a credential may have been given out since the upload was listed.
        let expires_at = self.store.db().direct_upload_expires(upload.id).await?;
        if expires_at.is_some_and(|at| at < lapsed_before) {
            // The row goes last: what could not be removed is tried again.
            if upload.seen_tag.is_some() {
                let bucket = bucket_name(upload.project_id);
                direct.remove(&bucket, &upload.object_key).await?;
            }
            let tx = self.store.write().await?;
            tx.direct_upload_forget(upload.id, lapsed_before).await?;
            tx.commit().await?;
        }
        Ok(Taken::Nothing)
    }

    async fn take_in(
        &self,
        direct: &DirectUploads,
        upload: &DirectUpload,
    ) -> Result<Taken, DirectError> {
        let mut held_until = None;
        if !self.lease(upload, &mut held_until).await? {
            return Ok(Taken::Elsewhere);
        }
        let work = self.read_and_record(direct, upload);
        tokio::pin!(work);
        loop {
            tokio::select! {
                taken = &mut work => return taken,
                () = tokio::time::sleep(LEASE_STEP) => {
                    // Lost only when this server stood still for half a minute; then both read, and record the same.
                    self.lease(upload, &mut held_until).await?;
                }
            }
        }
    }

    async fn lease(
        &self,
        upload: &DirectUpload,
        held_until: &mut Option<outfitter_domain::Millis>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let until = now.plus(LEASE);
        let tx = self.store.write().await?;
        let leased = tx
            .direct_upload_lease(upload.id, *held_until, until, now)
            .await?;
        tx.commit().await?;
        if leased {
            *held_until = Some(until);
        }
        Ok(leased)
    }

    async fn read_and_record(
        &self,
        direct: &DirectUploads,
        upload: &DirectUpload,
    ) -> Result<Taken, DirectError> {
        let bucket = bucket_name(upload.project_id);
        let Some(seen) = &upload.seen_tag else {
            return Ok(Taken::Nothing);
        };
        let room = self.room(upload.project, MAX_OBJECT_BYTES).await?;
        let Some(found) = direct.read(&bucket, &upload.object_key).await? else {
            return Ok(Taken::Nothing);
        };
        let refusal = match self.packages.stage(found.bytes, room.limit_bytes).await {
            Err(PutError::TooLarge { limit_bytes }) => {
                format!("it has more than the {limit_bytes} bytes that it may have")
            }
            Err(error) => return Err(DirectError::Staging(error)),
            Ok(staged)
                if found
                    .sha256
                    .as_ref()
                    .is_some_and(|said| *said != staged.sha256.to_string()) =>
            {
                "its SHA-256 is not the one its uploader gave".to_owned()
            }
            Ok(staged) => {
                let origin = Origin {
                    etag: seen.split(' ').next().filter(|etag| !etag.is_empty()),
                    ..Origin::default()
                };
                let recorded = self
                    .record_from(upload.project, &upload.object_key, staged, origin)
                    .await;
                match recorded {
                    Ok(_) => {
                        self.direct_done(upload, seen).await?;
                        return Ok(Taken::Recorded);
                    }
                    Err(ObjectError::QuotaExceeded { quota_bytes }) => {
                        format!("the packages of the project may take {quota_bytes} bytes")
                    }
                    Err(error) => return Err(DirectError::Record(error)),
                }
            }
        };
        tracing::warn!(
            project.id = %upload.project_id,
            object = upload.object_key,
            "an upload past the server is refused: {refusal}"
        );
        // It stays until its time has come: removed now, it might be a better one that was just put.
        self.direct_done(upload, seen).await?;
        Ok(Taken::Refused)
    }

    async fn direct_done(&self, upload: &DirectUpload, tag: &str) -> Result<(), StoreError> {
        let tx = self.store.write().await?;
        tx.direct_upload_taken(upload.id, tag).await?;
        tx.commit().await
    }
}
