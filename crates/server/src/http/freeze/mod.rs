//! Freezes: one switch per project and one for the server.

use std::sync::Arc;

use outfitter_api_types::native::freeze::{Freeze, FreezeState, SetFreezeReq};
use outfitter_api_types::time::WireTime;
use outfitter_domain::app::text_problem;
use outfitter_store::{FreezeScope, ProjectKey, StoreError};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;
use crate::app::events::Event;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/freeze", "ShowFreeze")
                .action("outfitter:freeze:get")
                .summary("Show whether anything is handed out."),
            show,
        )
        .add(
            Operation::put("/api/v1/{project_id}/freeze", "SetFreeze")
                .action("outfitter:freeze:set")
                .summary("Stop all hand-outs of the project at once, or let them go on."),
            set,
        )
        .add(
            Operation::get("/api/v1/freeze", "ShowServerFreeze")
                .action("outfitter:serverFreeze:get")
                .summary("Show whether the server hands anything out."),
            show_server,
        )
        .add(
            Operation::put("/api/v1/freeze", "SetServerFreeze")
                .action("outfitter:serverFreeze:set")
                .summary("Stop all hand-outs of the server at once, in every project, or let them go on."),
            set_server,
        );
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<FreezeState>, ApiError> {
    freeze_state(&services, Some(call.project().project)).await
}

async fn show_server(services: Arc<Services>, _call: Call) -> Result<Reply<FreezeState>, ApiError> {
    freeze_state(&services, None).await
}

async fn set(
    services: Arc<Services>,
    call: Call<SetFreezeReq>,
) -> Result<Reply<FreezeState>, ApiError> {
    let project = call.project().project;
    change(&services, FreezeScope::Project(project), &call).await?;
    freeze_state(&services, Some(project)).await
}

async fn set_server(
    services: Arc<Services>,
    call: Call<SetFreezeReq>,
) -> Result<Reply<FreezeState>, ApiError> {
    change(&services, FreezeScope::Server, &call).await?;
    freeze_state(&services, None).await
}

async fn change(
    services: &Services,
    scope: FreezeScope,
    call: &Call<SetFreezeReq>,
) -> Result<(), ApiError> {
    let reason = call.body.reason.as_deref();
    if let Some(problem) = reason.and_then(|text| text_problem("reason", text)) {
        return Err(ApiError::invalid(problem.field, problem.reason));
    }
    let operator = &call.caller().user_name;
    let tx = services.store.write().await?;
    if call.body.frozen {
        tx.freeze_set(scope, operator, reason, services.clock.now())
            .await?;
    } else {
        tx.freeze_lift(scope).await?;
    }
    tx.commit().await?;
    tracing::warn!(
        ?scope,
        frozen = call.body.frozen,
        operator,
        "freeze changed"
    );
    services.background.events.tell(Event::Freeze(match scope {
        FreezeScope::Project(project) => Some(project),
        FreezeScope::Server => None,
    }));
    Ok(())
}

async fn freeze_state(
    services: &Services,
    project: Option<ProjectKey>,
) -> Result<Reply<FreezeState>, ApiError> {
    let find = async |scope| -> Result<Option<Freeze>, StoreError> {
        let found = services.store.db().freeze_find(scope).await?;
        Ok(found.map(|freeze| Freeze {
            operator: freeze.operator,
            reason: freeze.reason,
            since: WireTime::from_unix_millis(freeze.created_at.get()),
        }))
    };
    let server = find(FreezeScope::Server).await?;
    let project = match project {
        Some(project) => find(FreezeScope::Project(project)).await?,
        None => None,
    };
    Ok(Reply::new(FreezeState {
        frozen: server.is_some() || project.is_some(),
        project,
        server,
    }))
}
