//! Bytes on their way in: counted, digested, compared with what the uploader said about them.

use crate::quota::Room;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use outfitter_artifacts::{PackageStore, PackageStoreError, PutError, StagedPackage};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

/// Bytes that are durable and are what the uploader said.
pub(crate) struct Received {
    pub(crate) staged: StagedPackage,
    /// Lower-case hex MD5.
    pub(crate) md5: String,
    /// Those checksums that the uploader named.
    pub(crate) checksum: Checksum,
}

/// Headers and trailers that carry a checksum.
const CHECKSUMS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// Stages a body, and refuses it when it differs from what headers and trailers say.
pub(crate) async fn receive(
    packages: &PackageStore,
    headers: &HeaderMap,
    body: Option<StreamingBlob>,
    trailers: Option<TrailingHeaders>,
    room: Room,
) -> S3Result<Received> {
    let announced = announced_trailers(headers);
    let mut hasher = hasher_for(|name| {
        headers.contains_key(name) || announced.iter().any(|trailer| trailer == name)
    });
    let mut md5 = Md5::new();
    let body = body.unwrap_or_else(|| StreamingBlob::from(Body::empty()));
    let bytes = body.inspect_ok(|chunk| {
        md5.update(chunk);
        hasher.update(chunk);
    });
    let staged = packages
        .stage(bytes, room.limit_bytes)
        .await
        .map_err(|error| match (error, room.quota_bytes) {
            (PutError::TooLarge { .. }, Some(quota_bytes)) => quota_exceeded(quota_bytes),
            (error, _) => refusal(error, headers),
        })?;
    let md5 = md5.finalize();
    let checksum = hasher.finalize();

    if let Some(said) = text(headers, "content-md5") {
        let said = STANDARD
            .decode(said)
            .ok()
            .filter(|said| said.len() == md5.len());
        match said {
            None => return Err(S3ErrorCode::InvalidDigest.into()),
            Some(said) if said != md5.as_slice() => return Err(other("Content-MD5")),
            Some(_) => {}
        }
    }
    let trailers = trailers
        .and_then(|trailers| trailers.take())
        .unwrap_or_default();
    for name in CHECKSUMS {
        let said = text(headers, name).or_else(|| text(&trailers, name));
        match (said, value(&checksum, name)) {
            (Some(said), Some(actual)) if said != actual => return Err(other(name)),
            (None, Some(_)) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The announced trailer {name} did not come."
                ));
            }
            _ => {}
        }
    }
    Ok(Received {
        staged,
        md5: hex::encode(md5),
        checksum,
    })
}

/// The uploader said something else about the bytes than they are.
pub(crate) fn other(what: &str) -> S3Error {
    s3_error!(
        BadDigest,
        "The {what} you specified did not match what we received."
    )
}

/// Why staging failed, in the protocol's words.
fn refusal(error: PutError, headers: &HeaderMap) -> S3Error {
    match error {
        PutError::TooLarge { .. } => s3_error!(
            EntityTooLarge,
            "The object exceeds the maximum allowed size."
        ),
        // The protocol crate checks signatures and digests while the body passes; the kind of payload says which.
        PutError::Source(cause) => {
            let kind = text(headers, "x-amz-content-sha256").unwrap_or_default();
            let (code, message) = if kind.starts_with("STREAMING-AWS4") {
                (
                    S3ErrorCode::SignatureDoesNotMatch,
                    "The signature of a chunk does not match, or the body broke off.",
                )
            } else if kind.len() == 64 {
                (
                    S3ErrorCode::BadDigest,
                    "The body does not match x-amz-content-sha256, or it broke off.",
                )
            } else {
                (
                    S3ErrorCode::IncompleteBody,
                    "The body did not come to its end.",
                )
            };
            let mut refused = S3Error::with_message(code, message);
            refused.set_source(cause);
            refused
        }
        PutError::Store(error) => store_failed(&error),
    }
}

/// The packages of the project would take too much: not worth repeating. Source of the code: OBS, error codes.
pub(crate) fn quota_exceeded(quota_bytes: u64) -> S3Error {
    let mut full = S3Error::with_message(
        S3ErrorCode::Custom("InsufficientStorageSpace".into()),
        format!(
            "The packages of the project may take {quota_bytes} bytes, and this does not fit in."
        ),
    );
    full.set_status_code(http::StatusCode::FORBIDDEN);
    full
}

/// A failure of the package store: logged here, told without its details.
pub(crate) fn store_failed(error: &PackageStoreError) -> S3Error {
    if matches!(error, PackageStoreError::DiskFull { .. }) {
        tracing::error!(%error, "an upload found no room");
        let mut full = S3Error::with_message(
            S3ErrorCode::Custom("InsufficientStorage".into()),
            "The package store has no room left.",
        );
        full.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
        return full;
    }
    failed("use the package store", error)
}

/// A failure of ours: logged here, told without its details.
pub(crate) fn failed(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> S3Error {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        chain = format!("{chain}: {cause}");
        next = cause.source();
    }
    tracing::error!(error = chain, "failed: {doing}");
    s3_error!(
        InternalError,
        "We encountered an internal error. Please try again."
    )
}

fn announced_trailers(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all("x-amz-trailer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn hasher_for(wanted: impl Fn(&str) -> bool) -> ChecksumHasher {
    let [crc32, crc32c, crc64nvme, sha1, sha256] = CHECKSUMS.map(wanted);
    ChecksumHasher {
        crc32: crc32.then(Default::default),
        crc32c: crc32c.then(Default::default),
        crc64nvme: crc64nvme.then(Default::default),
        sha1: sha1.then(Default::default),
        sha256: sha256.then(Default::default),
    }
}

fn value<'c>(checksum: &'c Checksum, name: &str) -> Option<&'c str> {
    let [crc32, crc32c, crc64nvme, sha1, sha256] = CHECKSUMS;
    match name {
        _ if name == crc32 => checksum.checksum_crc32.as_deref(),
        _ if name == crc32c => checksum.checksum_crc32c.as_deref(),
        _ if name == crc64nvme => checksum.checksum_crc64nvme.as_deref(),
        _ if name == sha1 => checksum.checksum_sha1.as_deref(),
        _ if name == sha256 => checksum.checksum_sha256.as_deref(),
        _ => None,
    }
}
