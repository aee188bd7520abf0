//! SDK-HMAC-SHA256, the request signature of the vendor's SDKs: canonical form, signing, verification.
//!
//! Nothing here reads a clock, does I/O or knows an HTTP library. A server verifies with
//! [`ParsedAuthorization`], [`payload_hash`] and [`CanonicalRequest`]; a client signs with [`Signer`].
//! Source of every rule: the contract's chapter on authentication, section 2.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod authorization;
mod canonical;
mod date;
mod payload;
mod signature;
mod signer;

pub use authorization::{AuthorizationError, ParsedAuthorization};
pub use canonical::{CanonicalError, CanonicalRequest};
pub use date::{
    MAX_CLOCK_SKEW_MILLIS, SdkDateError, date_is_fresh, format_sdk_date, parse_sdk_date,
};
pub use payload::{EMPTY_PAYLOAD_HASH, Payload, PayloadError, UNSIGNED_PAYLOAD, payload_hash};
pub use signature::{sign, verify};
pub use signer::{RequestToSign, SignError, Signer};

/// The algorithm's name: scheme of `Authorization` and first line of the string to sign.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// Header with the time of signing, lower case; the one header that must be signed.
pub const DATE_HEADER: &str = "x-sdk-date";

/// Header that replaces the body's hash, lower case.
pub const CONTENT_SHA256_HEADER: &str = "x-sdk-content-sha256";

/// Header with the token that belongs to a temporary access key, lower case.
pub const SECURITY_TOKEN_HEADER: &str = "x-security-token";
