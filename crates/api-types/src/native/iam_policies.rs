//! IAM policies, groups of IAM users, and what is attached to whom. They belong to the domain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// A policy document in the vendor's language: an explicit Deny wins over every Allow, and what nobody allows is
/// refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamPolicyDocument {
    /// `1.1` or `5.0`; both mean the same here.
    #[serde(rename = "Version")]
    #[schema(min_length = 1, max_length = 8)]
    pub version: String,
    /// The rules; order has no meaning.
    #[serde(rename = "Statement")]
    #[schema(min_items = 1, max_items = 64)]
    pub statement: Vec<IamStatement>,
}

/// One rule of a policy.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamStatement {
    /// `Allow` or `Deny`.
    #[serde(rename = "Effect")]
    #[schema(min_length = 1, max_length = 5)]
    pub effect: String,
    /// Actions, with `*` and `?`: `workspace:appcenter:*`.
    #[serde(rename = "Action")]
    #[schema(min_items = 1, max_items = 100)]
    pub action: Vec<String>,
    /// Resources, with `*` and `?`: `app:ID`, `desktop:ID`, `userGroup:NAME`, ... Absent: every resource.
    #[serde(rename = "Resource")]
    #[schema(min_items = 1, max_items = 100)]
    pub resource: Option<Vec<String>>,
    /// Operator, then key, then values: `{"Bool": {"workspace:WidensAuthorization": ["false"]}}`.
    #[serde(rename = "Condition")]
    pub condition: Option<BTreeMap<String, BTreeMap<String, Vec<String>>>>,
}

/// Body of writing an IAM policy.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateIamPolicyReq {
    /// Name, unique in the domain without regard to case, and not that of a ready-made policy.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
    )]
    pub name: String,
    /// What it is for, in words.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// What it says.
    pub document: IamPolicyDocument,
}

/// Body of changing an IAM policy; absent members keep their value.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateIamPolicyReq {
    /// What it is for, in words.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// What it says.
    pub document: Option<IamPolicyDocument>,
}

/// IAM policy.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamPolicy {
    /// Policy ID; of a ready-made policy its name.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// Whether it comes with the product and cannot be changed.
    pub ready_made: bool,
    /// What it says.
    pub document: IamPolicyDocument,
    /// When it was written; left out for a ready-made policy.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub created_at: Option<WireTime>,
    /// When it was last changed; left out for a ready-made policy.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub updated_at: Option<WireTime>,
}

/// Answer of listing IAM policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamPoliciesResponse {
    /// Number of records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page: those written here, newest first, then the ready-made ones.
    pub items: Vec<IamPolicy>,
}

/// Query parameters of the lists of IAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Body of attaching or detaching an IAM policy: to one user or to one group.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamAttachmentReq {
    /// ID of the policy, or name of a ready-made one.
    #[schema(min_length = 1, max_length = 128)]
    pub policy: String,
    /// ID of the IAM user. Give this or `group_id`.
    #[schema(max_length = 128)]
    pub user_id: Option<String>,
    /// ID of the IAM group. Give this or `user_id`.
    #[schema(max_length = 128)]
    pub group_id: Option<String>,
    /// Counts in this project only; absent: in every project, and for what belongs to no project.
    #[schema(max_length = 128)]
    pub project_id: Option<String>,
}

/// IAM policy as it is attached.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamAttachment {
    /// ID of the policy, or name of a ready-made one.
    pub policy: String,
    /// Name of the policy.
    pub policy_name: String,
    /// ID of the IAM user.
    #[schema(nullable = false)]
    pub user_id: Option<String>,
    /// Name of the IAM user.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// ID of the IAM group.
    #[schema(nullable = false)]
    pub group_id: Option<String>,
    /// Name of the IAM group.
    #[schema(nullable = false)]
    pub group_name: Option<String>,
    /// The project it counts in; left out: all.
    #[schema(nullable = false)]
    pub project_id: Option<String>,
}

/// Answer of listing attached IAM policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamAttachmentsResponse {
    /// Number of records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<IamAttachment>,
}

/// Body of making an IAM group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateIamGroupReq {
    /// Name, unique in the domain without regard to case.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
    )]
    pub name: String,
}

/// Name of a group of the login provider, as its tokens have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(min_length = 1, max_length = 255)]
pub struct ProviderGroup(pub String);

/// Body of changing who is in an IAM group.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateIamGroupReq {
    /// IDs of IAM users to add.
    #[schema(max_items = 100)]
    pub add_user_ids: Option<Vec<String>>,
    /// IDs of IAM users to take out.
    #[schema(max_items = 100)]
    pub remove_user_ids: Option<Vec<String>>,
    /// Groups of the login provider whose members are members: these, no others. Taking one away takes out whom the
    /// provider brought, until their next login.
    #[schema(max_items = 100)]
    pub provider_groups: Option<Vec<ProviderGroup>>,
}

/// IAM group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamGroup {
    /// Group ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Its members, by name; who the login provider brings among them.
    pub members: Vec<IamGroupMember>,
    /// Groups of the login provider whose members are members.
    pub provider_groups: Vec<ProviderGroup>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// Member of an IAM group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IamGroupMember {
    /// ID of the IAM user.
    pub user_id: String,
    /// Name of the IAM user.
    pub user_name: String,
}

/// Answer of listing IAM groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListIamGroupsResponse {
    /// Number of records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<IamGroup>,
}

/// Query parameters of explaining what an IAM user may do.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainIamQuery {
    /// ID or name of the IAM user.
    #[schema(min_length = 1, max_length = 128)]
    pub user: String,
    /// The action, such as `workspace:appcenter:batchInstallApps`.
    #[schema(min_length = 1, max_length = 512)]
    pub action: String,
    /// The resource, such as `app:ID`; absent: everything in the project.
    #[schema(max_length = 512)]
    pub resource: Option<String>,
    /// Address the call would come from; absent: the address this one comes from.
    #[schema(max_length = 64)]
    pub source_ip: Option<String>,
    /// `ALL_USER` or `ASSIGN_USER`, for calls that install or authorize.
    #[schema(max_length = 16)]
    pub assign_scope: Option<String>,
    /// Whether the call would widen authorizations.
    pub widens_authorization: Option<bool>,
}

/// Whether an IAM user may do something, and which statement says so.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainIamResponse {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The decision in a sentence.
    pub reason: String,
    /// Name of the policy that decided; left out when no statement speaks of it.
    #[schema(nullable = false)]
    pub policy: Option<String>,
    /// The IAM group that brings the policy.
    #[schema(nullable = false)]
    pub through_group: Option<String>,
    /// Place of the deciding statement in its policy, from 1.
    #[schema(nullable = false)]
    pub statement_number: Option<i64>,
    /// The deciding statement.
    #[schema(nullable = false)]
    pub statement: Option<IamStatement>,
}
