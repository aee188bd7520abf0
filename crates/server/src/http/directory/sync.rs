use std::sync::Arc;

use outfitter_api_types::native::directory::{DirectoryStatus, SyncDirectoryReq};
use outfitter_store::DirectoryWish;

use super::{refused, status};
use crate::Services;
use crate::app::directory;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn sync(
    services: Arc<Services>,
    call: Call<SyncDirectoryReq>,
) -> Result<Reply<DirectoryStatus>, ApiError> {
    let project = call.project().project;
    let wish = DirectoryWish {
        full: call.body.full.unwrap_or(false),
        allow_removals: call.body.allow_removals.unwrap_or(false),
    };
    directory::ask(&services, project, wish)
        .await
        .map_err(refused)?;
    status::shown(&services, project).await
}
