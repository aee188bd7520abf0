use std::sync::Arc;

use outfitter_api_types::apps::BatchOperateAppsReq;
use outfitter_domain::AppStatus;
use outfitter_ids::AppId;

use crate::Services;
use crate::app::apps;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn batch_disable_apps(
    services: Arc<Services>,
    call: Call<BatchOperateAppsReq>,
) -> Result<Reply, ApiError> {
    set_status(&services, call, AppStatus::Forbidden).await
}

pub(super) async fn batch_enable_apps(
    services: Arc<Services>,
    call: Call<BatchOperateAppsReq>,
) -> Result<Reply, ApiError> {
    set_status(&services, call, AppStatus::Normal).await
}

async fn set_status(
    services: &Services,
    call: Call<BatchOperateAppsReq>,
    status: AppStatus,
) -> Result<Reply, ApiError> {
    let project = call.project().into();
    let ids: Vec<_> = call
        .body
        .items
        .iter()
        .map(|text| AppId::lookup(text))
        .collect();
    apps::set_status(services, project, &ids, status).await?;
    Ok(Reply::empty())
}
