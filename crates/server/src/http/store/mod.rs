//! The package store as a whole: whether it works, and what is garbage there.

use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::native::housekeeping::{
    CollectReason as WireReason, CollectStoreReq, CollectStoreResponse, CollectTally,
    Collectable as WireCollectable, StoreTestStep, TestStoreResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_artifacts::check::{ProofStep, prove};
use outfitter_bucket::{CollectMode, CollectReason, Collectable, Tally};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post("/api/v1/store/actions/collect", "CollectStore")
                .action("outfitter:store:collect")
                .optional_body()
                .codes(&[409])
                .summary("Remove package bytes that nothing needs, or tell which would go."),
            collect,
        )
        .add::<(), (), _, _, _>(
            Operation::post("/api/v1/store/test", "TestStore")
                .action("outfitter:store:test")
                .reads()
                .summary(
                    "Write packages into the store, read them as desktops do, and remove them: does it work?",
                ),
            test,
        );
}

async fn test(services: Arc<Services>, _call: Call) -> Result<Reply<TestStoreResponse>, ApiError> {
    let steps = prove(&services.packages, services.ids.as_ref()).await;
    Ok(Reply::new(TestStoreResponse {
        place: services.packages.description(),
        ok: steps.iter().all(|step| step.ok),
        steps: steps
            .into_iter()
            .map(|ProofStep { step, ok, detail }| StoreTestStep {
                step: step.to_owned(),
                ok,
                detail,
            })
            .collect(),
    }))
}

async fn collect(
    services: Arc<Services>,
    call: Call<CollectStoreReq>,
) -> Result<Reply<CollectStoreResponse>, ApiError> {
    let dry_run = call.body.dry_run == Some(true);
    let mode = if dry_run {
        CollectMode::DryRun
    } else {
        CollectMode::Remove
    };
    let report = services.objects.collect(mode).await?;
    if report.busy {
        return Err(ApiError::coded(
            StatusCode::CONFLICT,
            "WKS.0409",
            "Another server is collecting right now",
        ));
    }
    Ok(Reply::new(CollectStoreResponse {
        dry_run,
        as_of: WireTime::from_unix_millis(report.as_of.get()),
        due: tally(report.due),
        waiting: tally(report.waiting),
        failed: number(report.failed),
        missing: report.missing,
        items: report.items.into_iter().map(collectable).collect(),
    }))
}

fn tally(tally: Tally) -> CollectTally {
    CollectTally {
        count: number(tally.count),
        size_bytes: number(tally.size_bytes),
    }
}

fn collectable(item: Collectable) -> WireCollectable {
    WireCollectable {
        reason: match item.reason {
            CollectReason::PackageUnneeded => WireReason::PackageUnneeded,
            CollectReason::CollectionCutOff => WireReason::CollectionCutOff,
            CollectReason::BytesWithoutPackage => WireReason::BytesWithoutPackage,
            CollectReason::UploadAbandoned => WireReason::UploadAbandoned,
            CollectReason::PartWithoutUpload => WireReason::PartWithoutUpload,
        },
        name: item.name,
        size_bytes: number(item.size_bytes),
        due_at: WireTime::from_unix_millis(item.due_at.get()),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
