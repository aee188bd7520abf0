//! Looks whether the bytes of packages are what they were, and writes down what it finds.
//!
//! **Guarantees.** Every package is looked at by size some times a day; what somebody asked for is read and digested, one
//! package at a time. A store that cannot be used says nothing about packages: nothing is written then, and the next run
//! looks again. **Wakes it:** a timer, and a call that asks for digesting. **On a crash** nothing is lost: what was not
//! written down is due still. Two servers may look at the same package; both write the same. **Does not** repair: whoever
//! uploads the same bytes again does.

use std::sync::Arc;
use std::time::Duration;

use outfitter_artifacts::{PackageCondition as Found, PackageStoreError, Scrutiny, Sha256Digest};
use outfitter_store::{PackageCondition, PackageLook, PackageToLookAt, StoreError};

use crate::background::driver::Outcome;
use crate::http::error::chain;
use crate::services::Services;

/// How long a look by size is good for: a look costs an object store two requests.
const GOOD_FOR: Duration = Duration::from_secs(6 * 60 * 60);

/// Packages looked at in one run.
const PAGE: i64 = 100;

/// A page of looks by size.
pub(crate) async fn look(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let before = services.clock.now().minus(GOOD_FOR);
    let due = services.store.db().package_look_due(before, PAGE).await?;
    let full = i64::try_from(due.len()).is_ok_and(|due| due >= PAGE);
    for package in due {
        if services.shutdown.is_cancelled() {
            return Ok(Outcome::Idle);
        }
        if !look_at(&services, &package, Scrutiny::Size).await? {
            return Ok(Outcome::Idle);
        }
    }
    Ok(if full { Outcome::More } else { Outcome::Idle })
}

/// One package that is to be read and digested.
pub(crate) async fn digest(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let Some(package) = services.store.db().package_digest_due().await? else {
        return Ok(Outcome::Idle);
    };
    let looked = tokio::select! {
        looked = look_at(&services, &package, Scrutiny::Digest) => looked?,
        () = services.shutdown.cancelled() => false,
    };
    Ok(if looked { Outcome::More } else { Outcome::Idle })
}

/// Looks and writes down; tells whether the store could be used.
async fn look_at(
    services: &Services,
    package: &PackageToLookAt,
    scrutiny: Scrutiny,
) -> Result<bool, StoreError> {
    let found = match condition(services, package, scrutiny).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                sha256 = package.sha256,
                "cannot look at a package"
            );
            return Ok(false);
        }
    };
    if found != PackageCondition::Intact {
        tracing::error!(
            sha256 = package.sha256,
            condition = found.as_str(),
            "the bytes of a package are not what they were"
        );
    }
    let look = match scrutiny {
        Scrutiny::Size => PackageLook::Size,
        Scrutiny::Digest => PackageLook::Digest,
    };
    let tx = services.store.write().await?;
    tx.package_looked(package.key(), found, look, services.clock.now())
        .await?;
    tx.commit().await?;
    Ok(true)
}

async fn condition(
    services: &Services,
    package: &PackageToLookAt,
    scrutiny: Scrutiny,
) -> Result<PackageCondition, PackageStoreError> {
    let Ok(sha256) = package.sha256.parse::<Sha256Digest>() else {
        return Ok(PackageCondition::Missing);
    };
    let size = u64::try_from(package.size_bytes).unwrap_or(0);
    Ok(
        match services.packages.condition(&sha256, size, scrutiny).await? {
            Found::Intact => PackageCondition::Intact,
            Found::Missing => PackageCondition::Missing,
            Found::Altered => PackageCondition::Altered,
        },
    )
}
