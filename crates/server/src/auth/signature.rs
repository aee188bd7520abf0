//! Requests signed with an access key: SDK-HMAC-SHA256 (contract, `auth.md`, section 2).

use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use outfitter_domain::Millis;
use outfitter_domain::iam::PolicyDocument;
use outfitter_signing::{
    CONTENT_SHA256_HEADER, CanonicalRequest, ParsedAuthorization, Payload, SECURITY_TOKEN_HEADER,
    date_is_fresh, parse_sdk_date, payload_hash, verify,
};
use outfitter_store::{AccessKeyKey, IamUser};
use secrecy::ExposeSecret as _;

use super::state::ACCESS_KEY_PURPOSE;
use super::temporary::{ClaimedScope, TEMPORARY_PREFIX};
use super::{AuthBody, AuthRefusal, AuthRequest, Scope};
use crate::secrets::SecretBytes;
use crate::services::Services;

/// Who signed.
pub(super) struct Signatory {
    pub(super) access: String,
    pub(super) user: IamUser,
    pub(super) scope: Scope,
    pub(super) session: Option<Arc<PolicyDocument>>,
    secret: SecretBytes,
    kind: KeyKind,
}

enum KeyKind {
    Permanent(AccessKeyKey),
    Temporary {
        issued_at: Millis,
        expires_at: Millis,
    },
}

/// Verifies the signature in an `Authorization` header; answers whose it is.
pub(super) async fn authenticate(
    services: &Services,
    request: &AuthRequest<'_>,
    authorization: &HeaderValue,
) -> Result<Signatory, AuthRefusal> {
    let authorization = authorization
        .to_str()
        .ok()
        .and_then(|text| ParsedAuthorization::parse(text).ok())
        .ok_or(AuthRefusal::WrongSignature)?;
    let now = services.clock.now();
    let security_token = request
        .headers
        .get(SECURITY_TOKEN_HEADER)
        .filter(|value| !value.is_empty());
    let signatory = match security_token {
        None => permanent(services, &authorization.access_key).await?,
        Some(token) => temporary(services, &authorization.access_key, token).await?,
    };
    let auth = &services.auth;
    if auth
        .lockout
        .is_locked(&signatory.access, request.source, now)
    {
        return Err(AuthRefusal::LockedAccessKey);
    }
    let canonical = canonical(request, &authorization).ok_or(AuthRefusal::WrongSignature)?;
    if !verify(
        signatory.secret.expose_secret(),
        &canonical.string_to_sign(),
        &authorization.signature,
    ) {
        auth.lockout.wrong(&signatory.access, request.source, now);
        return Err(AuthRefusal::WrongSignature);
    }
    // Only now: a clock that is off must not lock out a key that signs rightly.
    if !parse_sdk_date(canonical.sdk_date())
        .is_ok_and(|signed_at| date_is_fresh(signed_at, now.get()))
    {
        return Err(AuthRefusal::WrongSignature);
    }
    auth.lockout.right(&signatory.access, request.source);
    if let KeyKind::Temporary {
        issued_at,
        expires_at,
    } = signatory.kind
    {
        if now >= expires_at {
            return Err(AuthRefusal::ExpiredToken { expires_at });
        }
        if issued_at < signatory.user.tokens_valid_from {
            return Err(AuthRefusal::RevokedToken);
        }
    }
    if !signatory.user.enabled {
        return Err(AuthRefusal::DisabledUser);
    }
    if let KeyKind::Permanent(key) = signatory.kind {
        auth.note_use(key, now);
    }
    Ok(signatory)
}

async fn permanent(services: &Services, access: &str) -> Result<Signatory, AuthRefusal> {
    let key = services
        .store
        .db()
        .signing_key(access)
        .await?
        .filter(|key| key.access_key.enabled)
        .ok_or_else(|| {
            if access.starts_with(TEMPORARY_PREFIX) {
                // A temporary key without its security token.
                AuthRefusal::WrongSignature
            } else {
                AuthRefusal::unknown_access_key(access)
            }
        })?;
    let secret = services
        .auth
        .sealer()
        .open(
            ACCESS_KEY_PURPOSE,
            &key.access_key.access,
            &key.secret_sealed,
        )
        .map_err(AuthRefusal::Sealed)?;
    Ok(Signatory {
        access: key.access_key.access,
        user: key.user,
        scope: Scope::Domain,
        session: None,
        secret,
        kind: KeyKind::Permanent(key.access_key.key),
    })
}

async fn temporary(
    services: &Services,
    access: &str,
    token: &HeaderValue,
) -> Result<Signatory, AuthRefusal> {
    let claims = services
        .auth
        .open_security_token(access, token.as_bytes())
        .ok_or(AuthRefusal::WrongSignature)?;
    let db = services.store.db();
    let user = db
        .iam_user_by_id(claims.user.into())
        .await?
        .ok_or(AuthRefusal::WrongSignature)?;
    let scope = match claims.scope {
        ClaimedScope::Domain(id) if id == user.domain.id.uuid() => Scope::Domain,
        ClaimedScope::Domain(_) => return Err(AuthRefusal::WrongSignature),
        ClaimedScope::Project(id) => {
            let project = db
                .project_by_id(user.domain.key, id.into())
                .await?
                .ok_or(AuthRefusal::WrongSignature)?;
            Scope::Project(project.key, project.id)
        }
    };
    Ok(Signatory {
        access: access.to_owned(),
        user,
        scope,
        session: claims.policy,
        secret: SecretBytes::from(claims.secret.into_bytes()),
        kind: KeyKind::Temporary {
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        },
    })
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
