use clap::{Args, Subcommand};
use outfitter_api_types::native::download_limits::DownloadRateWindow;

#[derive(Debug, Subcommand)]
pub(crate) enum DownloadLimitsCommand {
    /// Show the limits, what holds now, and how downloads stand
    Show,
    /// Set the limits; what was set before is replaced, and what is not given is unlimited
    Set(SetDownloadLimitsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetDownloadLimitsArgs {
    /// All downloads from one server together, in bytes per second
    #[arg(long, value_name = "RATE")]
    pub(crate) total: Option<i64>,
    /// Another rate for all together in a part of the day, HH:MM-HH:MM=RATE; unlimited without =RATE (repeatable)
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    pub(crate) total_window: Vec<DownloadRateWindow>,
    /// Each desktop, in bytes per second
    #[arg(long, value_name = "RATE")]
    pub(crate) per_desktop: Option<i64>,
    /// Another rate for each desktop in a part of the day (repeatable)
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    pub(crate) per_desktop_window: Vec<DownloadRateWindow>,
    /// Most downloads at once from one server; the others wait for their turn
    #[arg(long, value_name = "COUNT")]
    pub(crate) parallel: Option<i64>,
    /// Time zone of the windows, for example Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
}

fn window(text: &str) -> Result<DownloadRateWindow, String> {
    let wrong = || {
        format!(
            "{text:?} is no window: it is written HH:MM-HH:MM=RATE, or HH:MM-HH:MM without a limit"
        )
    };
    let (time, rate) = text.split_once('=').unzip();
    let (from, to) = time.unwrap_or(text).split_once('-').ok_or_else(wrong)?;
    Ok(DownloadRateWindow {
        from: from.trim().to_owned(),
        to: to.trim().to_owned(),
        bytes_per_second: rate
            .map(|rate| rate.trim().parse().map_err(|_| wrong()))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_two_ends_and_may_have_a_rate() {
        let read = |text| window(text).map(|read| (read.from, read.to, read.bytes_per_second));
        let text = str::to_owned;
        assert_eq!(
            read("08:00-18:00=5000"),
            Ok((text("08:00"), text("18:00"), Some(5000)))
        );
        assert_eq!(
            read("22:00-06:00"),
            Ok((text("22:00"), text("06:00"), None))
        );
        assert!(read("08:00=5").is_err() && read("08:00-09:00=fast").is_err());
    }
}
