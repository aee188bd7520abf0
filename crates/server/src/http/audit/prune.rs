use std::sync::Arc;

use outfitter_api_types::native::audit::{PruneAuditReq, PruneAuditResponse};
use outfitter_domain::Millis;
use outfitter_store::AuditFacts;

use crate::Services;
use crate::app::audit;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn prune(
    services: Arc<Services>,
    call: Call<PruneAuditReq>,
) -> Result<Reply<PruneAuditResponse>, ApiError> {
    let before = Millis::new(call.body.before.unix_millis());
    let now = services.clock.now();
    if before > now {
        return Err(ApiError::invalid("before", "must not be in the future"));
    }
    let caller = call.caller();
    let who = AuditFacts {
        domain: Some(caller.domain),
        operation: "PruneAudit".to_owned(),
        actor: crate::audit::actor(caller),
        address: Some(call.context.source.to_string()),
        request_id: Some(call.context.request_id.clone()),
        ..audit::by_age(now)
    };
    let pruned = audit::prune(&services, before, &who).await?;
    Ok(Reply::new(PruneAuditResponse {
        deleted: pruned.entries,
        deleted_to_sequence: pruned.cut_sequence,
    }))
}
