//! What the agent listener answers: the script that installs an agent, enrollment, the channel, downloads of packages and of the agent's own program, people at
//! the desktop. Nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::StatusCode;
use outfitter_agent_protocol::{
    APPROVAL_PATH, CHANNEL_PATH, COPY_PATH, DESK_PATH, ENROLL_PATH, INSTALLER_PATH,
    MAX_FRAME_BYTES, PACKAGES_PATH, PROGRAMS_PATH,
};
use tower_http::timeout::TimeoutLayer;

use super::{approval, channel, copies, desk, downloads, enroll, installer, programs};
use crate::services::Services;

/// Longest time from the head of a request with a body (enrollment, people at the desktop) to its answer: who enrolls is
/// unknown until the body has come.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Ends a request that is not answered by then.
fn in_time() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_LIMIT)
}

/// The agent listener's service.
pub fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route(ENROLL_PATH, post(enroll::enroll).layer(in_time()))
        .route(APPROVAL_PATH, post(approval::collect).layer(in_time()))
        .route(COPY_PATH, post(copies::enroll).layer(in_time()))
        .route(CHANNEL_PATH, get(channel::upgrade))
        .route(DESK_PATH, post(desk::ask).layer(in_time()))
        .route(
            &format!("{PACKAGES_PATH}{{sha256}}"),
            get(downloads::download),
        )
        .route(
            &format!("{PROGRAMS_PATH}{{sha256}}"),
            get(programs::download),
        )
        .route(INSTALLER_PATH, get(installer::download))
        .layer(DefaultBodyLimit::max(MAX_FRAME_BYTES))
        .with_state(services)
}
