//! Freezes: while one stands, nothing is handed out.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// A standing freeze.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freeze {
    /// Who froze.
    pub operator: String,
    /// Why, in their words.
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: WireTime,
}

/// Whether anything is handed out.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeState {
    /// Whether a freeze stands, of the project or of the server.
    pub frozen: bool,
    /// That of the project.
    #[schema(nullable = false)]
    pub project: Option<Freeze>,
    /// That of the server, which holds for every project.
    #[schema(nullable = false)]
    pub server: Option<Freeze>,
}

/// Body of freezing or letting go on.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetFreezeReq {
    /// Whether nothing is to be handed out from now on.
    pub frozen: bool,
    /// Why; shown to everyone.
    #[schema(max_length = 255)]
    pub reason: Option<String>,
}
