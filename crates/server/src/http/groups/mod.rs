//! `/v2/{project_id}/groups`: groups of the directory.

mod create;
mod delete;
mod list;
mod list_users;
mod operate;
mod update;

use super::operation::Named;
use super::users::{bad_request, refused as user_refused};
use super::{ApiError, Operation, Routes};
use crate::app::groups::GroupError;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post("/v2/{project_id}/groups", "CreateUserGroup")
                .action("workspace:userGroups:create")
                .status(201)
                .summary("Create a user group. The answer is empty; find it by listing."),
            create::create,
        )
        .add(
            Operation::get("/v2/{project_id}/groups", "ListUserGroups")
                .action("workspace:userGroups:list")
                .summary("List user groups."),
            list::list,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/groups/batch-delete",
                "BatchDeleteUserGroups",
            )
            .action("workspace:userGroups:batchDelete")
            .names(&[Named::Ids("userGroup", "group_ids[]")])
            .status(204)
            .summary("Delete up to 100 user groups, all or none."),
            delete::batch_delete,
        )
        .add(
            Operation::put("/v2/{project_id}/groups/{group_id}", "UpdateUserGroup")
                .action("workspace:userGroups:update")
                .summary("Rename or describe a user group; authorizations follow a new name."),
            update::update,
        )
        .add(
            Operation::delete("/v2/{project_id}/groups/{group_id}", "DeleteUserGroup")
                .action("workspace:userGroups:delete")
                .status(204)
                .summary("Delete a user group."),
            delete::delete,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/groups/{group_id}/actions",
                "RunActionsOnGroup",
            )
            .action("workspace:userGroups:operate")
            .names(&[Named::Ids("user", "user_ids[]")])
            .summary("Put users into a group or take them out."),
            operate::operate,
        )
        .add(
            Operation::get(
                "/v2/{project_id}/groups/{group_id}/users",
                "ListUsersOfGroup",
            )
            .action("workspace:userGroups:listUsers")
            .summary("List the users of a group."),
            list_users::list_users,
        );
}

/// The answer to a refusal (contract, `errors.md`, section 3).
fn refused(error: GroupError) -> ApiError {
    let text = error.to_string();
    match error {
        GroupError::NameBlank | GroupError::AdRename => ApiError::invalid("group_name", text),
        GroupError::NameTaken { .. } => bad_request("WKS.0409", text),
        GroupError::OfDirectory => bad_request("WKS.0001", text),
        GroupError::GroupUnknown => bad_request("WKS.00170208", text),
        GroupError::User(source) => user_refused(source, ""),
        GroupError::Store(source) => source.into(),
    }
}
