//! The package store as a whole: what is garbage there.

use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::native::housekeeping::{
    CollectReason as WireReason, CollectStoreReq, CollectStoreResponse, CollectTally,
    Collectable as WireCollectable,
};
use outfitter_api_types::time::WireTime;
use outfitter_bucket::{CollectMode, CollectReason, Collectable, Tally};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operation.
pub(super) fn register(routes: &mut Routes) {
    routes.add(
        Operation::post("/api/v1/store/actions/collect", "CollectStore")
            .action("outfitter:store:collect")
            .optional_body()
            .codes(&[409])
            .summary("Remove package bytes that nothing needs, or tell which would go."),
        collect,
    );
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
