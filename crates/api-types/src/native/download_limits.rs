//! How fast packages are handed out: one setting for every server.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// A part of every day with a rate of its own.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRateWindow {
    /// Begin, `HH:MM`.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub from: String,
    /// End, `HH:MM`, not part of it; before `from` when midnight is in the window; the same as `from`: all day.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub to: String,
    /// Its rate; absent: unlimited.
    #[schema(minimum = 1024, maximum = 1_000_000_000_000_i64)]
    pub bytes_per_second: Option<i64>,
}

/// A rate that may differ by the time of day.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRate {
    /// Outside of every window; absent: unlimited.
    #[schema(minimum = 1024, maximum = 1_000_000_000_000_i64)]
    pub bytes_per_second: Option<i64>,
    /// The first one that holds counts.
    #[schema(max_items = 24)]
    pub windows: Option<Vec<DownloadRateWindow>>,
}

/// Body of setting the limits; what was set before is replaced.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetDownloadLimitsReq {
    /// IANA name of the time zone that the windows are in; absent: UTC.
    #[schema(min_length = 1, max_length = 64)]
    pub time_zone: Option<String>,
    /// All downloads from one server together; links, which desktops fetch elsewhere, are not among them.
    pub total: Option<DownloadRate>,
    /// Each desktop, links included.
    pub per_desktop: Option<DownloadRate>,
    /// Most downloads at once from one server; others wait for their turn. Absent: any number.
    #[schema(minimum = 1, maximum = 100_000)]
    pub parallel_downloads: Option<i64>,
}

/// The limits, and how downloads stand.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadLimitsState {
    /// Time zone of the windows.
    pub time_zone: String,
    /// All downloads from one server together.
    pub total: DownloadRate,
    /// Each desktop.
    pub per_desktop: DownloadRate,
    /// Most downloads at once from one server.
    #[schema(minimum = 1, nullable = false)]
    pub parallel_downloads: Option<i64>,
    /// What holds for all together at this moment; left out: unlimited.
    #[schema(minimum = 1, nullable = false)]
    pub total_now: Option<i64>,
    /// What holds for each desktop at this moment; left out: unlimited.
    #[schema(minimum = 1, nullable = false)]
    pub per_desktop_now: Option<i64>,
    /// Downloads under way from the server that answers.
    #[schema(minimum = 0)]
    pub downloading: i64,
    /// Desktops that wait for a place there.
    #[schema(minimum = 0)]
    pub waiting: i64,
    /// Who set the limits.
    #[schema(nullable = false)]
    pub operator: Option<String>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub updated_at: Option<WireTime>,
}
