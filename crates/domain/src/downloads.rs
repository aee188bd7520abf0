//! How fast packages may be handed out, by the time of day.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// Longest time that a rate is promised for: what an administrator changes reaches every download by then.
/// Also what makes up for days that have not 24 hours.
const PROMISE_SECS: u32 = 3600;

/// What an operator set. The default limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DownloadLimits {
    /// IANA name of the time zone that the windows are in; empty: UTC.
    pub time_zone: String,
    /// All downloads from one server together.
    pub total: RateLimit,
    /// Each desktop.
    pub per_desktop: RateLimit,
    /// Most downloads at once from one server; `None`: any number.
    pub parallel_downloads: Option<u32>,
}

/// A rate that may differ by the time of day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// Outside of every window; `None`: unlimited.
    pub bytes_per_second: Option<u64>,
    /// The first one that holds counts.
    pub windows: Vec<RateWindow>,
}

/// A part of every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateWindow {
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// Minute at which it has ended; smaller than `from_minute` when midnight is in it, equal when it holds all day.
    pub to_minute: u16,
    /// Its rate; `None`: unlimited.
    pub bytes_per_second: Option<u64>,
}

impl RateWindow {
    /// Reads `HH:MM` of both ends. `None` for what is no time of day.
    pub fn parse(from: &str, to: &str, bytes_per_second: Option<u64>) -> Option<Self> {
        let minute = |text: &str| {
            let time = jiff::civil::Time::strptime("%H:%M", text).ok()?;
            u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok()
        };
        Some(Self {
            from_minute: minute(from)?,
            to_minute: minute(to)?,
            bytes_per_second,
        })
    }

    /// Both ends as `HH:MM`.
    pub fn ends(&self) -> (String, String) {
        let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        (text(self.from_minute), text(self.to_minute))
    }

    fn holds(&self, minute: u16) -> bool {
        if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

impl RateLimit {
    fn at(&self, minute: u16) -> Option<u64> {
        self.windows
            .iter()
            .find(|window| window.holds(minute))
            .map_or(self.bytes_per_second, |window| window.bytes_per_second)
    }

    /// Minutes to the next end of any window; `None` where there is none.
    fn minutes_to_change(&self, minute: u16) -> Option<u16> {
        let to = |end: u16| match (end + DAY_MINUTES - minute) % DAY_MINUTES {
            0 => DAY_MINUTES,
            minutes => minutes,
        };
        self.windows
            .iter()
            .flat_map(|window| [to(window.from_minute), to(window.to_minute)])
            .min()
    }
}

/// What holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// All downloads from one server together; `None`: unlimited.
    pub total: Option<u64>,
    /// Each desktop; `None`: unlimited.
    pub per_desktop: Option<u64>,
    /// How long the desktop's rate is promised, in seconds; `None` where nothing limits it at any time.
    pub holds_secs: Option<u32>,
}

impl DownloadLimits {
    /// The time zone, looked up. `None` when nobody knows it.
    pub fn zone(&self) -> Option<TimeZone> {
        match self.time_zone.as_str() {
            "" => Some(TimeZone::UTC),
            name => TimeZone::get(name).ok(),
        }
    }

    /// What holds at a moment in the zone of [`Self::zone`].
    pub fn at(&self, zone: &TimeZone, unix_millis: i64) -> Rates {
        let time = Timestamp::from_millisecond(unix_millis)
            .unwrap_or_default()
            .to_zoned(zone.clone())
            .time();
        let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute()))
            .unwrap_or_default();
        let desktop = &self.per_desktop;
        let limited = desktop.bytes_per_second.is_some() || !desktop.windows.is_empty();
        let holds_secs = limited.then(|| {
            let to_change = desktop
                .minutes_to_change(minute)
                .map_or(u32::MAX, |minutes| {
                    (u32::from(minutes) * 60)
                        .saturating_sub(u32::try_from(time.second()).unwrap_or_default())
                });
            to_change.clamp(1, PROMISE_SECS)
        });
        Rates {
            total: self.total.at(minute),
            per_desktop: desktop.at(minute),
            holds_secs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office() -> DownloadLimits {
        DownloadLimits {
            time_zone: "Europe/Berlin".to_owned(),
            total: RateLimit {
                bytes_per_second: None,
                windows: vec![
                    RateWindow::parse("07:30", "18:00", Some(1000)).expect("a window"),
                    RateWindow::parse("22:00", "06:00", Some(9000)).expect("a window"),
                ],
            },
            per_desktop: RateLimit {
                bytes_per_second: Some(500),
                windows: vec![RateWindow::parse("12:00", "13:00", None).expect("a window")],
            },
            parallel_downloads: None,
        }
    }

    #[test]
    fn the_time_of_day_in_its_zone_decides() {
        let limits = office();
        let zone = limits.zone().expect("a zone");
        // 2026-07-01, two hours before Berlin's summer time.
        let at = |time: &str| {
            let moment: Timestamp = format!("2026-07-01T{time}:30Z").parse().expect("a moment");
            limits.at(&zone, moment.as_millisecond())
        };
        for (utc, total, per_desktop) in [
            ("05:29", None, Some(500)),
            ("05:30", Some(1000), Some(500)),
            ("10:00", Some(1000), None),
            ("11:00", Some(1000), Some(500)),
            ("16:00", None, Some(500)),
            ("20:00", Some(9000), Some(500)),
            ("03:59", Some(9000), Some(500)),
            ("04:00", None, Some(500)),
        ] {
            let rates = at(utc);
            assert_eq!(
                (rates.total, rates.per_desktop),
                (total, per_desktop),
                "{utc}"
            );
        }
        assert_eq!(at("09:45").holds_secs, Some(14 * 60 + 30));
        assert_eq!(at("12:00").holds_secs, Some(3600));
        assert_eq!(DownloadLimits::default().at(&zone, 0), Rates::default());
    }

    #[test]
    fn what_is_no_window_or_zone_is_told() {
        for (from, to) in [("08:00", "24:00"), ("x", "09:00"), ("09:00", "")] {
            assert_eq!(RateWindow::parse(from, to, None), None, "{from} {to}");
        }
        let window = RateWindow::parse("22:05", "00:00", None).expect("a window");
        assert_eq!(window.ends(), ("22:05".to_owned(), "00:00".to_owned()));
        assert!(window.holds(1439) && !window.holds(0));
        let always = RateWindow::parse("08:00", "08:00", None).expect("a window");
        assert!(always.holds(0) && always.holds(480) && always.holds(479));
        let nowhere = DownloadLimits {
            time_zone: "Mars/Olympus".to_owned(),
            ..DownloadLimits::default()
        };
        assert!(nowhere.zone().is_none());
    }
}
