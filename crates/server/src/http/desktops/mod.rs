//! Desktops: ours under `/api/v1/{project_id}/desktops`, the contract's under `/v2/{project_id}/desktops`.

mod agent_log;
mod agents;
mod attach;
mod delete;
mod detach;
mod export;
mod identity;
mod list;
mod online;
mod reach;
mod register;
mod registered;
mod wire;

pub(super) use agents::refused as job_refused;
pub(super) use reach::{NO_WAY_IN, SET_REACH};
pub(super) use wire::tags as tags_wire;

use super::operation::Named;
use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    native(routes);
    reaches(routes);
    contract(routes);
}

fn native(routes: &mut Routes) {
    routes
        .add(
            Operation::post("/api/v1/{project_id}/desktops", "RegisterDesktop")
                .action("outfitter:desktops:register")
                .status(201)
                .codes(&[409])
                .summary("Register a desktop, before its agent enrolls."),
            register::register,
        )
        .add(
            Operation::get("/api/v1/{project_id}/desktops", "ListRegisteredDesktops")
                .action("outfitter:desktops:list")
                .summary("List desktops with their users and agents."),
            registered::list,
        )
        .add_raw(
            Operation::get("/api/v1/{project_id}/desktops/export", "ExportDesktops")
                .action("outfitter:desktops:listExport")
                .media(export::MEDIA)
                .summary("Export the desktops that fit as CSV, newest first."),
            export::export,
        )
        .add(
            Operation::get("/api/v1/{project_id}/agents-online", "ShowAgentsOnline")
                .action("outfitter:desktops:showAgentsOnline")
                .summary("Show how many agents were online over the last hours, and are now."),
            online::show,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/desktops/{desktop_id}/agent-log",
                "ShowAgentLog",
            )
            .action("outfitter:desktops:showAgentLog")
            .codes(&[404, 409])
            .summary("Ask the desktop's agent for the newest of its own log."),
            agent_log::show,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/desktops/{desktop_id}/identity",
                "ShowDesktopIdentity",
            )
            .action("outfitter:desktops:showIdentity")
            .codes(&[404])
            .summary("Show whether another machine connects with a copy of the desktop's key."),
            identity::show,
        )
        .add(
            Operation::put(
                "/api/v1/{project_id}/desktops/{desktop_id}/identity",
                "SettleDesktopIdentity",
            )
            .action("outfitter:desktops:settleIdentity")
            .codes(&[404, 409])
            .summary("Say which of two machines with the same key a desktop is."),
            identity::settle,
        )
        .add(
            Operation::delete(
                "/api/v1/{project_id}/desktops/{desktop_id}",
                "DeregisterDesktop",
            )
            .action("outfitter:desktops:delete")
            .status(204)
            .codes(&[404])
            .summary("Delete a desktop; its agent is revoked, its pending jobs fail."),
            registered::delete,
        );
}

fn reaches(routes: &mut Routes) {
    const OF_DESKTOP: &str = "/api/v1/{project_id}/desktops/{desktop_id}/reach";
    const OF_NETWORKS: &str = "/api/v1/{project_id}/network-reaches";
    routes
        .add(
            Operation::put(OF_DESKTOP, "SetDesktopReach")
                .action("outfitter:desktopReaches:set")
                .codes(&[404])
                .summary("Set how a desktop is reached over SSH; what was set before is replaced."),
            reach::set,
        )
        .add(
            Operation::get(OF_DESKTOP, "ShowDesktopReach")
                .action("outfitter:desktopReaches:get")
                .codes(&[404])
                .summary("Show how a desktop is reached over SSH, without secrets."),
            reach::show,
        )
        .add(
            Operation::delete(OF_DESKTOP, "DeleteDesktopReach")
                .action("outfitter:desktopReaches:delete")
                .status(204)
                .codes(&[404])
                .summary("Forget how a desktop is reached, its pinned host keys too."),
            reach::forget,
        )
        .add(
            Operation::post(
                "/api/v1/{project_id}/desktops/{desktop_id}/probe",
                "ProbeDesktop",
            )
            .action("outfitter:desktopReaches:probe")
            .codes(&[404])
            .summary(
                "Log in to a desktop and tell what a push of the agent would do, without doing it.",
            ),
            reach::probe,
        )
        .add(
            Operation::put(OF_NETWORKS, "SetNetworkReach")
                .action("outfitter:networkReaches:set")
                .summary(
                    "Set how the desktops of a network are reached that say nothing of their own.",
                ),
            reach::set_network,
        )
        .add(
            Operation::get(OF_NETWORKS, "ListNetworkReaches")
                .action("outfitter:networkReaches:list")
                .summary("List how networks are reached, without secrets."),
            reach::list_networks,
        )
        .add(
            Operation::delete(
                "/api/v1/{project_id}/network-reaches/{network_reach_id}",
                "DeleteNetworkReach",
            )
            .action("outfitter:networkReaches:delete")
            .status(204)
            .codes(&[404])
            .summary("Forget how a network is reached."),
            reach::forget_network,
        );
}

