//! Who calls, and what they may do.
//!
//! **Guarantees.** A call gets through with a valid token, a valid signature or a browser's session only; where
//! several are sent, they count in that order. A user, key or password that was changed counts from the next call on, on every server.
//! **Wakes it:** every request. **On a crash** lock-outs and times of last use since the last flush are
//! forgotten, nothing else is kept here. **Does not** map refusals to answers (`http/error.rs`).

mod lockout;
mod password;
mod refusal;
mod session;
mod signature;
mod state;
#[cfg(test)]
mod tests;
mod token;

use std::net::IpAddr;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use outfitter_domain::iam::{AccessRequest, PolicyDocument, ReadyMadePolicy, evaluate};
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use outfitter_store::{DomainKey, IamUserKey, ProjectKey, StoreError};
use outfitter_store::{IamUser, Project};

use crate::http::{ApiError, GatewayError};
use crate::services::Services;

pub use password::{Passwords, PasswordsBusy};
pub use refusal::AuthRefusal;
pub use session::{CookieTransport, GUARD, check_origin};
pub use state::{Auth, IssuedToken, NewAccessKey};
pub use token::{TokenClaims, TokenMethod, TokenScope};

/// What a credential is judged by.
pub struct AuthRequest<'r> {
    /// HTTP method.
    pub method: &'r Method,
    /// Path and query as they stood on the request line.
    pub path_and_query: &'r str,
    /// Every header. Over HTTP/2 `host` must have been added from `:authority`.
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
    /// The session of a browser.
    Session(TokenClaims),
}

impl Caller {
    /// A user whose credential is good for the whole domain.
    pub(crate) fn in_domain(user: IamUser, credential: Credential) -> Self {
        caller(user, Scope::Domain, credential)
    }
}

/// The project a call is about, and what the caller may do there.
#[derive(Debug, Clone)]
pub struct ProjectAccess {
    /// Key.
    pub project: ProjectKey,
    /// Public id.
    pub id: ProjectId,
    policies: Vec<&'static PolicyDocument>,
}

impl ProjectAccess {
    /// Whether an action is allowed on everything in the project.
    pub fn allows(&self, action: &str) -> bool {
        allows(&self.policies, action)
    }
}

/// Judges the credential of a request.
///
/// # Errors
/// The gateway's refusals, or a failing database.
pub async fn authenticate(
    services: &Services,
    request: &AuthRequest<'_>,
) -> Result<Caller, AuthRefusal> {
    let header = |name| request.headers.get(name).filter(|value| !value.is_empty());
    if let Some(token) = header("x-auth-token") {
        let claims = token_claims(services, token.as_bytes(), TokenMethod::Password)?;
        return token_caller(services, claims, Credential::Token).await;
    }
    let Some(authorization) = header(AUTHORIZATION.as_str()) else {
        let text = session::of_request(request.headers).ok_or(AuthRefusal::NoCredential)?;
        check_origin(request.method, request.headers)?;
        let claims = token_claims(services, text.as_bytes(), TokenMethod::Session)?;
        return token_caller(services, claims, Credential::Session(claims)).await;
    };
    let key = signature::authenticate(services, request, authorization).await?;
    Ok(caller(
        key.user,
        Scope::Domain,
        Credential::AccessKey(key.access_key.access),
    ))
}

fn token_claims(
    services: &Services,
    text: &[u8],
    method: TokenMethod,
) -> Result<TokenClaims, AuthRefusal> {
    let claims = token::decode(text, &services.auth.token_key)
        .filter(|claims| claims.method == method)
        .ok_or(AuthRefusal::DamagedToken)?;
    if services.clock.now() >= claims.expires_at {
        return Err(AuthRefusal::ExpiredToken {
            expires_at: claims.expires_at,
        });
    }
    Ok(claims)
}

