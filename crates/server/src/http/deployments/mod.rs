//! Deployments: what accepted install requests reached.

mod actions;
mod create;
mod jobs;
mod list;
mod show;

use outfitter_agent_protocol::{Approach, TaskKind};
use outfitter_api_types::native::deployments::{
    DeploymentCounts, DeploymentKind, DeploymentState, FailLimit,
};
use outfitter_api_types::time::WireTime;
use outfitter_store::{DeploymentView, Expansion};

use super::operation::Named;
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
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/deployments/{deployment_id}/actions/cancel",
                "CancelDeployment",
            )
            .action("outfitter:deployments:cancel")
            .family(Family::Native)
            .codes(&[404])
            .summary("Cancel every job of a deployment that has not ended."),
            actions::cancel_deployment,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/deployments/{deployment_id}/actions/resume",
                "ResumeDeployment",
            )
            .action("outfitter:deployments:resume")
            .family(Family::Native)
            .codes(&[404])
            .summary("Let a deployment that passed its limit of failures go on; those until now are forgiven."),
            actions::resume_deployment,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/deployments/{deployment_id}/jobs",
                "ListDeploymentJobs",
            )
            .action("outfitter:deployments:get")
            .family(Family::Native)
            .codes(&[404])
            .summary("List the jobs of a deployment by desktop and app."),
            jobs::list_deployment_jobs,
        )
        .add(
            Operation::post("/api/v1/{project_id}/deployments", "CreateDeployment")
                .action("workspace:appcenter:batchInstallApps")
                .names(&[
                    Named::Ids("app", "app_ids[]"),
                    Named::Accounts("users[]"),
                    Named::Ids("desktop", "desktop_ids[]"),
                ])
                .may_widen()
                .family(Family::Native)
                .status(201)
                .codes(&[404, 409])
                .headers(&["X-Deployment-Id"])
                .summary(
                    "Install applications for accounts, everyone, whoever is authorized, or on desktops, with a limit \
                     of failures and an expiry; the same Idempotency-Key makes no second deployment.",
                ),
            create::create_deployment,
        )
        .add::<_, (), _, _, _>(
            Operation::post(
                "/api/v1/{project_id}/deployments/preview",
                "PreviewDeployment",
            )
            .action("workspace:appcenter:batchInstallApps")
            .names(&[
                Named::Ids("app", "app_ids[]"),
                Named::Accounts("users[]"),
                Named::Ids("desktop", "desktop_ids[]"),
            ])
            .may_widen()
            .reads()
            .family(Family::Native)
            .codes(&[404, 409])
            .summary("Show what CreateDeployment would do; nothing of it happens."),
            create::preview_deployment,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/deployments/uninstall",
                "CreateUninstall",
            )
            .action("outfitter:deployments:uninstall")
            .names(&[
                Named::Ids("app", "app_ids[]"),
                Named::Accounts("users[]"),
                Named::Ids("desktop", "desktop_ids[]"),
            ])
            .family(Family::Native)
            .status(201)
            .codes(&[404, 409])
            .headers(&["X-Deployment-Id"])
            .summary(
                "Uninstall applications from the desktops of accounts, from every desktop, or from named ones.",
            ),
            create::create_uninstall,
        )
        .add::<_, (), _, _, _>(
            Operation::post(
                "/api/v1/{project_id}/deployments/uninstall/preview",
                "PreviewUninstall",
            )
            .action("outfitter:deployments:uninstall")
            .names(&[
                Named::Ids("app", "app_ids[]"),
                Named::Accounts("users[]"),
                Named::Ids("desktop", "desktop_ids[]"),
            ])
            .family(Family::Native)
            .codes(&[404, 409])
            .reads()
            .summary("Show what CreateUninstall would do; nothing of it happens."),
            create::preview_uninstall,
        );
}

fn fail_limit(view: &DeploymentView) -> Option<FailLimit> {
    let (count, percent) = (view.fail_limit.count, view.fail_limit.percent);
    (count.is_some() || percent.is_some()).then_some(FailLimit { count, percent })
}

fn is_repair(view: &DeploymentView) -> bool {
    match view.approach {
        Approach::Repair => true,
        Approach::Ordinary => false,
    }
}

fn halted_at(view: &DeploymentView) -> Option<WireTime> {
    view.halted_at
        .map(|at| WireTime::from_unix_millis(at.get()))
}

fn kind(view: &DeploymentView) -> DeploymentKind {
    match view.kind {
        TaskKind::Install => DeploymentKind::Install,
        TaskKind::Uninstall => DeploymentKind::Uninstall,
    }
}

pub(super) fn state(view: &DeploymentView) -> DeploymentState {
    match view.expansion {
        Expansion::Expanding => DeploymentState::Expanding,
        Expansion::Expanded if view.jobs.init + view.jobs.waiting > 0 => DeploymentState::Running,
        Expansion::Expanded => DeploymentState::Ended,
    }
}

pub(super) fn counts(view: &DeploymentView) -> DeploymentCounts {
    DeploymentCounts {
        jobs_init: view.jobs.init,
        jobs_waiting: view.jobs.waiting,
        jobs_success: view.jobs.success,
        jobs_unverified: view.jobs_unverified,
        jobs_fail: view.jobs.fail,
        desktops_reached: view.desktops_reached,
        desktops_skipped: view.pairs_skipped,
        accounts_unknown: view.accounts_unknown,
        authorizations_widened: view.authorizations_widened,
    }
}
