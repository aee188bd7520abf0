//! How fast packages are handed out.

use outfitter_api_types::native::download_limits::{
    DownloadLimitsState, DownloadRate, SetDownloadLimitsReq,
};
use outfitter_client::Method;

use super::Session;
use crate::args::download_limits::{DownloadLimitsCommand, SetDownloadLimitsArgs};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

pub(super) async fn run(
    command: DownloadLimitsCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let client = &session.client;
    let path = paths::DOWNLOAD_LIMITS;
    let state: DownloadLimitsState = match command {
        DownloadLimitsCommand::Show => client.call(Method::GET, path, &[], None).await?,
        DownloadLimitsCommand::Set(args) => {
            let body = serde_json::to_value(request(args))
                .map_err(|error| CommandError::because("cannot write the limits", error))?;
            client.call(Method::PUT, path, &[], Some(&body)).await?
        }
    };
    session.printer.show(&state, || card(&state));
    Ok(Outcome::Done)
}

fn request(args: SetDownloadLimitsArgs) -> SetDownloadLimitsReq {
    SetDownloadLimitsReq {
        time_zone: args.time_zone,
        total: Some(DownloadRate {
            bytes_per_second: args.total,
            windows: Some(args.total_window),
        }),
        per_desktop: Some(DownloadRate {
            bytes_per_second: args.per_desktop,
            windows: Some(args.per_desktop_window),
        }),
        parallel_downloads: args.parallel,
    }
}

fn card(state: &DownloadLimitsState) -> View {
    let mut members = vec![
        ("in all", words(&state.total)),
        ("now", rate(state.total_now)),
        ("each desktop", words(&state.per_desktop)),
        ("now", rate(state.per_desktop_now)),
        (
            "at once",
            state
                .parallel_downloads
                .map_or_else(|| "any number".to_owned(), |count| count.to_string()),
        ),
        ("time zone", state.time_zone.clone()),
        ("downloading", state.downloading.to_string()),
        ("waiting", state.waiting.to_string()),
    ];
    if let (Some(operator), Some(at)) = (&state.operator, &state.updated_at) {
        members.push(("set", format!("by {operator} at {at}")));
    }
    View::Card(members)
}

fn words(limit: &DownloadRate) -> String {
    let mut words = rate(limit.bytes_per_second);
    for window in limit.windows.iter().flatten() {
        words = format!(
            "{words}; {} to {} {}",
            window.from,
            window.to,
            rate(window.bytes_per_second)
        );
    }
    words
}

fn rate(bytes_per_second: Option<i64>) -> String {
    bytes_per_second.map_or_else(
        || "unlimited".to_owned(),
        |rate| format!("{rate} bytes per second"),
    )
}
