use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use super::ConfigError;

/// The login provider (OpenID Connect) as it was given: the table `[oidc]` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcOptions {
    /// Issuer, exactly as the provider writes it: `https://login.example.com/realms/staff`.
    pub issuer: Option<String>,
    /// What the provider calls us.
    pub client_id: Option<String>,
    /// File with the client secret. Neither this nor the environment's: a public client, held by PKCE alone.
    pub client_secret_file: Option<PathBuf>,
    /// The client secret from the environment; never from the file.
    #[serde(skip)]
    pub client_secret: Option<SecretString>,
    /// What the login page calls it.
    pub name: Option<String>,
    /// What is asked for beside `openid`.
    pub scopes: Option<Vec<String>>,
    /// The claim whose text names a new user.
    pub user_claim: Option<String>,
    /// The claim with the user's groups: a member, or a path of members with dots between them.
    pub groups_claim: Option<String>,
    /// Certificates to trust the provider by, PEM, and no others.
    pub ca_file: Option<PathBuf>,
}

/// The login provider.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// Issuer.
    pub issuer: String,
    /// What the provider calls us.
    pub client_id: String,
    /// Where the client secret is.
    pub client_secret: ClientSecretSource,
    /// What the login page calls it.
    pub name: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim whose text names a new user.
    pub user_claim: String,
    /// The claim with the user's groups.
    pub groups_claim: String,
    /// Certificates to trust the provider by.
    pub ca_file: Option<PathBuf>,
}

/// Where the client secret is.
#[derive(Debug, Clone)]
pub enum ClientSecretSource {
    /// There is none.
    None,
    /// In a file.
    File(PathBuf),
    /// Here.
    Given(SecretString),
}

impl OidcConfig {
    /// Checks the options and fills the defaults.
    ///
    /// # Errors
    /// The first option that cannot be.
    pub fn resolve(options: OidcOptions) -> Result<Self, ConfigError> {
        let value = |option, reason: &str| ConfigError::Value {
            option,
            reason: reason.to_owned(),
        };
        let issuer = options.issuer.ok_or(ConfigError::Missing {
            option: "oidc.issuer",
        })?;
        let url = Url::parse(&issuer).map_err(|_| value("oidc.issuer", "is no URL"))?;
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(value(
                "oidc.issuer",
                "must begin with https:// (http:// on this machine alone)",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(value("oidc.issuer", "must have no query and no fragment"));
        }
        let client_secret = match (options.client_secret, options.client_secret_file) {
            (None, None) => ClientSecretSource::None,
            (Some(secret), None) => ClientSecretSource::Given(secret),
            (None, Some(path)) => ClientSecretSource::File(path),
            (Some(_), Some(_)) => {
                return Err(ConfigError::Conflict {
                    what: "oidc.client_secret_file excludes OUTFITTER_OIDC_CLIENT_SECRET",
                });
            }
        };
        let scopes = options
            .scopes
            .unwrap_or_else(|| ["profile", "email", "groups"].map(str::to_owned).to_vec());
        if scopes
            .iter()
            .any(|scope| scope.is_empty() || scope.contains(char::is_whitespace))
        {
            return Err(value("oidc.scopes", "must be words"));
        }
        let name = options.name.unwrap_or_else(|| "OpenID Connect".to_owned());
        if name.trim().is_empty() || name.chars().count() > 64 {
            return Err(value("oidc.name", "1 to 64 characters"));
        }
        Ok(Self {
            client_id: options.client_id.filter(|id| !id.is_empty()).ok_or(
                ConfigError::Missing {
                    option: "oidc.client_id",
                },
            )?,
            client_secret,
            name,
            scopes,
            user_claim: options
                .user_claim
                .unwrap_or_else(|| "preferred_username".to_owned()),
            groups_claim: options.groups_claim.unwrap_or_else(|| "groups".to_owned()),
            ca_file: options.ca_file,
            issuer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Result<OidcConfig, ConfigError> {
        OidcConfig::resolve(OidcOptions {
            issuer: Some(text.to_owned()),
            client_id: Some("outfitter".to_owned()),
            ..OidcOptions::default()
        })
    }

    #[test]
    fn an_issuer_others_can_listen_to_is_refused() {
        assert!(issuer("https://login.example.com/realms/staff").is_ok());
        assert!(issuer("http://127.0.0.1:3000").is_ok());
        assert!(issuer("http://[::1]:3000").is_ok());
        for text in [
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "ftp://127.0.0.1",
            "https://login.example.com/?a=b",
            "login.example.com",
        ] {
            assert!(issuer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_has_a_default_and_an_id_must_be_given() {
        let config = issuer("https://login.example.com").unwrap();
        assert_eq!(config.scopes, ["profile", "email", "groups"]);
        assert_eq!(config.groups_claim, "groups");
        let none = OidcOptions {
            issuer: Some("https://login.example.com".to_owned()),
            ..OidcOptions::default()
        };
        assert_eq!(
            OidcConfig::resolve(none).unwrap_err(),
            ConfigError::Missing {
                option: "oidc.client_id"
            }
        );
    }
}
