//! Packages on their way into a project's bucket.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use outfitter_agent_protocol::DetectionRule;
use outfitter_artifacts::{PackageStoreError, PutError, StoredPackage};
use outfitter_domain::app::{FieldProblem, app_file_key, file_name_problem};
use outfitter_packages::{
    Digester, InspectError, PackageFacts, PackageKind, Proposal, Sha256Digest, inspect, propose,
};
use outfitter_store::{NewObject, StoreError};
use thiserror::Error;

use super::apps::InProject;
use crate::Services;

/// Largest package, in bytes. Source: the vendor's limit for uploads (contract, section 3).
pub const MAX_PACKAGE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// A package that is in the project's bucket now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPackage {
    /// Key of the object.
    pub object_key: String,
    /// Digest of its bytes.
    pub sha256: Sha256Digest,
    /// Number of its bytes.
    pub size_bytes: u64,
    /// What it is.
    pub facts: PackageFacts,
    /// What to make of it.
    pub proposal: Proposal,
}

/// Why a package did not get into the bucket; nothing of it is recorded then.
#[derive(Debug, Error)]
pub enum UploadError {
    /// A parameter breaks a rule, or the digest is another.
    #[error(transparent)]
    Field(#[from] FieldProblem),
    /// More than [`MAX_PACKAGE_BYTES`].
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
    let stored = receive(services, expected, body).await?;
    let path = stored.path.clone();
    let name = file_name.to_owned();
    let (facts, proposal) = tokio::task::spawn_blocking(move || {
        let facts = facts_of(inspect(&path))?;
        let proposal = propose(&path, &name, &facts).map_err(InspectError::Read)?;
        Ok((facts, proposal))
    })
    .await
    .map_err(UploadError::Interrupted)?
    .map_err(UploadError::Inspect)?;
    let facts_json = serde_json::to_string(&facts).map_err(UploadError::Facts)?;
    let object_key = app_file_key(file_name);
    let tx = services.store.write().await?;
    tx.object_put(
        &NewObject {
            project: project.key,
            object_key: &object_key,
            sha256: &stored.sha256.to_string(),
            size_bytes: i64::try_from(stored.size_bytes)
                .expect("a package has at most MAX_PACKAGE_BYTES"),
            facts: &facts_json,
            derived_rule: derived_rule(&facts).as_ref(),
        },
        services.clock.now(),
    )
    .await?;
    tx.commit().await?;
    Ok(UploadedPackage {
        object_key,
        sha256: stored.sha256,
        size_bytes: stored.size_bytes,
        facts,
        proposal,
    })
}

/// Stores the bytes; where a digest is expected, bytes with another never become a package.
async fn receive(
    services: &Services,
    expected: Option<&str>,
    body: Body,
) -> Result<StoredPackage, UploadError> {
    type Cause = Box<dyn std::error::Error + Send + Sync>;
    let bytes = body.into_data_stream().map_err(Cause::from);
    let put = match expected {
        None => services.packages.put(bytes, MAX_PACKAGE_BYTES).await,
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
            services.packages.put(checked, MAX_PACKAGE_BYTES).await
        }
    };
    put.map_err(|error| match error {
        PutError::TooLarge { .. } => UploadError::TooLarge,
        PutError::Source(cause) => match cause.downcast_ref::<OtherDigest>() {
            Some(other) => FieldProblem::new("sha256", other.to_string()).into(),
            None => UploadError::BrokenOff,
        },
        PutError::Store(cause) => UploadError::Packages(cause),
    })
}

/// A file that begins like a Debian package and is none is still a file: the desktop's `dpkg` will refuse it.
fn facts_of(inspected: Result<PackageFacts, InspectError>) -> Result<PackageFacts, InspectError> {
    match inspected {
        Err(InspectError::Debian(error)) => {
            tracing::info!(%error, "an uploaded Debian package is damaged");
            Ok(PackageFacts {
                kind: PackageKind::Deb,
                debian: None,
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
