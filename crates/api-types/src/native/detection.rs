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
    /// An RPM package is installed.
    RpmPackage(RpmPackageRule),
    /// A script ends with an exit code that means yes.
    Script(ScriptRule),
    /// A value stands in the Windows registry; cannot be evaluated elsewhere.
    RegistryValue(RegistryValueRule),
    /// Windows Installer has a product; cannot be evaluated elsewhere.
    MsiProduct(MsiProductRule),
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

/// An RPM package is installed, in this version where one is given.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RpmPackageRule {
    /// Package name.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^[A-Za-z0-9._+][A-Za-z0-9._+-]*$"
    )]
    pub name: String,
    /// Exact `VERSION-RELEASE`, with `EPOCH:` in front where the epoch is not 0.
    #[schema(
        min_length = 3,
        max_length = 256,
        pattern = r"^([0-9]+:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+$"
    )]
    pub version: Option<String>,
}

/// A script ends with one of these exit codes. It never pins a version.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptRule {
    /// What `/bin/sh` is given (PowerShell on Windows). It has the environment and the rights of installers.
    #[schema(min_length = 1, max_length = 8192, pattern = r"\S")]
    pub script: String,
    /// Exit codes that mean that the application is there; 0 where none are given.
    #[schema(min_items = 1, max_items = 16)]
    pub exit_codes: Option<Vec<i32>>,
    /// Longest run, in seconds; 60 where it is left out.
    #[schema(minimum = 1, maximum = 300)]
    pub time_limit_secs: Option<i64>,
}

/// A value stands in the Windows registry. It never pins a version.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryValueRule {
    /// Key with its root (`HKLM`, `HKCR` or `HKU`, or the long names).
    #[schema(min_length = 6, max_length = 1024)]
    pub key: String,
    /// Name of the value; left out: the key alone must be there.
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// What it must be, as text.
    #[schema(max_length = 1024)]
    pub data: Option<String>,
}

/// Windows Installer has a product, in this version where one is given.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MsiProductRule {
    /// Product code, a GUID in braces.
    #[schema(pattern = r"^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$")]
    pub product_code: String,
    /// Exact version.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[0-9]+(\.[0-9]+)*$")]
    pub version: Option<String>,
}

/// Body of asking desktops whether a rule holds there.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvaluateDetectionReq {
    /// Desktops to ask.
    #[schema(min_items = 1, max_items = 20)]
    pub desktop_ids: Vec<String>,
    /// The rule; absent or null: that of the application's newest revision.
    pub rule: Option<DetectionRule>,
}

/// What came of asking a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectionAnswerState {
    /// It looked.
    Evaluated,
    /// It cannot tell: the rule is for another system, or what it asks about cannot be read.
    NotEvaluable,
    /// It is not connected to the server that was asked.
    NotConnected,
    /// It did not answer in time.
    NoAnswer,
}

/// What a desktop answered.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectionAnswer {
    /// Desktop ID.
    pub desktop_id: String,
    /// Name of the desktop.
    pub desktop_name: String,
    /// What came of asking it.
    pub state: DetectionAnswerState,
    /// Whether the rule holds there.
    #[schema(nullable = false)]
    pub holds: Option<bool>,
    /// What was seen, in words.
    #[schema(nullable = false)]
    pub seen: Option<String>,
}

/// Answer of asking desktops whether a rule holds there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvaluateDetectionResponse {
    /// One for each desktop, in the order they were named.
    pub items: Vec<DetectionAnswer>,
}
