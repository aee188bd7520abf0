use thiserror::Error;

use crate::ALGORITHM;

/// Algorithms that SDKs know and this product refuses. Source: the contract, authentication §2.4.
const OTHER_ALGORITHMS: [&str; 4] = [
    "SDK-HMAC-SM3",
    "SDK-ECDSA-P256-SHA256",
    "SDK-SM2-SM3",
    "V11-HMAC-SHA256",
];

/// The members of an `Authorization` header of scheme SDK-HMAC-SHA256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedAuthorization {
    /// The access key (AK) that names the caller; not a secret.
    pub access_key: String,
    /// Names of the signed headers in the order given, lower case.
    pub signed_headers: Vec<String>,
    /// The signature as sent; compare it with [`verify`](crate::verify) only.
    pub signature: String,
}

/// Why an `Authorization` header could not be read as an SDK-HMAC-SHA256 signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthorizationError {
    /// A signature algorithm of the SDKs that is not supported.
    #[error("signature algorithm {algorithm} is not supported; use {ALGORITHM}")]
    OtherAlgorithm {
        /// The algorithm's name.
        algorithm: &'static str,
    },
    /// A scheme that is no SDK signature at all, such as `Basic`. The text is not repeated: it may hold a secret.
    #[error("the Authorization header is not an {ALGORITHM} signature")]
    OtherScheme,
    /// A needed member is absent or empty.
    #[error("the Authorization header lacks {name}")]
    Missing {
        /// `Access`, `SignedHeaders` or `Signature`.
        name: &'static str,
    },
    /// A member occurs twice.
    #[error("the Authorization header has {name} twice")]
    Repeated {
        /// `Access`, `SignedHeaders` or `Signature`.
        name: &'static str,
    },
}

impl ParsedAuthorization {
    /// Reads the value of an `Authorization` header: the scheme word, then comma separated `name=value`
    /// with optional spaces, in any order; unknown members are passed over.
    ///
    /// # Errors
    /// Another algorithm or scheme, a member missing, empty or given twice.
    pub fn parse(value: &str) -> Result<Self, AuthorizationError> {
        let value = value.trim();
        let (scheme, members) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case(ALGORITHM) {
            let other = OTHER_ALGORITHMS
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(scheme));
            return Err(match other {
                Some(algorithm) => AuthorizationError::OtherAlgorithm { algorithm },
                None => AuthorizationError::OtherScheme,
            });
        }
        let access_key = member(members, "Access")?;
        let signed_headers = member(members, "SignedHeaders")?;
        let signature = member(members, "Signature")?;
        Ok(Self {
            access_key: access_key.to_owned(),
            signed_headers: signed_headers
                .split(';')
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect(),
            signature: signature.to_owned(),
        })
    }
}

fn member<'a>(members: &'a str, name: &'static str) -> Result<&'a str, AuthorizationError> {
    let mut values = members
        .split(',')
        .filter_map(|member| member.split_once('='))
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim());
    let value = values.next().unwrap_or_default();
    if values.next().is_some() {
        return Err(AuthorizationError::Repeated { name });
    }
    if value.is_empty() {
        return Err(AuthorizationError::Missing { name });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> ParsedAuthorization {
        ParsedAuthorization {
            access_key: "AK1".into(),
            signed_headers: vec!["host".into(), "x-sdk-date".into()],
            signature: "00ff".into(),
        }
    }

    #[test]
    fn spaces_order_case_and_unknown_members_do_not_matter() {
        for text in [
            "SDK-HMAC-SHA256 Access=AK1, SignedHeaders=host;x-sdk-date, Signature=00ff",
            "SDK-HMAC-SHA256 Access=AK1,SignedHeaders=host;x-sdk-date,Signature=00ff",
            "  sdk-hmac-sha256   Signature = 00ff ,  access= AK1 ,SignedHeaders=Host;X-Sdk-Date;  ",
            "SDK-HMAC-SHA256\tAccess=AK1, Extra=1, SignedHeaders=host; x-sdk-date, Signature=00ff,",
        ] {
            assert_eq!(
                ParsedAuthorization::parse(text).unwrap(),
                expected(),
                "{text}"
            );
        }
    }

    #[test]
    fn header_order_is_kept_as_sent() {
        let parsed = ParsedAuthorization::parse(
            "SDK-HMAC-SHA256 Access=a, SignedHeaders=z;b;a, Signature=s",
        )
        .unwrap();
        assert_eq!(parsed.signed_headers, ["z", "b", "a"]);
    }

    #[test]
    fn other_algorithms_are_named_and_other_schemes_are_not_repeated() {
        for algorithm in OTHER_ALGORITHMS {
            let text = format!("{algorithm} Credential=a/b/c/d, SignedHeaders=host, Signature=s");
            assert_eq!(
                ParsedAuthorization::parse(&text),
                Err(AuthorizationError::OtherAlgorithm { algorithm })
            );
        }
        for text in [
            "Basic c2VjcmV0",
            "Bearer secret",
            "",
            "   ",
            "SDK-HMAC-SHA256Access=a",
        ] {
            let error = ParsedAuthorization::parse(text).unwrap_err();
            assert_eq!(error, AuthorizationError::OtherScheme, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn missing_empty_and_repeated_members_are_refused() {
        for (text, error) in [
            (
                "SDK-HMAC-SHA256",
                AuthorizationError::Missing { name: "Access" },
            ),
            (
                "SDK-HMAC-SHA256 Access=, SignedHeaders=a, Signature=b",
                AuthorizationError::Missing { name: "Access" },
            ),
            (
                "SDK-HMAC-SHA256 Access=a, Signature=b",
                AuthorizationError::Missing {
                    name: "SignedHeaders",
                },
            ),
            (
                "SDK-HMAC-SHA256 Access=a, SignedHeaders=b",
                AuthorizationError::Missing { name: "Signature" },
            ),
            (
                "SDK-HMAC-SHA256 Access=a, Access=c, SignedHeaders=b, Signature=d",
                AuthorizationError::Repeated { name: "Access" },
            ),
        ] {
            assert_eq!(ParsedAuthorization::parse(text), Err(error), "{text}");
        }
    }
}
