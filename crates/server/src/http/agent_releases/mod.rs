//! `/api/v1/agent-releases`: newer programs of the agent, for every desktop of every project.

mod programs;
mod roll_out;

use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::native::agent_releases::{
    AgentProgram as WireProgram, AgentRelease as WireRelease, AgentUpdateFailure,
    CreateAgentReleaseReq, ListAgentReleasesQuery, ListAgentReleasesResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_store::{AgentProgram, AgentRelease, AgentUpdateStage, Page, StoreError};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;

/// Seconds for which agents follow a release when the request does not say.
const DEFAULT_LIFE_SECS: u64 = 31_536_000;

/// Failures in the answer about one release.
const FAILURES_SHOWN: i64 = 100;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add_streaming(
            Operation::post("/api/v1/agent-programs", "UploadAgentProgram")
                .action("outfitter:agentPrograms:upload")
                .status(201)
                .summary("Upload a program of the agent, to make a release of it."),
            programs::upload,
        )
        .add(
            Operation::get("/api/v1/agent-releases", "ListAgentReleases")
                .action("outfitter:agentReleases:list")
                .summary("List releases of the agent, and how they fare."),
            list,
        )
        .add(
            Operation::post("/api/v1/agent-releases", "CreateAgentRelease")
                .action("outfitter:agentReleases:create")
                .status(201)
                .codes(&[409])
                .summary("Sign uploaded programs as a release; it is offered to nobody yet."),
            create,
        )
        .add(
            Operation::get("/api/v1/agent-releases/{version}", "ShowAgentRelease")
                .action("outfitter:agentReleases:get")
                .codes(&[404])
                .summary("Show a release of the agent, and where it failed."),
            show,
        )
        .add(
            Operation::put(
                "/api/v1/agent-releases/{version}/roll-out",
                "RollOutAgentRelease",
            )
            .action("outfitter:agentReleases:rollOut")
            .codes(&[404])
            .summary("Set to how many desktops a release of the agent is offered, halt it, or let it go on."),
            roll_out::roll_out,
        );
}

const UNKNOWN: ApiError = ApiError::NotFound {
    noun: "agent release",
};

async fn list(
    services: Arc<Services>,
    call: Call<(), ListAgentReleasesQuery>,
) -> Result<Reply<ListAgentReleasesResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services.store.db().agent_release_list(page).await?;
    Ok(Reply::new(ListAgentReleasesResponse {
        count: listed.total,
        items: listed.items.into_iter().map(wire).collect(),
    }))
}

async fn create(
    services: Arc<Services>,
    call: Call<CreateAgentReleaseReq>,
) -> Result<Reply<WireRelease>, ApiError> {
    let body = &call.body;
    let programs = services
        .store
        .db()
        .agent_program_list(&body.programs)
        .await?;
    let missing = body
        .programs
        .iter()
        .find(|sha256| !programs.iter().any(|program| program.sha256 == **sha256));
    if let Some(missing) = missing {
        return Err(ApiError::invalid(
            "programs",
            format!("no program with the digest {missing} was uploaded"),
        ));
    }
    let life_secs = body
        .expires_in_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(DEFAULT_LIFE_SECS);
    let release = services
        .updates
        .sign(
            &body.version,
            programs,
            Duration::from_secs(life_secs),
            &call.caller().user_name,
            services.clock.now(),
        )
        .map_err(|problem| ApiError::invalid(problem.field, problem.reason))?;
    let tx = services.store.write().await?;
    match tx
        .agent_release_insert(&release, services.clock.now())
        .await
    {
        Ok(_) => tx.commit().await?,
        Err(StoreError::Conflict { .. }) => {
            return Err(ApiError::conflict(
                "WKS.0409",
                format!("There is a release {} already", body.version),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    shown(&services, &body.version).await
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<WireRelease>, ApiError> {
    shown(&services, call.path("version")).await
}

async fn shown(services: &Services, version: &str) -> Result<Reply<WireRelease>, ApiError> {
    let db = services.store.db();
    let release = db.agent_release_find(version).await?.ok_or(UNKNOWN)?;
    let failures = db
        .agent_update_failures(release.key, FAILURES_SHOWN)
        .await?
        .into_iter()
        .map(|failure| AgentUpdateFailure {
            desktop_id: failure.desktop_id.to_string(),
            desktop_name: failure.desktop_name,
            refused: failure.stage == AgentUpdateStage::Refused,
            detail: failure.detail,
            at: WireTime::from_unix_millis(failure.at.get()),
        })
        .collect();
    Ok(Reply::new(WireRelease {
        failures: Some(failures),
        ..wire(release)
    }))
}

fn wire(stored: AgentRelease) -> WireRelease {
    let release = stored.release;
    let roll_out = release.roll_out;
    WireRelease {
        version: release.version,
        programs: release.programs.into_iter().map(wire_program).collect(),
        operator: release.operator,
        created_at: WireTime::from_unix_millis(stored.created_at.get()),
        expires_at: WireTime::from_unix_millis(release.expires_at.get()),
        percent: roll_out.percent,
        halted: roll_out.halted,
        halt_reason: roll_out.halt_reason,
        halt_after_failures: roll_out.halt_after_failures,
        trial_limit_seconds: roll_out.trial_limit_secs,
        trying: stored.trying,
        done: stored.done,
        failed: stored.failed,
        refused: stored.refused,
        failures: None,
    }
}

fn wire_program(program: AgentProgram) -> WireProgram {
    WireProgram {
        sha256: program.sha256,
        os: program.os,
        arch: program.arch,
        version: program.version,
        size_bytes: program.size_bytes,
    }
}