fn contract(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/v2/{project_id}/desktops", "ListDesktops")
                .action("workspace:desktops:list")
                .summary("List desktops, short form."),
            list::list,
        )
        .add(
            Operation::get("/v2/{project_id}/desktops/detail", "ListDesktopsDetail")
                .action("workspace:desktops:listDetail")
                .summary("List desktops, long form."),
            list::list_detail,
        )
        .add(
            Operation::get(
                "/v2/{project_id}/desktops/{desktop_id}",
                "ShowDesktopDetail",
            )
            .action("workspace:desktops:get")
            .codes(&[404])
            .summary("Show a desktop."),
            list::show,
        )
        .add(
            Operation::delete("/v2/{project_id}/desktops/{desktop_id}", "DeleteDesktop")
                .action("workspace:desktops:delete")
                .status(204)
                .codes(&[404, 409])
                .summary("Delete a desktop; its agent is revoked, its pending jobs fail."),
            delete::delete,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/batch-delete",
                "BatchDeleteDesktops",
            )
            .action("workspace:desktops:batchDelete")
            .names(&[Named::Ids("desktop", "desktop_ids[]")])
            .status(202)
            .codes(&[404, 409])
            .summary("Delete up to 100 desktops, all or none."),
            delete::batch_delete,
        )
        .add(
            Operation::post("/v2/{project_id}/desktops/attach", "AttachInstances")
                .action("workspace:desktops:attach")
                .names(&[Named::Ids("desktop", "desktops[].desktop_id")])
                .codes(&[404, 409])
                .summary("Attach users to desktops, all or none."),
            attach::attach,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/batch-attach",
                "BatchAttachInstances",
            )
            .action("workspace:desktops:batchAttachUsers")
            .names(&[Named::Ids("desktop", "desktops[].desktop_id")])
            .codes(&[404])
            .summary("Attach users to up to 100 desktops, all or none."),
            attach::batch_attach,
        )
        .add(
            Operation::post("/v2/{project_id}/desktops/detach", "DetachInstances")
                .action("workspace:desktops:detach")
                .names(&[Named::Ids("desktop", "desktop_ids[]")])
                .codes(&[404, 409])
                .summary("Take every user off desktops."),
            detach::detach,
        )
        .add(
            Operation::post(
                "/v2/{project_id}/desktops/batch-detach",
                "BatchDetachInstances",
            )
            .action("workspace:desktops:batchDetach")
            .names(&[Named::Ids("desktop", "desktops[].desktop_id")])
            .codes(&[404, 409])
            .summary("Take all or some users off desktops."),
            detach::batch_detach,
        )
        .add(
            Operation::get(
                "/v2/{project_id}/desktops/agents",
                "ListAgentsInstallCondition",
            )
            .action("workspace:desktops:listAgents")
            .summary("List desktops with their agents."),
            agents::list,
        )
        .add(
            Operation::post("/v2/{project_id}/desktops/agents", "BatchInstallAgent")
                .action("workspace:desktops:batchInstallAgents")
                .names(&[Named::Ids("desktop", "desktop_ids[]")])
                .summary("Install the agent on up to 100 desktops."),
            agents::install,
        );
}
