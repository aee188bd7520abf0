//! Who may use an application: accounts, and the calls that grant and revoke.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};

/// Who may use an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AssignType {
    /// Everyone in the project.
    AllUser,
    /// Only the accounts granted explicitly.
    AssignUser,
}

/// Kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountTypeEnum {
    /// One user.
    Simple,
    /// A user group.
    UserGroup,
}

/// Directory an account comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PlatformTypeEnum {
    /// Active Directory account.
    Ad,
    /// Account of the built-in directory (LiteAS).
    Local,
}

/// A user or a user group.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountInfo {
    /// User name (SIMPLE) or group name (USER_GROUP).
    #[schema(min_length = 1, max_length = 128)]
    pub account: String,
    /// Domain. Called for with user groups; absent, null or blank means local.com.
    #[schema(default = "local.com", max_length = 64)]
    pub domain: Option<String>,
    /// User or group.
    pub account_type: AccountTypeEnum,
    /// Directory the account comes from.
    pub platform_type: Option<PlatformTypeEnum>,
}

amended! {
    /// Body of `UpdateAppAuthorizations`.
    pub struct AssignAppAuthorizationsReq {
        /// Who may use the application.
        pub authorization_type: AssignType,
        /// Accounts to grant.
        #[schema(max_items = 100)]
        pub users: Option<Vec<AccountInfo>>,
        /// Accounts to revoke.
        #[schema(max_items = 100)]
        pub del_users: Option<Vec<AccountInfo>>,
    }
    with [
        unique_items("users"),
        unique_items("del_users"),
    ]
}

amended! {
    /// Body of `BatchUpdateAppAuthorizations`.
    pub struct BatchAssignAppAuthorizationsReq {
        /// Applications to change.
        #[schema(min_items = 1, max_items = 20, min_length = 1, max_length = 128)]
        pub app_ids: Vec<String>,
        /// Who may use the application.
        pub authorization_type: AssignType,
        /// Accounts to grant.
        #[schema(max_items = 100)]
        pub users: Option<Vec<AccountInfo>>,
        /// Accounts to revoke.
        #[schema(max_items = 100)]
        pub del_users: Option<Vec<AccountInfo>>,
    }
    with [
        unique_items("app_ids"),
        unique_items("users"),
        unique_items("del_users"),
    ]
}

/// Answer of `ListAppAuthorizations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppAuthorizationsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Accounts on this page.
    pub items: Vec<AccountInfo>,
}

/// Query parameters of `ListAppAuthorizations`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppAuthorizationsQuery {
    /// Index of the first record.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Page size.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// User or group name (contains).
    #[schema(max_length = 128, nullable = false)]
    pub name: Option<String>,
    /// Keep users or groups.
    #[schema(nullable = false)]
    pub target_type: Option<AccountTypeEnum>,
    /// Scope filter.
    #[schema(nullable = false)]
    pub assign_type: Option<AssignType>,
}
