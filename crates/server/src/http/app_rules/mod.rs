//! `/v1/{project_id}/app-center/app-rules` and `/app-restricted-rules`: app control.

mod change;
mod control;
mod list;
mod restriction;
mod wire;

use super::operation::Named;
use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v1/{project_id}/app-center/app-rules", "ListAppRule")
                .action("workspace:appcenter:listAppRule")
                .summary("List app rules."),
            list::list,
        )
        .add(
            Operation::post("/v1/{project_id}/app-center/app-rules", "CreateAppRule")
                .action("workspace:appcenter:createAppRule")
                .codes(&[409])
                .summary("Create an app rule."),
            change::create,
        )
        .add(
            Operation::patch(
                "/v1/{project_id}/app-center/app-rules/{rule_id}",
                "UpdateAppRule",
            )
            .action("workspace:appcenter:updateAppRule")
            .codes(&[404, 409])
            .summary("Change an app rule; members left out stay."),
            change::update,
        )
        .add(
            Operation::delete(
                "/v1/{project_id}/app-center/app-rules/{rule_id}",
                "DeleteAppRule",
            )
            .action("workspace:appcenter:deleteAppRule")
            .codes(&[404])
            .summary("Delete an app rule, also one under control."),
            change::delete,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-rules/batch-delete",
                "BatchDeleteAppRules",
            )
            .action("workspace:appcenter:batchDeleteAppRules")
            .names(&[Named::Ids("rule", "items[]")])
            .summary("Delete app rules; unknown ones are ignored."),
            change::batch_delete,
        )
        .add(
            Operation::get(
                "/v1/{project_id}/app-center/app-restricted-rules",
                "ListRestrictedRule",
            )
            .action("workspace:appcenter:listRestrictedRule")
            .summary("List the app rules under control."),
            list::list_restricted,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-restricted-rules",
                "AddRestrictedRule",
            )
            .action("workspace:appcenter:addRestrictedRule")
            .names(&[Named::Ids("rule", "items[]")])
            .codes(&[404])
            .summary("Put app rules under control."),
            control::add,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-restricted-rules/actions/batch-delete",
                "DeleteRestrictedRule",
            )
            .action("workspace:appcenter:deleteRestrictedRule")
            .names(&[Named::Ids("rule", "items[]")])
            .summary("Take app rules off control without deleting them."),
            control::remove,
        )
        .add(
            Operation::get(
                "/v1/{project_id}/app-center/app-rules/actions/get-rule-restriction",
                "ShowRuleRestriction",
            )
            .action("workspace:appcenter:getRuleRestriction")
            .summary("Show how app control works."),
            restriction::show,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-rules/actions/set-rule-restriction",
                "SetRuleRestriction",
            )
            .action("workspace:appcenter:setRuleRestriction")
            .summary("Set how app control works; members left out stay."),
            restriction::set,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-rules/actions/enable-rule-restriction",
                "EnableRuleRestriction",
            )
            .action("workspace:appcenter:enableRuleRestriction")
            .summary("Switch app control on."),
            restriction::enable,
        )
        .add(
            Operation::post(
                "/v1/{project_id}/app-center/app-rules/actions/disable-rule-restriction",
                "DisableRuleRestriction",
            )
            .action("workspace:appcenter:disableRuleRestriction")
            .summary("Switch app control off."),
            restriction::disable,
        );
}
