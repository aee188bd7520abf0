//! Who may use apps.

mod list;
mod update;

use super::operation::Named;
use super::{Family, Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/{app_id}/actions/assign-authorizations",
                "UpdateAppAuthorizations",
            )
            .action("workspace:appcenter:batchUpdateAppAuthorizations")
            .names(&[Named::Accounts("users[]"), Named::Accounts("del_users[]")])
            .may_widen()
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("Set who an application is for; add and remove accounts."),
            update::update_app_authorizations,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/apps/actions/batch-assign-authorization",
                "BatchUpdateAppAuthorizations",
            )
            .action("workspace:appcenter:batchUpdateAppAuthorizations")
            .names(&[
                Named::Ids("app", "app_ids[]"),
                Named::Accounts("users[]"),
                Named::Accounts("del_users[]"),
            ])
            .may_widen()
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("Set who applications are for; add and remove accounts."),
            update::batch_update_app_authorizations,
        )
        .add(
            Operation::get(
                "/v1/{project_id}/app-center/apps/{app_id}/authorizations",
                "ListAppAuthorizations",
            )
            .action("workspace:appcenter:listAppAuthorizations")
            .family(Family::AppCenter)
            .codes(&[404])
            .summary("List the accounts of an application."),
            list::list_app_authorizations,
        );
}
