use std::sync::Arc;

use outfitter_api_types::native::directory::{DirectoryReport, DirectoryStatus, SkippedEntry};
use outfitter_store::ProjectKey;

use super::{UNKNOWN, time};
use crate::Services;
use crate::app::directory::{Report, hint};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn status(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<DirectoryStatus>, ApiError> {
    shown(&services, call.project().project).await
}

pub(super) async fn shown(
    services: &Services,
    project: ProjectKey,
) -> Result<Reply<DirectoryStatus>, ApiError> {
    let db = services.store.db();
    let state = db.directory_state(project).await?.ok_or(UNKNOWN)?;
    let (users, groups) = db.directory_counts(project).await?;
    let report: Option<Report> = state
        .report
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| ApiError::internal("read a synchronisation's report", error))?;
    let (error_code, words) = state.error.unzip();
    Ok(Reply::new(DirectoryStatus {
        stale: error_code.is_some(),
        running: state.lease_until > services.clock.now(),
        pending: state.is_asked,
        users,
        groups,
        last_success_at: state.last_success_at.map(time),
        last_full_at: state.last_full_at.map(time),
        last_attempt_at: state.last_attempt_at.map(time),
        next_at: time(state.due_at),
        hint: error_code.as_deref().map(|code| hint(code).to_owned()),
        error_code,
        words,
        report: report.map(wire),
    }))
}

fn wire(report: Report) -> DirectoryReport {
    let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
    DirectoryReport {
        added: count(report.added),
        changed: count(report.changed),
        removed: count(report.removed),
        memberships_changed: count(report.memberships_changed),
        members_unknown: count(report.members_unknown),
        skipped_count: count(report.skipped_count),
        skipped: report
            .skipped
            .into_iter()
            .map(|(name, reason)| SkippedEntry { name, reason })
            .collect(),
    }
}
