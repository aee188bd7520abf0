//! Times as each family of operations writes them. Source: semantics.md section 1, auth.md section 1.
//!
//! All are UTC. A value outside what a calendar can show (years -9999 to 9999) is brought to the
//! nearest end when it is made, so that writing it cannot fail.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

fn timestamp_from_millis(unix_millis: i64) -> Timestamp {
    Timestamp::from_millisecond(unix_millis).unwrap_or(if unix_millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

fn parse_rfc3339(text: &str) -> Result<Timestamp, jiff::Error> {
    text.parse()
}

fn parse_job_time(text: &str) -> Result<Timestamp, jiff::Error> {
    DateTime::strptime(JobTime::FORMAT, text)?
        .to_zoned(TimeZone::UTC)
        .map(|zoned| zoned.timestamp())
}

macro_rules! wire_time {
    ($(#[$meta:meta])* $name:ident, $format:literal, $parse:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Timestamp);

        impl $name {
            const FORMAT: &'static str = $format;

            /// Makes the time from milliseconds since 1970-01-01T00:00:00Z.
            pub fn from_unix_millis(unix_millis: i64) -> Self {
                Self(timestamp_from_millis(unix_millis))
            }

            /// Milliseconds since 1970-01-01T00:00:00Z, rounded down.
            pub fn unix_millis(self) -> i64 {
                self.0.as_millisecond()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.strftime(Self::FORMAT), formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).map(Self).map_err(|error| {
                    D::Error::custom(format_args!("cannot read the time {text:?}: {error}"))
                })
            }
        }
    };
}

wire_time! {
    /// Time of App Center, users, groups and the native routes: `2024-12-25T06:58:19.765Z`.
    WireTime, "%Y-%m-%dT%H:%M:%S.%3fZ", parse_rfc3339
}

wire_time! {
    /// Time of workspace jobs: `2024-12-25 06:58:19`, UTC, without zone or fraction.
    JobTime, "%Y-%m-%d %H:%M:%S", parse_job_time
}

wire_time! {
    /// Time of tokens and temporary keys, with microseconds: `2026-01-10T08:30:15.000000Z`.
    IamTime, "%Y-%m-%dT%H:%M:%S.%6fZ", parse_rfc3339
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: i64 = 1_735_109_899_765;

    #[test]
    fn each_family_writes_its_own_form() {
        let text = |value: &dyn fmt::Display| value.to_string();
        assert_eq!(
            text(&WireTime::from_unix_millis(MILLIS)),
            "2024-12-25T06:58:19.765Z"
        );
        assert_eq!(
            text(&JobTime::from_unix_millis(MILLIS)),
            "2024-12-25 06:58:19"
        );
        assert_eq!(
            text(&IamTime::from_unix_millis(MILLIS)),
            "2024-12-25T06:58:19.765000Z"
        );
        assert_eq!(
            text(&WireTime::from_unix_millis(0)),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let wire = WireTime::from_unix_millis(MILLIS);
        let json = serde_json::to_string(&wire).expect("the text is well formed");
        assert_eq!(
            serde_json::from_str::<WireTime>(&json).expect("the text is well formed"),
            wire
        );

        let job: JobTime =
            serde_json::from_str("\"2024-12-25 06:58:19\"").expect("the text is well formed");
        assert_eq!(job.unix_millis(), MILLIS - MILLIS % 1000);
        assert!(serde_json::from_str::<JobTime>("\"2024-12-25\"").is_err());
        assert!(serde_json::from_str::<WireTime>("\"yesterday\"").is_err());
    }

    #[test]
    fn no_number_of_milliseconds_fails_to_be_written() {
        for millis in [i64::MIN, -1, i64::MAX] {
            assert!(serde_json::to_string(&WireTime::from_unix_millis(millis)).is_ok());
        }
    }
}
