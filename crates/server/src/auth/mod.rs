//! Who calls, and what they may do.
//!
//! **Guarantees.** A call gets through with a valid token, a valid signature or a browser's session only; where
//! several are sent, they count in that order. A user, key or password that was changed counts from the next call on, on every server.
//! **Wakes it:** every request. **On a crash** lock-outs and times of last use since the last flush are
//! forgotten, nothing else is kept here. **Does not** map refusals to answers (`http/error.rs`).

mod lockout;
mod oidc;
mod password;
pub(crate) mod portal;
mod refusal;
mod rights;
mod session;
mod signature;
mod state;
mod temporary;
#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use outfitter_domain::Millis;
use outfitter_domain::iam::PolicyDocument;
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use outfitter_store::{DomainKey, HeldDocument, IamUserKey, ProjectKey, StoreError};
use outfitter_store::{IamUser, Project};

use crate::http::{ApiError, GatewayError};
use crate::services::Services;

pub use oidc::{LoginSecrets, OidcError, OidcProvider, OidcSetupError, ProviderIdentity};
pub use password::{Passwords, PasswordsBusy};
pub use portal::{COOKIE_NAME as PORTAL_COOKIE, PortalClaims, Visitor};
pub use refusal::AuthRefusal;
pub use rights::{
    DecidingStatement, HeldPolicy, PolicyRefusal, Principal, Question, Rights, Ruling, Widening,
    WideningCheck,
};
pub use session::{CookieTransport, GUARD, check_origin};
pub(crate) use session::{cookie_of, login_cookie};
pub(crate) use state::LETTERS_AND_DIGITS;
pub use state::{Auth, IssuedToken, NewAccessKey};
pub use temporary::TemporaryKey;
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
    /// Narrows what the user may do, with temporary credentials.
    pub session: Option<Arc<PolicyDocument>>,
    /// Tokens issued before are refused.
    pub tokens_valid_from: Millis,
    /// Where the call came from.
    pub source: IpAddr,
}

impl Caller {
    /// Whether the credential is good for a project of the account.
    pub fn reaches(&self, project: ProjectKey) -> bool {
        match self.scope {
            Scope::Project(own, _) => own == project,
            Scope::Domain => true,
        }
    }

    /// What the requests of this credential are counted under: an access key, or a user with all tokens and
    /// sessions, which cost nothing to get anew.
    pub(crate) fn counted_as(&self) -> String {
        match &self.credential {
            Credential::AccessKey(access) => access.clone(),
            Credential::Token | Credential::Session(_) => self.user_id.to_string(),
        }
    }
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
    /// An access key, permanent or temporary, by its id.
    AccessKey(String),
    /// The session of a browser.
    Session(TokenClaims),
}

impl Caller {
    /// A user whose credential is good for the whole domain.
    pub(crate) fn in_domain(user: IamUser, credential: Credential, source: IpAddr) -> Self {
        caller(user, Scope::Domain, credential, source)
    }
}

/// The project a call is about, and what the caller may do there.
#[derive(Debug, Clone)]
pub struct ProjectAccess {
    /// Key.
    pub project: ProjectKey,
    /// Public id.
    pub id: ProjectId,
    /// What the caller may do there.
    pub rights: Rights,
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
        return authenticate_token(services, token, request.source).await;
    }
    let Some(authorization) = header(AUTHORIZATION.as_str()) else {
        let text = session::of_request(request.headers).ok_or(AuthRefusal::NoCredential)?;
        check_origin(request.method, request.headers)?;
        let claims = token_claims(services, text.as_bytes(), TokenMethod::Session)?;
        let credential = Credential::Session(claims);
        return token_caller(services, claims, credential, request.source).await;
    };
    let key = signature::authenticate(services, request, authorization).await?;
    let session = key.session.clone();
    let caller = caller(
        key.user,
        key.scope,
        Credential::AccessKey(key.access),
        request.source,
    );
    Ok(Caller { session, ..caller })
}

