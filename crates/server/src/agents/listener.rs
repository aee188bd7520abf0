//! What the agent listener answers: enrollment, the channel, package downloads. Nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use outfitter_agent_protocol::{CHANNEL_PATH, ENROLL_PATH, MAX_FRAME_BYTES, PACKAGES_PATH};

use super::{channel, downloads, enroll};
use crate::services::Services;

/// The agent listener's service.
pub fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route(ENROLL_PATH, post(enroll::enroll))
        .route(CHANNEL_PATH, get(channel::upgrade))
        .route(
            &format!("{PACKAGES_PATH}{{sha256}}"),
            get(downloads::download),
        )
        .layer(DefaultBodyLimit::max(MAX_FRAME_BYTES))
        .with_state(services)
}
