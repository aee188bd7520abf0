//! Error bodies, one shape per family of operations. Source: errors.md section 1.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// Error of App Center, rules and profiles (v1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppCenterError {
    /// Error code.
    #[schema(max_length = 16)]
    pub error_code: String,
    /// Message.
    #[schema(max_length = 1000)]
    pub error_msg: String,
}

/// Error of desktops, agents, users, groups and workspace jobs (v2).
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceError {
    /// Error code.
    #[schema(max_length = 12)]
    pub error_code: String,
    /// Message.
    #[schema(max_length = 1000)]
    pub error_msg: String,
    /// Detail.
    #[schema(max_length = 1000, nullable = false)]
    pub error_detail: Option<String>,
    /// Encrypted refusal reason; decode with DecodeAuthorizationMessage.
    #[schema(nullable = false)]
    pub encoded_authorization_message: Option<String>,
}

/// Error of routing, credentials and limits; any operation can answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayError {
    /// Gateway code.
    pub error_code: String,
    /// Message.
    pub error_msg: String,
    /// Same value as the X-Request-Id header.
    pub request_id: String,
}

/// Error of IAM tokens and the Keystone lists: the nested form, or the flat pair of newer checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum IamError {
    /// `{"error": {"code", "message", "title"}}`.
    Nested {
        /// What went wrong.
        error: IamErrorDetail,
    },
    /// `{"error_code", "error_msg"}`.
    Flat {
        /// Stable code.
        error_code: String,
        /// Plain text of the failure.
        error_msg: String,
    },
}

/// What went wrong in an IAM call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamErrorDetail {
    /// HTTP status, as a number.
    pub code: i64,
    /// Plain text of the failure.
    pub message: String,
    /// Name of the HTTP status, such as `Unauthorized`.
    pub title: String,
}

/// Error of STS.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StsError {
    /// Stable code.
    pub error_code: String,
    /// Plain text of the failure.
    pub error_msg: String,
    /// Same value as `X-Request-Id`.
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// Sealed reason of a refusal, see `DecodeAuthorizationMessage`.
    #[schema(nullable = false)]
    pub encoded_authorization_message: Option<String>,
}
