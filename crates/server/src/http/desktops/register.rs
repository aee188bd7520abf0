use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::native::desktops::{RegisterDesktopReq, RegisteredDesktop};
use outfitter_store::Persistence;

use super::registered::{os_type, wire};
use crate::Services;
use crate::app::desktops::{self, RegisterError, Registration};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn register(
    services: Arc<Services>,
    call: Call<RegisterDesktopReq>,
) -> Result<Reply<RegisteredDesktop>, ApiError> {
    let project = call.project().project;
    let body = call.body;
    let registration = Registration {
        name: body.name,
        os_type: os_type(body.os_type),
        users: body.users.unwrap_or_default(),
        persistence: if body.persistent.unwrap_or(true) {
            Persistence::Persistent
        } else {
            Persistence::Recomposed
        },
    };
    let desktop = desktops::register(&services, project, registration)
        .await
        .map_err(refused)?;
    Ok(Reply::new(wire(&services, desktop)))
}

fn refused(error: RegisterError) -> ApiError {
    match error {
        RegisterError::Name(source) => ApiError::invalid("name", source.to_string()),
        RegisterError::UserName { index, source } => {
            ApiError::invalid(format!("users[{index}]"), source.to_string())
        }
        RegisterError::UserTwice { index } => {
            ApiError::invalid(format!("users[{index}]"), "stands in the list twice")
        }
        RegisterError::NameTaken { .. } => {
            ApiError::coded(StatusCode::CONFLICT, "WKS.0409", error.to_string())
        }
        RegisterError::Store(source) => source.into(),
    }
}
