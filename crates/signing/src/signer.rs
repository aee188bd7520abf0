use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::payload::may_be_unsigned;
use crate::{
    ALGORITHM, CONTENT_SHA256_HEADER, CanonicalError, CanonicalRequest, DATE_HEADER, Payload,
    PayloadError, SECURITY_TOKEN_HEADER, SdkDateError, UNSIGNED_PAYLOAD, format_sdk_date,
    payload_hash, sign,
};

/// Signs requests with one access key, the way the vendor's SDKs do.
#[derive(Debug, Clone)]
pub struct Signer {
    access_key: String,
    secret_key: SecretString,
    security_token: Option<SecretString>,
}

/// A request about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct RequestToSign<'a> {
    /// The method, in any case.
    pub method: &'a str,
    /// Path and query exactly as they will be on the wire.
    pub target: &'a str,
    /// The `Host` as it will be sent, with the port unless it is the scheme's own.
    pub host: &'a str,
    /// The other headers that will be sent as given here, `Content-Type` among them; each is signed unless its
    /// name holds an underscore. None of those that signing makes.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body.
    pub payload: Payload<'a>,
}

/// Why a request could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignError {
    /// The time of signing cannot be written.
    #[error("cannot date the request")]
    Date(#[from] SdkDateError),
    /// The body must be signed and cannot be, or the other way round.
    #[error("cannot sign the body")]
    Payload(#[from] PayloadError),
    /// The headers have no canonical form.
    #[error("cannot bring the request into canonical form")]
    Canonical(#[from] CanonicalError),
}

impl Signer {
    /// Makes a signer for a permanent access key.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<SecretString>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            security_token: None,
        }
    }

    /// Adds the security token that came with a temporary access key.
    #[must_use]
    pub fn with_security_token(mut self, security_token: impl Into<SecretString>) -> Self {
        self.security_token = Some(security_token.into());
        self
    }

    /// Returns the headers to add to the request, names in lower case: `x-sdk-date`, `authorization` and, where
    /// they apply, `x-security-token` and `x-sdk-content-sha256`. Two of the values are secrets: do not log them.
    ///
    /// `now_millis` is the time in milliseconds since 1970, UTC. As in the SDKs, a body whose content type is
    /// neither JSON nor BSON is left unsigned.
    ///
    /// # Errors
    /// The time has no four-digit year, a streamed body has a content type that must be signed, or a header is
    /// given twice.
    pub fn sign(
        &self,
        request: &RequestToSign<'_>,
        now_millis: i64,
    ) -> Result<Vec<(&'static str, String)>, SignError> {
        let content_type = request
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| *value);

        let mut added = vec![(DATE_HEADER, format_sdk_date(now_millis)?)];
        if let Some(token) = &self.security_token {
            added.push((SECURITY_TOKEN_HEADER, token.expose_secret().to_owned()));
        }
        let content_sha256 = may_be_unsigned(content_type).then_some(UNSIGNED_PAYLOAD);
        if let Some(value) = content_sha256 {
            added.push((CONTENT_SHA256_HEADER, value.to_owned()));
        }
        let hash = payload_hash(
            request.payload,
            content_sha256.map(str::as_bytes),
            content_type,
        )?;

        let headers: Vec<(&str, &[u8])> = request
            .headers
            .iter()
            .copied()
            .filter(|(name, _)| !name.contains('_'))
            .chain([("host", request.host.as_bytes())])
            .chain(added.iter().map(|(name, value)| (*name, value.as_bytes())))
            .collect();
        let mut signed_headers: Vec<String> = headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        signed_headers.sort();

        let canonical = CanonicalRequest::new(
            request.method,
            request.target,
            headers.iter().copied(),
            &signed_headers,
            &hash,
        )?;
        let signature = sign(
            self.secret_key.expose_secret().as_bytes(),
            &canonical.string_to_sign(),
        );
        added.push((
            "authorization",
            format!(
                "{ALGORITHM} Access={}, SignedHeaders={}, Signature={signature}",
                self.access_key,
                signed_headers.join(";"),
            ),
        ));
        Ok(added)
    }
}
