//! What every operation and background task works with.

use std::sync::Arc;

use outfitter_domain::Clock;
use outfitter_ids::IdSource;
use outfitter_store::Store;

/// The server's parts. One per process, shared by every request.
pub struct Services {
    /// The database.
    pub store: Store,
    /// The present. A seam.
    pub clock: Arc<dyn Clock>,
    /// New ids. A seam.
    pub ids: Arc<dyn IdSource>,
}
