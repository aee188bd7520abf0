//! Projects of the domain.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::native::iam::{CreateAccessKeyResponse, IamUser};
use crate::secret::SecretText;
use crate::time::WireTime;

/// Body of making a project. It gets an administrator and an access key of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateProjectReq {
    /// Name, unique in the domain.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
    )]
    pub name: String,
}

/// Project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Project ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// ID of the domain (account) that owns it.
    pub domain_id: String,
    /// Whether its operations may be called.
    pub enabled: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// Answer of making a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateProjectResponse {
    /// The project.
    pub project: Project,
    /// Its administrator.
    pub administrator: IamUser,
    /// Password of the administrator, shown this once.
    #[schema(value_type = String)]
    pub password: SecretText,
    /// Access key of the administrator.
    pub access_key: CreateAccessKeyResponse,
}

/// Answer of listing projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListProjectsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<Project>,
}

/// Query parameters of listing projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListProjectsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
