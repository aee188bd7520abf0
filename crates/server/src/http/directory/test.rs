use std::sync::Arc;

use outfitter_api_types::native::directory::TestDirectoryResponse;

use super::refused;
use crate::Services;
use crate::app::directory;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn test(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<TestDirectoryResponse>, ApiError> {
    let project = call.project();
    let found = Box::pin(directory::test(
        &services,
        project.project,
        project.id.uuid(),
    ))
    .await
    .map_err(refused)?;
    let count = |count| u64::try_from(count).ok();
    Ok(Reply::new(match found {
        Ok(found) => TestDirectoryResponse {
            ok: true,
            users: count(found.users),
            groups: count(found.groups),
            sample_users: found.sample_users,
            sample_groups: found.sample_groups,
            tells_changes: Some(found.tells_changes),
            ..TestDirectoryResponse::default()
        },
        Err(failure) => TestDirectoryResponse {
            error_code: Some(failure.code.as_str().to_owned()),
            hint: Some(failure.code.hint().to_owned()),
            words: Some(failure.text),
            ..TestDirectoryResponse::default()
        },
    }))
}
