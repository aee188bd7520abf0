use std::sync::Arc;

use outfitter_api_types::iam::CallerIdentity;

use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn show_caller(
    _services: Arc<Services>,
    call: Call,
) -> Result<Reply<CallerIdentity>, ApiError> {
    let caller = call.caller();
    Ok(Reply::new(CallerIdentity {
        account_id: Some(caller.domain_id.to_string()),
        principal_urn: Some(format!(
            "iam::{}:user:{}",
            caller.domain_id, caller.user_name
        )),
        principal_id: Some(caller.user_id.to_string()),
    }))
}
