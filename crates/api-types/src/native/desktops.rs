//! Desktops as the fleet knows them: registered by hand or by enrollment.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, unique_items};
use crate::apps::OsTypeEnum;
use crate::authorizations::AccountInfo;
use crate::time::WireTime;

amended! {
    /// Body of registering a desktop, before or without its agent.
    pub struct RegisterDesktopReq {
        /// Name, unique in the project without regard to case: 1 to 15 letters, digits and `-`, begins with a
        /// letter, does not end with `-`.
        #[schema(
            min_length = 1,
            max_length = 15,
            pattern = "^[A-Za-z]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$"
        )]
        pub name: String,
        /// Operating system.
        pub os_type: OsTypeEnum,
        /// Names of LOCAL users to attach; one that is not there is made. Absent or null: none.
        #[schema(max_items = 500, min_length = 1, max_length = 64)]
        pub users: Option<Vec<String>>,
        /// False for a desktop that is recomposed at log-off; installs skip it.
        #[schema(default = true)]
        pub persistent: Option<bool>,
    }
    with [
        unique_items("users"),
    ]
}

/// Desktop with its users and its agent.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisteredDesktop {
    /// Desktop ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Operating system.
    pub os_type: OsTypeEnum,
    /// Whether what is installed stays.
    pub persistent: bool,
    /// Attached users.
    pub users: Vec<AccountInfo>,
    /// The live agent, where there is one.
    #[schema(nullable = false)]
    pub agent: Option<DesktopAgent>,
    /// Since when a restart is needed for what was installed or uninstalled; left out: none is.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub restart_needed_since: Option<WireTime>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
}

/// Agent of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopAgent {
    /// Version.
    pub version: String,
    /// Whether its channel is open.
    pub connected: bool,
    /// When it enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub enrolled_at: WireTime,
    /// Last sign of life.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_seen_at: Option<WireTime>,
    /// The folder that plays the desktop, where one does.
    #[schema(nullable = false)]
    pub sandbox_root: Option<String>,
    /// Another machine that connected with a copy of its key; left out: none, or an administrator has settled it.
    #[schema(nullable = false)]
    pub copy: Option<AgentCopy>,
}

/// A machine with a copy of an agent's key.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentCopy {
    /// When it was there last.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: WireTime,
    /// Address it called from; left out: not known.
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// How it was told.
    pub sign: AgentCopySign,
}

/// How a copy was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentCopySign {
    /// Machine id or board are others.
    OtherMachine,
    /// The same machine id, and both were connected.
    BothAlive,
    /// It took the place of the one that was there first, which came back.
    TookOver,
}

/// Which machine a desktop is.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopIdentity {
    /// Desktop ID.
    pub desktop_id: String,
    /// Name.
    pub desktop_name: String,
    /// Another machine that connected with a copy of its key; left out: none, or an administrator has settled it.
    #[schema(nullable = false)]
    pub copy: Option<AgentCopy>,
}

/// Which of two machines with the same key a desktop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RealMachine {
    /// The one that is let in.
    Present,
    /// The one that is refused.
    Refused,
}

/// Body of saying which machine a desktop is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettleDesktopIdentityReq {
    /// The machine.
    pub real: RealMachine,
}

/// Answer of listing desktops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListRegisteredDesktopsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<RegisteredDesktop>,
}

/// Query parameters of listing desktops.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListRegisteredDesktopsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Text the name contains, without regard to case.
    #[schema(max_length = 64, nullable = false)]
    pub name: Option<String>,
    /// How its agent is.
    #[schema(nullable = false)]
    pub agent: Option<AgentPresence>,
    /// Version of its agent.
    #[schema(max_length = 64, nullable = false)]
    pub agent_version: Option<String>,
    /// Text the name of an attached user contains, without regard to case.
    #[schema(max_length = 64, nullable = false)]
    pub user: Option<String>,
    /// Operating system.
    #[schema(nullable = false)]
    pub os_type: Option<OsTypeEnum>,
    /// Whether a restart is needed for what was installed or uninstalled.
    #[schema(nullable = false)]
    pub restart_needed: Option<bool>,
    /// Whether it shows `agent.copy`.
    #[schema(nullable = false)]
    pub has_copy: Option<bool>,
}

/// Query parameters of exporting desktops: those of the list without its paging.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportDesktopsQuery {
    /// Text the name contains, without regard to case.
    #[schema(max_length = 64, nullable = false)]
    pub name: Option<String>,
    /// How its agent is.
    #[schema(nullable = false)]
    pub agent: Option<AgentPresence>,
    /// Version of its agent.
    #[schema(max_length = 64, nullable = false)]
    pub agent_version: Option<String>,
    /// Text the name of an attached user contains, without regard to case.
    #[schema(max_length = 64, nullable = false)]
    pub user: Option<String>,
    /// Operating system.
    #[schema(nullable = false)]
    pub os_type: Option<OsTypeEnum>,
    /// Whether a restart is needed for what was installed or uninstalled.
    #[schema(nullable = false)]
    pub restart_needed: Option<bool>,
    /// Whether it shows `agent.copy`.
    #[schema(nullable = false)]
    pub has_copy: Option<bool>,
}

/// How the agent of a desktop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentPresence {
    /// It is connected.
    Online,
    /// It is not.
    Offline,
    /// There is none.
    None,
}
