use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use outfitter_api_types::iam::{
    AuthScope, KeystoneCreateUserTokenByPasswordQuery, PasswordUser, PwdAuthReq, ScopeDomain,
    Token, TokenDomain, TokenProject, TokenResponse, TokenRole, TokenUser,
};
use outfitter_api_types::time::IamTime;
use outfitter_domain::Millis;
use secrecy::{ExposeSecret as _, SecretString};

use super::show_catalog::catalog;
use crate::app::iam::{ByIdOrName, Login, WantedScope, WhoLogsIn, login};
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// Where the token goes: never into the body.
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

pub(super) async fn create_token(
    services: Arc<Services>,
    call: Call<PwdAuthReq, KeystoneCreateUserTokenByPasswordQuery>,
) -> Result<Reply<TokenResponse>, ApiError> {
    let user = call.body.auth.identity.password.user;
    let password = SecretString::from(user.password.expose());
    let scope = wanted_scope(call.body.auth.scope)?;
    let login = login(
        &services,
        &who(user)?,
        password,
        &scope,
        call.context.source,
    )
    .await?;
    let wants_catalog = call.query.nocatalog.is_none_or(|text| text.is_empty());
    let mut header = HeaderValue::from_str(login.token.text.expose_secret())
        .map_err(|error| ApiError::internal("send a token", error))?;
    header.set_sensitive(true);
    let token = Token {
        catalog: wants_catalog.then(|| catalog(&services)),
        ..describe(&login)
    };
    Ok(Reply::new(TokenResponse { token }).header(SUBJECT_TOKEN, header))
}

fn who(user: PasswordUser) -> Result<WhoLogsIn, ApiError> {
    match (user.id, user.name, user.domain) {
        (Some(id), _, _) => Ok(WhoLogsIn::Id(id)),
        (None, Some(name), Some(domain)) => Ok(WhoLogsIn::Name {
            domain: domain.name,
            user: name,
        }),
        (None, _, _) => Err(ApiError::invalid(
            "auth.identity.password.user",
            "must have an id, or a name and a domain",
        )),
    }
}

fn wanted_scope(scope: Option<AuthScope>) -> Result<WantedScope, ApiError> {
    let AuthScope { project, domain } = scope.unwrap_or_default();
    match (project, domain) {
        (None, None) => Ok(WantedScope::Account),
        (None, Some(domain)) => Ok(WantedScope::Domain(by_id_or_name(
            "auth.scope.domain",
            domain.id,
            domain.name,
        )?)),
        (Some(project), None) => Ok(WantedScope::Project {
            project: by_id_or_name("auth.scope.project", project.id, project.name)?,
            domain: project
                .domain
                .map(|ScopeDomain { id, name }| {
                    by_id_or_name("auth.scope.project.domain", id, name)
                })
                .transpose()?,
        }),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "auth.scope",
            "must be a project or a domain, not both",
        )),
    }
}

fn by_id_or_name(
    field: &str,
    id: Option<String>,
    name: Option<String>,
) -> Result<ByIdOrName, ApiError> {
    id.map(ByIdOrName::Id)
        .or(name.map(ByIdOrName::Name))
        .ok_or_else(|| ApiError::invalid(field, "must have an id or a name"))
}

fn describe(login: &Login) -> Token {
    let domain = TokenDomain {
        id: Some(login.user.domain.id.to_string()),
        name: Some(login.user.domain.name.clone()),
    };
    let time = |instant: Millis| Some(IamTime::from_unix_millis(instant.get()));
    let claims = &login.token.claims;
    let mut roles: Vec<_> = login
        .policies
        .iter()
        .map(|policy| policy.name.clone())
        .collect();
    roles.sort();
    roles.dedup();
    Token {
        methods: Some(vec![claims.method.as_str().to_owned()]),
        issued_at: time(claims.issued_at),
        expires_at: time(claims.expires_at),
        user: Some(TokenUser {
            id: Some(login.user.id.to_string()),
            name: Some(login.user.name.clone()),
            password_expires_at: Some(String::new()),
            domain: Some(domain.clone()),
        }),
        project: login.project.as_ref().map(|project| TokenProject {
            id: Some(project.id.to_string()),
            name: Some(project.name.clone()),
            domain: Some(domain.clone()),
        }),
        domain: login.project.is_none().then_some(domain),
        roles: Some(
            roles
                .into_iter()
                .map(|name| TokenRole {
                    id: Some(name.clone()),
                    name: Some(name),
                })
                .collect(),
        ),
        catalog: None,
    }
}
