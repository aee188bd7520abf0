use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::native::enrollment_tokens::{
    CreateEnrollmentTokenReq, CreateEnrollmentTokenResponse,
};
use outfitter_api_types::secret::SecretText;
use outfitter_domain::fleet::Network;

use crate::Services;
use crate::app::enrollment_tokens::{self, TokenOrder};
use crate::http::{ApiError, Call, Reply, tags};

/// Seconds a token is valid when the request does not say.
const DEFAULT_LIFETIME_SECS: u64 = 86_400;

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateEnrollmentTokenReq>,
) -> Result<Reply<CreateEnrollmentTokenResponse>, ApiError> {
    let access = call.project();
    let project = access.project;
    if call.body.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
        // Policies look at tags: who may not set them may not have a token set them either.
        access.rights.check_action(tags::TAG_DESKTOPS)?;
    }
    let body = call.body;
    let lifetime_secs = body
        .expires_in_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(DEFAULT_LIFETIME_SECS);
    let order = TokenOrder {
        name: body.name,
        max_uses: body.max_uses,
        lifetime: Some(Duration::from_secs(lifetime_secs)),
        may_attach: body.may_attach.unwrap_or(false),
        may_reenroll: body.may_reenroll.unwrap_or(false),
        desktop: None,
        networks: networks(&body.networks.unwrap_or_default())?,
        tags: tags::all_of_one(body.tags.unwrap_or_default())?,
        needs_approval: body.needs_approval.unwrap_or(false),
    };
    let root_pins = services
        .authority
        .get()
        .root_pins()
        .map_err(|error| ApiError::internal("read the pins of the roots", error))?;
    let tx = services.store.write().await?;
    let (record, token) = enrollment_tokens::create(
        &tx,
        services.ids.as_ref(),
        services.auth.randomness(),
        root_pins,
        project,
        order,
        services.clock.now(),
    )
    .await?;
    tx.commit().await?;
    Ok(Reply::new(CreateEnrollmentTokenResponse {
        enrollment_token: super::wire(record),
        token: SecretText::new(token.reveal()),
    }))
}

fn networks(texts: &[String]) -> Result<Vec<Network>, ApiError> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            text.parse::<Network>()
                .map_err(|error| ApiError::invalid(format!("networks[{index}]"), error.to_string()))
        })
        .collect()
}
