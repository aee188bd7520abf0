use std::sync::Arc;

use outfitter_api_types::iam::{DecodeAuthorizationMessageReq, DecodeAuthorizationMessageResponse};

use crate::app::refusals;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) const DECODE: &str = "sts::decodeAuthorizationMessage";

pub(super) async fn decode_refusal(
    services: Arc<Services>,
    call: Call<DecodeAuthorizationMessageReq>,
) -> Result<Reply<DecodeAuthorizationMessageResponse>, ApiError> {
    let text = &call.body.encoded_message;
    let refusal = refusals::open(&services, call.caller(), text, DECODE).await?;
    let text = serde_json::to_string(&refusal)
        .map_err(|error| ApiError::internal("write the opened reason", error))?;
    Ok(Reply::new(DecodeAuthorizationMessageResponse {
        decoded_message: Some(text),
    }))
}
