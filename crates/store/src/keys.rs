//! Internal keys: what tables are joined on. Never shown outside the server.

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Wraps a key read from a row.
            pub const fn new(key: i64) -> Self {
                Self(key)
            }

            /// The number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl From<$name> for sea_orm::Value {
            fn from(key: $name) -> Self {
                key.0.into()
            }
        }

        impl From<i64> for $name {
            fn from(key: i64) -> Self {
                Self(key)
            }
        }
    )+};
}

keys! {
    /// Row of `domain`.
    DomainKey,
    /// Row of `project`.
    ProjectKey,
    /// Row of `iam_user`.
    IamUserKey,
    /// Row of `iam_policy`.
    IamPolicyKey,
    /// Row of `iam_group`.
    IamGroupKey,
    /// Row of `access_key`.
    AccessKeyKey,
    /// Row of `directory_user`.
    UserKey,
    /// Row of `directory_group`.
    GroupKey,
    /// Row of `desktop`.
    DesktopKey,
    /// Row of `agent`.
    AgentKey,
    /// Row of `agent_release`.
    AgentReleaseKey,
    /// Row of `enrollment_token`.
    EnrollmentTokenKey,
    /// Row of `enrollment_request`.
    EnrollmentRequestKey,
    /// Row of `app`.
    AppKey,
    /// Row of `app_revision`.
    RevisionKey,
    /// Row of `package`.
    PackageKey,
    /// Row of `deployment`.
    DeploymentKey,
    /// Row of `job`.
    JobKey,
    /// Row of `attempt`.
    AttemptKey,
    /// Row of `app_rule`.
    RuleKey,
    /// Row of `workspace_job`.
    WorkspaceJobKey,
    /// Row of `bucket_upload`.
    BucketUploadKey,
    /// Row of `workspace_sub_job`.
    WorkspaceSubJobKey,
}
