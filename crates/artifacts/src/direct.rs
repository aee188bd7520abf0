//! Uploads into the object store past the server (`docs/adr/0022`): credentials for one object from the store's STS, a
//! bucket for each project, and reading what was put there.
//!
//! Nothing here is a package: whoever reads an upload stages it like any other bytes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    Attribute, GetOptions, ObjectStore as _, ObjectStoreExt as _, StaticCredentialProvider,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::PackageStoreError;
use crate::object::{ObjectStoreOptions, StorePlace, Uploads};

/// Longest time that STS or the making of a bucket may take.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// Shortest life of a credential. Source: AWS STS, AssumeRole, `DurationSeconds`.
pub const MIN_CREDENTIAL_LIFE: Duration = Duration::from_secs(900);

/// Metadata of an object in which its uploader names the SHA-256, as our bucket listener reads it.
const SHA256_METADATA: &str = "sha256";

/// How uploaders reach the store itself. Cheap to clone.
#[derive(Clone)]
pub struct DirectUploads {
    shared: Arc<Shared>,
}

struct Shared {
    options: ObjectStoreOptions,
    credentials: AwsCredentialProvider,
    http: HttpClient,
    role: String,
    sts: String,
    endpoint: String,
}

/// A credential of the store's own for one object.
#[derive(Debug)]
pub struct DirectCredential {
    /// Access key.
    pub access: String,
    /// Secret key.
    pub secret: SecretString,
    /// Session token.
    pub security_token: SecretString,
}

/// An upload that lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectObject {
    /// The store's tag of the bytes, without quotes; may be empty.
    pub etag: String,
    /// When it was put, in milliseconds UTC of the store's clock.
    pub came_at_millis: i64,
}

/// An upload that is being read.
pub struct DirectBytes {
    /// What its uploader said that its SHA-256 is.
    pub sha256: Option<String>,
    /// The bytes.
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

/// Answer of AssumeRole. Source: AWS STS, API version 2011-06-15.
#[derive(Deserialize)]
struct AssumeRoleResponse {
    #[serde(rename = "AssumeRoleResult")]
    result: AssumeRoleResult,
}

#[derive(Deserialize)]
struct AssumeRoleResult {
    #[serde(rename = "Credentials")]
    credentials: SessionCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SessionCredentials {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: SecretString,
}

/// What S3 and STS say when they refuse; both wrap it differently.
#[derive(Debug, thiserror::Error)]
#[error("the store answered {status} {code}")]
struct Refused {
    status: StatusCode,
    code: String,
}

/// Gives every client of a bucket the one HTTP client.
#[derive(Debug)]
struct Connected(HttpClient);

impl HttpConnector for Connected {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl fmt::Debug for DirectUploads {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DirectUploads")
            .field("endpoint", &self.shared.endpoint)
            .field("role", &self.shared.role)
            .finish_non_exhaustive()
    }
}

impl DirectUploads {
    /// `None` where uploads go through the server.
    pub(crate) fn open(place: &StorePlace<'_>) -> object_store::Result<Option<Self>> {
        let Uploads::Direct {
            role,
            sts,
            endpoint,
        } = &place.options.uploads
        else {
            return Ok(None);
        };
        let Some(credentials) = place.credentials else {
            return Ok(None);
        };
        let plain = [sts, place.options.endpoint.as_ref().unwrap_or(endpoint)]
            .into_iter()
            .find(|address| address.starts_with("http://"));
        let http = ReqwestConnector::default().connect(&place.http(plain.map(String::as_str)))?;
        Ok(Some(Self {
            shared: Arc::new(Shared {
                options: place.options.clone(),
                credentials: Arc::clone(credentials),
                http,
                role: role.clone(),
                sts: sts.clone(),
                endpoint: endpoint.trim_end_matches('/').to_owned(),
            }),
        }))
    }

