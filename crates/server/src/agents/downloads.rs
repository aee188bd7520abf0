//! `GET /packages/{sha256}`: package bytes for the agent whose open attempt names them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};
use outfitter_artifacts::{PackageStoreError, Sha256Digest};
use tokio_util::io::ReaderStream;

use super::peer::{Standing, identify};
use super::refusal::Refusal;
use crate::listen::PeerCertificate;
use crate::services::Services;

/// Bytes read at once: what one download holds in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// Sends a package, or the part asked for.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn download(
    State(services): State<Arc<Services>>,
    Extension(certificate): Extension<PeerCertificate>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (holder, standing) = identify(&services, &certificate).await?;
    if standing == Standing::RenewOnly {
        return Err(Refusal::forbidden(
            "certificate_expired",
            "the agent's certificate has expired; it renews over the channel first",
        ));
    }
    let unknown = || {
        Refusal::not_found(
            "package_unknown",
            "no open attempt of this desktop needs such a package",
        )
    };
    let digest: Sha256Digest = sha256.parse().map_err(|_| unknown())?;
    let needed = services
        .store
        .db()
        .attempt_needs_package(holder.desktop, &digest.to_string())
        .await
        .map_err(|error| Refusal::busy("look an attempt's package up", &error))?;
    if !needed {
        return Err(unknown());
    }
    let failed = |error| match error {
        PackageStoreError::NotFound { .. } => Refusal::not_found(
            "package_missing",
            "the package's bytes are not in the store any more",
        ),
        other => Refusal::busy("read a package", &other),
    };
    let size = services
        .packages
        .size(&digest)
        .await
        .map_err(failed)?
        .ok_or_else(|| {
            Refusal::not_found(
                "package_missing",
                "the package's bytes are not in the store any more",
            )
        })?;
    let tag = format!("\"{digest}\"");
    // A range holds only for the bytes the agent has begun with; content under a digest never changes.
    let fits = headers
        .get(IF_RANGE)
        .is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let range = headers
        .get(RANGE)
        .filter(|_| fits)
        .and_then(|value| value.to_str().ok())
        .map(|text| wanted(text, size));
    let (status, range) = match range {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => {
            return Ok((
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(CONTENT_RANGE, format!("bytes */{size}"))],
            )
                .into_response());
        }
    };
    let reader = services
        .packages
        .open_range(&digest, range.clone())
        .await
        .map_err(failed)?;
    let mut response =
        Body::from_stream(ReaderStream::with_capacity(reader, CHUNK_BYTES)).into_response();
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(CONTENT_LENGTH, (range.end - range.start).into());
    for (name, value) in [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, tag),
    ] {
        answer.insert(name, value.parse().expect("the texts are ASCII"));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        answer.insert(CONTENT_RANGE, text.parse().expect("the text is ASCII"));
    }
    Ok(response)
}

/// The one range agents ask for, half open. `None` when nothing of it exists.
fn wanted(header: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let ranges = http_range_header::parse_range_header(header)
        .ok()?
        .validate(size)
        .ok()?;
    match ranges.as_slice() {
        [one] => Some(*one.start()..one.end() + 1),
        _ => None,
    }
}
