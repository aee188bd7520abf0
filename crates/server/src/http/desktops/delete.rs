use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::desktops::{
    BatchDeleteDesktopsResponse, DeleteDesktopQuery, DeleteDesktopsReq,
};
use outfitter_ids::{DesktopId, WorkspaceJobId};
use outfitter_store::{LeftUsers, ProjectKey, SubJobOutcome};

use super::attach::refused;
use crate::Services;
use crate::app::desktops::AttachError;
use crate::app::{desktops, workspace_jobs};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn delete(
    services: Arc<Services>,
    call: Call<(), DeleteDesktopQuery>,
) -> Result<Reply, ApiError> {
    let ids = [call.path("desktop_id").to_owned()];
    delete_all(
        &services,
        call.project().project,
        &ids,
        left_users(call.query.delete_users),
        work_there(call.query.is_force_delete),
    )
    .await?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_delete(
    services: Arc<Services>,
    call: Call<DeleteDesktopsReq>,
) -> Result<Reply<BatchDeleteDesktopsResponse>, ApiError> {
    let job = delete_all(
        &services,
        call.project().project,
        &call.body.desktop_ids,
        left_users(call.body.delete_users.unwrap_or(false)),
        work_there(call.body.is_force_delete.unwrap_or(false)),
    )
    .await?;
    Ok(Reply::new(BatchDeleteDesktopsResponse {
        job_id: Some(job.to_string()),
    }))
}

/// What becomes of a desktop on which a workspace job has not ended.
enum WorkThere {
    /// The call is refused: 409.
    Refuses,
    /// It is deleted all the same.
    IsIgnored,
}

fn work_there(is_force_delete: bool) -> WorkThere {
    if is_force_delete {
        WorkThere::IsIgnored
    } else {
        WorkThere::Refuses
    }
}

fn left_users(delete: bool) -> LeftUsers {
    if delete {
        LeftUsers::Delete
    } else {
        LeftUsers::Keep
    }
}

async fn delete_all(
    services: &Services,
    project: ProjectKey,
    texts: &[String],
    left_users: LeftUsers,
    work_there: WorkThere,
) -> Result<WorkspaceJobId, ApiError> {
    let unknown = || ApiError::NotFound { noun: "desktop" };
    let ids = texts
        .iter()
        .map(|text| DesktopId::lookup(text).ok_or_else(unknown))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let ids: Vec<DesktopId> = ids.into_iter().collect();
    let tx = services.store.write().await?;
    let found = tx.desktops_lock(project, &ids).await?;
    if found.len() != ids.len() {
        return Err(unknown());
    }
    let keys: Vec<_> = found.into_iter().map(|(_, key)| key).collect();
    if matches!(work_there, WorkThere::Refuses)
        && let Some(name) = tx.db().desktop_busy(project, &keys).await?
    {
        return Err(refused(AttachError::Busy { name }, StatusCode::CONFLICT));
    }
    desktops::delete(services, &tx, project, &keys, left_users).await?;
    let sub_jobs: Vec<_> = keys
        .iter()
        .map(|key| workspace_jobs::sub_job(services, *key, None, SubJobOutcome::SUCCESS))
        .collect();
    let job = workspace_jobs::start(
        services,
        &tx,
        project,
        workspace_jobs::DELETE,
        &sub_jobs,
        services.clock.now(),
    )
    .await?;
    tx.commit().await?;
    desktops::close_channels(services, &keys);
    Ok(job)
}
