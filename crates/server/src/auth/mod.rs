//! Who calls, and what they may do.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use outfitter_store::{DomainKey, IamUserKey, ProjectKey};

use crate::http::error::{ApiError, GatewayError};
use crate::services::Services;

/// What a credential is judged by.
pub struct AuthRequest<'r> {
    /// HTTP method.
    pub method: &'r Method,
    /// Path and query as they stood on the request line.
    pub path_and_query: &'r str,
    /// Every header.
    pub headers: &'r HeaderMap,
    /// The body, where it was read.
    pub body: AuthBody<'r>,
    /// Address of the caller.
    pub source: IpAddr,
}

/// The body a signature covers.
pub enum AuthBody<'r> {
    /// Read whole.
    Buffered(&'r Bytes),
    /// Not read: the signature must be over `UNSIGNED-PAYLOAD`.
    Streamed,
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account.
    pub domain: DomainKey,
    /// Its public id.
    pub domain_id: DomainId,
    /// Its name.
    pub domain_name: String,
    /// The IAM user.
    pub user: IamUserKey,
    /// Its public id.
    pub user_id: IamUserId,
    /// Its name.
    pub user_name: String,
    /// What the credential is good for.
    pub scope: Scope,
    /// What was shown.
    pub credential: Credential,
}

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One project.
    Project(ProjectKey, ProjectId),
    /// Every project of the account in which the user has rights.
    Domain,
}

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token,
    /// An access key, by its id.
    AccessKey(String),
}

/// The project a call is about, and what the caller may do there.
#[derive(Debug, Clone)]
pub struct ProjectAccess {
    /// Key.
    pub project: ProjectKey,
    /// Public id.
    pub id: ProjectId,
}

impl ProjectAccess {
    /// Whether an action is allowed.
    pub fn allows(&self, _action: &str) -> bool {
        false
    }
}

/// Judges the credential of a request.
///
/// # Errors
/// The gateway's refusals (contract, `errors.md`, section 4).
pub async fn authenticate(
    _services: &Services,
    _request: &AuthRequest<'_>,
) -> Result<Caller, GatewayError> {
    Err(GatewayError::new(
        StatusCode::UNAUTHORIZED,
        "APIGW.0301",
        "Incorrect IAM authentication information: x-auth-token not found",
    ))
}

/// Finds the project of the path and what the caller may do there.
///
/// # Errors
/// 403 when it is not a project of the credential.
pub async fn authorize_project(
    _services: &Services,
    _caller: &Caller,
    _project_id: &str,
) -> Result<ProjectAccess, ApiError> {
    Err(ApiError::Forbidden {
        reason: "no such project".to_owned(),
    })
}

/// Whether the caller may do something that belongs to no project.
///
/// # Errors
/// When rights cannot be read.
pub async fn allows_in_domain(
    _services: &Services,
    _caller: &Caller,
    _action: &str,
) -> Result<bool, ApiError> {
    Ok(false)
}
