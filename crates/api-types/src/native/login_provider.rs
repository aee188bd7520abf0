//! The login provider, for whoever sets it up.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

/// Answer of showing the login provider.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowLoginProviderResponse {
    /// The redirect URI that is to be registered at the provider.
    pub redirect_uri: String,
    /// The login provider, where one is configured.
    #[schema(nullable = false)]
    pub provider: Option<LoginProviderSettings>,
}

/// The login provider (OpenID Connect) as the configuration has it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginProviderSettings {
    /// What it is called.
    pub name: String,
    /// Issuer.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// Whether there is a client secret; none: a public client, held by PKCE alone.
    pub has_client_secret: bool,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim whose text names a new user.
    pub user_claim: String,
    /// The claim with the user's groups.
    pub groups_claim: String,
}

/// What a test of the login provider found. Nobody was logged in.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestLoginProviderResponse {
    /// Whether it answers as it should.
    pub ok: bool,
    /// Where browsers are sent to log in.
    #[schema(nullable = false)]
    pub authorization_endpoint: Option<String>,
    /// Number of keys that it signs with.
    #[schema(minimum = 0, nullable = false)]
    pub signing_keys: Option<i64>,
    /// What stands in the way, in words.
    #[schema(nullable = false)]
    pub words: Option<String>,
    /// What to do about it.
    #[schema(nullable = false)]
    pub hint: Option<String>,
}
