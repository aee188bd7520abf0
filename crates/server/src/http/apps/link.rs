use std::sync::Arc;

use outfitter_api_types::native::revisions::{AcceptLinkReq, AppRevision};
use outfitter_ids::AppId;

use super::revisions::app_revision;
use crate::Services;
use crate::app::apps::{self, LinkContent};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn accept_app_link(
    services: Arc<Services>,
    call: Call<AcceptLinkReq>,
) -> Result<Reply<AppRevision>, ApiError> {
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    let content = match call.body.sha256 {
        Some(sha256) => LinkContent::Known(sha256),
        None => LinkContent::FirstSeen,
    };
    let app = apps::accept_link(&services, project, id, &content).await?;
    let newest = app.revision.id;
    Ok(Reply::new(app_revision(app.id, newest, app.revision)?))
}
