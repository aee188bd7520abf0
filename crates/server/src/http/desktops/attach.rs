use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::desktops::{
    AttachInstancesDesktopInfo, AttachInstancesReq, AttachInstancesResponse,
    AttachInstancesUserInfo, AttachUserType, BatchAttachInstancesReq, BatchAttachInstancesResponse,
    PriorityStrategy,
};
use outfitter_domain::fleet::DesktopName;

use crate::Services;
use crate::app::desktops::{self, AttachError, Attachment, NamedUser};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn attach(
    services: Arc<Services>,
    call: Call<AttachInstancesReq>,
) -> Result<Reply<AttachInstancesResponse>, ApiError> {
    let project = call.project().project;
    let attachments = call
        .body
        .desktops
        .into_iter()
        .enumerate()
        .map(|(index, desktop)| attachment(index, desktop))
        .collect::<Result<Vec<_>, _>>()?;
    let job = desktops::attach(&services, project, attachments)
        .await
        .map_err(|error| refused(error, StatusCode::CONFLICT))?;
    Ok(Reply::new(AttachInstancesResponse {
        job_id: Some(job.to_string()),
    }))
}

pub(super) async fn batch_attach(
    services: Arc<Services>,
    call: Call<BatchAttachInstancesReq>,
) -> Result<Reply<BatchAttachInstancesResponse>, ApiError> {
    let project = call.project().project;
    let body = call.body;
    let strategy = body.assign_model.and_then(|model| model.priority_strategy);
    let everyone = match strategy {
        None | Some(PriorityStrategy::FixedRelation) => Vec::new(),
        Some(PriorityStrategy::DesktopAssignUsersOrGroups) => body
            .users
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, user)| named(&format!("users[{index}]"), user))
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => {
            return Err(ApiError::invalid(
                "assign_model.priority_strategy",
                "only FIXED_RELATION and DESKTOP_ASSIGN_USERS_OR_GROUPS are supported",
            ));
        }
    };
    let attachments = body
        .desktops
        .into_iter()
        .enumerate()
        .map(|(index, desktop)| {
            let mut attachment = attachment(index, desktop)?;
            attachment.users.extend(everyone.iter().cloned());
            Ok(attachment)
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    let job = desktops::attach(&services, project, attachments)
        .await
        // This operation documents no 409.
        .map_err(|error| refused(error, StatusCode::BAD_REQUEST))?;
    Ok(Reply::new(BatchAttachInstancesResponse {
        job_id: Some(job.to_string()),
    }))
}

fn attachment(index: usize, desktop: AttachInstancesDesktopInfo) -> Result<Attachment, ApiError> {
    let field = |member: &str| format!("desktops[{index}].{member}");
    let name = desktop
        .computer_name
        .map(|name| {
            DesktopName::parse(&name)
                .map_err(|error| ApiError::invalid(field("computer_name"), error.to_string()))
        })
        .transpose()?;
    let listed = desktop.attach_user_infos.filter(|users| !users.is_empty());
    let users = match listed {
        Some(users) => users
            .into_iter()
            .enumerate()
            .map(|(place, user)| named(&field(&format!("attach_user_infos[{place}]")), user))
            .collect::<Result<_, _>>()?,
        None if desktop.user_id.is_some() || desktop.user_name.is_some() => vec![NamedUser {
            id: desktop.user_id,
            name: desktop.user_name,
            domain: None,
            user_group: desktop.user_group.filter(|group| !group.is_empty()),
        }],
        None => Vec::new(),
    };
    Ok(Attachment {
        desktop: desktop.desktop_id,
        name,
        users,
    })
}

fn named(field: &str, user: AttachInstancesUserInfo) -> Result<NamedUser, ApiError> {
    if user.account_type == Some(AttachUserType::Group) {
        return Err(no_group(field));
    }
    Ok(NamedUser {
        id: user.user_id,
        name: Some(user.user_name),
        domain: user.domain,
        user_group: Some(user.user_group),
    })
}

pub(super) fn no_group(field: &str) -> ApiError {
    ApiError::invalid(
        format!("{field}.type"),
        "desktops are attached to users; attaching a group is not supported",
    )
}

/// The answer to a refusal; `state` is the status for what the desktop's state denies.
pub(super) fn refused(error: AttachError, state: StatusCode) -> ApiError {
    let text = error.to_string();
    match error {
        AttachError::DesktopUnknown => ApiError::NotFound { noun: "desktop" },
        AttachError::UserUnknown => ApiError::coded(StatusCode::BAD_REQUEST, "WKS.00170312", text),
        AttachError::NoUser { index } => ApiError::invalid(
            format!("desktops[{index}].user_name"),
            "name a user, or list users in attach_user_infos",
        ),
        AttachError::Occupied { .. } | AttachError::Busy { .. } => {
            ApiError::coded(state, "WKS.00010032", text)
        }
        AttachError::NameTaken { .. } => ApiError::coded(state, "WKS.0409", text),
        AttachError::Store(source) => source.into(),
    }
}
