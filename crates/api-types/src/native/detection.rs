//! Detection rules: how a desktop tells whether an application is there.
//!
//! The same JSON as the agent is sent. Unknown members are refused here, unlike elsewhere: a
//! misspelt `sha256` would silently prove less.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// How a desktop tells whether an application is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectionRule {
    /// A regular file exists.
    File(FileRule),
    /// A Debian package is installed.
    DebianPackage(DebianPackageRule),
    /// All of the rules hold; at least one is given.
    #[schema(no_recursion)]
    All(Vec<DetectionRule>),
    /// At least one of the rules holds; at least one is given.
    #[schema(no_recursion)]
    Any(Vec<DetectionRule>),
    /// The rule does not hold.
    #[schema(no_recursion)]
    Not(Box<DetectionRule>),
}

/// A regular file exists, with this digest or size where they are given.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// Absolute path on the desktop.
    #[schema(min_length = 1, max_length = 1024)]
    pub path: String,
    /// Lower-case hex SHA-256 of the content.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: Option<String>,
    /// Size in bytes.
    #[schema(minimum = 0)]
    pub size_bytes: Option<i64>,
}

/// A Debian package is in state `installed`, in this version where one is given.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DebianPackageRule {
    /// Package name.
    #[schema(min_length = 2, max_length = 128, pattern = "^[a-z0-9][a-z0-9+.-]+$")]
    pub name: String,
    /// Exact version.
    #[schema(min_length = 1, max_length = 128, pattern = r"^\S+$")]
    pub version: Option<String>,
}
