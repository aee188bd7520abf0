//! What a project has done about programs of an app that run when it is put on or taken off.

use std::sync::Arc;

use outfitter_api_types::native::running_programs::{
    RunningProgramsMode, RunningProgramsSettings, SetRunningProgramsReq,
};
use outfitter_domain::install::{CLOSE_WAIT_SECS, ClosingMode, ProgramClosing};
use outfitter_store::ProjectKey;

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get(
                "/api/v1/{project_id}/running-programs",
                "ShowRunningPrograms",
            )
            .action("outfitter:runningPrograms:get")
            .summary("Show what is done about running programs of an application."),
            show,
        )
        .add(
            Operation::put(
                "/api/v1/{project_id}/running-programs",
                "SetRunningPrograms",
            )
            .action("outfitter:runningPrograms:set")
            .summary("Set what is done about running programs of an application."),
            set,
        );
}

async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<RunningProgramsSettings>, ApiError> {
    settings_of(&services, call.project().project).await
}

async fn set(
    services: Arc<Services>,
    call: Call<SetRunningProgramsReq>,
) -> Result<Reply<RunningProgramsSettings>, ApiError> {
    let project = call.project().project;
    let closing = ProgramClosing {
        mode: match call.body.mode {
            RunningProgramsMode::Ask => ClosingMode::Ask,
            RunningProgramsMode::Stop => ClosingMode::Stop,
        },
        wait_secs: call
            .body
            .wait_seconds
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(CLOSE_WAIT_SECS),
    };
    let tx = services.store.write().await?;
    tx.program_closing_set(project, closing).await?;
    tx.commit().await?;
    settings_of(&services, project).await
}

async fn settings_of(
    services: &Services,
    project: ProjectKey,
) -> Result<Reply<RunningProgramsSettings>, ApiError> {
    let closing = services
        .store
        .db()
        .program_closing(project)
        .await?
        .ok_or(ApiError::NotFound { noun: "project" })?;
    Ok(Reply::new(RunningProgramsSettings {
        mode: match closing.mode {
            ClosingMode::Ask => RunningProgramsMode::Ask,
            ClosingMode::Stop => RunningProgramsMode::Stop,
        },
        wait_seconds: closing.wait_secs.into(),
    }))
}
