use std::sync::Arc;

use outfitter_api_types::native::iam_policies::{
    CreateIamGroupReq, IamGroup, IamGroupMember, ListIamGroupsResponse, ListIamQuery,
    ProviderGroup, UpdateIamGroupReq,
};
use outfitter_api_types::time::WireTime;
use outfitter_store as store;

use super::page;
use crate::app::iam_policies::{group_add, group_change, group_delete};
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateIamGroupReq>,
) -> Result<Reply<IamGroup>, ApiError> {
    let made = group_add(&services, call.caller(), &call.body.name).await?;
    Ok(Reply::new(wire(&services, made).await?))
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListIamQuery>,
) -> Result<Reply<ListIamGroupsResponse>, ApiError> {
    let all = services
        .store
        .db()
        .iam_group_list(call.caller().domain)
        .await?;
    let (count, groups) = page(all, call.query.offset, call.query.limit);
    let mut items = Vec::new();
    for group in groups {
        items.push(wire(&services, group).await?);
    }
    Ok(Reply::new(ListIamGroupsResponse { count, items }))
}

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<UpdateIamGroupReq>,
) -> Result<Reply<IamGroup>, ApiError> {
    let body = &call.body;
    let provider_groups: Option<Vec<String>> = body
        .provider_groups
        .as_ref()
        .map(|groups| groups.iter().map(|group| group.0.clone()).collect());
    let changed = group_change(
        &services,
        call.caller(),
        call.path("group_id"),
        body.add_user_ids.as_deref().unwrap_or_default(),
        body.remove_user_ids.as_deref().unwrap_or_default(),
        provider_groups.as_deref(),
    )
    .await?;
    Ok(Reply::new(wire(&services, changed).await?))
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply<()>, ApiError> {
    group_delete(&services, call.caller(), call.path("group_id")).await?;
    Ok(Reply::empty())
}

async fn wire(services: &Services, group: store::IamGroup) -> Result<IamGroup, ApiError> {
    let db = services.store.db();
    let members = db.iam_group_members(group.key).await?;
    let provider_groups = db.iam_group_provider_groups(group.key).await?;
    Ok(IamGroup {
        id: group.id.to_string(),
        name: group.name,
        members: members
            .into_iter()
            .map(|(id, user_name)| IamGroupMember {
                user_id: id.to_string(),
                user_name,
            })
            .collect(),
        provider_groups: provider_groups.into_iter().map(ProviderGroup).collect(),
        created_at: WireTime::from_unix_millis(group.created_at.get()),
    })
}
