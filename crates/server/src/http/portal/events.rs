//! What changes on a desktop, for its user: names of apps to look at again, nothing else.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::Response;
use axum::response::sse::Event as WireEvent;
use futures_util::stream;
use outfitter_api_types::native::events::ReadyEvent;
use outfitter_api_types::native::portal::{PortalChangeEvent, StreamPortalEventsQuery};
use outfitter_api_types::time::WireTime;
use outfitter_ids::DesktopId;
use outfitter_store::ProjectKey;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::at;
use crate::Services;
use crate::app::events::{Event, Listener};
use crate::http::events::{LONGEST, event, place, stream_of};
use crate::http::{ApiError, Call};

struct Stream {
    listener: Listener,
    project: ProjectKey,
    desktop: DesktopId,
    shutdown: CancellationToken,
    until: Instant,
    greeting: Option<WireEvent>,
}

pub(super) async fn stream_events(
    services: Arc<Services>,
    call: Call<(), StreamPortalEventsQuery>,
) -> Result<Response, ApiError> {
    let at = at(&services, &call, &call.query.desktop_id).await?;
    let ready = ReadyEvent {
        server_time: WireTime::from_unix_millis(services.clock.now().get()),
    };
    let stream = Stream {
        listener: place(services.background.events.listen_as(at.user.user))?,
        project: at.user.project,
        desktop: at.desktop_id,
        shutdown: services.shutdown.clone(),
        until: Instant::now() + LONGEST,
        greeting: Some(event("ready", &ready)?),
    };
    Ok(stream_of(stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        Some((Ok::<_, Infallible>(next), stream))
    })))
}

impl Stream {
    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<WireEvent> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            let received = tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                received = self.listener.events.recv() => received,
            };
            let event = match received {
                Ok(Event::Job(job))
                    if job.project == self.project && job.view.desktop == self.desktop =>
                {
                    let app_id = job.view.app.to_string();
                    event("change", &PortalChangeEvent { app_id })
                }
                Ok(Event::Lost) | Err(RecvError::Lagged(_)) => {
                    event("lost", &serde_json::json!({}))
                }
                Ok(Event::Job(_) | Event::Deployment(..) | Event::Freeze(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            match event {
                Ok(event) => return Some(event),
                Err(error) => {
                    tracing::error!(?error, "an event could not be written");
                    return None;
                }
            }
        }
    }
}
