//! Why a desktop has an application or has it not, in words.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyStepKind {
    /// The application itself.
    App,
    /// Whether it is for the desktop's system.
    OperatingSystem,
    /// Who may have it there: everyone, by name, or by a group.
    Authorization,
    /// The desktop's agent.
    Agent,
    /// Freezes and halted deployments.
    HandOuts,
    /// The deployment that reached or skipped the desktop.
    Deployment,
    /// Its newest job.
    Job,
    /// That job's last attempt.
    Attempt,
    /// What is installed.
    Installed,
}

/// What a step says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyResult {
    /// Nothing stands in the way.
    Fine,
    /// This stands in the way.
    Blocks,
    /// Good to know.
    Note,
}

/// One step of the explanation.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyStep {
    /// What it is about.
    pub step: WhyStepKind,
    /// What it says.
    pub result: WhyResult,
    /// In words.
    pub text: String,
    /// What to do about it.
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// When it was so.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub at: Option<WireTime>,
}

/// Why a desktop has an application or has it not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyResponse {
    /// Application ID.
    pub app_id: String,
    /// Desktop ID.
    pub desktop_id: String,
    /// The answer in a sentence or two.
    pub answer: String,
    /// Step by step, from the application to what is installed.
    pub steps: Vec<WhyStep>,
}

/// Query parameters of asking why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyQuery {
    /// Application ID.
    #[schema(min_length = 1, max_length = 128)]
    pub app: String,
    /// Desktop ID.
    #[schema(min_length = 1, max_length = 128)]
    pub desktop: String,
    /// What the explanation is written in; English when left out.
    #[serde(default)]
    pub language: WhyLanguage,
}

/// What an explanation is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyLanguage {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// A desktop with an older revision of an application than the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutdatedDesktop {
    /// Desktop ID.
    pub desktop_id: String,
    /// Desktop name.
    pub desktop_name: String,
    /// The revision it has.
    pub app_revision_id: String,
    /// Version of that revision.
    pub app_version: String,
    /// When it was installed.
    #[schema(value_type = String, format = DateTime)]
    pub installed_at: WireTime,
}

/// Answer of listing the desktops with an older revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListOutdatedDesktopsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page.
    pub items: Vec<OutdatedDesktop>,
}

/// Query parameters of listing the desktops with an older revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListOutdatedDesktopsQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
