use std::sync::Arc;

use outfitter_api_types::apps::{Application, UpdateAppReq};
use outfitter_domain::app::AppPatch;
use outfitter_ids::AppId;

use super::wire::{Word, application, file_store};
use crate::Services;
use crate::app::apps;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn update_uploaded_app(
    services: Arc<Services>,
    call: Call<UpdateAppReq>,
) -> Result<Reply<Application>, ApiError> {
    let owner = call.caller().domain_id;
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    let widening = call.widening().clone();
    let body = call.body;
    let patch = AppPatch {
        name: body.name,
        version: body.version,
        description: body.description,
        authorization_type: body.authorization_type.map(Word::word),
        file_store: body.app_file_store.map(file_store),
        // Read from its text by the use case.
        icon: None,
        install_type: body.install_type.map(Word::word),
        install_command: body.install_command,
        uninstall_command: body.uninstall_command,
        support_os: body.support_os.map(Word::word),
        catalog_id: body.catalog_id,
        install_info: body.install_info,
        status: body.status.map(Word::word),
    };
    let icon = body.app_icon_url.as_deref();
    let app = apps::update(&services, project, id, patch, icon, &widening).await?;
    Ok(Reply::new(application(&services, owner, app)))
}
