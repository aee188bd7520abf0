//! The login provider: what we ask it, and what of its answers is believed (OpenID Connect Core 1.0, authorization
//! code with PKCE, RFC 7636).
//!
//! **Guarantees.** An identity comes out only of an ID token that the provider signed with a key of its own for us,
//! for the nonce of this login, unexpired by our clock. Redirects are not followed, answers are bounded. What was
//! discovered is asked for again after five minutes, and at once when a key is not known. **Does not** decide what
//! anybody may do (`app/oidc.rs`), nor keep the provider's tokens.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AsyncHttpClient, AuthType, AuthorizationCode,
    ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenFields,
    IdTokenVerifier, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _, UserInfoClaims,
};
use outfitter_domain::{Clock, Millis};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::config::{ClientSecretSource, OidcConfig};

/// Longest wait for one answer. Ours: somebody waits in front of a browser.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer, in bytes. Ours; key sets and tokens have some kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How long what was discovered is believed. Ours: a provider's new key counts soon, whoever logs in first.
const DISCOVERY_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Most groups of one user that are looked at; the provider names them in no order that would matter.
const MAX_GROUPS: usize = 2000;

/// Longest name of a group or subject, in bytes. Source for the subject: OpenID Connect Core 1.0, section 2.
const MAX_NAME_BYTES: usize = 255;

/// Why the provider cannot be used as configured.
#[derive(Debug, Error)]
pub enum OidcSetupError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// An address of the provider or of ours.
    #[error("{0} is no address a login can go to")]
    Address(String),
    /// TLS cannot be set up.
    #[error("cannot set up HTTP to the login provider")]
    Http(#[source] reqwest::Error),
}

/// Why the provider vouches for nobody.
#[derive(Debug, Error)]
pub enum OidcError {
    /// It does not answer, or not in a way that can be understood.
    #[error("the login provider does not answer as it should")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes the code from nobody, or not from us: used before, lapsed, wrong verifier or client secret.
    #[error("the login provider refuses the code: {0}")]
    Code(String),
    /// What it says cannot be believed.
    #[error("what the login provider says cannot be believed: {0}")]
    Unbelievable(String),
}

/// Who somebody is, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// The provider.
    pub issuer: String,
    /// Who it is there, for ever.
    pub subject: String,
    /// The text of the claim that names users.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// What a provider offers, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderOffer {
    /// Where browsers log in.
    pub authorization_endpoint: String,
    /// Number of its keys.
    pub signing_keys: usize,
}

/// A login on its way to the provider and back.
#[derive(Debug)]
pub struct LoginSecrets {
    /// Comes back with the browser.
    pub state: SecretString,
    /// Comes back inside the ID token.
    pub nonce: SecretString,
    /// Shown with the code.
    pub verifier: SecretString,
}

#[derive(Debug, Serialize, Deserialize)]
struct AllClaims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for AllClaims {}

type TokenAnswer = StandardTokenResponse<
    IdTokenFields<
        AllClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type ProviderClient = Client<
    AllClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The login provider.
pub struct OidcProvider {
    config: OidcConfig,
    issuer: IssuerUrl,
    secret: Option<SecretString>,
    redirect: RedirectUrl,
    http: ProviderHttp,
    clock: Arc<dyn Clock>,
    discovered: Mutex<Option<(Millis, Arc<ProviderClient>)>>,
}

