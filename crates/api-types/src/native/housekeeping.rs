//! Housekeeping: collections of garbage, deleted applications that can come back.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// Body of collecting what nothing needs.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectStoreReq {
    /// Whether nothing is removed and only told. Absent: false.
    pub dry_run: Option<bool>,
}

/// Why something is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollectReason {
    /// No object of a bucket and no revision that anybody needs holds the package.
    PackageUnneeded,
    /// An earlier collection was cut off in it.
    CollectionCutOff,
    /// The bytes belong to no package.
    BytesWithoutPackage,
    /// Nobody went on with the multipart upload.
    UploadAbandoned,
    /// The part belongs to no upload.
    PartWithoutUpload,
}

/// Something that goes, went, or waits for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collectable {
    /// Why.
    pub reason: CollectReason,
    /// SHA-256 of the package, ID of the upload, or name of the part.
    pub name: String,
    /// Size in bytes.
    #[schema(minimum = 0)]
    pub size_bytes: i64,
    /// From when on it may go.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: WireTime,
}

/// How many and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectTally {
    /// How many.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Bytes together.
    #[schema(minimum = 0)]
    pub size_bytes: i64,
}

/// What a collection found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectStoreResponse {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// The present by the server's clock: what is due by then went, or would go.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: WireTime,
    /// What went; in a dry run, what would go now.
    pub due: CollectTally,
    /// What nothing needs and whose time has not come.
    pub waiting: CollectTally,
    /// Number of those that could not be removed; the next collection tries again.
    #[schema(minimum = 0)]
    pub failed: i64,
    /// SHA-256 of packages that are recorded and whose bytes are not in the store, up to 1000.
    pub missing: Vec<String>,
    /// Those due and those waiting, up to 1000.
    pub items: Vec<Collectable>,
}

/// One thing that a test of the package store tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreTestStep {
    /// What was tried, in a few words.
    pub step: String,
    /// Whether it went well.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// What a test of the package store found. What it wrote is removed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestStoreResponse {
    /// Where packages are: a folder, or a bucket of an object store.
    pub place: String,
    /// Whether every step went well.
    pub ok: bool,
    /// The steps, in their order.
    pub steps: Vec<StoreTestStep>,
}

/// Application that was deleted and can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedApp {
    /// Application ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// When it was deleted.
    #[schema(value_type = String, format = DateTime)]
    pub deleted_at: WireTime,
    /// Until when it can be restored.
    #[schema(value_type = String, format = DateTime)]
    pub restorable_until: WireTime,
}

/// Answer of listing deleted applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDeletedAppsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<DeletedApp>,
}

/// Query parameters of listing deleted applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDeletedAppsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
