//! Enrollments that wait for an administrator.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};
use crate::time::WireTime;

/// What became of an enrollment that an administrator has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnrollmentRequestState {
    /// Nobody has decided.
    Waiting,
    /// Approved; its agent has yet to come back.
    Approved,
    /// Refused.
    Refused,
    /// Approved, and its agent is in.
    Enrolled,
}

/// Whose copy a machine that wants to enroll is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrollmentRequestCopy {
    /// ID of the desktop whose disk was copied.
    pub desktop_id: String,
    /// Its name.
    pub desktop_name: String,
}

/// An enrollment that waits for an administrator, or did.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrollmentRequest {
    /// Request ID.
    pub id: String,
    /// What became of it.
    pub state: EnrollmentRequestState,
    /// Name of the desktop that it would become.
    pub name: String,
    /// LOCAL user that it would attach.
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// Whose copy the machine is, where it was seen to be one.
    #[schema(nullable = false)]
    pub copy_of: Option<EnrollmentRequestCopy>,
    /// ID of the desktop that it takes back: its machine, by its hardware, is the one that the desktop was.
    #[schema(nullable = false)]
    pub takes_back_desktop_id: Option<String>,
    /// Address that the machine first called from.
    pub address: String,
    /// Operating system, as the machine reports it.
    pub os: String,
    /// Architecture, as the machine reports it.
    pub arch: String,
    /// Version of its agent.
    pub agent_version: String,
    /// Identity of the machine, opaque: the same in two requests, the same machine or a copy.
    pub machine_id: String,
    /// ID of the token that it asked with.
    pub token_id: String,
    /// What that token is for.
    pub token_name: String,
    /// When it first asked.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: WireTime,
    /// When it asked last.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: WireTime,
    /// When an administrator decided.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub decided_at: Option<WireTime>,
    /// ID of the desktop that it became.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// When it is over: undecided, or approved and not come back.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WireTime,
}

/// Query parameters of listing enrollment requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListEnrollmentRequestsQuery {
    /// Only those in this state.
    pub state: Option<EnrollmentRequestState>,
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Answer of listing enrollment requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListEnrollmentRequestsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<EnrollmentRequest>,
}

amended! {
    /// Body of approving or refusing enrollments.
    pub struct DecideEnrollmentRequestsReq {
        /// Request IDs.
        #[schema(min_items = 1, max_items = 100, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
    }
    with [
        unique_items("items"),
    ]
}
