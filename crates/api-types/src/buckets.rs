//! The package bucket of a project and the credentials to upload into it.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;

/// Answer of `CreateAndAuthorizeBucket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateAndAuthorizeBucketResponse {
    /// wks-appcenter-{project_id}.
    pub bucket_name: String,
}

/// Body of `CreateBucketCredential`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateBucketCredentialReq {
    /// File name including extension; none of ``^;|~`{}[]<>``.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = r"^[^\^;|~`{}\[\]<>]{1,256}$"
    )]
    pub file_name: String,
}

/// What a policy statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum ObsEffect {
    /// Allows.
    Allow,
    /// Denies.
    Deny,
}

/// What the upload credential may do.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObsPolicyStatement {
    /// Effect.
    #[schema(nullable = false)]
    pub effect: Option<ObsEffect>,
    /// Allowed actions, for example obs:object:PutObject.
    #[schema(
        min_items = 1,
        max_items = 20,
        min_length = 1,
        max_length = 128,
        nullable = false
    )]
    pub action: Option<Vec<String>>,
    /// Resources, for example obs:*:*:object:{bucket}/{key}.
    #[schema(min_items = 1, max_items = 20, min_length = 1, nullable = false)]
    pub resource: Option<Vec<String>>,
}

/// statement is a single object here, not a list.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObsPolicy {
    /// 1.1.
    #[schema(min_length = 1, max_length = 32, nullable = false)]
    pub version: Option<String>,
    /// The one statement; an object, not an array.
    #[schema(nullable = false)]
    pub statement: Option<ObsPolicyStatement>,
}

/// Temporary key pair for the bucket, with its security token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObsCredential {
    /// Temporary access key.
    pub access: String,
    /// Temporary secret key.
    #[schema(value_type = String)]
    pub secret: SecretText,
    /// Security token that goes with the pair.
    #[schema(value_type = String)]
    pub security_token: SecretText,
}

/// Answer of `CreateBucketCredential`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateBucketCredentialResponse {
    /// Host of the object store.
    #[schema(nullable = false)]
    pub server_end_point: Option<String>,
    /// Bucket.
    #[schema(nullable = false)]
    pub bucket_name: Option<String>,
    /// Object key to upload to, for example app-file/xxx.exe.
    #[schema(nullable = false)]
    pub object_path: Option<String>,
    /// What the credential may do.
    #[schema(nullable = false)]
    pub policy: Option<ObsPolicy>,
    /// The credential.
    #[schema(nullable = false)]
    pub credential: Option<ObsCredential>,
}
