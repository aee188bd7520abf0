//! A type per public identifier, so that no id is ever a bare string.
//!
//! Every id is a UUIDv7 made by an [`IdSource`]; on the wire it is an opaque string (the contract allows
//! 1 to 128 characters), so text that is no UUID is simply an id that does not exist: parse with
//! [`AppId::lookup`] and friends, which answer `None` for it.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where new ids come from. A seam: the simulator hands out a seeded sequence.
pub trait IdSource: Send + Sync {
    /// A fresh UUIDv7 for an instant given in milliseconds UTC.
    fn uuid(&self, unix_millis: i64) -> Uuid;
}

/// Ids from the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

#[expect(
    clippy::disallowed_methods,
    reason = "the one id source that asks the operating system"
)]
impl IdSource for SystemIds {
    fn uuid(&self, unix_millis: i64) -> Uuid {
        let random = Uuid::new_v4();
        let mut bytes = [0_u8; 10];
        bytes.copy_from_slice(&random.as_bytes()[6..]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(unix_millis).unwrap_or(0), &bytes)
            .into_uuid()
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID read from the database or made by an [`IdSource`].
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, for the database.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Reads an id from the wire. `None` for text that none of our ids can equal: such an id
            /// is not malformed, it just does not exist.
            pub fn lookup(text: &str) -> Option<Self> {
                let uuid = Uuid::try_parse(text).ok()?;
                // Only the one spelling we mint: else two texts would name one object.
                (uuid.hyphenated().to_string() == text).then_some(Self(uuid))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

ids! {
    /// An account: the owner of projects (`tenant_id` in application answers).
    DomainId,
    /// A project: the scope of every query.
    ProjectId,
    /// An administrator or automation user (not a desktop user).
    IamUserId,
    /// A policy that the account wrote.
    IamPolicyId,
    /// A group of IAM users (not of desktop users).
    IamGroupId,
    /// A desktop user of the directory.
    UserId,
    /// A user group of the directory.
    GroupId,
    /// A machine.
    DesktopId,
    /// Our program on a desktop.
    AgentId,
    /// What an agent drew by chance to be told from its own past, and from copies of its disk.
    HistoryId,
    /// A token that lets agents enroll.
    EnrollmentTokenId,
    /// An enrollment that waits for an administrator.
    EnrollmentRequestId,
    /// A catalogue entry.
    AppId,
    /// One immutable installable content of an app.
    RevisionId,
    /// One accepted install or uninstall request.
    DeploymentId,
    /// One app on one desktop.
    JobId,
    /// One try of a job.
    AttemptId,
    /// A batch of work on desktops (agent pushes and the like).
    WorkspaceJobId,
    /// One desktop's part of a workspace job.
    WorkspaceSubJobId,
    /// How the desktops of a network are reached.
    NetworkReachId,
    /// An application control rule.
    RuleId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_minted_spelling_is_found() {
        let id = AppId::new(SystemIds.uuid(1_700_000_000_000));
        assert_eq!(AppId::lookup(&id.to_string()), Some(id));
        assert_eq!(AppId::lookup(&id.to_string().to_uppercase()), None);
        assert_eq!(AppId::lookup(&id.uuid().simple().to_string()), None);
        assert_eq!(AppId::lookup("no-such-app"), None);
    }

    #[test]
    fn ids_of_later_instants_sort_later() {
        assert!(SystemIds.uuid(1_700_000_000_001) > SystemIds.uuid(1_700_000_000_000));
    }
}
