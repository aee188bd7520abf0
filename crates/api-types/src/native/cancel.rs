//! Cancelling jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};

amended! {
    /// Body of cancelling jobs.
    pub struct CancelJobsReq {
        /// Job IDs.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
    }
    with [
        unique_items("items"),
    ]
}

/// What became of the wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelResponse {
    /// Jobs that ended at once: FAIL with the reason `cancelled`.
    #[schema(minimum = 0)]
    pub cancelled: i64,
    /// Jobs that run and were asked to stop; they end by what their desktop reports.
    #[schema(minimum = 0)]
    pub stopping: i64,
    /// Jobs that had ended before.
    #[schema(minimum = 0)]
    pub ended: i64,
}
