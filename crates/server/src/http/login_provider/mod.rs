//! The login provider, for whoever sets it up: what is configured, and whether it answers.

use std::sync::Arc;

use outfitter_api_types::native::login_provider::{
    LoginProviderSettings, ShowLoginProviderResponse, TestLoginProviderResponse,
};

use super::error::chain;
use super::{ApiError, Call, LOGIN_RETURN, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add::<(), (), _, _, _>(
            Operation::get("/api/v1/login-provider", "ShowLoginProvider")
                .action("outfitter:loginProvider:get")
                .summary("Show how the login provider is configured, without secrets."),
            show,
        )
        .add::<(), (), _, _, _>(
            Operation::post("/api/v1/login-provider/test", "TestLoginProvider")
                .action("outfitter:loginProvider:test")
                .codes(&[404])
                .reads()
                .summary(
                    "Ask the login provider what it offers, as a login does; nobody is logged in.",
                ),
            test,
        );
}

async fn show(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<ShowLoginProviderResponse>, ApiError> {
    Ok(Reply::new(ShowLoginProviderResponse {
        redirect_uri: format!("{}{LOGIN_RETURN}", services.endpoints.endpoint),
        provider: services.oidc.as_ref().map(|provider| {
            let config = provider.config();
            LoginProviderSettings {
                name: config.name.clone(),
                issuer: config.issuer.clone(),
                client_id: config.client_id.clone(),
                has_client_secret: provider.has_secret(),
                scopes: config.scopes.clone(),
                user_claim: config.user_claim.clone(),
                groups_claim: config.groups_claim.clone(),
            }
        }),
    }))
}

/// What to do about a provider that cannot be read, in English and Chinese.
pub(super) const UNREADABLE: (&str, &str) = (
    "Check that the issuer is written as the provider writes it, that this server reaches it, and the certificates it is to \
     be trusted by (ca_file).",
    "请检查签发方（issuer）的写法是否与身份提供商一致、本服务器能否访问它，以及信任它所用的证书（ca_file）。",
);

async fn test(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<TestLoginProviderResponse>, ApiError> {
    let provider = services.oidc.as_ref().ok_or(ApiError::NotFound {
        noun: "login provider",
    })?;
    Ok(Reply::new(match provider.probe().await {
        Ok(found) => TestLoginProviderResponse {
            ok: true,
            authorization_endpoint: Some(found.authorization_endpoint),
            signing_keys: i64::try_from(found.signing_keys).ok(),
            ..TestLoginProviderResponse::default()
        },
        Err(error) => TestLoginProviderResponse {
            words: Some(chain(&error)),
            hint: Some(UNREADABLE.0.to_owned()),
            ..TestLoginProviderResponse::default()
        },
    }))
}
