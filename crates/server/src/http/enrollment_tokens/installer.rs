use std::sync::Arc;

use outfitter_api_types::native::enrollment_tokens::{AgentInstaller, AgentInstallerProgram};

use crate::Services;
use crate::agents::installer;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    _: Call<(), ()>,
) -> Result<Reply<AgentInstaller>, ApiError> {
    let current = installer::current(&services)
        .await
        .map_err(|error| ApiError::internal("make the script that installs the agent", error))?;
    Ok(Reply::new(AgentInstaller {
        url: current.url,
        sha256: current.sha256,
        command: current.command,
        programs: current
            .programs
            .into_iter()
            .map(|program| AgentInstallerProgram {
                arch: program.arch,
                sha256: program.sha256,
                size_bytes: program.size_bytes,
            })
            .collect(),
    }))
}
