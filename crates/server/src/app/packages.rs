//! Packages on their way into a project's bucket.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use outfitter_artifacts::{PackageStoreError, PackageView, PutError, StagedPackage};
use outfitter_bucket::{MAX_OBJECT_BYTES, Object, ObjectError, Room, package_facts};
use outfitter_domain::app::{FieldProblem, app_file_key, file_name_problem};
use outfitter_packages::{Digester, InspectError, PackageFacts, Proposal, Sha256Digest, propose};
use outfitter_store::StoreError;
use thiserror::Error;

use super::apps::InProject;
use super::direct_uploads;
use crate::Services;

/// A package that is in the project's bucket now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPackage {
    /// Key of the object.
    pub object_key: String,
    /// What lies there.
    pub object: Object,
    /// What to make of it.
    pub proposal: Proposal,
}

/// Why a package did not get into the bucket; nothing of it is recorded then.
#[derive(Debug, Error)]
pub enum UploadError {
    /// A parameter breaks a rule, or the digest is another.
    #[error(transparent)]
    Field(#[from] FieldProblem),
    /// More than [`MAX_OBJECT_BYTES`].
    #[error("the package is too large")]
    TooLarge,
    /// The bytes did not come to their end.
    #[error("the package was not received to its end")]
    BrokenOff,
    /// The package store cannot take it.
    #[error("cannot store the package")]
    Packages(#[source] PackageStoreError),
    /// The package cannot be read again.
    #[error("cannot inspect the package")]
    Inspect(#[source] InspectError),
    /// Inspecting ended early.
    #[error("the inspection of the package ended early")]
    Interrupted(#[source] tokio::task::JoinError),
    /// The object cannot be recorded.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

#[derive(Debug, Error)]
#[error("the bytes have SHA-256 {actual}")]
struct OtherDigest {
    actual: Sha256Digest,
}

/// Stores a stream of bytes as the object `app-file/{file_name}` of the project's bucket, in place of what
/// was there. Memory does not grow with the size. Apps that wait for the object are bound to it.
///
/// # Errors
/// See [`UploadError`].
pub async fn upload(
    services: &Services,
    project: InProject,
    file_name: &str,
    expected: Option<&str>,
    body: Body,
) -> Result<UploadedPackage, UploadError> {
    if let Some(problem) = file_name_problem(file_name) {
        return Err(problem.into());
    }
    let room = services
        .objects
        .room(project.key, MAX_OBJECT_BYTES)
        .await
        .map_err(ObjectError::Store)?;
    let staged = receive(services, expected, body, room).await?;
    let view = staged.view().map_err(UploadError::Packages)?;
    let (_, proposal) = recognise(view, file_name.to_owned()).await?;
    let object_key = app_file_key(file_name);
    let object = services
        .objects
        .record(project.key, &object_key, staged)
        .await?;
    Ok(UploadedPackage {
        object_key,
        object,
        proposal,
    })
}

/// What became of an upload into the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// It is an object of the bucket.
    Ready(Box<UploadedPackage>),
    /// It lies in the object store, and is still to be read.
    Pending,
    /// It became no object.
    Refused,
    /// Nothing was put there.
    Absent,
}

/// Looks what became of an upload into the bucket, and recognises it again as [`upload`] did. `etag` tells the upload from
/// others of the same key.
///
/// # Errors
/// See [`UploadError`].
pub async fn arrival(
    services: &Services,
    project: InProject,
    object_key: &str,
    etag: Option<&str>,
) -> Result<Arrival, UploadError> {
    if direct_uploads::look_at_one(services, project.key, object_key)
        .await
        .map_err(ObjectError::Store)?
    {
        return Ok(Arrival::Pending);
    }
    let found = services
        .store
        .db()
        .bucket_object_find(project.key, object_key)
        .await
        .map_err(ObjectError::Store)?;
    let Some(found) = found else {
        return Ok(if etag.is_some() {
            Arrival::Refused
        } else {
            Arrival::Absent
        });
    };
    if etag.is_some() && etag != found.etag.as_deref() {
        return Ok(Arrival::Refused);
    }
    let sha256: Sha256Digest = found.sha256.parse().map_err(|_| {
        ObjectError::Store(StoreError::Inconsistent {
            table: "package",
            column: "sha256",
            row: 0,
            value: found.sha256.clone(),
        })
    })?;
    let view = services
        .packages
        .view(&sha256)
        .await
        .map_err(UploadError::Packages)?;
    let name = object_key
        .rsplit('/')
        .next()
        .unwrap_or(object_key)
        .to_owned();
    let (facts, proposal) = recognise(view, name).await?;
    Ok(Arrival::Ready(Box::new(UploadedPackage {
        object_key: object_key.to_owned(),
        object: Object {
            sha256,
            size_bytes: u64::try_from(found.size_bytes).unwrap_or(0),
            facts,
        },
        proposal,
    })))
}

/// What a package says of itself, and what is proposed for an app of it.
async fn recognise(
    mut view: PackageView,
    name: String,
) -> Result<(PackageFacts, Proposal), UploadError> {
    tokio::task::spawn_blocking(move || {
        let facts = package_facts(&mut view)?;
        let proposal = propose(&mut view, &name, &facts).map_err(InspectError::Read)?;
        Ok::<_, InspectError>((facts, proposal))
    })
    .await
    .map_err(UploadError::Interrupted)?
    .map_err(UploadError::Inspect)
}

/// Stages the bytes; where a digest is expected, bytes with another never become a package.
async fn receive(
    services: &Services,
    expected: Option<&str>,
    body: Body,
    room: Room,
) -> Result<StagedPackage, UploadError> {
    type Cause = Box<dyn std::error::Error + Send + Sync>;
    let bytes = body.into_data_stream().map_err(Cause::from);
    let put = match expected {
        None => services.packages.stage(bytes, room.limit_bytes).await,
        Some(expected) => {
            let expected = expected.to_owned();
            // The last item of the stream is the verdict: no bytes, or an error that undoes the rest.
            let checked = bytes
                .map(Some)
                .chain(stream::once(future::ready(None)))
                .scan(Some(Digester::new()), move |digester, item| {
                    let answer: Result<Bytes, Cause> = match (item, digester.as_mut()) {
                        (Some(Ok(bytes)), Some(open)) => {
                            open.update(&bytes);
                            Ok(bytes)
                        }
                        (Some(other), _) => other,
                        (None, _) => match digester.take().map(Digester::finish) {
                            Some(digest) if digest.sha256.to_string() != expected => {
                                Err(Box::new(OtherDigest {
                                    actual: digest.sha256,
                                }))
                            }
                            _ => Ok(Bytes::new()),
                        },
                    };
                    future::ready(Some(answer))
                });
            services.packages.stage(checked, room.limit_bytes).await
        }
    };
    put.map_err(|error| match error {
        PutError::TooLarge { .. } => match room.quota_bytes {
            Some(quota_bytes) => ObjectError::QuotaExceeded { quota_bytes }.into(),
            None => UploadError::TooLarge,
        },
        PutError::Source(cause) => match cause.downcast_ref::<OtherDigest>() {
            Some(other) => FieldProblem::new("sha256", other.to_string()).into(),
            None => UploadError::BrokenOff,
        },
        PutError::Store(cause) => UploadError::Packages(cause),
    })
}
