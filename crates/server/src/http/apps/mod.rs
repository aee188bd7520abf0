//! Apps: the contract's under `/v1/{project_id}/app-center/apps`, ours under `/api/v1/{project_id}/apps`.

mod delete;
mod deleted;
mod detect;
mod detection_rule;
mod link;
mod list;
mod package;
pub(in crate::http) mod revisions;
mod update;
mod upload;
mod visibility;
pub(in crate::http) mod wire;

use super::operation::Named;
use super::{ApiError, Family, Operation, Routes};
use crate::app::apps::{AppError, InProject};
use crate::auth::ProjectAccess;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post("/v1/{project_id}/app-center/apps", "UploadApp")
                .action("workspace:appcenter:createApp")
                .may_widen()
                .family(Family::AppCenter)
                .summary("Add an application."),
            upload::upload_app,
        )
        .add(
            Operation::get("/v1/{project_id}/app-center/apps", "ListApps")
                .action("workspace:appcenter:listApps")
                .family(Family::AppCenter)
                .summary("List applications."),
            list::list_apps,
        )
        .add(
            Operation::patch(
                "/v1/{project_id}/app-center/apps/{app_id}",
                "UpdateUploadedApp",
            )
            .action("workspace:appcenter:updateApp")
            .may_widen()
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("Change an application; changed content makes a new revision."),
            update::update_uploaded_app,
        )
        .add(
            Operation::delete("/v1/{project_id}/app-center/apps/{app_id}", "DeleteApp")
                .action("workspace:appcenter:deleteApp")
                .family(Family::AppCenter)
                .summary("Delete an application; one that does not exist is deleted already."),
            delete::delete_app,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/actions/batch-delete",
                "BatchDeleteApps",
            )
            .action("workspace:appcenter:batchDeleteApps")
            .names(&[Named::Ids("app", "items[]")])
            .family(Family::AppCenter)
            .summary("Delete applications."),
            delete::batch_delete_apps,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/actions/batch-disable",
                "BatchDisableApps",
            )
            .action("workspace:appcenter:batchDisableApps")
            .names(&[Named::Ids("app", "items[]")])
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("Hide applications from users."),
            visibility::batch_disable_apps,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/actions/batch-enable",
                "BatchEnableApps",
            )
            .action("workspace:appcenter:batchEnableApps")
            .names(&[Named::Ids("app", "items[]")])
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("Show applications to users again."),
            visibility::batch_enable_apps,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/apps/{app_id}/revisions",
                "ListAppRevisions",
            )
            .action("outfitter:apps:listRevisions")
            .codes(&[404])
            .summary("List the revisions of an application, newest first."),
            revisions::list_app_revisions,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/apps/{app_id}/detection-rule",
                "ShowAppDetectionRule",
            )
            .action("outfitter:apps:showDetectionRule")
            .codes(&[404])
            .headers(&["ETag"])
            .summary(
                "Show the newest revision with its detection rule; its ETag goes into If-Match.",
            ),
            detection_rule::show_app_detection_rule,
        )
        .add(
            Operation::put(
                "/api/v1/{project_id}/apps/{app_id}/detection-rule",
                "SetAppDetectionRule",
            )
            .action("outfitter:apps:setDetectionRule")
            .codes(&[404, 412])
            .summary("Set the detection rule of an application, which makes a new revision."),
            detection_rule::set_app_detection_rule,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/apps/{app_id}/actions/evaluate-detection",
                "EvaluateAppDetection",
            )
            .action("outfitter:apps:evaluateDetection")
            .names(&[Named::Ids("desktop", "desktop_ids[]")])
            .codes(&[404])
            .summary(
                "Ask connected desktops whether a detection rule holds there now; nothing is installed. Scripts do run.",
            ),
            detect::evaluate_app_detection,
        )
        .add(
            Operation::get("/api/v1/{project_id}/deleted-apps", "ListDeletedApps")
                .action("outfitter:apps:listDeleted")
                .summary(
                    "List the applications that were deleted and can be restored, newest first.",
                ),
            deleted::list_deleted_apps,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/apps/{app_id}/actions/accept-link",
                "AcceptAppLink",
            )
            .action("outfitter:apps:acceptLink")
            .optional_body()
            .codes(&[404, 409])
            .summary("Accept what lies behind an application's link now as a new revision."),
            link::accept_app_link,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/apps/{app_id}/actions/restore",
                "RestoreApp",
            )
            .action("outfitter:apps:restore")
            .may_widen()
            .codes(&[404])
            .summary("Bring a deleted application back, with what it had."),
            deleted::restore_app,
        )
        .add(
            Operation::put(
                "/api/v1/{project_id}/apps/{app_id}/exit-codes",
                "SetAppExitCodes",
            )
            .action("outfitter:apps:setExitCodes")
            .codes(&[404, 412])
            .headers(&["ETag"])
            .summary(
                "Say what exit codes mean for an application: success, reboot needed, retry or failure. Makes a new revision.",
            ),
            detection_rule::set_app_exit_codes,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/apps/{app_id}/package/actions/verify",
                "VerifyAppPackage",
            )
            .action("outfitter:apps:verifyPackage")
            .status(202)
            .codes(&[404, 409])
            .summary(
                "Have the newest package read and digested; the revision tells what was found.",
            ),
            package::verify_app_package,
        );
}

impl From<&ProjectAccess> for InProject {
    fn from(access: &ProjectAccess) -> Self {
        Self {
            key: access.project,
            id: access.id,
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Field(problem) => Self::invalid(problem.field, problem.reason),
            AppError::NotFound => Self::APP_NOT_FOUND,
            AppError::NoLink => {
                Self::conflict("WKS.00211106", "The package of the application is no link")
            }
            AppError::BuiltIn { what } => Self::Forbidden {
                reason: format!("built-in application: {what}"),
            },
            AppError::Changed { current } => Self::coded(
                http::StatusCode::PRECONDITION_FAILED,
                "WKS.00000412",
                format!("The application is at revision {current} now: read it again."),
            ),
            AppError::Refused(refusal) => refusal.into(),
            AppError::Store(source) => source.into(),
        }
    }
}
