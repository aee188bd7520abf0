use std::sync::Arc;

use axum::body::Body;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use outfitter_api_types::native::agent_releases::AgentProgram as WireProgram;
use outfitter_store::NewAgentProgram;

use crate::Services;
use crate::app::agent_releases::{MAX_PROGRAM_BYTES, examine};
use crate::http::{ApiError, Call, GatewayError, Reply};

pub(super) async fn upload(
    services: Arc<Services>,
    _call: Call,
    body: Body,
) -> Result<Reply<WireProgram>, ApiError> {
    let content = Limited::new(body, MAX_PROGRAM_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                GatewayError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "APIGW.0201",
                    "Request entity too large.",
                )
            } else {
                GatewayError::new(StatusCode::BAD_REQUEST, "APIGW.0201", "API request error.")
            }
        })?
        .to_bytes();
    let bytes = content.clone();
    let facts = tokio::task::spawn_blocking(move || examine(&bytes))
        .await
        .map_err(|error| ApiError::internal("look at a program of the agent", error))?
        .map_err(|problem| ApiError::invalid(problem.field, problem.reason))?;
    let tx = services.store.write().await?;
    let program = NewAgentProgram {
        facts: facts.clone(),
        content: &content,
    };
    tx.agent_program_insert(&program, services.clock.now())
        .await?;
    tx.commit().await?;
    Ok(Reply::new(super::wire_program(facts)))
}
