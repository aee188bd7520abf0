//! `/v2/{project_id}/users`: users of the directory.

mod batch_create;
mod create;
mod delete;
mod list;
mod show;
mod update;

use http::StatusCode;
use outfitter_api_types::users::ActiveType as WireActiveType;
use outfitter_domain::Millis;
use outfitter_domain::fleet::ActiveType;

pub(super) use list::number;

use super::operation::Named;
use super::{ApiError, Operation, Routes};
use crate::app::users::UserError;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post("/v2/{project_id}/users", "CreateDesktopUser")
                .action("workspace:users:create")
                .names(&[Named::Ids("userGroup", "group_ids[]")])
                .status(201)
                .summary("Create a user."),
            create::create,
        )
        .add(
            Operation::get("/v2/{project_id}/users", "ListUsers")
                .action("workspace:users:list")
                .summary("List users."),
            list::list,
        )
        .add(
            Operation::post("/v2/{project_id}/users/batch-create", "BatchCreateUsers")
                .action("workspace:users:batchCreate")
                .summary("Create up to 200 users, all or none."),
            batch_create::batch_create,
        )
        .add(
            Operation::post("/v2/{project_id}/users/batch-delete", "BatchDeleteUser")
                .action("workspace:users:batchDelete")
                .names(&[Named::Ids("user", "user_ids[]")])
                .status(204)
                .summary("Delete up to 100 users, all or none."),
            delete::batch_delete,
        )
        .add(
            Operation::get("/v2/{project_id}/users/{user_id}", "ListUserDetail")
                .action("workspace:users:get")
                .summary("Show a user."),
            show::show,
        )
        .add(
            Operation::put("/v2/{project_id}/users/{user_id}", "UpdateUserInfo")
                .action("workspace:users:update")
                .summary("Change a user; members left out stay."),
            update::update,
        )
        .add(
            Operation::delete("/v2/{project_id}/users/{user_id}", "DeleteUser")
                .action("workspace:users:delete")
                .status(204)
                .summary("Delete a user."),
            delete::delete,
        );
}

/// The answer to a refusal; `prefix` stands before the member's name (contract, `errors.md`, section 3).
pub(super) fn refused(error: UserError, prefix: &str) -> ApiError {
    let text = error.to_string();
    match error {
        UserError::Invalid { member, reason } => {
            ApiError::invalid(format!("{prefix}{member}"), reason)
        }
        UserError::PasswordTooSimple => bad_request("WKS.00170101", format!("{prefix}{text}")),
        UserError::NameTaken { .. } => bad_request("WKS.0409", text),
        UserError::OfDirectory => bad_request("WKS.0001", text),
        UserError::UserUnknown => bad_request("WKS.00170312", text),
        UserError::GroupUnknown => bad_request("WKS.00170208", text),
        UserError::Busy(source) => ApiError::Unavailable {
            doing: "hash a password",
            source: Box::new(source),
        },
        UserError::Store(source) => source.into(),
    }
}

pub(super) fn bad_request(code: &'static str, message: String) -> ApiError {
    ApiError::coded(StatusCode::BAD_REQUEST, code, message)
}

/// When an account expires: `0` or nothing is never.
fn account_expires(member: &str, text: Option<&str>) -> Result<Option<Millis>, ApiError> {
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .map(|time| Some(Millis::new(time.as_millisecond())))
            .map_err(|_| {
                ApiError::invalid(member, "must be 0 or a time such as 2024-12-25T06:58:19Z")
            }),
    }
}

pub(super) fn active_type(word: WireActiveType) -> ActiveType {
    match word {
        WireActiveType::UserActivate => ActiveType::UserActivate,
        WireActiveType::AdminActivate => ActiveType::AdminActivate,
    }
}

fn active_type_wire(word: ActiveType) -> WireActiveType {
    match word {
        ActiveType::UserActivate => WireActiveType::UserActivate,
        ActiveType::AdminActivate => WireActiveType::AdminActivate,
    }
}
