use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use outfitter_api_types::iam::{
    CreateTemporaryKeyReq, TemporaryCredential, TemporaryKeyPolicy, TemporaryKeyResponse,
    TokenMethodName,
};
use outfitter_api_types::secret::SecretText;
use outfitter_api_types::time::IamTime;
use outfitter_domain::iam::PolicyDocument;
use secrecy::ExposeSecret as _;

use crate::auth::{AuthRefusal, authenticate_token};
use crate::http::error::chain;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// Lifetime where none is asked for, in seconds. Source: the contract, `auth.md`, section 3.
const DEFAULT_SECONDS: i64 = 900;

/// Longest narrowing policy, in bytes of JSON: the security token carries it, and goes into a header of every
/// request. Ours.
const MAX_POLICY_BYTES: usize = 4096;

pub(super) async fn create_temporary_key(
    services: Arc<Services>,
    call: Call<CreateTemporaryKeyReq>,
) -> Result<Reply<TemporaryKeyResponse>, ApiError> {
    let identity = call.body.auth.identity;
    if !identity.methods.contains(&TokenMethodName::Token) {
        return Err(ApiError::invalid(
            "auth.identity.methods",
            "must name token",
        ));
    }
    let asked = identity.token.unwrap_or_default();
    let in_body = asked
        .id
        .as_ref()
        .map(|id| HeaderValue::from_str(id.expose()).map_err(|_| AuthRefusal::DamagedToken))
        .transpose()?;
    let in_header = call.context.headers.get("x-auth-token").cloned();
    let token = in_body
        .or(in_header)
        .filter(|token| !token.is_empty())
        .ok_or(AuthRefusal::NoCredential)?;
    let caller = authenticate_token(&services, &token, call.context.source).await?;
    crate::audit::identify_caller(&caller);
    let policy = identity
        .policy
        .map(|policy| narrowing(&policy))
        .transpose()?;
    let seconds = asked.duration_seconds.unwrap_or(DEFAULT_SECONDS);
    let lifetime = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let now = services.clock.now();
    let key = services
        .auth
        .issue_temporary_key(&caller, policy, lifetime, now);
    Ok(Reply::new(TemporaryKeyResponse {
        credential: TemporaryCredential {
            access: key.access,
            secret: SecretText::new(key.secret.expose_secret()),
            securitytoken: SecretText::new(key.security_token.expose_secret()),
            expires_at: IamTime::from_unix_millis(key.expires_at.get()),
        },
    }))
}

fn narrowing(policy: &TemporaryKeyPolicy) -> Result<PolicyDocument, ApiError> {
    const FIELD: &str = "auth.identity.policy";
    let json = serde_json::to_string(policy)
        .map_err(|error| ApiError::internal("write the policy", error))?;
    if json.len() > MAX_POLICY_BYTES {
        return Err(ApiError::invalid(
            FIELD,
            format!("must have at most {MAX_POLICY_BYTES} bytes"),
        ));
    }
    PolicyDocument::parse(&json).map_err(|error| ApiError::invalid(FIELD, chain(&error)))
}
