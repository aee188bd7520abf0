//! `GET /install.sh`: the script that installs the agent on a desktop by hand or at its first boot, and which programs
//! it names.
//!
//! Anybody may have both: there is no secret in them. Who runs the script knows it by its digest, which the API tells
//! (`ShowAgentInstaller`), and the script knows the programs by theirs, so it does not matter what the connection is
//! worth. A program is that of the newest release that is rolled out to every desktop; for an architecture without one,
//! that of pushes over SSH.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use outfitter_agent_protocol::INSTALLER_PATH;
use outfitter_push::{BinariesError, InstallerProgram, install_command, installer};
use outfitter_store::{AgentRelease, StoreError};
use semver::Version;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;
use crate::edge::RetryAfter;
use crate::services::Services;

/// The script, and what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installer {
    /// Where desktops fetch it.
    pub url: String,
    /// Lower-case hex SHA-256 of the text.
    pub sha256: String,
    /// The text.
    pub script: String,
    /// The line for a shell that fetches it, compares its digest and runs it.
    pub command: String,
    /// The programs that it names, by architecture.
    pub programs: Vec<InstallerProgram>,
}

/// Why there is no script now.
#[derive(Debug, thiserror::Error)]
pub enum InstallerError {
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program of the folder.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// The thread that reads it ended.
    #[error("cannot read the agent's programs")]
    Thread(#[from] tokio::task::JoinError),
}

/// The script as it is now.
///
/// # Errors
/// Database or folder cannot be read.
pub async fn current(services: &Services) -> Result<Installer, InstallerError> {
    let programs: Vec<InstallerProgram> = programs(services)
        .await?
        .into_iter()
        .map(|(_, program)| program)
        .collect();
    let server = &services.endpoints.agent_endpoint;
    let script = installer(server, &programs);
    let url = format!("https://{server}{INSTALLER_PATH}");
    let sha256 = hex::encode(Sha256::digest(script.as_bytes()));
    Ok(Installer {
        command: install_command(&url, &sha256),
        url,
        sha256,
        script,
        programs,
    })
}

/// Sends the script.
///
/// # Errors
/// A refusal in words.
pub(super) async fn download(
    State(services): State<Arc<Services>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
) -> Result<Response, Refusal> {
    services
        .edge
        .request_from(address.ip())
        .map_err(|RetryAfter(seconds)| Refusal::throttled_stranger(seconds))?;
    let installer = current(&services)
        .await
        .map_err(|error| Refusal::busy("make the script that installs the agent", &error))?;
    let head = [
        (CONTENT_TYPE, "text/x-shellscript; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((head, installer.script).into_response())
}

/// Where a program is that the script names. `None`: it names no such one.
///
/// # Errors
/// Database or folder cannot be read.
pub(super) async fn program(
    services: &Services,
    sha256: &str,
) -> Result<Option<Found>, InstallerError> {
    let named = programs(services).await?;
    let found = named.into_iter().find(|(_, it)| it.sha256 == sha256);
    let program = match found {
        None => return Ok(None),
        Some((Some(_), _)) => return Ok(Some(Found::InRelease)),
        Some((None, program)) => program,
    };
    let binaries = Arc::clone(&services.agent_binaries);
    let binary = tokio::task::spawn_blocking(move || binaries.load(&program.arch)).await??;
    // The file may have been replaced a moment ago; then the script names another one.
    Ok((binary.sha256 == sha256).then(|| Found::Here(binary.bytes.clone())))
}

/// Where the bytes of a program are.
pub(super) enum Found {
    /// In the folder of pushes.
    Here(Bytes),
    /// In a release.
    InRelease,
}

async fn programs(services: &Services) -> Result<Vec<Chosen>, InstallerError> {
    let binaries = Arc::clone(&services.agent_binaries);
    let of_pushes = tokio::task::spawn_blocking(move || binaries.list()).await??;
    let now = services.clock.now();
    let rolling = services.store.db().agent_release_rolling(now).await?;
    Ok(chosen(&rolling, of_pushes))
}

/// A program, and the version of the release that has it; without one it is that of pushes.
type Chosen = (Option<Version>, InstallerProgram);

/// For each architecture the newest release's that is for everybody, else that of pushes. Pure.
fn chosen(rolling: &[AgentRelease], of_pushes: Vec<InstallerProgram>) -> Vec<Chosen> {
    let mut newest: BTreeMap<String, Chosen> = of_pushes
        .into_iter()
        .map(|program| (program.arch.clone(), (None, program)))
        .collect();
    for release in rolling {
        let of = &release.release;
        let Ok(version) = Version::parse(&of.version) else {
            continue;
        };
        if of.roll_out.percent < 100 {
            continue;
        }
        for program in of.programs.iter().filter(|program| program.os == "linux") {
            let held = newest.get(&program.arch);
            if held.is_some_and(|(held, _)| held.as_ref().is_some_and(|held| *held >= version)) {
                continue;
            }
            let offered = InstallerProgram {
                arch: program.arch.clone(),
                sha256: program.sha256.clone(),
                size_bytes: u64::try_from(program.size_bytes).unwrap_or(0),
            };
            newest.insert(program.arch.clone(), (Some(version.clone()), offered));
        }
    }
    newest.into_values().collect()
}
