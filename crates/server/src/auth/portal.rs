//! Sessions of end users: a cookie and a token of their own, good for portal routes and nothing else.
//!
//! **Guarantees.** Neither the cookie nor the token of an end user counts where an IAM credential is wanted, nor the other
//! way round: the cookie has another name, the token another form. Who the user is, and whether they are disabled, is
//! read anew at each call. A session that was opened at a desktop is good for that desktop alone. See docs/adr/0025-end-users.md.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use outfitter_domain::Millis;
use outfitter_ids::{DesktopId, ProjectId, UserId};
use outfitter_store::EndUser;
use uuid::Uuid;

use super::session::{self, CookieTransport};
use super::state::Auth;
use super::{AuthRefusal, check_origin, token};
use crate::http::ApiError;
use crate::secrets::SecretBytes;
use crate::services::Services;

/// Name of the cookie.
pub const COOKIE_NAME: &str = "outfitter_portal";

/// Nothing else is asked with it.
const COOKIE_PATH: &str = "/api/v1/";

/// First byte; tokens of IAM users have another.
const VERSION: u8 = 2;

/// Length before the MAC: version, where it is good, three ids, two instants.
const CLAIM_BYTES: usize = 2 + 3 * 16 + 2 * 8;

/// What the token of an end user's session says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortalClaims {
    /// Whose it is.
    pub user: UserId,
    /// The project whose directory knows the user.
    pub project: ProjectId,
    /// The desktop it is good for; `None`: all of the user's.
    pub desktop: Option<DesktopId>,
    /// Since when.
    pub issued_at: Millis,
    /// Until when, exclusive.
    pub expires_at: Millis,
}

/// An end user who calls, and where they may act.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The user, as they are now.
    pub user: EndUser,
    /// The desktop they may act on; `None`: all of theirs.
    pub desktop: Option<DesktopId>,
    /// The session.
    pub claims: PortalClaims,
    /// Where the call came from.
    pub source: IpAddr,
}

impl Auth {
    /// Begins a session of an end user, on one desktop or on all of theirs.
    pub fn begin_portal_session(
        &self,
        user: &EndUser,
        desktop: Option<DesktopId>,
        now: Millis,
    ) -> PortalClaims {
        PortalClaims {
            user: user.user_id,
            project: user.project_id,
            desktop,
            issued_at: now,
            expires_at: now.plus(session::IDLE),
        }
    }

    /// Lets a session live on from now, at most until its user has to come in again.
    pub fn renew_portal_session(&self, claims: PortalClaims, now: Millis) -> PortalClaims {
        let end = claims.issued_at.plus(session::LIFETIME);
        PortalClaims {
            expires_at: now.plus(session::IDLE).min(end),
            ..claims
        }
    }

    /// `Set-Cookie` of a session.
    pub fn portal_cookie(
        &self,
        claims: &PortalClaims,
        now: Millis,
        transport: CookieTransport,
    ) -> HeaderValue {
        let text = encode(claims, &self.token_key);
        cookie(&text, claims.expires_at.since(now), transport)
    }

    /// `Set-Cookie` that takes a session's cookie away.
    pub fn no_portal_cookie(&self, transport: CookieTransport) -> HeaderValue {
        cookie("", Duration::ZERO, transport)
    }
}

fn cookie(text: &str, age: Duration, transport: CookieTransport) -> HeaderValue {
    session::set_cookie((COOKIE_NAME, COOKIE_PATH, "Strict"), text, age, transport)
}

