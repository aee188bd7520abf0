use std::sync::Arc;

use outfitter_api_types::app_install::BatchAutoInstallAppsReq;
use outfitter_api_types::authorizations::AssignType;
use outfitter_ids::AppId;

use super::accept;
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
pub(in crate::http) fn batch(call: &Call<BatchAutoInstallAppsReq>) -> Install<'_> {
    Install {
        project: call.project().project,
        apps: call
            .body
            .app_ids
            .iter()
            .map(|text| AppId::lookup(text))
            .collect(),
        audience: match call.body.assign_scope {
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
        },
        operator: &call.caller().user_name,
        widening: call.widening(),
        install_command: None,
        uninstall_command: None,
    }
}
