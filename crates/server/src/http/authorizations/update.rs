use std::sync::Arc;

use outfitter_api_types::authorizations::{
    AccountInfo, AssignAppAuthorizationsReq, BatchAssignAppAuthorizationsReq,
};
use outfitter_domain::app::AuthorizationChange;
use outfitter_ids::AppId;

use crate::Services;
use crate::app::apps::AppError;
use crate::app::authorizations;
use crate::http::apps::wire::{Word as _, account};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn update_app_authorizations(
    services: Arc<Services>,
    call: Call<AssignAppAuthorizationsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().into();
    let widening = call.widening().clone();
    let ids = [AppId::lookup(call.path("app_id"))];
    let kind = call.body.authorization_type.word();
    let change = change(call.body.users, call.body.del_users)?;
    authorizations::update(&services, project, &ids, kind, &change, &widening).await?;
    Ok(Reply::empty())
}

pub(super) async fn batch_update_app_authorizations(
    services: Arc<Services>,
    call: Call<BatchAssignAppAuthorizationsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().into();
    let widening = call.widening().clone();
    let body = call.body;
    let ids: Vec<_> = body
        .app_ids
        .iter()
        .map(|text| AppId::lookup(text))
        .collect();
    let kind = body.authorization_type.word();
    let change = change(body.users, body.del_users)?;
    authorizations::update(&services, project, &ids, kind, &change, &widening).await?;
    Ok(Reply::empty())
}

fn change(
    users: Option<Vec<AccountInfo>>,
    del_users: Option<Vec<AccountInfo>>,
) -> Result<AuthorizationChange, AppError> {
    let accounts = |list: Option<Vec<AccountInfo>>| {
        list.unwrap_or_default().into_iter().map(account).collect()
    };
    Ok(AuthorizationChange::new(
        accounts(users),
        accounts(del_users),
    )?)
}
