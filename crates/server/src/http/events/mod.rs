//! `GET /api/v1/{project_id}/events`: what happens in a project, as it happens (docs/events.md).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as WireEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream};
use outfitter_api_types::native::events::{DeploymentEvent, ReadyEvent};
use outfitter_api_types::time::WireTime;
use outfitter_store::{DeploymentView, ProjectKey};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deployments::{counts, state};
use super::jobs::live_job;
use super::{ApiError, Call, GatewayError, Operation, Routes};
use crate::Services;
use crate::app::events::{Event, Listener};

/// Silence after which a comment is sent, so that proxies keep the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Longest stream: its credential is judged when it begins, so it begins anew from time to time.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Adds the operation.
pub(super) fn register(routes: &mut Routes) {
    routes.add_raw(
        Operation::get("/api/v1/{project_id}/events", "StreamEvents")
            .action("outfitter:events:list")
            .media("text/event-stream")
            .summary("Follow jobs and deployments of the project as server-sent events."),
        stream_events,
    );
}

struct Followed {
    listener: Listener,
    project: ProjectKey,
    shutdown: CancellationToken,
    until: Instant,
    greeting: Option<WireEvent>,
}

async fn stream_events(services: Arc<Services>, call: Call) -> Result<Response, ApiError> {
    let listener = place(services.background.events.listen())?;
    let ready = ReadyEvent {
        server_time: WireTime::from_unix_millis(services.clock.now().get()),
    };
    let stream = Followed {
        listener,
        project: call.project().project,
        shutdown: services.shutdown.clone(),
        until: Instant::now() + LONGEST,
        greeting: Some(event("ready", &ready)?),
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        Some((Ok::<_, Infallible>(next), stream))
    });
    Ok(stream_of(events))
}

/// A place among those who listen, or word that there is none.
pub(super) fn place(listener: Option<Listener>) -> Result<Listener, ApiError> {
    listener.ok_or_else(|| GatewayError::throttled(30).into())
}

/// Events as an answer that goes on.
pub(super) fn stream_of(
    events: impl Stream<Item = Result<WireEvent, Infallible>> + Send + 'static,
) -> Response {
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

impl Followed {
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
                Ok(event) if event.is_of(self.project) => wire(&event),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => wire(&Event::Lost),
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

fn wire(what: &Event) -> Result<WireEvent, ApiError> {
    match what {
        Event::Job(job) => event("job", &live_job(job)),
        Event::Deployment(_, view) => event("deployment", &deployment_event(view)),
        Event::Freeze(_) => event("freeze", &serde_json::json!({})),
        Event::Lost => event("lost", &serde_json::json!({})),
    }
}

/// One event.
pub(super) fn event(name: &str, data: &impl serde::Serialize) -> Result<WireEvent, ApiError> {
    WireEvent::default()
        .event(name)
        .json_data(data)
        .map_err(|error| ApiError::internal("write an event", error))
}

fn deployment_event(view: &DeploymentView) -> DeploymentEvent {
    DeploymentEvent {
        id: view.id.to_string(),
        state: state(view),
        counts: counts(view),
        halted_at: view
            .halted_at
            .map(|at| WireTime::from_unix_millis(at.get())),
    }
}
