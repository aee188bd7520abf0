//! Whether whoever logs in at a desktop without a user becomes its user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who becomes the user of a single-user desktop that has none, at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoggedInUsersMode {
    /// Nobody.
    Ignore,
    /// A user whom the directory knows, LOCAL or of the company.
    Known,
    /// Anybody; a LOCAL user is made where none is known.
    Any,
}

/// What a project does about whoever logs in at a single-user desktop that has no user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoggedInUsersSettings {
    /// Who becomes its user.
    pub mode: LoggedInUsersMode,
}