impl OidcProvider {
    /// Reads what the configuration names. The provider is not asked yet: it may be down.
    ///
    /// # Errors
    /// [`OidcSetupError`].
    pub fn new(
        config: OidcConfig,
        redirect: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OidcSetupError> {
        let secret = match &config.client_secret {
            ClientSecretSource::None => None,
            ClientSecretSource::Given(secret) => Some(secret.clone()),
            ClientSecretSource::File(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| OidcSetupError::File {
                        path: path.clone(),
                        source,
                    })?;
                let secret = text.trim();
                if secret.is_empty() {
                    return Err(OidcSetupError::Content {
                        path: path.clone(),
                        what: "client secret",
                    });
                }
                Some(SecretString::from(secret))
            }
        };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(PATIENCE / 2)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("outfitter/", env!("CARGO_PKG_VERSION")))
            .https_only(config.issuer.starts_with("https:"));
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|source| OidcSetupError::File {
                path: path.clone(),
                source,
            })?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or_else(|| OidcSetupError::Content {
                    path: path.clone(),
                    what: "certificate in PEM",
                })?;
            builder = builder.tls_certs_only(roots);
        }
        Ok(Self {
            issuer: IssuerUrl::new(config.issuer.clone())
                .map_err(|_| OidcSetupError::Address(config.issuer.clone()))?,
            redirect: RedirectUrl::new(redirect.clone())
                .map_err(|_| OidcSetupError::Address(redirect))?,
            http: ProviderHttp(builder.build().map_err(OidcSetupError::Http)?),
            discovered: Mutex::default(),
            config,
            secret,
            clock,
        })
    }

    /// What the login page calls it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The issuer, as configured.
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// What is configured; the secret is where it says.
    pub fn config(&self) -> &OidcConfig {
        &self.config
    }

    /// Whether there is a client secret.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Asks the provider what it offers, whatever is believed of it so far.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn probe(&self) -> Result<ProviderOffer, OidcError> {
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http)
            .await
            .map_err(|error| OidcError::Unavailable(Box::new(error)))?;
        Ok(ProviderOffer {
            authorization_endpoint: metadata.authorization_endpoint().to_string(),
            signing_keys: metadata.jwks().keys().len(),
        })
    }

    /// Where a browser goes to log in.
    ///
    /// # Errors
    /// The provider does not answer.
    pub async fn authorize_url(&self, login: &LoginSecrets) -> Result<String, OidcError> {
        let client = self.client().await?;
        let verifier = PkceCodeVerifier::new(login.verifier.expose_secret().to_owned());
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        let (state, nonce) = (text(&login.state), text(&login.nonce));
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        Ok(request.url().0.to_string())
    }

    /// Who logged in, by the code that the browser brought back.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn identify(
        &self,
        login: &LoginSecrets,
        code: &str,
    ) -> Result<ProviderIdentity, OidcError> {
        let client = self.client().await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| OidcError::Unavailable(Box::new(error)))?
            .set_pkce_verifier(PkceCodeVerifier::new(
                login.verifier.expose_secret().to_owned(),
            ));
        let tokens = request
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(answer) => {
                    OidcError::Code(answer.error().to_string())
                }
                other => OidcError::Unavailable(Box::new(other)),
            })?;
        match self.believe(&client, &tokens, login).await {
            // The provider may have a new key: once more with what it says now. The code is used up, the answer is not.
            Err(Disbelief::UnknownKey) => {
                *self.discovered.lock().await = None;
                let client = self.client().await?;
                self.believe(&client, &tokens, login).await
            }
            other => other,
        }
        .map_err(|disbelief| match disbelief {
            Disbelief::UnknownKey => {
                OidcError::Unbelievable("it is signed with a key that is none of its".to_owned())
            }
            Disbelief::Other(error) => error,
        })
    }

    async fn believe(
        &self,
        client: &ProviderClient,
        tokens: &TokenAnswer,
        login: &LoginSecrets,
    ) -> Result<ProviderIdentity, Disbelief> {
        let unbelievable = |error: &dyn std::fmt::Display| {
            Disbelief::Other(OidcError::Unbelievable(error.to_string()))
        };
        let token = tokens
            .id_token()
            .ok_or_else(|| unbelievable(&"there is no ID token"))?;
        let verifier = self.verifier(client);
        let nonce = Nonce::new(login.nonce.expose_secret().to_owned());
        let claims = token
            .claims(&verifier, &nonce)
            .map_err(|error| match &error {
                ClaimsVerificationError::SignatureVerification(
                    SignatureVerificationError::NoMatchingKey,
                ) => Disbelief::UnknownKey,
                _ => unbelievable(&error),
            })?;
        if let Some(expected) = claims.access_token_hash() {
            let actual = token
                .signing_alg()
                .and_then(|algorithm| {
                    let key = token.signing_key(&verifier)?;
                    AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
                        .map_err(|error| SignatureVerificationError::Other(error.to_string()))
                })
                .map_err(|error| unbelievable(&error))?;
            if actual != *expected {
                return Err(unbelievable(&"the access token is another's"));
            }
        }
        let mut all = json(claims).map_err(|error| unbelievable(&error))?;
        let subject = claims.subject().to_string();
        if subject.is_empty() || subject.len() > MAX_NAME_BYTES {
            return Err(unbelievable(
                &"the subject has no length that a subject has",
            ));
        }
        let lacks = |all: &Value| {
            found(all, &self.config.groups_claim).is_none()
                || found(all, &self.config.user_claim).is_none()
        };
        // Some providers put groups into the ID token, some only here.
        if lacks(&all) && client.user_info_url().is_some() {
            let info: UserInfoClaims<AllClaims, CoreGenderClaim> = client
                .user_info(
                    tokens.access_token().clone(),
                    Some(claims.subject().clone()),
                )
                .map_err(|error| unbelievable(&error))?
                .request_async(&self.http)
                .await
                .map_err(|error| Disbelief::Other(OidcError::Unavailable(Box::new(error))))?;
            let info = json(&info).map_err(|error| unbelievable(&error))?;
            if let (Value::Object(all), Value::Object(info)) = (&mut all, info) {
                for (name, value) in info {
                    all.entry(name).or_insert(value);
                }
            }
        }
        Ok(ProviderIdentity {
            issuer: self.config.issuer.clone(),
            name: found(&all, &self.config.user_claim)
                .and_then(Value::as_str)
                .unwrap_or(&subject)
                .to_owned(),
            groups: groups(found(&all, &self.config.groups_claim)),
            subject,
        })
    }

    fn verifier<'v>(&self, client: &'v ProviderClient) -> IdTokenVerifier<'v, CoreJsonWebKey> {
        let now = self.clock.now();
        client
            .id_token_verifier()
            // Asymmetric ones only: whoever knows the client secret must not be able to say who somebody is.
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha384,
                CoreJwsSigningAlgorithm::RsaSsaPssSha512,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ])
            .set_time_fn(move || DateTime::from_timestamp_millis(now.get()).unwrap_or_default())
    }

    /// The client for what was discovered; others wait while one asks.
    async fn client(&self) -> Result<Arc<ProviderClient>, OidcError> {
        let now = self.clock.now();
        let mut discovered = self.discovered.lock().await;
        if let Some((at, client)) = discovered.as_ref()
            && now < at.plus(DISCOVERY_LIFETIME)
        {
            return Ok(Arc::clone(client));
        }
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http)
            .await
            .map_err(|error| OidcError::Unavailable(Box::new(error)))?;
        let by_form_only = metadata
            .token_endpoint_auth_methods_supported()
            .is_some_and(|methods| {
                methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                    && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            });
        let secret = self
            .secret
            .as_ref()
            .map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let mut client = ProviderClient::from_provider_metadata(
            metadata,
            ClientId::new(self.config.client_id.clone()),
            secret,
        )
        .set_redirect_uri(self.redirect.clone());
        if by_form_only {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        let client = Arc::new(client);
        *discovered = Some((now, Arc::clone(&client)));
        Ok(client)
    }
}

