//! Objects of the bucket: bytes in the package store, rows in the database.

use std::io::{Read, Seek};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use outfitter_agent_protocol::DetectionRule;
use outfitter_artifacts::{PackageStore, PackageStoreError, PutError, StagedPackage};
use outfitter_domain::Clock;
use outfitter_packages::{InspectError, PackageFacts, PackageKind, Sha256Digest, inspect_reader};
use outfitter_store::{
    AuditScope, BucketUploadKey, BucketUploadPart, NewObject, PackageClaim, ProjectKey, Store,
    StoreError,
};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::collect::Retention;

/// Largest object, in bytes: what one desktop can reasonably be sent. The vendor's console stops at 5 GB.
pub const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// How often an upload asks again whether equal bytes have been removed, and how long it waits in between: half a
/// minute in all, for what takes milliseconds unless the server that does it stands still.
const CLAIM_TRIES: u32 = 300;
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a part read at once while parts are joined.
const JOIN_CHUNK_BYTES: usize = 64 * 1024;

/// Where objects are put and kept track of. One per process.
pub struct Objects {
    pub(crate) store: Store,
    pub(crate) packages: PackageStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Retention,
    /// Held by the collection of this process; other servers are kept away by the database.
    pub(crate) collecting: Mutex<()>,
}

/// An object that is in the bucket now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Digest of its bytes.
    pub sha256: Sha256Digest,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// What it is.
    pub facts: PackageFacts,
}

