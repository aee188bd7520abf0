//! `GET /packages/{sha256}`: package bytes for the agent whose open attempt names them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};
use outfitter_artifacts::{PackageReader, PackageStoreError, Sha256Digest};
use outfitter_store::DesktopKey;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, Turn};
use super::peer::{Standing, identify};
use super::refusal::Refusal;
use crate::listen::PeerCertificate;
use crate::services::Services;

/// Longest time in which a peer may take no byte: then its place goes to others.
const STALL_LIMIT: Duration = Duration::from_secs(60);

/// Sends a package, or the part asked for, when it is the desktop's turn.
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
    let place = Place::ask(&services, holder.desktop)?;
    let reader = services
        .packages
        .open_range(&digest, range.clone())
        .await
        .map_err(failed)?;
    let (pieces, sent) = mpsc::channel(1);
    tokio::spawn(send(place, reader, pieces));
    let body = stream::unfold(sent, async |mut sent| {
        let piece: io::Result<Bytes> = sent.recv().await?;
        Some((piece, sent))
    });
    let mut response = Body::from_stream(body).into_response();
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

/// A place among the downloads; free again when this is dropped.
struct Place {
    services: Arc<Services>,
    desktop: DesktopKey,
    visit: u64,
    taken_over: CancellationToken,
    since: Instant,
}

impl Place {
    fn ask(services: &Arc<Services>, desktop: DesktopKey) -> Result<Self, Refusal> {
        match services.downloads.ask(desktop) {
            Turn::Now { visit, taken_over } => Ok(Self {
                services: Arc::clone(services),
                desktop,
                visit,
                taken_over,
                since: Instant::now(),
            }),
            Turn::Later { wait_secs, ahead } => Err(Refusal::queued(wait_secs, ahead)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let lasted = self.since.elapsed();
        let downloads = &self.services.downloads;
        downloads.leave(self.desktop, self.visit, lasted);
    }
}

/// Hands the pieces of a package to its connection, no faster than they may go. Ends when the connection does, when
/// it takes nothing for too long, when the desktop comes again, and with the server.
async fn send(place: Place, reader: PackageReader, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let shutdown = place.services.shutdown.clone();
    tokio::select! {
        () = send_pieces(&place, reader, &pieces) => {}
        () = pieces.closed() => {}
        () = place.taken_over.cancelled() => cut(&pieces),
        () = shutdown.cancelled() => cut(&pieces),
    }
}

/// Tells the connection, where it listens, that the rest does not come: the agent goes on from there later.
fn cut(pieces: &mpsc::Sender<io::Result<Bytes>>) {
    drop(pieces.try_send(Err(io::ErrorKind::ConnectionAborted.into())));
}

async fn send_pieces(
    place: &Place,
    mut reader: PackageReader,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) {
    let services = &place.services;
    let mut pace = Pace::default();
    loop {
        let rates = services.downloads.rates(services.clock.now());
        let mut piece = BytesMut::with_capacity(services.downloads.piece_bytes(rates));
        let piece = match reader.read_buf(&mut piece).await {
            Ok(0) => return,
            Ok(_) => Ok(piece.freeze()),
            Err(error) => Err(error),
        };
        let bytes = piece.as_ref().map_or(0, Bytes::len);
        sleep(services.downloads.wait(bytes, rates, &mut pace)).await;
        match timeout(STALL_LIMIT, pieces.send(piece)).await {
            Ok(Ok(())) if bytes > 0 => {}
            _ => return,
        }
    }
}

/// The one range agents ask for, half open. `None` when nothing of it exists.
pub(super) fn wanted(header: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let ranges = http_range_header::parse_range_header(header)
        .ok()?
        .validate(size)
        .ok()?;
    match ranges.as_slice() {
        [one] => Some(*one.start()..one.end() + 1),
        _ => None,
    }
}
