use std::sync::Arc;

use outfitter_api_types::apps::{BatchDeleteAppsReq, DeleteAppQuery, TrueFalseText};
use outfitter_ids::AppId;
use outfitter_store::ObjectFate;

use crate::Services;
use crate::app::apps;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn delete_app(
    services: Arc<Services>,
    call: Call<(), DeleteAppQuery>,
) -> Result<Reply, ApiError> {
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    let objects = match call.query.reserve_obs_file {
        TrueFalseText::True => ObjectFate::Keep,
        TrueFalseText::False => ObjectFate::Remove,
    };
    apps::delete(&services, project, &[id], objects).await?;
    Ok(Reply::empty())
}

pub(super) async fn batch_delete_apps(
    services: Arc<Services>,
    call: Call<BatchDeleteAppsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().into();
    let ids: Vec<_> = call
        .body
        .items
        .iter()
        .map(|text| AppId::lookup(text))
        .collect();
    let objects = if call.body.reserve_obs_file == Some(true) {
        ObjectFate::Keep
    } else {
        ObjectFate::Remove
    };
    apps::delete(&services, project, &ids, objects).await?;
    Ok(Reply::empty())
}
