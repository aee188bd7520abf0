//! Desktops: ours under `/api/v1/{project_id}/desktops`, the contract's under `/v2/{project_id}/desktops`.

mod register;
mod registered;

use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
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
