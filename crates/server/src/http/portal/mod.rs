//! The portal: what end users see and do at their desktops (docs/adr/0025-end-users.md).

mod apps;
mod events;
mod jobs;
mod session;
mod wire;

use outfitter_store::DesktopKey;

use super::{ApiError, Call, Family, GatewayError, Operation, Routes};
use crate::Services;
use crate::app::portal::{EndUserDesktop, EntryError, PortalError, desktops_of};
use http::StatusCode;

pub(crate) use wire::{job_state_word, sentence};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    session::register(routes);
    routes
        .add(
            Operation::get("/api/v1/{project_id}/portal/apps", "ListPortalApps")
                .end_user()
                .family(Family::Native)
                .codes(&[404])
                .summary(
                    "List the applications that the end user may have on a desktop of theirs, and where each is there.",
                ),
            apps::list_apps,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/portal/apps/{app_id}/actions/install",
                "InstallPortalApp",
            )
            .end_user()
            .codes(&[404, 409])
            .summary("Put an application, or its newest version, on a desktop of the end user's."),
            apps::install_app,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/portal/apps/{app_id}/actions/remove",
                "RemovePortalApp",
            )
            .end_user()
            .codes(&[404, 409])
            .summary("Take an application that the end user installed off a desktop of theirs."),
            apps::remove_app,
        )
        .add(
            Operation::get("/api/v1/{project_id}/portal/history", "ListPortalHistory")
                .end_user()
                .codes(&[404])
                .summary("List what was done on a desktop of the end user's, newest first."),
            jobs::list_history,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/portal/jobs/{job_id}/actions/cancel",
                "CancelPortalJob",
            )
            .end_user()
            .codes(&[404, 409])
            .summary("Stop what the end user asked for."),
            jobs::cancel_job,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/portal/jobs/{job_id}/actions/defer",
                "DeferPortalJob",
            )
            .end_user()
            .codes(&[404, 409])
            .summary("Put off what an administrator sent to a desktop of the end user's and what has not begun."),
            jobs::defer_job,
        )
        .add_raw(
            Operation::get("/api/v1/{project_id}/portal/events", "StreamPortalEvents")
                .end_user()
                .codes(&[404])
                .media("text/event-stream")
                .summary("Follow what changes on a desktop of the end user's as server-sent events."),
            events::stream_events,
        );
}

/// The desktop that a call names.
async fn at<'c, B, Q>(
    services: &Services,
    call: &'c Call<B, Q>,
    desktop: &str,
) -> Result<EndUserDesktop<'c>, ApiError> {
    let visitor = call.visitor();
    Ok(EndUserDesktop::find(services, &visitor.user, visitor.desktop, desktop).await?)
}

/// Every desktop that the caller may act on.
async fn all<B, Q>(services: &Services, call: &Call<B, Q>) -> Result<Vec<DesktopKey>, ApiError> {
    let visitor = call.visitor();
    let desktops = desktops_of(services, &visitor.user, visitor.desktop).await?;
    Ok(desktops.into_iter().map(|desktop| desktop.key).collect())
}

impl From<PortalError> for ApiError {
    fn from(error: PortalError) -> Self {
        match error {
            PortalError::DesktopNotFound => Self::NotFound { noun: "desktop" },
            PortalError::AppNotFound => Self::APP_NOT_FOUND,
            PortalError::JobNotFound => Self::NotFound { noun: "job" },
            PortalError::State(reason) => Self::conflict("WKS.0409", reason),
            PortalError::Install(error) => error.into(),
            PortalError::Store(error) => error.into(),
        }
    }
}

impl From<EntryError> for ApiError {
    fn from(error: EntryError) -> Self {
        let message = error.to_string();
        match error {
            EntryError::Ticket | EntryError::Wrong => Self::Gateway(GatewayError::new(
                StatusCode::UNAUTHORIZED,
                "APIGW.0301",
                message,
            )),
            EntryError::NoDirectory => Self::invalid("project_id", message),
            EntryError::Throttled { retry_after_secs } => {
                GatewayError::throttled(retry_after_secs).into()
            }
            EntryError::Directory(failure) => Self::Unavailable {
                doing: "ask the company directory",
                source: Box::new(failure),
            },
            EntryError::Stored(error) => Self::internal("use the company directory", error),
            EntryError::Store(error) => error.into(),
        }
    }
}