/// Why an object is not in the bucket; nothing of it is recorded then.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// The upload was completed or given up meanwhile.
    #[error("the upload does not exist any more")]
    NoUpload,
    /// The project's packages would take more than they may.
    #[error("the packages of the project would take more than {quota_bytes} bytes")]
    QuotaExceeded {
        /// What they may take, in bytes.
        quota_bytes: u64,
    },
    /// Equal bytes are being removed, or the upload took so long that they may have been. Worth repeating.
    #[error("equal bytes are being removed from the package store")]
    Collected,
    /// The package store cannot take it.
    #[error("cannot store the package")]
    Packages(#[from] PackageStoreError),
    /// The package cannot be read again.
    #[error("cannot inspect the package")]
    Inspect(#[source] InspectError),
    /// The facts cannot be written down.
    #[error("cannot record the facts of the package")]
    Facts(#[source] serde_json::Error),
    /// Inspecting ended early.
    #[error("the inspection of the package ended early")]
    Interrupted(#[source] tokio::task::JoinError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an object came, beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    /// S3's entity tag.
    pub(crate) etag: Option<&'a str>,
    /// The multipart upload that ends with it.
    pub(crate) upload: Option<BucketUploadKey>,
}

impl Objects {
    /// Objects over a database and a package store.
    pub fn new(
        store: Store,
        packages: PackageStore,
        clock: Arc<dyn Clock>,
        retention: Retention,
    ) -> Self {
        Self {
            store,
            packages,
            clock,
            retention,
            collecting: Mutex::new(()),
        }
    }

    /// Makes staged bytes the object of a key, in place of what was there. Apps that wait for it are bound to it.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub async fn record(
        &self,
        project: ProjectKey,
        object_key: &str,
        staged: StagedPackage,
    ) -> Result<Object, ObjectError> {
        self.record_from(project, object_key, staged, Origin::default())
            .await
    }

    pub(crate) async fn record_from(
        &self,
        project: ProjectKey,
        object_key: &str,
        staged: StagedPackage,
        origin: Origin<'_>,
    ) -> Result<Object, ObjectError> {
        let mut view = staged.view()?;
        let facts = tokio::task::spawn_blocking(move || package_facts(&mut view))
            .await
            .map_err(ObjectError::Interrupted)?
            .map_err(ObjectError::Inspect)?;
        let facts_json = serde_json::to_string(&facts).map_err(ObjectError::Facts)?;

        step("inspected");
        let sha256 = staged.sha256.to_string();
        let size_bytes =
            i64::try_from(staged.size_bytes).expect("an object has at most MAX_OBJECT_BYTES");
        // Not what the caller changes: the entry of the audit log is that of the record.
        AuditScope::apart(self.claim(&sha256, size_bytes)).await?;
        step("claimed");
        // Bytes first: an object never names what is not there. Until it does, the claim keeps them.
        let stored = staged.place().await?;
        step("placed");
        let now = self.clock.now();
        let tx = self.store.write().await?;
        let quota = tx.quota_lock(project).await?;
        if let Some(upload) = origin.upload
            && !tx.bucket_upload_lock(upload, now).await?
        {
            return Err(ObjectError::NoUpload);
        }
        let recorded = tx
            .object_put(
                &NewObject {
                    project,
                    object_key,
                    sha256: &sha256,
                    size_bytes,
                    facts: &facts_json,
                    derived_rule: derived_rule(&facts).as_ref(),
                    etag: origin.etag,
                },
                now,
            )
            .await?;
        if recorded.is_none() {
            return Err(ObjectError::Collected);
        }
        let parts = match origin.upload {
            Some(upload) => tx.bucket_upload_delete(upload).await?,
            None => Vec::new(),
        };
        if let Some(quota_bytes) = self.overstepped(&tx, project, quota).await? {
            return Err(ObjectError::QuotaExceeded { quota_bytes });
        }
        step("about to record");
        tx.commit().await?;
        step("recorded");
        self.remove_parts(parts).await;
        Ok(Object {
            sha256: stored.sha256,
            size_bytes: stored.size_bytes,
            facts,
        })
    }

    /// Keeps bytes from being collected until they are recorded; waits while equal ones are being removed.
    async fn claim(&self, sha256: &str, size_bytes: i64) -> Result<(), ObjectError> {
        for _ in 0..CLAIM_TRIES {
            let now = self.clock.now();
            let tx = self.store.write().await?;
            let claim = tx
                .package_claim(
                    sha256,
                    size_bytes,
                    now.plus(self.retention.package_grace),
                    now,
                )
                .await?;
            tx.commit().await?;
            match claim {
                PackageClaim::Held => return Ok(()),
                PackageClaim::BeingCollected => {
                    self.finish_leftovers().await?;
                    tokio::time::sleep(CLAIM_PAUSE).await;
                }
            }
        }
        Err(ObjectError::Collected)
    }

    /// Stages the concatenation of parts.
    pub(crate) async fn join(&self, parts: &[BucketUploadPart]) -> Result<StagedPackage, PutError> {
        type Cause = Box<dyn std::error::Error + Send + Sync>;
        let names: Vec<Uuid> = parts.iter().map(|part| part.name).collect();
        let packages = self.packages.clone();
        // Boxed: the compiler cannot see through the stream that the future may move between threads.
        let bytes: BoxStream<'static, Result<Bytes, Cause>> = stream::iter(names)
            .then(move |name| {
                let packages = packages.clone();
                async move { packages.open_part(name).await.map_err(Cause::from) }
            })
            .map_ok(|part| ReaderStream::with_capacity(part, JOIN_CHUNK_BYTES).map_err(Cause::from))
            .try_flatten()
            .boxed();
        self.packages.stage(bytes, MAX_OBJECT_BYTES).await
    }

    /// Removes the bytes of parts that no row names any more; what fails is left for the collection of garbage.
    pub(crate) async fn remove_parts(&self, names: impl IntoIterator<Item = Uuid>) {
        for name in names {
            let removed = self.packages.remove_part(name).await;
            step("part of an ended upload removed");
            if let Err(error) = removed {
                tracing::warn!(%error, part = %name, "a part of an ended upload is left over");
            }
        }
    }
}

/// Says in the log, at its finest level, how far an upload or a collection is. The proof of kills ends the process at
/// each of these.
pub(crate) fn step(done: &'static str) {
    tracing::trace!(step = done, "a step of package storage");
}

/// What bytes are, as it is recorded of objects. What begins like a Debian package and is none is still a file:
/// the desktop's `dpkg` will refuse it.
///
/// # Errors
/// The bytes cannot be read.
pub fn package_facts(bytes: &mut (impl Read + Seek)) -> Result<PackageFacts, InspectError> {
    match inspect_reader(bytes) {
        Err(InspectError::Debian(error)) => {
            tracing::info!(%error, "an uploaded Debian package is damaged");
            Ok(PackageFacts {
                kind: PackageKind::Deb,
                debian: None,
                installer: None,
            })
        }
        other => other,
    }
}

/// The rule that a package gives: a Debian package is installed in exactly its version.
fn derived_rule(facts: &PackageFacts) -> Option<DetectionRule> {
    let debian = facts.debian.as_ref()?;
    let rule = DetectionRule::DebianPackage {
        name: debian.name.clone(),
        version: Some(debian.version.clone()),
    };
    rule.problem().is_none().then_some(rule)
}
