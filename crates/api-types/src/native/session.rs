//! The session of a browser.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::native::projects::Project;
use crate::secret::SecretText;
use crate::time::WireTime;

/// Body of logging in.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSessionReq {
    /// Name of the domain (account); absent means the one that the first start made.
    #[schema(min_length = 1, max_length = 128)]
    pub domain_name: Option<String>,
    /// Name of the IAM user.
    #[schema(min_length = 1, max_length = 128)]
    pub user_name: String,
    /// Password.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub password: SecretText,
}

/// Whose session it is, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// ID of the IAM user.
    pub user_id: String,
    /// Name of the IAM user.
    pub user_name: String,
    /// ID of the domain (account).
    pub domain_id: String,
    /// Name of the domain (account).
    pub domain_name: String,
    /// Name of the region.
    pub region: String,
    /// Version of the server.
    pub version: String,
    /// Projects that the user may enter, newest first.
    pub projects: Vec<Project>,
    /// When the session ends unless it is asked for before. Absent where the credential is no session.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<WireTime>,
}

/// Answer of asking how a browser can log in.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListLoginMethodsResponse {
    /// Whether users with a password can log in.
    pub password: bool,
    /// The login provider, where one is configured.
    #[schema(nullable = false)]
    pub provider: Option<LoginProvider>,
}

/// Login provider (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginProvider {
    /// What it is called.
    pub name: String,
    /// Path of this server where a browser begins; `?next=` is the page of the console to end at.
    pub path: String,
}
