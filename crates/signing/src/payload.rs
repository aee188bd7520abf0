use sha2::{Digest, Sha256};
use thiserror::Error;

/// Hash of an empty or missing body, lower-case hex.
pub const EMPTY_PAYLOAD_HASH: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Value of `X-Sdk-Content-Sha256` that leaves the body out of the signature.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The body of a request as far as the signature is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// All bytes, exactly as sent; empty when there is no body.
    Bytes(&'a [u8]),
    /// A body with at least one byte that is read only after the signature was verified: it must be unsigned.
    Streamed,
}

/// Why the payload line of the canonical request cannot be decided; to a caller a wrong signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// `UNSIGNED-PAYLOAD` came with JSON, BSON or no content type.
    #[error("an unsigned payload is not accepted for this content type")]
    MustBeSigned,
    /// `X-Sdk-Content-Sha256` is not the hash of the body.
    #[error("X-Sdk-Content-Sha256 is not the hash of the body")]
    HashDiffers,
    /// A streamed body is not marked as unsigned.
    #[error("a streamed body needs X-Sdk-Content-Sha256: {UNSIGNED_PAYLOAD}")]
    StreamMustBeUnsigned,
}

/// Decides the payload line of the canonical request.
///
/// `content_sha256` and `content_type` are the values of `X-Sdk-Content-Sha256` and `Content-Type`.
/// An empty body comes first, whatever the header says; `UNSIGNED-PAYLOAD` counts only with a content type that
/// is not JSON or BSON; any other value must be the real hash. Source: the contract, authentication §2.1.
///
/// # Errors
/// The header's value is not acceptable for this body and content type.
pub fn payload_hash(
    payload: Payload<'_>,
    content_sha256: Option<&[u8]>,
    content_type: Option<&[u8]>,
) -> Result<String, PayloadError> {
    if payload == Payload::Bytes(&[]) {
        return Ok(EMPTY_PAYLOAD_HASH.to_owned());
    }
    let claim = content_sha256.map(<[u8]>::trim_ascii);
    if claim == Some(UNSIGNED_PAYLOAD.as_bytes()) {
        return if may_be_unsigned(content_type) {
            Ok(UNSIGNED_PAYLOAD.to_owned())
        } else {
            Err(PayloadError::MustBeSigned)
        };
    }
    match payload {
        Payload::Streamed => Err(PayloadError::StreamMustBeUnsigned),
        Payload::Bytes(body) => {
            let hash = hex::encode(Sha256::digest(body));
            match claim {
                Some(claim) if claim != hash.as_bytes() => Err(PayloadError::HashDiffers),
                _ => Ok(hash),
            }
        }
    }
}

/// Tells whether a body of this content type may be left out of the signature.
pub(crate) fn may_be_unsigned(content_type: Option<&[u8]>) -> bool {
    content_type.map(<[u8]>::trim_ascii).is_some_and(|value| {
        let starts_with = |prefix: &[u8]| {
            value
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        !value.is_empty() && !starts_with(b"application/json") && !starts_with(b"application/bson")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{}";
    const BODY_HASH: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const JSON: Option<&[u8]> = Some(b"application/json");
    const FORM: Option<&[u8]> = Some(b"multipart/form-data; boundary=xyz");
    const UNSIGNED: Option<&[u8]> = Some(b"UNSIGNED-PAYLOAD");

    #[test]
    fn an_empty_body_comes_first() {
        for claim in [None, UNSIGNED, Some(&b"nonsense"[..])] {
            for content_type in [None, JSON, FORM] {
                assert_eq!(
                    payload_hash(Payload::Bytes(b""), claim, content_type).unwrap(),
                    EMPTY_PAYLOAD_HASH
                );
            }
        }
    }

    #[test]
    fn unsigned_is_for_content_types_other_than_json_only() {
        for content_type in [FORM, Some(b"application/octet-stream"), Some(b"text/plain")] {
            for payload in [Payload::Bytes(BODY), Payload::Streamed] {
                assert_eq!(
                    payload_hash(payload, UNSIGNED, content_type).unwrap(),
                    UNSIGNED_PAYLOAD
                );
            }
        }
        let json_like: [Option<&[u8]>; 6] = [
            None,
            Some(b" "),
            JSON,
            Some(b" Application/JSON"),
            Some(b"application/json; charset=utf-8"),
            Some(b"application/bson"),
        ];
        for content_type in json_like {
            assert_eq!(
                payload_hash(Payload::Bytes(BODY), UNSIGNED, content_type),
                Err(PayloadError::MustBeSigned)
            );
        }
    }

    #[test]
    fn any_other_claim_must_be_the_real_hash() {
        for content_type in [None, JSON, FORM] {
            for claim in [None, Some(BODY_HASH.as_bytes())] {
                assert_eq!(
                    payload_hash(Payload::Bytes(BODY), claim, content_type).unwrap(),
                    BODY_HASH
                );
            }
            for claim in [
                EMPTY_PAYLOAD_HASH,
                "unsigned-payload",
                "",
                &BODY_HASH.to_uppercase(),
            ] {
                assert_eq!(
                    payload_hash(Payload::Bytes(BODY), Some(claim.as_bytes()), content_type),
                    Err(PayloadError::HashDiffers)
                );
            }
        }
    }

    #[test]
    fn a_streamed_body_must_be_unsigned() {
        for claim in [None, Some(BODY_HASH.as_bytes())] {
            assert_eq!(
                payload_hash(Payload::Streamed, claim, FORM),
                Err(PayloadError::StreamMustBeUnsigned)
            );
        }
    }
}
