//! What a desktop's agent logged.

use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::native::agent_log::ShowAgentLogResponse;
use outfitter_api_types::time::WireTime;

use crate::Services;
use crate::app::desktops;
use crate::app::questions::{self, Asked};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowAgentLogResponse>, ApiError> {
    let project = call.project().project;
    let desktop = desktops::find(&services, project, call.path("desktop_id"))
        .await?
        .ok_or(ApiError::NotFound { noun: "desktop" })?;
    let refused = |words| ApiError::coded(StatusCode::CONFLICT, "WKS.0409", words);
    match questions::read_log(&services, &desktop).await {
        Asked::Answered(text) => Ok(Reply::new(ShowAgentLogResponse {
            text,
            read_at: WireTime::from_unix_millis(services.clock.now().get()),
        })),
        Asked::NotConnected => Err(refused(
            "The agent is not connected to this server: its log is in the system's journal on the desktop",
        )),
        Asked::Silent => Err(refused("The agent did not answer in time")),
    }
}
