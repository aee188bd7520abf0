use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::native::portal::{
    DeferPortalJobReq, ListPortalHistoryQuery, ListPortalHistoryResponse, PortalJob,
};
use outfitter_store::Page;

use super::wire::job;
use super::{all, at};
use crate::Services;
use crate::app::portal::{cancel, defer};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_history(
    services: Arc<Services>,
    call: Call<(), ListPortalHistoryQuery>,
) -> Result<Reply<ListPortalHistoryResponse>, ApiError> {
    let at = at(&services, &call, &call.query.desktop_id).await?;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = at.history(&services, page).await?;
    let now = services.clock.now();
    Ok(Reply::new(ListPortalHistoryResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|found| job(at.user.user, found, now))
            .collect(),
    }))
}

pub(super) async fn cancel_job(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<PortalJob>, ApiError> {
    let user = &call.visitor().user;
    let desktops = all(&services, &call).await?;
    let found = cancel(&services, user, &desktops, call.path("job_id")).await?;
    Ok(Reply::new(job(user.user, found, services.clock.now())))
}

pub(super) async fn defer_job(
    services: Arc<Services>,
    call: Call<DeferPortalJobReq>,
) -> Result<Reply<PortalJob>, ApiError> {
    let user = &call.visitor().user;
    let desktops = all(&services, &call).await?;
    let minutes = u64::try_from(call.body.minutes)
        .map_err(|_| ApiError::invalid("minutes", "must not be negative"))?;
    let wanted = Duration::from_secs(minutes * 60);
    let found = defer(&services, user, &desktops, call.path("job_id"), wanted).await?;
    Ok(Reply::new(job(user.user, found, services.clock.now())))
}
