//! The portal: what end users see and do at their desktops.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::native::attempts::AttemptPhase;
use crate::native::deployments::DeploymentKind;
use crate::secret::SecretText;
use crate::time::WireTime;

/// Body of letting an end user in: a ticket, or name and password of the company directory.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatePortalSessionReq {
    /// Ticket that the agent of a desktop got; good once. Alone.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    pub ticket: Option<SecretText>,
    /// Project whose directory knows the user; may be left out where one project alone has a directory.
    #[schema(min_length = 1, max_length = 128)]
    pub project_id: Option<String>,
    /// Account name, with or without its domain.
    #[schema(min_length = 1, max_length = 256)]
    pub user_name: Option<String>,
    /// Password in the company directory.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub password: Option<SecretText>,
}

/// Query parameters of asking how end users log in.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalLoginMethodsQuery {
    /// Project whose directory knows the user.
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub project_id: Option<String>,
}

/// How end users log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalLoginMethodsResponse {
    /// Whether the password of the company directory lets them in.
    pub password: bool,
}

/// Whose session it is, and where it is good.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalSession {
    /// User ID.
    pub user_id: String,
    /// Account name.
    pub user_name: String,
    /// Project ID.
    pub project_id: String,
    /// Whether it was opened at a desktop and is good there alone.
    pub is_of_desktop: bool,
    /// The desktops it is good for, by name.
    pub desktops: Vec<PortalDesktop>,
    /// When the session ends unless it is asked for before.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WireTime,
}

/// A desktop of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalDesktop {
    /// Desktop ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether its agent is connected: what is asked for begins at once.
    pub connected: bool,
    /// Whether an installer asked for a restart that is still to come.
    pub restart_pending: bool,
}

/// Where an application is on a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortalStanding {
    /// Not there.
    Absent,
    /// A job waits for its turn, for the desktop, or until it is due.
    Waiting,
    /// It is being put on.
    Installing,
    /// It is being taken off.
    Removing,
    /// There, in the newest version.
    Installed,
    /// There, in an older version.
    UpdateAvailable,
    /// The last try to put it on or take it off failed.
    Failed,
}

/// What the user may do with an application now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortalAct {
    /// Put it on.
    Install,
    /// Put the newest version on.
    Update,
    /// Take it off: what the user asked for themselves.
    Remove,
    /// Stop what the user asked for.
    Cancel,
    /// Put off what an administrator sent.
    Defer,
}

/// An application that the user may have on the desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalApp {
    /// Application ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Newest version.
    pub version: String,
    /// What it is.
    pub description: String,
    /// Category.
    pub catalog_id: String,
    /// Address of its icon.
    #[schema(nullable = false)]
    pub icon_url: Option<String>,
    /// What to know before it is installed.
    #[schema(nullable = false)]
    pub install_info: Option<String>,
    /// Where it is on the desktop.
    pub standing: PortalStanding,
    /// What the user may do now.
    pub acts: Vec<PortalAct>,
    /// Version on the desktop.
    #[schema(nullable = false)]
    pub installed_version: Option<String>,
    /// Since when it is there.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub installed_at: Option<WireTime>,
    /// Whether more than the installer's word says that it is there. Left out where it is not.
    #[schema(nullable = false)]
    pub verified: Option<bool>,
    /// The newest job for it on the desktop.
    #[schema(nullable = false)]
    pub job: Option<PortalJob>,
}

/// What is or was done with an application on the desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalJob {
    /// Job ID.
    pub id: String,
    /// Application ID.
    pub app_id: String,
    /// Application name.
    pub app_name: String,
    /// Version.
    pub app_version: String,
    /// Put on or taken off.
    pub kind: DeploymentKind,
    /// How far it is.
    pub state: PortalJobState,
    /// Whether the user asked for it; else an administrator, or another user of the desktop.
    pub by_user: bool,
    /// It does not begin before.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub waits_until: Option<WireTime>,
    /// Where it is on the desktop.
    #[schema(nullable = false)]
    pub phase: Option<AttemptPhase>,
    /// Share of that phase done.
    #[schema(minimum = 0, maximum = 100, nullable = false)]
    pub percent: Option<i64>,
    /// Stable code of why it failed.
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Why it failed, in a sentence.
    #[schema(nullable = false)]
    pub sentence: Option<String>,
    /// Whether it is whole only after a restart of the desktop, which is still to come.
    pub restart_pending: bool,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortalJobState {
    /// It waits.
    Waiting,
    /// It is being done.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Stopped before its end.
    Cancelled,
}

/// Query parameters of listing the user's applications on a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalAppsQuery {
    /// Desktop ID, of the user's.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop_id: String,
    /// Text that the name holds.
    #[schema(max_length = 128, nullable = false)]
    pub name: Option<String>,
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Answer of listing the user's applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalAppsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, by name.
    pub items: Vec<PortalApp>,
}

/// Query parameters of listing what was done on a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalHistoryQuery {
    /// Desktop ID, of the user's.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop_id: String,
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}

/// Answer of listing what was done on a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPortalHistoryResponse {
    /// Number of records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest first.
    pub items: Vec<PortalJob>,
}

/// Body of putting an application on a desktop or taking it off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalAppReq {
    /// Desktop ID, of the user's.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop_id: String,
}

/// Body of putting a job off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeferPortalJobReq {
    /// For how long from now; at the longest until three days after it was asked for.
    #[schema(minimum = 1, maximum = 1440)]
    pub minutes: i64,
}

/// Query parameters of following a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamPortalEventsQuery {
    /// Desktop ID, of the user's.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop_id: String,
}

/// Data of a `change` event: something about this application is another now on the desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortalChangeEvent {
    /// Application ID.
    pub app_id: String,
}
