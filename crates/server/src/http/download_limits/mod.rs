//! How fast packages are handed out: one setting for every server.

use std::sync::Arc;

use outfitter_api_types::native::download_limits::{
    DownloadLimitsState, DownloadRate, DownloadRateWindow, SetDownloadLimitsReq,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::downloads::{DownloadLimits, RateLimit, RateWindow};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/download-limits", "ShowDownloadLimits")
                .action("outfitter:downloadLimits:get")
                .summary("Show how fast packages are handed out, and how downloads stand."),
            show,
        )
        .add(
            Operation::put("/api/v1/download-limits", "SetDownloadLimits")
                .action("outfitter:downloadLimits:set")
                .summary(
                    "Set how fast packages are handed out, by every server and in every project.",
                ),
            set,
        );
}

async fn show(
    services: Arc<Services>,
    _call: Call,
) -> Result<Reply<DownloadLimitsState>, ApiError> {
    state(&services).await
}

async fn set(
    services: Arc<Services>,
    call: Call<SetDownloadLimitsReq>,
) -> Result<Reply<DownloadLimitsState>, ApiError> {
    let limits = read(&call.body)?;
    let operator = &call.caller().user_name;
    let tx = services.store.write().await?;
    tx.download_limits_set(&limits, operator, services.clock.now())
        .await?;
    tx.commit().await?;
    tracing::warn!(operator, ?limits, "the limits of downloads changed");
    services.downloads.put_in_force(limits);
    state(&services).await
}

fn read(body: &SetDownloadLimitsReq) -> Result<DownloadLimits, ApiError> {
    let limits = DownloadLimits {
        time_zone: body.time_zone.clone().unwrap_or_default(),
        total: rate("total", body.total.as_ref())?,
        per_desktop: rate("per_desktop", body.per_desktop.as_ref())?,
        parallel_downloads: body
            .parallel_downloads
            .and_then(|count| u32::try_from(count).ok()),
    };
    if limits.zone().is_none() {
        return Err(ApiError::invalid(
            "time_zone",
            "must be a name of the IANA time zone database, for example Europe/Berlin",
        ));
    }
    Ok(limits)
}

fn rate(field: &str, given: Option<&DownloadRate>) -> Result<RateLimit, ApiError> {
    let Some(given) = given else {
        return Ok(RateLimit::default());
    };
    let windows = given
        .windows
        .iter()
        .flatten()
        .map(|window| {
            RateWindow::parse(&window.from, &window.to, bytes(window.bytes_per_second)).ok_or_else(
                || {
                    ApiError::invalid(
                        format!("{field}.windows"),
                        "a window begins and ends at a time of day, HH:MM",
                    )
                },
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(RateLimit {
        bytes_per_second: bytes(given.bytes_per_second),
        windows,
    })
}

fn bytes(given: Option<i64>) -> Option<u64> {
    given.and_then(|rate| u64::try_from(rate).ok())
}

fn wire_bytes(rate: Option<u64>) -> Option<i64> {
    rate.map(|rate| i64::try_from(rate).unwrap_or(i64::MAX))
}

fn wire_rate(limit: RateLimit) -> DownloadRate {
    DownloadRate {
        bytes_per_second: wire_bytes(limit.bytes_per_second),
        windows: Some(
            limit
                .windows
                .into_iter()
                .map(|window| {
                    let (from, to) = window.ends();
                    DownloadRateWindow {
                        from,
                        to,
                        bytes_per_second: wire_bytes(window.bytes_per_second),
                    }
                })
                .collect(),
        ),
    }
}

async fn state(services: &Services) -> Result<Reply<DownloadLimitsState>, ApiError> {
    let stored = services.store.db().download_limits_find().await?;
    let (limits, operator, updated_at) = match stored {
        Some(stored) => (
            stored.limits,
            Some(stored.operator),
            Some(WireTime::from_unix_millis(stored.updated_at.get())),
        ),
        None => (DownloadLimits::default(), None, None),
    };
    let now = services.downloads.rates(services.clock.now());
    let (downloading, waiting) = services.downloads.counts();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Ok(Reply::new(DownloadLimitsState {
        time_zone: match limits.time_zone.as_str() {
            "" => "UTC".to_owned(),
            name => name.to_owned(),
        },
        total: wire_rate(limits.total),
        per_desktop: wire_rate(limits.per_desktop),
        parallel_downloads: limits.parallel_downloads.map(i64::from),
        total_now: wire_bytes(now.total),
        per_desktop_now: wire_bytes(now.per_desktop),
        downloading: count(downloading),
        waiting: count(waiting),
        operator,
        updated_at,
    }))
}