    /// Where uploaders reach the store: `scheme://host[:port]`.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// Whether a credential can be made for exactly this key: policies read `*`, `?` and `$` as more than a name.
    pub fn can_scope(&self, object_key: &str) -> bool {
        !object_key.contains(['*', '?', '$']) && Path::parse(object_key).is_ok()
    }

    /// Makes a bucket, which may be there already.
    ///
    /// # Errors
    /// The store cannot be used, refuses, or the bucket is somebody else's.
    pub async fn make_bucket(&self, bucket: &str) -> Result<(), PackageStoreError> {
        let at = format!("s3://{bucket}");
        // Regions other than the oldest one are named in the body. Source: S3, CreateBucket.
        let region = &self.shared.options.region;
        let body = if region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let endpoint = match &self.shared.options.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let request = http::Request::builder()
            .method(Method::PUT)
            .uri(format!("{endpoint}/{bucket}"))
            .body(HttpRequestBody::from(body))
            .map_err(remote("make", &at))?;
        match self.ask("s3", request).await {
            Ok(_) => Ok(()),
            Err(AskError::Refused(refused)) if refused.code == "BucketAlreadyOwnedByYou" => Ok(()),
            Err(error) => Err(remote("make", &at)(error)),
        }
    }

    /// A credential that puts exactly one object, for `life` ([`MIN_CREDENTIAL_LIFE`] at least).
    ///
    /// # Errors
    /// STS cannot be used, or refuses.
    pub async fn credential(
        &self,
        bucket: &str,
        object_key: &str,
        life: Duration,
    ) -> Result<DirectCredential, PackageStoreError> {
        let failed = |error: AskError| remote("get a credential for", &self.shared.role)(error);
        let partition = self.shared.role.split(':').nth(1).unwrap_or("aws");
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                "Resource": format!("arn:{partition}:s3:::{bucket}/{object_key}"),
            }],
        });
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.shared.role)
            .append_pair("RoleSessionName", bucket)
            .append_pair("DurationSeconds", &life.as_secs().to_string())
            .append_pair("Policy", &policy.to_string())
            .finish();
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.shared.sts.trim_end_matches('/')))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(HttpRequestBody::from(form))
            .map_err(remote("get a credential for", &self.shared.role))?;
        let answer = self.ask("sts", request).await.map_err(failed)?;
        let text = String::from_utf8_lossy(&answer);
        // The parser's words would quote the answer, which holds secrets.
        let answer: AssumeRoleResponse =
            quick_xml::de::from_str(&text).map_err(|_| failed(AskError::Unreadable))?;
        let session = answer.result.credentials;
        Ok(DirectCredential {
            access: session.access_key_id,
            secret: session.secret_access_key,
            security_token: session.session_token,
        })
    }

    /// Looks whether an upload is there.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn look(
        &self,
        bucket: &str,
        object_key: &str,
    ) -> Result<Option<DirectObject>, PackageStoreError> {
        let failed = remote("look at", &format!("s3://{bucket}/{object_key}"));
        let (store, at) = self.place(bucket, object_key)?;
        match store.head(&at).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(meta) => Ok(Some(DirectObject {
                etag: meta.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
                came_at_millis: meta.last_modified.timestamp_millis(),
            })),
        }
    }

    /// Reads an upload; `None` when it has gone.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn read(
        &self,
        bucket: &str,
        object_key: &str,
    ) -> Result<Option<DirectBytes>, PackageStoreError> {
        let failed = remote("read", &format!("s3://{bucket}/{object_key}"));
        let (store, at) = self.place(bucket, object_key)?;
        match store.get_opts(&at, GetOptions::new()).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(found) => Ok(Some(DirectBytes {
                sha256: found
                    .attributes
                    .get(&Attribute::Metadata(SHA256_METADATA.into()))
                    .map(|value| value.as_ref().trim().to_ascii_lowercase()),
                bytes: found.into_stream(),
            })),
        }
    }

    /// Removes an upload, which may have gone already.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn remove(&self, bucket: &str, object_key: &str) -> Result<(), PackageStoreError> {
        let (store, at) = self.place(bucket, object_key)?;
        match store.delete(&at).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(remote("remove", &format!("s3://{bucket}/{object_key}"))(
                error,
            )),
        }
    }

    /// Puts bytes as an uploader would, with a credential that was given; `false` when the store does not let it.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn put_as_uploader(
        &self,
        credential: &DirectCredential,
        bucket: &str,
        object_key: &str,
        bytes: Bytes,
    ) -> Result<bool, PackageStoreError> {
        let uploader: AwsCredentialProvider =
            Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id: credential.access.clone(),
                secret_key: credential.secret.expose_secret().to_owned(),
                token: Some(credential.security_token.expose_secret().to_owned()),
            }));
        let (store, at) = self.place_of(&uploader, bucket, object_key)?;
        match store.put(&at, bytes.into()).await {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. },
            ) => Ok(false),
            Err(error) => Err(remote("put", &format!("s3://{bucket}/{object_key}"))(error)),
        }
    }

    fn place(&self, bucket: &str, object_key: &str) -> Result<(AmazonS3, Path), PackageStoreError> {
        self.place_of(&self.shared.credentials, bucket, object_key)
    }

    fn place_of(
        &self,
        credentials: &AwsCredentialProvider,
        bucket: &str,
        object_key: &str,
    ) -> Result<(AmazonS3, Path), PackageStoreError> {
        let name = format!("s3://{bucket}/{object_key}");
        let place = StorePlace {
            options: &self.shared.options,
            certificates: &[],
            credentials: Some(credentials),
        };
        let store = place
            .builder(bucket, self.shared.options.endpoint.as_deref())
            .with_http_connector(Connected(self.shared.http.clone()))
            .build()
            .map_err(remote("open", &name))?;
        let at = Path::parse(object_key).map_err(remote("name", &name))?;
        Ok((store, at))
    }

    /// Signs a request, sends it once, and answers with the body of a good answer.
    async fn ask(&self, service: &str, mut request: HttpRequest) -> Result<Bytes, AskError> {
        let credential = self.shared.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, service, &self.shared.options.region)
            .try_authorize(&mut request, None)?;
        let answered = async {
            let answer = self.shared.http.execute(request).await?;
            let status = answer.status();
            Ok::<_, AskError>((status, answer.into_body().bytes().await?))
        };
        let (status, body) = tokio::time::timeout(ASK_LIMIT, answered)
            .await
            .map_err(|_| AskError::TooSlow)??;
        if status.is_success() {
            return Ok(body);
        }
        Err(AskError::Refused(Refused {
            status,
            code: code_of(&String::from_utf8_lossy(&body)),
        }))
    }
}

