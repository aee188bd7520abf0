//! The session of a browser: log in, see and renew, log out.

use std::sync::Arc;

use http::header::SET_COOKIE;
use outfitter_api_types::native::session::{
    CreateSessionReq, ListLoginMethodsResponse, LoginProvider, Session,
};
use outfitter_api_types::time::WireTime;
use secrecy::SecretString;

use super::iam::projects::shape;
use super::{ApiError, Call, Operation, Reply, Routes, login};
use crate::app::iam::{WhoLogsIn, login_in_browser, projects_of};
use crate::auth::{Caller, CookieTransport, Credential, check_origin};
use crate::services::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    const PATH: &str = "/api/v1/session";
    routes
        .add::<_, (), _, _, _>(
            Operation::post(PATH, "CreateSession")
                .open()
                .status(201)
                .headers(&["Set-Cookie"])
                .summary(
                    "Log a browser in: the session is a cookie. Wants the header X-Outfitter-Console.",
                ),
            create,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/api/v1/login-methods", "ListLoginMethods")
                .open()
                .summary("Say how a browser can log in."),
            methods,
        )
        .add::<(), (), _, _, _>(
            Operation::get(PATH, "ShowSession")
                .headers(&["Set-Cookie"])
                .summary("Show whose session it is, and let it live on."),
            show,
        )
        .add::<(), (), _, _, _>(
            Operation::delete(PATH, "DeleteSession")
                .status(204)
                .headers(&["Set-Cookie"])
                .summary("Log a browser out."),
            delete,
        );
}

async fn create(
    services: Arc<Services>,
    call: Call<CreateSessionReq>,
) -> Result<Reply<Session>, ApiError> {
    check_origin(&http::Method::POST, &call.context.headers)?;
    let CreateSessionReq {
        domain_name,
        user_name,
        password,
    } = call.body;
    let who = WhoLogsIn::Name {
        domain: domain_name.unwrap_or_else(|| crate::app::bootstrap::DOMAIN_NAME.to_owned()),
        user: user_name,
    };
    let password = SecretString::from(password.expose());
    let caller = login_in_browser(&services, &who, password, call.context.source).await?;
    answer(&services, &caller).await
}

async fn methods(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<ListLoginMethodsResponse>, ApiError> {
    Ok(Reply::new(ListLoginMethodsResponse {
        password: true,
        provider: services.oidc.as_ref().map(|provider| LoginProvider {
            name: provider.name().to_owned(),
            path: login::BEGIN.to_owned(),
        }),
    }))
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<Session>, ApiError> {
    let mut caller = call.caller().clone();
    if let Credential::Session(claims) = &mut caller.credential {
        *claims = services.auth.renew_session(*claims, services.clock.now());
    }
    answer(&services, &caller).await
}

async fn delete(services: Arc<Services>, _call: Call) -> Result<Reply, ApiError> {
    let cookie = services.auth.no_session_cookie(transport(&services));
    Ok(Reply::empty().header(SET_COOKIE, cookie))
}

async fn answer(services: &Services, caller: &Caller) -> Result<Reply<Session>, ApiError> {
    let mut projects = projects_of(services, caller).await?;
    projects.reverse();
    let mut session = Session {
        user_id: caller.user_id.to_string(),
        user_name: caller.user_name.clone(),
        domain_id: caller.domain_id.to_string(),
        domain_name: caller.domain_name.clone(),
        region: services.region.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        projects: projects
            .iter()
            .map(|project| shape(project, caller))
            .collect(),
        expires_at: None,
    };
    let Credential::Session(claims) = &caller.credential else {
        return Ok(Reply::new(session));
    };
    session.expires_at = Some(WireTime::from_unix_millis(claims.expires_at.get()));
    let cookie = services
        .auth
        .session_cookie(claims, services.clock.now(), transport(services));
    Ok(Reply::new(session).header(SET_COOKIE, cookie))
}

fn transport(services: &Services) -> CookieTransport {
    CookieTransport::of(&services.endpoints.endpoint)
}
