//! Bodies that are read whole, before anything is known of the caller: bounded in size, time and sum.

use std::error::Error as StdError;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{ApiError, GatewayError};

/// Largest JSON body, in bytes. Source: contract, decision 24.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Longest time a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(60);

/// Bytes of bodies that all requests of the process hold at once. Room is taken as bytes arrive, so that announcing
/// much costs others nothing; when there is none left, the request is refused with 503 (invariant I8).
static ROOM: Semaphore = Semaphore::const_new(256 * MAX_BODY_BYTES);

/// The room that a body takes.
pub(super) type Room = SemaphorePermit<'static>;

#[derive(Debug, thiserror::Error)]
#[error("the bodies of other requests fill the {} MiB there are for them", 256 * MAX_BODY_BYTES / (1024 * 1024))]
struct NoRoom;

/// Reads a body to its end.
///
/// # Errors
/// 413, 400 where it does not come to its end in time, 503 where there is no room.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<Room>), ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
        return Err(too_large().into());
    }
    tokio::time::timeout(BODY_LIMIT, collect(body))
        .await
        .unwrap_or_else(|_| Err(broken_off().into()))
}

async fn collect(body: Body) -> Result<(Bytes, Option<Room>), ApiError> {
    let mut body = Limited::new(body, MAX_BODY_BYTES);
    let mut whole = BytesMut::new();
    let mut room: Option<Room> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame
            .map_err(|error| unreadable(error.as_ref()))?
            .into_data()
        else {
            // Trailers mean nothing here.
            continue;
        };
        let bytes = u32::try_from(data.len()).expect("a body has at most MAX_BODY_BYTES");
        let more = ROOM
            .try_acquire_many(bytes)
            .map_err(|_| ApiError::Unavailable {
                doing: "take a request's body",
                source: Box::new(NoRoom),
            })?;
        match &mut room {
            None => room = Some(more),
            Some(room) => room.merge(more),
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), room))
}

fn unreadable(error: &(dyn StdError + Send + Sync + 'static)) -> GatewayError {
    if error.is::<LengthLimitError>() {
        too_large()
    } else {
        broken_off()
    }
}

fn too_large() -> GatewayError {
    GatewayError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "APIGW.0201",
        "Request entity too large.",
    )
}

fn broken_off() -> GatewayError {
    GatewayError::new(StatusCode::BAD_REQUEST, "APIGW.0201", "API request error.")
}
