//! IAM users of the domain and their access keys.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::time::WireTime;

/// What an IAM user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IamRole {
    /// Everything.
    Administrator,
    /// The catalogue, authorizations and installations.
    AppOperator,
    /// Installs what a user may have already, and tries again.
    HelpDesk,
    /// Read only.
    ReadOnly,
}

/// Body of making an IAM user with rights in the project.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateIamUserReq {
    /// Name, unique in the domain without regard to case.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
    )]
    pub name: String,
    /// What the user may do.
    pub role: IamRole,
    /// Password. Absent or null: one is made.
    #[schema(value_type = Option<String>, min_length = 12, max_length = 128)]
    pub password: Option<SecretText>,
}

/// Body of changing an IAM user; absent members keep their value.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateIamUserReq {
    /// What the user may do.
    pub role: Option<IamRole>,
    /// False refuses the user everything.
    pub enabled: Option<bool>,
    /// New password; tokens issued before stop working.
    #[schema(value_type = Option<String>, min_length = 12, max_length = 128)]
    pub password: Option<SecretText>,
}

/// Body of changing one's own password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePasswordReq {
    /// The new password; every token and session so far ends, access keys stay.
    #[schema(value_type = String, min_length = 12, max_length = 128)]
    pub password: SecretText,
    /// The password so far.
    #[schema(value_type = String, max_length = 1024)]
    pub original_password: SecretText,
}

/// IAM user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamUser {
    /// User ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// ID of the domain (account).
    pub domain_id: String,
    /// What the user may do in the project.
    pub role: IamRole,
    /// Whether the user may do anything.
    pub enabled: bool,
    /// Whether the login provider knows the user: then there is no password and there are no access keys.
    pub external: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// Answer of making an IAM user.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateIamUserResponse {
    /// The user.
    pub user: IamUser,
    /// The password that was made, shown this once; left out when the caller gave one.
    #[schema(value_type = Option<String>, nullable = false)]
    pub password: Option<SecretText>,
    /// A first access key.
    pub access_key: CreateAccessKeyResponse,
}

/// Answer of listing IAM users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamUsersResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<IamUser>,
}

/// Query parameters of listing IAM users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamUsersQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Access key, without its secret.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessKey {
    /// The access key ID.
    pub access_key: String,
    /// IAM user it belongs to.
    pub user_id: String,
    /// Whether it may sign.
    pub enabled: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When it last signed.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_used_at: Option<WireTime>,
}

/// Answer of making an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateAccessKeyResponse {
    /// The access key ID.
    pub access_key: String,
    /// The secret, shown this once.
    #[schema(value_type = String)]
    pub secret_key: SecretText,
    /// IAM user it belongs to.
    pub user_id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// Body of changing an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateAccessKeyReq {
    /// False refuses its signatures.
    pub enabled: bool,
}

/// Answer of listing the access keys of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAccessKeysResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<AccessKey>,
}

/// Query parameters of listing access keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAccessKeysQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
