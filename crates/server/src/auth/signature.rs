//! Requests signed with an access key: SDK-HMAC-SHA256 (contract, `auth.md`, section 2).

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use outfitter_signing::{
    CONTENT_SHA256_HEADER, CanonicalRequest, ParsedAuthorization, Payload, SECURITY_TOKEN_HEADER,
    date_is_fresh, parse_sdk_date, payload_hash, verify,
};
use outfitter_store::SigningKey;
use secrecy::ExposeSecret as _;

use super::state::ACCESS_KEY_PURPOSE;
use super::{AuthBody, AuthRefusal, AuthRequest};
use crate::services::Services;

/// Verifies the signature in an `Authorization` header; answers whose it is.
pub(super) async fn authenticate(
    services: &Services,
    request: &AuthRequest<'_>,
    authorization: &HeaderValue,
) -> Result<SigningKey, AuthRefusal> {
    let authorization = authorization
        .to_str()
        .ok()
        .and_then(|text| ParsedAuthorization::parse(text).ok())
        .ok_or(AuthRefusal::WrongSignature)?;
    let now = services.clock.now();
    let key = services
        .store
        .db()
        .signing_key(&authorization.access_key)
        .await?
        .filter(|key| key.access_key.enabled)
        .ok_or_else(|| AuthRefusal::unknown_access_key(&authorization.access_key))?;
    let auth = &services.auth;
    if auth
        .lockout
        .is_locked(key.access_key.key, request.source, now)
    {
        return Err(AuthRefusal::LockedAccessKey);
    }
    let canonical = canonical(request, &authorization).ok_or(AuthRefusal::WrongSignature)?;
    let secret = auth
        .sealer()
        .open(
            ACCESS_KEY_PURPOSE,
            &key.access_key.access,
            &key.secret_sealed,
        )
        .map_err(AuthRefusal::Sealed)?;
    if !verify(
        secret.expose_secret(),
        &canonical.string_to_sign(),
        &authorization.signature,
    ) {
        auth.lockout.wrong(key.access_key.key, request.source, now);
        return Err(AuthRefusal::WrongSignature);
    }
    // Only now: a clock that is off must not lock out a key that signs rightly.
    let fresh = parse_sdk_date(canonical.sdk_date())
        .is_ok_and(|signed_at| date_is_fresh(signed_at, now.get()));
    // A security token belongs to a temporary key, and none of ours is one.
    let permanent = request
        .headers
        .get(SECURITY_TOKEN_HEADER)
        .is_none_or(HeaderValue::is_empty);
    if !fresh || !permanent {
        return Err(AuthRefusal::WrongSignature);
    }
    auth.lockout.right(key.access_key.key, request.source);
    if !key.user.enabled {
        return Err(AuthRefusal::DisabledUser);
    }
    auth.note_use(key.access_key.key, now);
    Ok(key)
}

/// What was signed; `None` where the request cannot have been signed this way.
fn canonical(
    request: &AuthRequest<'_>,
    authorization: &ParsedAuthorization,
) -> Option<CanonicalRequest> {
    let header = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
    let payload = match request.body {
        AuthBody::Buffered(bytes) => Payload::Bytes(bytes),
        AuthBody::Streamed => Payload::Streamed,
    };
    let hash = payload_hash(
        payload,
        header(CONTENT_SHA256_HEADER),
        header(CONTENT_TYPE.as_str()),
    )
    .ok()?;
    CanonicalRequest::new(
        request.method.as_str(),
        request.path_and_query,
        request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
        &authorization.signed_headers,
        &hash,
    )
    .ok()
}
