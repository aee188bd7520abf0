//! Who asks an object store: a key pair, a file of one that may change while the server runs, or what the machine gives.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use thiserror::Error;

/// Where the key pair for an object store comes from.
#[derive(Debug, Clone)]
pub enum ObjectCredentials {
    /// As given.
    Given(KeyPair),
    /// A TOML file with `access_key`, `secret_key` and, where the keys are temporary, `session_token`; read again
    /// whenever it changes.
    File(PathBuf),
    /// What the machine gives: a web identity, a container's role or an instance's, as AWS' own variables
    /// (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`, `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, ...) say.
    Machine,
}

/// AWS' own variables that say which credentials the machine gives. Source: AWS SDKs and tools, "Standardized credential
/// providers".
const MACHINE_VARIABLES: &[(&str, AmazonS3ConfigKey)] = &[
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        AmazonS3ConfigKey::WebIdentityTokenFile,
    ),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ),
    (
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        AmazonS3ConfigKey::MetadataEndpoint,
    ),
];

/// Has the library find what the machine gives. Keys that lie in the environment for other programs are not taken.
pub(crate) fn of_the_machine(builder: AmazonS3Builder) -> AmazonS3Builder {
    MACHINE_VARIABLES
        .iter()
        .filter_map(|(name, key)| Some((*key, std::env::var(name).ok()?)))
        .fold(builder, |builder, (key, value)| {
            builder.with_config(key, value)
        })
}

/// A key pair for an object store.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// Name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: SecretString,
    /// Comes with temporary keys.
    #[serde(default)]
    pub session_token: Option<SecretString>,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// Why a file gives no key pair.
#[derive(Debug, Error)]
pub enum KeyFileProblem {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not what it should be. Its content is not told.
    #[error("{} is no TOML with access_key, secret_key and perhaps session_token", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl KeyPair {
    /// Reads a key pair from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn read(path: &Path) -> Result<Self, KeyFileProblem> {
        let text = std::fs::read_to_string(path).map_err(|source| KeyFileProblem::Read {
            path: path.to_owned(),
            source,
        })?;
        // The parser's words would quote the line.
        toml::from_str(&text).map_err(|_| KeyFileProblem::Content {
            path: path.to_owned(),
        })
    }

    fn for_signing(&self) -> Arc<AwsCredential> {
        Arc::new(AwsCredential {
            key_id: self.access_key.clone(),
            secret_key: self.secret_key.expose_secret().to_owned(),
            token: self
                .session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
        })
    }
}

/// Hands credentials to whoever signs.
#[derive(Debug)]
pub(crate) struct Credentials {
    source: ObjectCredentials,
    last: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

impl Credentials {
    pub(crate) fn new(source: ObjectCredentials) -> Self {
        Self {
            source,
            last: Mutex::default(),
        }
    }

    fn read_when_changed(&self, path: &Path) -> Result<Arc<AwsCredential>, KeyFileProblem> {
        let modified = std::fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_err(|source| KeyFileProblem::Read {
                path: path.to_owned(),
                source,
            })?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read_at, credential)) = &*last
            && *read_at == modified
        {
            return Ok(Arc::clone(credential));
        }
        let credential = KeyPair::read(path)?.for_signing();
        *last = Some((modified, Arc::clone(&credential)));
        Ok(credential)
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match &self.source {
            ObjectCredentials::Given(pair) => Ok(pair.for_signing()),
            ObjectCredentials::File(path) => {
                self.read_when_changed(path)
                    .map_err(|error| object_store::Error::Generic {
                        store: "S3",
                        source: error.into(),
                    })
            }
            // The library's own provider is used then.
            ObjectCredentials::Machine => Err(object_store::Error::NotImplemented {
                operation: "reading keys".to_owned(),
                implementer: "credentials of the machine".to_owned(),
            }),
        }
    }
}
