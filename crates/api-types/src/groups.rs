//! User groups of the directory.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::authorizations::PlatformTypeEnum;
use crate::time::WireTime;
use crate::users::ActiveType;

/// Body of `CreateUserGroup`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateUserGroupReq {
    /// User group name.
    #[schema(max_length = 64)]
    pub group_name: String,
    /// AD for AD domain groups, LOCAL for built-in directory groups.
    pub platform_type: PlatformTypeEnum,
    /// Free text description.
    #[schema(max_length = 255)]
    pub description: Option<String>,
}

/// Body of `UpdateUserGroup`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditUserGroupRequest {
    /// Free text description.
    #[schema(min_length = 1, max_length = 255)]
    pub description: Option<String>,
    /// New group name. AD groups cannot be renamed.
    #[schema(min_length = 1, max_length = 64)]
    pub group_name: Option<String>,
}

/// Body of `BatchDeleteUserGroups`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteUserGroupsReq {
    /// User group IDs.
    #[schema(min_items = 1, max_items = 100, max_length = 255)]
    pub group_ids: Vec<String>,
}

/// Whether users join or leave a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupOperation {
    /// Join.
    Add,
    /// Leave.
    Delete,
}

/// Body of `RunActionsOnGroup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionsOfUsersInGroupRequest {
    /// User IDs.
    #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 55)]
    pub user_ids: Vec<String>,
    /// ADD puts the users into the group, DELETE takes them out.
    pub op_type: GroupOperation,
}

/// One official example spells the group field domain as domian; the schema says domain.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUserGroupsResponse {
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
    /// User groups.
    #[schema(nullable = false)]
    pub user_groups: Option<Vec<UserGroupInfo>>,
}

/// User group.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserGroupInfo {
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Creation time.
    #[schema(value_type = Option<String>, nullable = false)]
    pub create_time: Option<WireTime>,
    /// Free text description.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Number of users in the group.
    #[schema(nullable = false)]
    pub user_quantity: Option<i64>,
    /// Parent group.
    #[schema(no_recursion, nullable = false)]
    pub parent: Option<Box<UserGroupInfo>>,
    /// Domain ID of the group.
    #[schema(nullable = false)]
    pub realm_id: Option<String>,
    /// AD for AD domain groups, LOCAL for built-in directory groups.
    #[schema(nullable = false)]
    pub platform_type: Option<PlatformTypeEnum>,
    /// Distinguished name of the group.
    #[schema(nullable = false)]
    pub group_dn: Option<String>,
    /// Domain of the user group.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// Security identifier.
    #[schema(nullable = false)]
    pub sid: Option<String>,
    /// Number of desktops.
    #[schema(nullable = false)]
    pub total_desktops: Option<i64>,
}

/// Answer of `ListUsersOfGroup`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUsersOfGroupResponse {
    /// Users.
    #[schema(nullable = false)]
    pub users: Option<Vec<UserInGroup>>,
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// Member of a group.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserInGroup {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Domain of the user; empty means the primary domain.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// Mail address.
    #[schema(nullable = false)]
    pub user_email: Option<String>,
    /// Phone number.
    #[schema(nullable = false)]
    pub user_phone: Option<String>,
    /// Number of desktops.
    #[schema(nullable = false)]
    pub total_desktops: Option<i64>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Free text description.
    #[schema(nullable = false)]
    pub description: Option<String>,
}

/// Query parameters of `ListUserGroups`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUserGroupsQuery {
    /// Page size as text, 1 to 100; absent or 0 means 100.
    #[schema(max_length = 255, nullable = false)]
    pub limit: Option<String>,
    /// Index of the first record as text, from 0; only used together with limit.
    #[schema(max_length = 255, nullable = false)]
    pub offset: Option<String>,
    /// Fuzzy match on the group name.
    #[schema(max_length = 255, nullable = false)]
    pub keyword: Option<String>,
    /// Keep groups of this domain.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// AD, LOCAL or UOS. Accept both one comma separated value and repeated parameters.
    #[schema(nullable = false)]
    pub platform_type: Option<Vec<String>>,
}

/// Query parameters of `ListUsersOfGroup`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListUsersOfGroupQuery {
    /// Fuzzy match on the user name.
    #[schema(max_length = 255, nullable = false)]
    pub user_name: Option<String>,
    /// User names, comma separated or repeated. Accept both one comma separated value and
    /// repeated parameters.
    #[schema(nullable = false)]
    pub user_names: Option<Vec<String>>,
    /// Fuzzy match on the description.
    #[schema(max_length = 255, nullable = false)]
    pub description: Option<String>,
    /// Who activates the account: USER_ACTIVATE (the default) or ADMIN_ACTIVATE.
    #[schema(nullable = false)]
    pub active_type: Option<ActiveType>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Page size; absent or 0 means 2000.
    #[serde(default = "crate::defaults::two_thousand")]
    #[schema(default = 2000, minimum = 0, maximum = 10000)]
    pub limit: i64,
    /// Index of the first record, from 0.
    #[schema(minimum = 0, nullable = false)]
    pub offset: Option<i64>,
}
