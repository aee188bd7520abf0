use std::sync::Arc;

use outfitter_api_types::native::agent_releases::{
    AgentRelease as WireRelease, RollOutAgentReleaseReq,
};

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn roll_out(
    services: Arc<Services>,
    call: Call<RollOutAgentReleaseReq>,
) -> Result<Reply<WireRelease>, ApiError> {
    let version = call.path("version");
    let body = &call.body;
    // Held while it is read and written: a release that halts by itself meanwhile stays halted.
    let tx = services.store.write().await?;
    if !tx.agent_release_hold(version).await? {
        return Err(super::UNKNOWN);
    }
    let found = tx.db().agent_release_find(version).await?;
    let release = found.ok_or(super::UNKNOWN)?;
    let mut to = release.release.roll_out;
    to.percent = body.percent.unwrap_or(to.percent);
    to.halt_after_failures = body.halt_after_failures.unwrap_or(to.halt_after_failures);
    to.trial_limit_secs = body.trial_limit_seconds.unwrap_or(to.trial_limit_secs);
    if let Some(halted) = body.halted {
        to.halted = halted;
        to.halt_reason = None;
    }
    if body.retry_failed == Some(true) {
        to.round += 1;
    }
    tx.agent_release_roll_out(release.key, &to).await?;
    tx.commit().await?;
    tracing::warn!(
        version,
        percent = to.percent,
        halted = to.halted,
        operator = call.caller().user_name,
        "the roll-out of a release of the agent changed"
    );
    services.background.nudge_updates();
    super::shown(&services, version).await
}
