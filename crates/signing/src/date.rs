use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use thiserror::Error;

/// Farthest that `X-Sdk-Date` may be from the server's time, either side, in milliseconds, inclusive.
/// Source: the contract, authentication §2.3.
pub const MAX_CLOCK_SKEW_MILLIS: i64 = 15 * 60 * 1000;

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Why a date could not be read or written in the form of `X-Sdk-Date`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SdkDateError {
    /// The text is not a date of the form `yyyyMMddTHHmmssZ`.
    #[error("X-Sdk-Date is not of the form yyyyMMddTHHmmssZ")]
    Malformed,
    /// The instant lies outside the years 0 to 9999.
    #[error("instant {unix_millis} ms has no four-digit year")]
    OutOfRange {
        /// Milliseconds since 1970, UTC.
        unix_millis: i64,
    },
}

/// Writes an instant, in milliseconds since 1970 UTC, as `yyyyMMddTHHmmssZ`; parts of a second are cut off.
///
/// # Errors
/// The year does not have four digits.
pub fn format_sdk_date(unix_millis: i64) -> Result<String, SdkDateError> {
    let out_of_range = SdkDateError::OutOfRange { unix_millis };
    match Timestamp::from_millisecond(unix_millis) {
        Ok(instant) => {
            let utc = instant.to_zoned(TimeZone::UTC);
            if utc.year() < 0 {
                return Err(out_of_range);
            }
            Ok(utc.strftime(FORMAT).to_string())
        }
        Err(_) => Err(out_of_range),
    }
}

/// Reads `yyyyMMddTHHmmssZ` into milliseconds since 1970, UTC.
///
/// # Errors
/// Any other form, or a date that does not exist.
pub fn parse_sdk_date(text: &str) -> Result<i64, SdkDateError> {
    // The library also takes fewer digits, spaces and signs; the wire form does not.
    let has_form = text.len() == 16
        && text
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
    if !has_form {
        return Err(SdkDateError::Malformed);
    }
    DateTime::strptime(FORMAT, text)
        .and_then(|civil| civil.to_zoned(TimeZone::UTC))
        .map(|zoned| zoned.timestamp().as_millisecond())
        .map_err(|_| SdkDateError::Malformed)
}

/// Tells whether a request dated `date_millis` may be taken at `now_millis`, both milliseconds since 1970 UTC.
pub fn date_is_fresh(date_millis: i64, now_millis: i64) -> bool {
    date_millis.abs_diff(now_millis) <= MAX_CLOCK_SKEW_MILLIS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip() {
        for (millis, text) in [
            (1_768_033_815_000, "20260110T083015Z"),
            (0, "19700101T000000Z"),
            (-1_000, "19691231T235959Z"),
            (1_709_164_800_000, "20240229T000000Z"),
            (253_402_207_199_000, "99991230T215959Z"),
        ] {
            assert_eq!(format_sdk_date(millis).unwrap(), text);
            assert_eq!(parse_sdk_date(text).unwrap(), millis);
        }
        assert_eq!(
            format_sdk_date(1_768_033_815_999).unwrap(),
            "20260110T083015Z"
        );
    }

    #[test]
    fn other_forms_are_malformed() {
        for text in [
            "",
            "20260110T083015",
            "20260110T083015z",
            "20260110t083015Z",
            "2026-01-10T08:30:15Z",
            "20260110 083015Z",
            "20260110T0830+5Z",
            "20260110T0830 5Z",
            "20260230T083015Z",
            "20261301T083015Z",
            "20260110T243015Z",
            "20260110T083015.0Z",
            "２0260110T0830Z",
        ] {
            assert_eq!(parse_sdk_date(text), Err(SdkDateError::Malformed), "{text}");
        }
    }

    #[test]
    fn instants_beyond_four_digit_years_are_refused() {
        for unix_millis in [i64::MIN, i64::MAX, -62_200_000_000_000] {
            assert_eq!(
                format_sdk_date(unix_millis),
                Err(SdkDateError::OutOfRange { unix_millis })
            );
        }
    }

    #[test]
    fn the_window_is_fifteen_minutes_either_side_inclusive() {
        let now = 1_768_033_815_000;
        assert!(date_is_fresh(now, now));
        assert!(date_is_fresh(now - 900_000, now));
        assert!(date_is_fresh(now + 900_000, now));
        assert!(!date_is_fresh(now - 900_001, now));
        assert!(!date_is_fresh(now + 900_001, now));
        assert!(!date_is_fresh(i64::MIN, i64::MAX));
    }
}
