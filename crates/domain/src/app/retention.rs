use std::time::Duration;

/// How long a deleted app can be restored, with everything it had.
pub const RESTORE_PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Packages of an app, before the newest, that stay for a roll-back whether or not a desktop has them.
pub const ROLL_BACK_PACKAGES: i64 = 2;
