use std::sync::Arc;

use outfitter_api_types::apps::{Application, UploadAppReq};
use outfitter_domain::AppStatus;
use outfitter_domain::app::{AppMembers, Icon, RevisionContent, command_given};
use outfitter_domain::text::is_blank;

use super::wire::{Word as _, application, file_store};
use crate::Services;
use crate::app::apps::{self, AppError};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn upload_app(
    services: Arc<Services>,
    call: Call<UploadAppReq>,
) -> Result<Reply<Application>, ApiError> {
    let owner = call.caller().domain_id;
    let project = call.project().into();
    let widening = call.widening().clone();
    let body = call.body;
    let install_type = body.install_type.word();
    let members = AppMembers {
        name: body.name,
        description: body.description,
        authorization_type: body.authorization_type.word(),
        install_type,
        support_os: body.support_os.word(),
        status: AppStatus::Normal,
        catalog_id: body.catalog_id,
        install_info: body.install_info.filter(|text| !text.is_empty()),
        icon: Icon::Absent,
        content: RevisionContent {
            version: body.version,
            file_store: file_store(body.app_file_store),
            install_command: command_given(install_type, body.install_command)
                .map_err(AppError::from)?,
            uninstall_command: body.uninstall_command.filter(|text| !is_blank(text)),
        },
    };
    let icon = body.app_icon_url.as_deref();
    let app = apps::upload(&services, project, members, icon, &widening).await?;
    Ok(Reply::new(application(&services, owner, app)))
}
