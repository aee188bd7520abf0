//! Where browsers go to log in through the login provider, and where it sends them back to.
//!
//! These are pages, not operations: they answer redirects, or a plain page that says what went wrong.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outfitter_store::StoreError;
use serde::Deserialize;

use super::error::chain;
use super::limits;
use super::request_id::RequestId;
use crate::app::oidc::{LOGIN_LIFETIME, LoginFrom, ProviderLoginError, Returned, begin, end};
use crate::auth::{CookieTransport, Credential, OidcError, cookie_of, login_cookie};
use crate::services::Services;

/// Where a login begins.
pub(crate) const BEGIN: &str = "/login/oidc";

/// Where the provider sends the browser back to; the redirect URI of our client there.
pub(crate) const RETURN: &str = "/login/oidc/callback";

/// Cookie of a login that is on its way.
const COOKIE: &str = "outfitter_login";

/// Nothing runs and nothing is loaded on these pages.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The pages.
pub(super) fn router(services: &Arc<Services>) -> Router {
    Router::new()
        .route(BEGIN, get(to_provider))
        .route(RETURN, get(from_provider))
        .with_state(Arc::clone(services))
}

#[derive(Deserialize)]
struct BeginQuery {
    next: Option<String>,
}

async fn to_provider(
    State(services): State<Arc<Services>>,
    Query(query): Query<BeginQuery>,
) -> Response {
    match begin(&services, query.next.as_deref()).await {
        Ok(begun) => {
            let transport = CookieTransport::of(&services.endpoints.endpoint);
            let cookie = login_cookie(COOKIE, RETURN, &begun.cookie, LOGIN_LIFETIME, transport);
            redirect(&begun.url, [cookie])
        }
        Err(error) => refusal(&error),
    }
}

#[derive(Deserialize)]
struct ReturnQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn from_provider(
    State(services): State<Arc<Services>>,
    Query(query): Query<ReturnQuery>,
    request: Request,
) -> Response {
    let from = LoginFrom {
        source: limits::source(&request),
        request_id: RequestId::of(&request),
    };
    let transport = CookieTransport::of(&services.endpoints.endpoint);
    let forget = || login_cookie(COOKIE, RETURN, "", std::time::Duration::ZERO, transport);
    let returned = Returned {
        state: query.state.unwrap_or_default(),
        answer: match (query.code, query.error) {
            (Some(code), None) => Ok(code),
            (_, Some(error)) => Err(error),
            (None, None) => Err("there is neither a code nor an error".to_owned()),
        },
        issuer: query.iss,
    };
    let cookie = cookie_of(request.headers(), COOKIE);
    match end(&services, cookie, returned, &from).await {
        Ok(ended) => {
            let Credential::Session(claims) = &ended.caller.credential else {
                unreachable!("a login of a browser ends in a session");
            };
            let session = services
                .auth
                .session_cookie(claims, services.clock.now(), transport);
            redirect(&ended.next, [session, forget()])
        }
        Err(error) => {
            let mut response = refusal(&error);
            from.refused(&services, &error, response.status().as_u16());
            response.headers_mut().append(SET_COOKIE, forget());
            response
        }
    }
}

fn redirect(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(to) else {
        tracing::error!("the login provider's address is no header value");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Neither code nor state goes to where the browser goes next.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The page that says why there is no session, and what to do.
fn refusal(error: &ProviderLoginError) -> Response {
    let (status, advice) = match error {
        ProviderLoginError::None => (StatusCode::NOT_FOUND, "Log in with user name and password."),
        ProviderLoginError::Foreign | ProviderLoginError::Used => {
            (StatusCode::BAD_REQUEST, "Begin again.")
        }
        ProviderLoginError::Refused(_) => (
            StatusCode::FORBIDDEN,
            "Begin again, or ask who runs the login provider.",
        ),
        ProviderLoginError::OtherIssuer
        | ProviderLoginError::Provider(OidcError::Code(_) | OidcError::Unbelievable(_)) => (
            StatusCode::BAD_GATEWAY,
            "Begin again. When that does not help, this server's log says more to its operator.",
        ),
        ProviderLoginError::Provider(OidcError::Unavailable(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Try again in a while; users with a password here can log in meanwhile.",
        ),
        ProviderLoginError::NoRights { .. } => (
            StatusCode::FORBIDDEN,
            "Ask an administrator to let one of your groups in.",
        ),
        ProviderLoginError::Disabled { .. } | ProviderLoginError::Namesakes { .. } => {
            (StatusCode::FORBIDDEN, "Ask an administrator.")
        }
        ProviderLoginError::Store(error) => (
            match error {
                StoreError::Busy { .. } | StoreError::Open { .. } | StoreError::Newer { .. } => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                StoreError::Conflict { .. }
                | StoreError::Inconsistent { .. }
                | StoreError::Driver { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            },
            "Try again in a while.",
        ),
    };
    if status.is_server_error() {
        tracing::warn!(error = chain(error), "a login through the provider failed");
    } else {
        tracing::info!(
            error = chain(error),
            "a login through the provider was refused"
        );
    }
    let what = match error {
        ProviderLoginError::Store(_) => "This server cannot log anybody in now".to_owned(),
        // The provider's own words are for the log.
        ProviderLoginError::Provider(OidcError::Unbelievable(_)) => {
            "What the login provider says cannot be believed".to_owned()
        }
        other => other.to_string(),
    };
    page(status, &what, advice)
}

fn page(status: StatusCode, what: &str, advice: &str) -> Response {
    let mut sentence: String = escaped(what);
    if let Some(first) = sentence.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Log in - Outfitter</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;\
         color-scheme:light dark}}</style></head>\n\
         <body><h1>You are not logged in</h1><p>{sentence}.</p><p>{advice}</p>\
         <p><a href=\"{BEGIN}\">Begin again</a> &middot; <a href=\"/console/\">Log in with a password</a></p>\
         </body></html>\n"
    );
    let fixed: [(HeaderName, &str); 6] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let mut response = (status, text).into_response();
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

/// Text for a page, whoever wrote it: at most 300 characters, none of which is markup.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(300) {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '.' | ',' | ':' | '_' | '-' | '@' => {
                out.push(character);
            }
            other => {
                // Writing to a string cannot fail.
                let _ = write!(out, "&#{};", u32::from(other));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_no_markup() {
        assert_eq!(escaped("a<b>\"'&"), "a&#60;b&#62;&#34;&#39;&#38;");
        assert_eq!(escaped(&"x".repeat(1000)).len(), 300);
        let page = refusal(&ProviderLoginError::Refused("<script>".to_owned()));
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert_eq!(page.headers()[CACHE_CONTROL], "no-store");
    }
}