/// Why a request of ours was not answered well.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no credential of ours")]
    Credential(#[from] object_store::Error),
    #[error("it cannot be reached")]
    Http(#[from] object_store::client::HttpError),
    #[error("no answer within {} s", ASK_LIMIT.as_secs())]
    TooSlow,
    #[error("the answer cannot be read")]
    Unreadable,
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The code of a refusal: S3 has `<Error><Code>`, STS `<ErrorResponse><Error><Code>`.
fn code_of(text: &str) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Code")]
        code: Option<String>,
        #[serde(rename = "Error")]
        error: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "Code")]
        code: Option<String>,
    }
    quick_xml::de::from_str::<Answer>(text)
        .ok()
        .and_then(|answer| {
            answer
                .code
                .or_else(|| answer.error.and_then(|error| error.code))
        })
        .unwrap_or_default()
}

fn remote<E>(action: &'static str, object: &str) -> impl FnOnce(E) -> PackageStoreError + use<E>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let object = object.to_owned();
    move |source| PackageStoreError::Remote {
        action,
        object,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_both_services_have_their_code_read() {
        for text in [
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>",
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>NoSuchKey</Code></Error><RequestId>r</RequestId></ErrorResponse>",
        ] {
            assert_eq!(code_of(text), "NoSuchKey");
        }
        assert_eq!(code_of("<html>"), "");
        assert_eq!(code_of(""), "");
    }
}
