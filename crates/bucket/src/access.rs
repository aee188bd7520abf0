//! Who may do what: the one place that lets an operation through.

use std::sync::Arc;

use outfitter_domain::Clock;
use outfitter_domain::app::is_bucket_name;
use percent_encoding::percent_decode_str;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::credential::{Grant, Keys};

/// Header of the session token.
pub(crate) const TOKEN_HEADER: &str = "x-amz-security-token";

/// What a credential may do, and only on its own key. Multipart on a key counts as putting it.
const OPERATIONS: &[&str] = &[
    "PutObject",
    "HeadObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
];

pub(crate) struct Gate {
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.keys.secret_of(access_key) {
            Some(secret) => Ok(SecretKey::from(secret.expose_secret())),
            None => Err(s3_error!(
                InvalidAccessKeyId,
                "The access key does not exist."
            )),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Anonymous access is forbidden."));
        };
        let token = context
            .headers()
            .get(TOKEN_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
            .or_else(|| token_in_query(context.uri().query()?));
        let invalid = || s3_error!(InvalidToken, "The security token is malformed or missing.");
        let (access, grant) = token
            .and_then(|token| self.keys.grant_of(&token))
            .ok_or_else(invalid)?;
        if !bool::from(access.as_bytes().ct_eq(credentials.access_key.as_bytes())) {
            return Err(invalid());
        }
        if self.clock.now() >= grant.expires_at {
            return Err(s3_error!(ExpiredToken, "The security token has expired."));
        }
        let allowed = OPERATIONS.contains(&context.s3_op().name())
            && context.s3_path().as_object().is_some_and(|(bucket, key)| {
                is_bucket_name(bucket, grant.project) && key == grant.object_key
            });
        if !allowed {
            return Err(s3_error!(
                AccessDenied,
                "The credential may put one object and nothing else."
            ));
        }
        context
            .extensions_mut()
            .insert::<Arc<Grant>>(Arc::new(grant));
        Ok(())
    }
}

fn token_in_query(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case(TOKEN_HEADER)
            .then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}

/// The host name whose subdomains are buckets; without one every request is path style.
#[derive(Clone)]
pub(crate) struct Domain(pub(crate) Option<String>);

impl Domain {
    /// The bucket that a `Host` header names.
    pub(crate) fn bucket_of<'h>(&self, host: &'h str) -> Option<&'h str> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let domain = self.0.as_deref()?;
        let (bucket, rest) = name.split_at_checked(name.len().checked_sub(domain.len() + 1)?)?;
        let rest = rest.strip_prefix('.')?;
        (!bucket.is_empty() && rest.eq_ignore_ascii_case(domain)).then_some(bucket)
    }
}

impl S3Host for Domain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket_of(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subdomains_of_the_domain_name_buckets() {
        let domain = Domain(Some("s3.example.com".to_owned()));
        assert_eq!(domain.bucket_of("b1.s3.example.com:8081"), Some("b1"));
        assert_eq!(domain.bucket_of("b1.S3.Example.com"), Some("b1"));
        for host in [
            "s3.example.com",
            "s3.example.com:1",
            "127.0.0.1:1",
            ".s3.example.com",
            "xs3.example.com",
            "example.com",
            "",
            "名名名名名名名名名名",
        ] {
            assert_eq!(domain.bucket_of(host), None, "{host}");
        }
        assert_eq!(Domain(None).bucket_of("b1.s3.example.com"), None);
    }
}
