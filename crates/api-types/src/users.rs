//! Users of the directory.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::time::WireTime;

/// Who activates an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActiveType {
    /// The user, by mail or phone.
    UserActivate,
    /// The administrator, who sets the password.
    AdminActivate,
}

/// Body of `CreateDesktopUser`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateUserRequest {
    /// User name, 1 to 32 characters.
    #[schema(
        max_length = 32,
        pattern = "^([a-zA-Z0-9]{1,32}|[a-zA-Z0-9][a-zA-Z0-9._-]{0,30}[a-zA-Z0-9-])$"
    )]
    pub user_name: String,
    /// Mail address.
    #[schema(max_length = 64)]
    pub user_email: Option<String>,
    /// Account expiry as yyyy-MM-ddTHH:mm:ssZ or yyyy-MM-ddTHH:mm:ss.SSSZ; 0 or absent means
    /// never.
    #[schema(max_length = 55)]
    pub account_expires: Option<String>,
    /// USER_ACTIVATE (default): the person activates the account from a mail or SMS, so
    /// user_email or user_phone is needed. ADMIN_ACTIVATE: without AD an initial password is
    /// needed; with AD only the AD user name.
    pub active_type: Option<ActiveType>,
    /// Phone number.
    #[schema(max_length = 20)]
    pub user_phone: Option<String>,
    /// Initial password; needed for ADMIN_ACTIVATE without AD.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 32)]
    pub password: Option<SecretText>,
    /// Whether the user may change the password. Default true.
    #[schema(default = true)]
    pub enable_change_password: Option<bool>,
    /// Whether the password must change at first sign-in. Default true; only used with
    /// ADMIN_ACTIVATE.
    #[schema(default = true)]
    pub next_login_change_password: Option<bool>,
    /// User group IDs.
    #[schema(min_items = 1, max_items = 5, max_length = 55)]
    pub group_ids: Option<Vec<String>>,
    /// Free text description.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// Alias shown for the user.
    #[schema(max_length = 55)]
    pub alias_name: Option<String>,
    /// Enterprise project ID.
    #[schema(max_length = 255)]
    pub enterprise_project_id: Option<String>,
    /// Service level, operation mode and type of the user, as text.
    #[schema(max_length = 255)]
    pub user_info_map: Option<String>,
    /// Domain of the user; empty means the primary domain.
    #[schema(max_length = 255)]
    pub domain: Option<String>,
}

/// Body of `BatchCreateUsers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchCreateUsersReq {
    /// Users.
    #[schema(min_items = 1, max_items = 200)]
    pub users: Vec<CreateUserRequest>,
}

/// Body of `UpdateUserInfo`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditUserReq {
    /// Free text description.
    #[schema(min_length = 1, max_length = 255)]
    pub description: Option<String>,
    /// Mail address.
    #[schema(
        min_length = 1,
        max_length = 55,
        pattern = "^((([0-9a-zA-Z_]+)|([0-9a-zA-Z]+[_.0-9a-zA-Z-]*[0-9a-zA-Z]+))@([a-zA-Z0-9-_]+[.])+[a-zA-Z0-9]+)$"
    )]
    pub user_email: Option<String>,
    /// Phone number.
    #[schema(max_length = 20)]
    pub user_phone: Option<String>,
    /// Who activates the account: USER_ACTIVATE (the default) or ADMIN_ACTIVATE.
    pub active_type: Option<ActiveType>,
    /// Account expiry. The string 0 means the account never expires.
    #[schema(min_length = 1, max_length = 55)]
    pub account_expires: Option<String>,
    /// Whether the user may change the password. Default true.
    pub enable_change_password: Option<bool>,
    /// Whether the password must change at next sign-in.
    pub next_login_change_password: Option<bool>,
    /// True when the password does not expire.
    pub password_never_expired: Option<bool>,
    /// True when the account is disabled.
    pub disabled: Option<bool>,
    /// Service level, operation mode and type of the user, as text.
    pub user_info_map: Option<String>,
}

/// Body of `BatchDeleteUser`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteUserReq {
    /// User IDs.
    #[schema(min_items = 1, max_items = 100, max_length = 255)]
    pub user_ids: Vec<String>,
}

/// Answer of `ListUsers`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUsersResponse {
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
    /// Users.
    #[schema(nullable = false)]
    pub users: Option<Vec<User>>,
}

/// User in a list.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Security identifier.
    #[schema(nullable = false)]
    pub sid: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Mail address.
    #[schema(nullable = false)]
    pub user_email: Option<String>,
    /// Number of desktops.
    #[schema(nullable = false)]
    pub total_desktops: Option<i64>,
    /// Phone number.
    #[schema(nullable = false)]
    pub user_phone: Option<String>,
    /// Who activates the account: USER_ACTIVATE (the default) or ADMIN_ACTIVATE.
    #[schema(nullable = false)]
    pub active_type: Option<ActiveType>,
    /// True for a user created ahead of activation.
    #[schema(nullable = false)]
    pub is_pre_user: Option<bool>,
    /// Account expiry. The string 0 means the account never expires.
    #[schema(nullable = false)]
    pub account_expires: Option<String>,
    /// True when the password does not expire.
    #[schema(nullable = false)]
    pub password_never_expired: Option<bool>,
    /// True once the account's expiry time has passed.
    #[schema(nullable = false)]
    pub account_expired: Option<bool>,
    /// Whether the user may change the password. Default true.
    #[schema(nullable = false)]
    pub enable_change_password: Option<bool>,
    /// Whether the password must change at next sign-in.
    #[schema(nullable = false)]
    pub next_login_change_password: Option<bool>,
    /// Free text description.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// True when the account is locked.
    #[schema(nullable = false)]
    pub locked: Option<bool>,
    /// True when the account is disabled.
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    /// Whether the user subscribed to collaboration.
    #[schema(nullable = false)]
    pub share_space_subscription: Option<bool>,
    /// Collaboration desktops of the user.
    #[schema(nullable = false)]
    pub share_space_desktops: Option<i64>,
    /// Groups the user belongs to.
    #[schema(nullable = false)]
    pub group_names: Option<Vec<String>>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Service level, operation mode and type of the user, as text.
    #[schema(nullable = false)]
    pub user_info_map: Option<String>,
    /// Domain of the user; empty means the primary domain.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// True when the user holds a client certificate.
    #[schema(nullable = false)]
    pub certificate_status: Option<bool>,
}

