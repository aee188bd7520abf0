use std::sync::Arc;

use outfitter_api_types::tags::{
    BatchAddDesktopsTagsReq, BatchDeleteDesktopsTagsReq, CreateTagReq, TagAction, TagsReq,
};
use outfitter_ids::DesktopId;
use outfitter_store::{DesktopKey, DesktopTag, ProjectKey, Tx};

use super::{all_checked, check_count, checked};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

async fn find(tx: &Tx, project: ProjectKey, text: &str) -> Result<Option<DesktopKey>, ApiError> {
    let Some(id) = DesktopId::lookup(text) else {
        return Ok(None);
    };
    let found = tx.desktops_lock(project, &[id]).await?;
    Ok(found.first().map(|(_, key)| *key))
}

async fn found(tx: &Tx, project: ProjectKey, text: &str) -> Result<DesktopKey, ApiError> {
    find(tx, project, text)
        .await?
        .ok_or(ApiError::NotFound { noun: "desktop" })
}

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateTagReq>,
) -> Result<Reply, ApiError> {
    let tag = checked("tag", call.body.tag.clone())?;
    let tx = services.store.write().await?;
    let desktop = found(&tx, call.project().project, call.path("desktop_id")).await?;
    check_count("tag", tx.tags_set(desktop, &[tag]).await?)?;
    tx.commit().await?;
    Ok(Reply::new(()))
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let tag = DesktopTag {
        key: call.path("key").to_owned(),
        value: String::new(),
    };
    let tx = services.store.write().await?;
    let desktop = found(&tx, call.project().project, call.path("desktop_id")).await?;
    tx.tags_remove(desktop, &[tag]).await?;
    tx.commit().await?;
    Ok(Reply::new(()))
}

pub(super) async fn change(
    services: Arc<Services>,
    call: Call<TagsReq>,
) -> Result<Reply, ApiError> {
    let Some(action) = call.body.action else {
        return Err(ApiError::invalid("action", "is required"));
    };
    let tags = all_checked("tags", call.body.tags.clone().unwrap_or_default())?;
    let tx = services.store.write().await?;
    let desktop = found(&tx, call.project().project, call.path("desktop_id")).await?;
    match action {
        TagAction::Create => check_count("tags", tx.tags_set(desktop, &tags).await?)?,
        TagAction::Delete => tx.tags_remove(desktop, &tags).await?,
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_add(
    services: Arc<Services>,
    call: Call<BatchAddDesktopsTagsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let mut changes = Vec::new();
    for (index, desktop) in call.body.desktops.into_iter().enumerate() {
        let tags = all_checked(&format!("desktops[{index}].tags"), desktop.tags)?;
        changes.push((desktop.desktop_id, tags));
    }
    let tx = services.store.write().await?;
    for (index, (id, tags)) in changes.iter().enumerate() {
        if let Some(desktop) = find(&tx, project, id).await? {
            let count = tx.tags_set(desktop, tags).await?;
            check_count(&format!("desktops[{index}].tags"), count)?;
        }
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}

pub(super) async fn batch_delete(
    services: Arc<Services>,
    call: Call<BatchDeleteDesktopsTagsReq>,
) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let mut changes = Vec::new();
    for (index, desktop) in call.body.desktops.into_iter().enumerate() {
        let tags = all_checked(&format!("desktops[{index}].tags"), desktop.tags)?;
        changes.push((desktop.desktop_id, tags));
    }
    let tx = services.store.write().await?;
    for (id, tags) in &changes {
        if let Some(desktop) = find(&tx, project, id).await? {
            tx.tags_remove(desktop, tags).await?;
        }
    }
    tx.commit().await?;
    Ok(Reply::new(()))
}