/// Judges a token that was got with a password.
///
/// # Errors
/// The gateway's refusals, or a failing database.
pub async fn authenticate_token(
    services: &Services,
    token: &HeaderValue,
    source: IpAddr,
) -> Result<Caller, AuthRefusal> {
    let claims = token_claims(services, token.as_bytes(), TokenMethod::Password)?;
    token_caller(services, claims, Credential::Token, source).await
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
    source: IpAddr,
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
    Ok(caller(user, scope, credential, source))
}

fn caller(user: IamUser, scope: Scope, credential: Credential, source: IpAddr) -> Caller {
    Caller {
        domain: user.domain.key,
        domain_id: user.domain.id,
        domain_name: user.domain.name,
        user: user.key,
        user_id: user.id,
        user_name: user.name,
        scope,
        credential,
        session: None,
        tokens_valid_from: user.tokens_valid_from,
        source,
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
    Ok(ProjectAccess {
        project: project.key,
        id: project.id,
        rights: rights_of(services, caller, Some((project.key, project.id))).await?,
    })
}

/// What a caller may do in a project (with what counts in the whole domain) or, with `None`, in the domain.
///
/// # Errors
/// When rights cannot be read.
pub(crate) async fn rights_of(
    services: &Services,
    caller: &Caller,
    project: Option<(ProjectKey, ProjectId)>,
) -> Result<Rights, StoreError> {
    let principal = Principal {
        domain: caller.domain_id,
        user: caller.user_id,
        user_name: caller.user_name.clone(),
    };
    let held = held_by(services, caller.user, project.map(|(key, _)| key)).await?;
    Ok(Rights {
        principal,
        project: project.map(|(_, id)| id),
        held,
        session: caller.session.clone(),
        source: caller.source,
        now: services.clock.now(),
    })
}

/// The policies that count for a user in a project (those of the whole domain included), or with `None` in the
/// domain: its role, what is attached to it and to its groups.
pub(crate) async fn held_by(
    services: &Services,
    user: IamUserKey,
    project: Option<ProjectKey>,
) -> Result<Vec<HeldPolicy>, StoreError> {
    let held = services.store.db().iam_held(user).await?;
    Ok(held
        .into_iter()
        .filter(|held| held.project.is_none() || held.project == project)
        .map(|held| {
            let (name, document) = match held.policy {
                HeldDocument::ReadyMade(policy) => {
                    (policy.as_str().to_owned(), Cow::Borrowed(policy.document()))
                }
                HeldDocument::Written { name, document } => (name, Cow::Owned(document)),
            };
            HeldPolicy {
                name,
                through: held.through,
                document,
            }
        })
        .collect())
}

/// What the caller may do that belongs to no project. A credential for one project does not reach beyond it,
/// whoever its user is: nothing is held then.
///
/// # Errors
/// When rights cannot be read.
pub async fn rights_in_domain(services: &Services, caller: &Caller) -> Result<Rights, StoreError> {
    let mut rights = rights_of(services, caller, None).await?;
    if matches!(caller.scope, Scope::Project(..)) {
        rights.held.clear();
    }
    Ok(rights)
}

/// What the caller may do in the domain and in every project that the credential reaches, taken together: for
/// operations that are about no project and that whoever may do them anywhere may do.
///
/// # Errors
/// When rights cannot be read.
pub async fn rights_somewhere(services: &Services, caller: &Caller) -> Result<Rights, StoreError> {
    let projects: Vec<_> = match caller.scope {
        Scope::Project(key, id) => vec![(key, id)],
        Scope::Domain => services
            .store
            .db()
            .project_list_of_user(caller.domain, caller.user)
            .await?
            .into_iter()
            .map(|project| (project.key, project.id))
            .collect(),
    };
    let mut all = rights_in_domain(services, caller).await?;
    for project in projects {
        all.held
            .extend(rights_of(services, caller, Some(project)).await?.held);
    }
    Ok(all)
}
