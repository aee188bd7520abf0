//! Browser sessions: one more kind of credential, in a cookie that scripts cannot read.
//!
//! **Guarantees.** A session is a token of its own form (`token.rs`): it counts in the cookie only, a token counts
//! in its header only. A password that was changed or a user that was disabled ends the sessions with the next
//! call. A call that changes something counts only with the header [`GUARD`], which a page of another origin
//! cannot send without asking us first; and browsers that say from where a call comes are believed.
//! **Does not** remember sessions: logging out takes the cookie away, nothing else. See ADR 7.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::AuthRefusal;

/// Longest time from login to the next login. Ours: a working day with its breaks.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Longest time between two renewals; the console renews while somebody uses it. Ours: a long lunch.
pub(super) const IDLE: Duration = Duration::from_secs(60 * 60);

/// Name of the cookie.
pub(super) const COOKIE_NAME: &str = "outfitter_session";

/// Header that every changing call of a session carries, with any value.
pub const GUARD: HeaderName = HeaderName::from_static("x-outfitter-console");

/// Whether the cookie may travel without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieTransport {
    /// Only over HTTPS.
    Secure,
    /// Over HTTP too: the server itself is reached that way.
    Plain,
}

impl CookieTransport {
    /// What an endpoint of ours calls for.
    pub fn of(endpoint: &str) -> Self {
        if endpoint.starts_with("https:") {
            Self::Secure
        } else {
            Self::Plain
        }
    }
}

/// The text of the session in a request's cookies.
pub(super) fn of_request(headers: &HeaderMap) -> Option<&str> {
    cookie_of(headers, COOKIE_NAME)
}

/// The text of a cookie in a request.
pub(crate) fn cookie_of<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == wanted && !value.is_empty())
        .map(|(_, value)| value)
}

/// Whether a call comes from a page of ours.
///
/// # Errors
/// [`AuthRefusal::ForeignPage`] when it may come from another.
pub fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), AuthRefusal> {
    let site = headers
        .get("sec-fetch-site")
        .map_or(&b"same-origin"[..], HeaderValue::as_bytes);
    let is_ours = matches!(site, b"same-origin" | b"none");
    if is_ours && (method.is_safe() || headers.contains_key(GUARD)) {
        Ok(())
    } else {
        Err(AuthRefusal::ForeignPage)
    }
}

/// The header that sets the session's cookie for `age`; an empty text with no age takes it away.
pub(super) fn cookie(text: &str, age: Duration, transport: CookieTransport) -> HeaderValue {
    set_cookie((COOKIE_NAME, "/", "Strict"), text, age, transport)
}

/// The header that sets a cookie that comes along when another site sends the browser back to `path`; an empty text
/// with no age takes it away.
pub(crate) fn login_cookie(
    name: &str,
    path: &str,
    text: &str,
    age: Duration,
    transport: CookieTransport,
) -> HeaderValue {
    set_cookie((name, path, "Lax"), text, age, transport)
}

pub(super) fn set_cookie(
    (name, path, same_site): (&str, &str, &str),
    text: &str,
    age: Duration,
    transport: CookieTransport,
) -> HeaderValue {
    let secure = match transport {
        CookieTransport::Secure => "; Secure",
        CookieTransport::Plain => "",
    };
    let age = age.as_secs();
    let mut value = HeaderValue::try_from(format!(
        "{name}={text}; Path={path}; HttpOnly; SameSite={same_site}; Max-Age={age}{secure}"
    ))
    .expect("a cookie's text is base64");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let found = |text| of_request(&headers(&[("cookie", text)])).map(str::to_owned);
        assert_eq!(
            found("a=1; outfitter_session=x_-; b=2").as_deref(),
            Some("x_-")
        );
        assert_eq!(found("outfitter_session="), None);
        assert_eq!(found("other_outfitter_session=x"), None);
        assert_eq!(of_request(&HeaderMap::new()), None);
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let guarded = ("x-outfitter-console", "1");
        let ours = ("sec-fetch-site", "same-origin");
        let theirs = ("sec-fetch-site", "cross-site");
        let beside = ("sec-fetch-site", "same-site");
        let ok = |method, pairs: &[_]| check_origin(&method, &headers(pairs)).is_ok();
        assert!(ok(Method::GET, &[]));
        assert!(ok(Method::GET, &[ours]));
        assert!(!ok(Method::GET, &[theirs]));
        assert!(!ok(Method::POST, &[ours]));
        assert!(ok(Method::POST, &[guarded]));
        assert!(ok(Method::DELETE, &[ours, guarded]));
        assert!(!ok(Method::POST, &[theirs, guarded]));
        assert!(!ok(Method::POST, &[beside, guarded]));
    }
}