/// Answer of `CreateDesktopUser`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateDesktopUserResponse {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
}

/// Answer of `ListUserDetail`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUserDetailResponse {
    /// The user.
    #[schema(nullable = false)]
    pub user_detail: Option<UserDetail>,
}

/// User in full.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserDetail {
    /// Free text description.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Mail address.
    #[schema(nullable = false)]
    pub user_email: Option<String>,
    /// Phone number.
    #[schema(nullable = false)]
    pub user_phone: Option<String>,
    /// Who activates the account: USER_ACTIVATE (the default) or ADMIN_ACTIVATE.
    #[schema(nullable = false)]
    pub active_type: Option<ActiveType>,
    /// Directory SID.
    #[schema(nullable = false)]
    pub object_sid: Option<String>,
    /// Pre-Windows 2000 logon name.
    #[schema(nullable = false)]
    pub sam_account_name: Option<String>,
    /// User principal name.
    #[schema(nullable = false)]
    pub user_principal_name: Option<String>,
    /// Full name.
    #[schema(nullable = false)]
    pub full_name: Option<String>,
    /// Position of the user in the directory tree.
    #[schema(nullable = false)]
    pub distinguished_name: Option<String>,
    /// 0 for a user, 1 for a user group.
    #[schema(nullable = false)]
    pub account_type: Option<i64>,
    /// Creation time, yyyy-MM-ddTHH:mm:ss.SSSZ.
    #[schema(value_type = Option<String>, nullable = false)]
    pub when_created: Option<WireTime>,
    /// Last valid day as UTC epoch milliseconds; 0 means the account never expires.
    #[schema(nullable = false)]
    pub account_expires: Option<i64>,
    /// True for a user created ahead of activation.
    #[schema(nullable = false)]
    pub is_pre_user: Option<bool>,
    /// True once the account has expired.
    #[schema(nullable = false)]
    pub user_expired: Option<bool>,
    /// True when the account is locked.
    #[schema(nullable = false)]
    pub locked: Option<bool>,
    /// Whether the user may change the password. Default true.
    #[schema(nullable = false)]
    pub enable_change_password: Option<bool>,
    /// True when the password does not expire.
    #[schema(nullable = false)]
    pub password_never_expired: Option<bool>,
    /// Whether the password must change at next sign-in.
    #[schema(nullable = false)]
    pub next_login_change_password: Option<bool>,
    /// True when the account is disabled.
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    /// Groups the user belongs to.
    #[schema(nullable = false)]
    pub group_names: Option<Vec<String>>,
    /// Whether the user subscribed to collaboration.
    #[schema(nullable = false)]
    pub share_space_subscription: Option<bool>,
    /// Collaboration desktops of the user.
    #[schema(nullable = false)]
    pub share_space_desktops: Option<i64>,
    /// Number of desktops.
    #[schema(nullable = false)]
    pub total_desktops: Option<i64>,
    /// Enabled change password.
    #[schema(nullable = false)]
    pub enabled_change_password: Option<bool>,
}

/// Answer of `UpdateUserInfo`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateUserInfoResponse {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
}

/// Query parameters of `ListUsers`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUsersQuery {
    /// User name filter.
    #[schema(max_length = 255, nullable = false)]
    pub user_name: Option<String>,
    /// User names, comma separated or repeated. Accept both one comma separated value and
    /// repeated parameters.
    #[schema(nullable = false)]
    pub user_names: Option<Vec<String>>,
    /// Page size as text; absent means everything.
    #[schema(max_length = 255, nullable = false)]
    pub limit: Option<String>,
    /// Index of the first record, from 0.
    #[schema(max_length = 255, nullable = false)]
    pub offset: Option<String>,
    /// Fuzzy match on the description.
    #[schema(max_length = 100, nullable = false)]
    pub description: Option<String>,
    /// Who activates the account: USER_ACTIVATE (the default) or ADMIN_ACTIVATE.
    #[schema(max_length = 40, nullable = false)]
    pub active_type: Option<String>,
    /// Keep users of this group (exact match).
    #[schema(max_length = 64, nullable = false)]
    pub group_name: Option<String>,
    /// Whether the user subscribed to collaboration.
    #[schema(nullable = false)]
    pub share_space_subscription: Option<bool>,
    /// Collaboration desktops of the user.
    #[schema(nullable = false)]
    pub share_space_desktops: Option<bool>,
    /// Whether total_desktops is filled in. Default true.
    #[schema(nullable = false)]
    pub is_query_total_desktops: Option<bool>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// True when the account is disabled.
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    /// Keep users of this domain.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// AD, LOCAL or UOS.
    #[schema(nullable = false)]
    pub platform_type: Option<String>,
}
