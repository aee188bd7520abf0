use std::sync::Arc;

use outfitter_agent_protocol::TaskKind;
use outfitter_api_types::app_install::BatchAutoInstallAppsReq;
use outfitter_api_types::authorizations::AssignType;

use super::{accept, app_ids};
use crate::Services;
use crate::app::install::{Audience, Install};
use crate::http::apps::wire::account;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn batch_install_apps(
    services: Arc<Services>,
    call: Call<BatchAutoInstallAppsReq>,
) -> Result<Reply, ApiError> {
    let install = batch(&call);
    accept(services, install).await
}

/// What the call asks for.
fn batch(call: &Call<BatchAutoInstallAppsReq>) -> Install<'_> {
    let audience = match call.body.assign_scope {
        AssignType::AllUser => Audience::Everyone,
        AssignType::AssignUser => Audience::Listed(
            call.body
                .users
                .iter()
                .flatten()
                .cloned()
                .map(account)
                .collect(),
        ),
    };
    Install::plain(
        TaskKind::Install,
        call.project().project,
        app_ids(&call.body.app_ids),
        audience,
        &call.caller().user_name,
        Some(call.widening()),
    )
}