async fn token_caller(
    services: &Services,
    claims: TokenClaims,
    credential: Credential,
) -> Result<Caller, AuthRefusal> {
    let db = services.store.db();
    let user = db
        .iam_user_by_id(claims.user)
        .await?
        .ok_or(AuthRefusal::DamagedToken)?;
    if claims.issued_at < user.tokens_valid_from {
        return Err(AuthRefusal::RevokedToken);
    }
    if !user.enabled {
        return Err(AuthRefusal::DisabledUser);
    }
    let scope = match claims.scope {
        TokenScope::Domain(id) if id == user.domain.id => Scope::Domain,
        TokenScope::Domain(_) => return Err(AuthRefusal::DamagedToken),
        TokenScope::Project(id) => {
            let project = db
                .project_by_id(user.domain.key, id)
                .await?
                .ok_or(AuthRefusal::DamagedToken)?;
            Scope::Project(project.key, project.id)
        }
    };
    Ok(caller(user, scope, credential))
}

fn caller(user: IamUser, scope: Scope, credential: Credential) -> Caller {
    Caller {
        domain: user.domain.key,
        domain_id: user.domain.id,
        domain_name: user.domain.name,
        user: user.key,
        user_id: user.id,
        user_name: user.name,
        scope,
        credential,
    }
}

/// Finds the project of the path and what the caller may do there.
///
/// # Errors
/// 403 when it is not a project of the credential, or is suspended.
pub async fn authorize_project(
    services: &Services,
    caller: &Caller,
    project_id: &str,
) -> Result<ProjectAccess, ApiError> {
    let forbidden = || ApiError::Forbidden {
        reason: "the project is none of the credential's".to_owned(),
    };
    let id = ProjectId::lookup(project_id).ok_or_else(forbidden)?;
    if matches!(caller.scope, Scope::Project(_, own) if own != id) {
        return Err(forbidden());
    }
    let project = services
        .store
        .db()
        .project_by_id(caller.domain, id)
        .await?
        .ok_or_else(forbidden)?;
    if !project.enabled {
        return Err(GatewayError::new(
            StatusCode::FORBIDDEN,
            "APIGW.0310",
            "The project is unavailable.",
        )
        .into());
    }
    Ok(project_access(services, caller, &project).await?)
}

async fn project_access(
    services: &Services,
    caller: &Caller,
    project: &Project,
) -> Result<ProjectAccess, StoreError> {
    let policies = policies_of_user(services, caller.user, Some(project.key)).await?;
    Ok(ProjectAccess {
        project: project.key,
        id: project.id,
        policies: policies
            .into_iter()
            .map(ReadyMadePolicy::document)
            .collect(),
    })
}

/// The policies a user holds in a project (those of the whole domain included), or with `None` in the domain.
pub(crate) async fn policies_of_user(
    services: &Services,
    user: IamUserKey,
    project: Option<ProjectKey>,
) -> Result<Vec<ReadyMadePolicy>, StoreError> {
    let grants = services.store.db().iam_grants_of_user(user).await?;
    Ok(grants
        .into_iter()
        .filter(|grant| grant.project.is_none() || grant.project == project)
        .map(|grant| grant.policy)
        .collect())
}

/// Whether the caller may do something that belongs to no project. A token for one project does not reach
/// beyond it, whoever its user is.
///
/// # Errors
/// When rights cannot be read.
pub async fn allows_in_domain(
    services: &Services,
    caller: &Caller,
    action: &str,
) -> Result<bool, ApiError> {
    match caller.scope {
        Scope::Project(..) => Ok(false),
        Scope::Domain => {
            let policies: Vec<_> = policies_of_user(services, caller.user, None)
                .await?
                .into_iter()
                .map(ReadyMadePolicy::document)
                .collect();
            Ok(allows(&policies, action))
        }
    }
}

fn allows(policies: &[&PolicyDocument], action: &str) -> bool {
    let request = AccessRequest {
        action,
        resource: None,
    };
    evaluate(policies.iter().copied(), request).is_allowed()
}