enum Disbelief {
    UnknownKey,
    Other(OidcError),
}

fn json(claims: &impl Serialize) -> Result<Value, serde_json::Error> {
    serde_json::to_value(claims)
}

/// A claim by its name, else by the path of members that its dots make.
fn found<'a>(all: &'a Value, claim: &str) -> Option<&'a Value> {
    all.get(claim)
        .or_else(|| {
            claim
                .split('.')
                .try_fold(all, |value, member| value.get(member))
        })
        .filter(|value| !value.is_null())
}

/// The groups that a claim names: a list of texts, or one text.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let texts: Vec<&Value> = match claim {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    texts
        .into_iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty() && text.len() <= MAX_NAME_BYTES)
        .take(MAX_GROUPS)
        .map(str::to_owned)
        .collect()
}

/// HTTP to the provider.
struct ProviderHttp(reqwest::Client);

/// Why a call to the provider had no answer.
#[derive(Debug, Error)]
enum HttpError {
    #[error("call the login provider")]
    Call(#[from] reqwest::Error),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    Long,
    #[error("read the answer")]
    Answer(#[from] http::Error),
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut answer = self.0.execute(request.try_into()?).await?;
            let mut made = http::Response::builder().status(answer.status());
            if let Some(headers) = made.headers_mut() {
                headers.clone_from(answer.headers());
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Err(HttpError::Long);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(made.body(body)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_found_by_name_and_by_path_and_are_texts() {
        let all = json!({"groups": ["a", "", 7, "b"], "realm_access": {"roles": ["c"]},
            "https://example.com/groups": "d", "none": null});
        let of = |claim| groups(found(&all, claim));
        assert_eq!(of("groups"), ["a", "b"]);
        assert_eq!(of("realm_access.roles"), ["c"]);
        assert_eq!(of("https://example.com/groups"), ["d"]);
        assert!(of("none").is_empty());
        assert!(of("realm_access.groups").is_empty());
        assert!(of("absent").is_empty());
    }

    #[test]
    fn a_claim_of_any_size_is_cut_to_what_is_looked_at() {
        let many: Vec<_> = (0..MAX_GROUPS + 1).map(|n| n.to_string()).collect();
        assert_eq!(groups(Some(&json!(many))).len(), MAX_GROUPS);
        assert!(groups(Some(&json!(["a".repeat(MAX_NAME_BYTES + 1)]))).is_empty());
    }
}
