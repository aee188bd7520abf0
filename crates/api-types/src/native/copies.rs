//! What becomes of copies of enrolled machines.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// What becomes of a machine that shows the copied certificate of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesSettings {
    /// ID of the enrollment token that it enrolls anew with, as a desktop of its own; without one it is refused.
    #[schema(nullable = false)]
    pub token_id: Option<String>,
    /// What that token is for.
    #[schema(nullable = false)]
    pub token_name: Option<String>,
}

/// Body of setting what becomes of copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetCopiesReq {
    /// ID of an enrollment token of the project that is not for one desktop alone; null: copies are refused.
    #[schema(min_length = 1, max_length = 128)]
    pub token_id: Option<String>,
}
