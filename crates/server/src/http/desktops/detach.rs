use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::desktops::{
    AttachUserType, BatchDetachInstancesReq, BatchDetachInstancesResponse, DetachInstancesReq,
    DetachInstancesResponse, VmOperateResult,
};

use super::attach::{no_group, refused};
use crate::Services;
use crate::app::desktops::{self, DetachFailure, DetachedUsers, Detachment, NamedUser};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn detach(
    services: Arc<Services>,
    call: Call<DetachInstancesReq>,
) -> Result<Reply<DetachInstancesResponse>, ApiError> {
    let project = call.project().project;
    let detachments = call
        .body
        .desktop_ids
        .into_iter()
        .map(|desktop| Detachment {
            desktop,
            users: DetachedUsers::All,
        })
        .collect();
    let failures = desktops::detach(&services, project, detachments)
        .await
        .map_err(|error| refused(error, StatusCode::CONFLICT))?;
    Ok(Reply::new(DetachInstancesResponse {
        failed_operation_list: Some(failures.into_iter().map(wire).collect()),
        ..DetachInstancesResponse::default()
    }))
}

pub(super) async fn batch_detach(
    services: Arc<Services>,
    call: Call<BatchDetachInstancesReq>,
) -> Result<Reply<BatchDetachInstancesResponse>, ApiError> {
    let project = call.project().project;
    let mut detachments = Vec::new();
    for (index, desktop) in call.body.desktops.into_iter().enumerate() {
        let users = if desktop.is_detach_all_users.unwrap_or(false) {
            DetachedUsers::All
        } else {
            let mut users = Vec::new();
            for (place, user) in desktop
                .detach_user_infos
                .unwrap_or_default()
                .into_iter()
                .enumerate()
            {
                if user.account_type == Some(AttachUserType::Group) {
                    return Err(no_group(&format!(
                        "desktops[{index}].detach_user_infos[{place}]"
                    )));
                }
                users.push(NamedUser {
                    id: user.user_id,
                    name: Some(user.user_name),
                    domain: user.domain,
                    user_group: None,
                });
            }
            if users.is_empty() {
                return Err(ApiError::invalid(
                    format!("desktops[{index}].detach_user_infos"),
                    "list the users, or set is_detach_all_users",
                ));
            }
            DetachedUsers::Named(users)
        };
        detachments.push(Detachment {
            desktop: desktop.desktop_id,
            users,
        });
    }
    let failures = desktops::detach(&services, project, detachments)
        .await
        .map_err(|error| refused(error, StatusCode::CONFLICT))?;
    Ok(Reply::new(BatchDetachInstancesResponse {
        failed_operation_list: Some(failures.into_iter().map(wire).collect()),
        ..BatchDetachInstancesResponse::default()
    }))
}

fn wire(failure: DetachFailure) -> VmOperateResult {
    VmOperateResult {
        desktop_id: Some(failure.desktop.to_string()),
        desktop_name: Some(failure.name),
        error_code: Some("WKS.00170312".to_owned()),
        error_msg: Some(format!("{} is not attached to the desktop", failure.user)),
    }
}