/// Judges the session of a request.
///
/// # Errors
/// 401 without a session that counts, 403 when something else than one is shown, or a page of another origin calls.
pub(crate) async fn authenticate(
    services: &Services,
    method: &Method,
    headers: &HeaderMap,
    source: IpAddr,
) -> Result<Visitor, ApiError> {
    let Some(text) = session::cookie_of(headers, COOKIE_NAME) else {
        let shows = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
        let shows_another = shows("x-auth-token")
            || shows(AUTHORIZATION.as_str())
            || session::of_request(headers).is_some();
        return Err(if shows_another {
            ApiError::Forbidden {
                reason: "the portal is for end users: it wants a session of theirs".to_owned(),
            }
        } else {
            AuthRefusal::NoCredential.into()
        });
    };
    check_origin(method, headers)?;
    let Some(claims) = decode(text.as_bytes(), &services.auth.token_key) else {
        services.edge.wrong_credential_from(source);
        return Err(AuthRefusal::DamagedToken.into());
    };
    if services.clock.now() >= claims.expires_at {
        return Err(AuthRefusal::ExpiredToken {
            expires_at: claims.expires_at,
        }
        .into());
    }
    let user = services
        .store
        .db()
        .end_user_find(claims.project, claims.user)
        .await?
        .ok_or(AuthRefusal::DamagedToken)?;
    if !user.enabled {
        return Err(AuthRefusal::DisabledUser.into());
    }
    Ok(Visitor {
        user,
        desktop: claims.desktop,
        claims,
        source,
    })
}

fn encode(claims: &PortalClaims, key: &SecretBytes) -> String {
    let mut bytes = Vec::with_capacity(CLAIM_BYTES + 32);
    bytes.extend_from_slice(&[VERSION, if claims.desktop.is_some() { b'd' } else { b'u' }]);
    bytes.extend_from_slice(claims.user.uuid().as_bytes());
    bytes.extend_from_slice(claims.project.uuid().as_bytes());
    let desktop = claims.desktop.map_or_else(Uuid::nil, DesktopId::uuid);
    bytes.extend_from_slice(desktop.as_bytes());
    bytes.extend_from_slice(&claims.issued_at.get().to_be_bytes());
    bytes.extend_from_slice(&claims.expires_at.get().to_be_bytes());
    let tag = token::tag(key, &bytes);
    bytes.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token that one of our servers made; `None` for every other text. Does not look at the times.
fn decode(text: &[u8], key: &SecretBytes) -> Option<PortalClaims> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (claims, tag) = bytes.split_at_checked(CLAIM_BYTES)?;
    token::verify(key, claims, tag)?;
    let (&[version, reach], rest) = claims.split_first_chunk()?;
    let (user, rest) = rest.split_first_chunk()?;
    let (project, rest) = rest.split_first_chunk()?;
    let (desktop, rest) = rest.split_first_chunk()?;
    let (issued_at, rest) = rest.split_first_chunk()?;
    let (expires_at, _) = rest.split_first_chunk()?;
    Some(PortalClaims {
        user: Uuid::from_bytes(*user).into(),
        project: Uuid::from_bytes(*project).into(),
        desktop: match reach {
            _ if version != VERSION => return None,
            b'd' => Some(Uuid::from_bytes(*desktop).into()),
            b'u' => None,
            _ => return None,
        },
        issued_at: Millis::new(i64::from_be_bytes(*issued_at)),
        expires_at: Millis::new(i64::from_be_bytes(*expires_at)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_reads_back_under_its_key_and_is_no_token_of_an_iam_user() {
        let key = |byte: u8| SecretBytes::from(vec![byte; 32]);
        for desktop in [None, Some(Uuid::from_u128(7).into())] {
            let claims = PortalClaims {
                user: Uuid::from_u128(8).into(),
                project: Uuid::from_u128(9).into(),
                desktop,
                issued_at: Millis::new(1),
                expires_at: Millis::new(2),
            };
            let text = encode(&claims, &key(1));
            assert_eq!(decode(text.as_bytes(), &key(1)), Some(claims));
            assert_eq!(decode(text.as_bytes(), &key(2)), None);
            assert_eq!(token::decode(text.as_bytes(), &key(1)), None);
            let cut = &text.as_bytes()[..text.len() - 2];
            assert_eq!(decode(cut, &key(1)), None);
        }
        let iam = token::encode(
            &token::TokenClaims {
                user: Uuid::from_u128(8).into(),
                scope: token::TokenScope::Project(Uuid::from_u128(9).into()),
                method: token::TokenMethod::Session,
                issued_at: Millis::new(1),
                expires_at: Millis::new(2),
            },
            &key(1),
        );
        assert_eq!(decode(iam.as_bytes(), &key(1)), None);
    }
}
