//! Deployments: what accepted install requests reached.

mod list;
mod show;

use outfitter_agent_protocol::TaskKind;
use outfitter_api_types::native::deployments::{DeploymentCounts, DeploymentKind, DeploymentState};
use outfitter_store::{DeploymentView, Expansion};

use super::{Family, Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/deployments", "ListDeployments")
                .action("outfitter:deployments:list")
                .family(Family::Native)
                .summary("List deployments, newest first."),
            list::list_deployments,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/deployments/{deployment_id}",
                "ShowDeployment",
            )
            .action("outfitter:deployments:get")
            .family(Family::Native)
            .codes(&[404])
            .summary(
                "Show a deployment: desktops reached, desktops skipped and why, accounts unknown to the \
                 directory, authorizations widened.",
            ),
            show::show_deployment,
        );
}

fn kind(view: &DeploymentView) -> DeploymentKind {
    match view.kind {
        TaskKind::Install => DeploymentKind::Install,
        TaskKind::Uninstall => DeploymentKind::Uninstall,
    }
}

fn state(view: &DeploymentView) -> DeploymentState {
    match view.expansion {
        Expansion::Expanding => DeploymentState::Expanding,
        Expansion::Expanded if view.jobs.init + view.jobs.waiting > 0 => DeploymentState::Running,
        Expansion::Expanded => DeploymentState::Ended,
    }
}

fn counts(view: &DeploymentView) -> DeploymentCounts {
    DeploymentCounts {
        jobs_init: view.jobs.init,
        jobs_waiting: view.jobs.waiting,
        jobs_success: view.jobs.success,
        jobs_fail: view.jobs.fail,
        desktops_reached: view.desktops_reached,
        desktops_skipped: view.pairs_skipped,
        accounts_unknown: view.accounts_unknown,
        authorizations_widened: view.authorizations_widened,
    }
}
