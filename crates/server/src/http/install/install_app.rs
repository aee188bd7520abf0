use std::sync::Arc;

use outfitter_agent_protocol::TaskKind;
use outfitter_api_types::app_install::AutoInstallAppReq;
use outfitter_ids::AppId;

use super::accept;
use crate::Services;
use crate::app::install::{Audience, Install};
use crate::http::apps::wire::account;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn install_app(
    services: Arc<Services>,
    call: Call<AutoInstallAppReq>,
) -> Result<Reply, ApiError> {
    let audience = match &call.body.users {
        None => Audience::Authorized,
        Some(users) => Audience::Listed(users.iter().cloned().map(account).collect()),
    };
    let install = Install {
        install_command: call.body.install_command.as_deref(),
        uninstall_command: call.body.uninstall_command.as_deref(),
        ..Install::plain(
            TaskKind::Install,
            call.project().project,
            vec![AppId::lookup(call.path("app_id"))],
            audience,
            &call.caller().user_name,
            Some(call.widening()),
        )
    };
    accept(services, install).await
}
