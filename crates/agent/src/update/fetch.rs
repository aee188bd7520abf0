//! Brings a program into `programs/`, whole and verified, or not at all.
//!
//! On crash: `DIGEST.part` is gone on with; a program under its digest alone is whole, since it was flushed first.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use outfitter_agent_protocol::PROGRAMS_PATH;
use outfitter_packages::digest_reader;
use reqwest::{Method, StatusCode, header};

use super::UpdateRecord;
use super::offer::Wanted;
use crate::credentials::SharedCredentials;
use crate::durable::{self, FileError};
use crate::platform;
use crate::server_client::{chain, retry_after_secs};
use crate::state_dir::StateDir;

/// Tries without a byte won after which it is left: the server offers it again later.
const FAILURES_ALLOWED: u32 = 6;

/// Longest wait between two tries, in seconds.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Bytes that stay free beside the program.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Longest time for the program to tell its version, in seconds.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// Why a program is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not now: the server is away or does not give it.
    #[error("{0}")]
    NotNow(String),
    /// It does not fit this desktop, and will not.
    #[error("{0}")]
    Unfit(String),
    /// The disk.
    #[error("{}", chain(.0))]
    File(#[from] FileError),
}

/// Fetches a program unless it is here, verifies its bytes, and lets it tell its version.
///
/// # Errors
/// See [`FetchError`]. Bytes with another digest are thrown away.
pub async fn fetch(
    state: &StateDir,
    credentials: &SharedCredentials,
    wanted: &Wanted,
) -> Result<(), FetchError> {
    let folder = state.programs();
    durable::create_private_folder(&folder)?;
    let path = folder.join(&wanted.sha256);
    if !is_whole(&path, wanted).await? {
        let part = folder.join(format!("{}.part", wanted.sha256));
        transfer(&part, credentials, wanted).await?;
        if !is_whole(&part, wanted).await? {
            remove(&part)?;
            return Err(FetchError::NotNow(
                "the bytes that came have another digest".to_owned(),
            ));
        }
        platform::make_runnable(&part)
            .and_then(|()| File::open(&part)?.sync_all())
            .map_err(|error| FileError::new("finish", &part, error))?;
        durable::rename(&part, &path)?;
    }
    tells_version(&path, &wanted.version).await
}

/// Removes programs that the record does not name.
///
/// # Errors
/// When a file cannot be removed.
pub fn prune(state: &StateDir, record: &UpdateRecord) -> Result<(), FileError> {
    let folder = state.programs();
    let failed = |error| FileError::new("tidy", &folder, error);
    let kept: Vec<&str> = [&record.current, &record.previous]
        .into_iter()
        .flatten()
        .chain(record.trial.as_ref().map(|trial| &trial.program))
        .map(|program| program.sha256.as_str())
        .collect();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| kept.contains(&name)) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Whether a file is there with the wanted bytes.
///
/// # Errors
/// When it is there and cannot be read.
pub async fn is_whole(path: &Path, wanted: &Wanted) -> Result<bool, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::new("open", path, error)),
    };
    let digest = tokio::task::spawn_blocking(move || digest_reader(file))
        .await
        .map_err(std::io::Error::other)
        .and_then(|digest| digest)
        .map_err(|error| FileError::new("read", path, error))?;
    Ok(digest.size_bytes == wanted.size_bytes && digest.sha256.to_string() == wanted.sha256)
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |facts| facts.len())
}

async fn transfer(
    part: &Path,
    credentials: &SharedCredentials,
    wanted: &Wanted,
) -> Result<(), FetchError> {
    let mut failures = 0_u32;
    loop {
        let held = length(part);
        if held > wanted.size_bytes {
            remove(part)?;
            continue;
        }
        if held == wanted.size_bytes {
            return Ok(());
        }
        if let Ok(free) = platform::free_bytes(part.parent().unwrap_or(part))
            && free < wanted.size_bytes - held + RESERVE_BYTES
        {
            return Err(FetchError::Unfit(format!(
                "{} KiB are free where the agent's programs lie, it needs {} KiB",
                free / 1024,
                (wanted.size_bytes - held + RESERVE_BYTES) / 1024
            )));
        }
        let (reason, asked) = match try_transfer(part, held, credentials, wanted).await? {
            None => continue,
            Some(broken) => broken,
        };
        if length(part) > held {
            failures = 0;
        }
        failures += 1;
        if failures > FAILURES_ALLOWED {
            return Err(FetchError::NotNow(reason));
        }
        tracing::info!("the newer program comes on later: {reason}");
        let wait = Duration::from_secs(u64::from(asked.unwrap_or(1 << failures.min(5))));
        tokio::time::sleep(wait.min(WAIT_LIMIT)).await;
    }
}

/// Why it broke off, and when the server wants to be asked again, in seconds.
type Broken = (String, Option<u32>);

async fn try_transfer(
    part: &Path,
    held: u64,
    credentials: &SharedCredentials,
    wanted: &Wanted,
) -> Result<Option<Broken>, FetchError> {
    let client = match credentials.client() {
        Ok(client) => client,
        Err(reason) => return Ok(Some((reason, None))),
    };
    let mut request = client.request(Method::GET, &format!("{PROGRAMS_PATH}{}", wanted.sha256));
    if held > 0 {
        request = request.header(header::RANGE, format!("bytes={held}-"));
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Some((chain(&error.without_url()), None))),
    };
    let appends = match response.status() {
        StatusCode::OK => false,
        StatusCode::PARTIAL_CONTENT => true,
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(FetchError::NotNow(
                "the server does not hand the program out any more".to_owned(),
            ));
        }
        status => {
            let asked = retry_after_secs(&response);
            return Ok(Some((format!("the server answered {status}"), asked)));
        }
    };
    let failed = |error| FileError::new("write", part, error);
    let mut file = platform::private_file_options()
        .write(true)
        .create(true)
        .append(appends)
        .truncate(!appends)
        .open(part)
        .map_err(failed)?;
    let mut size = if appends { held } else { 0 };
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                size += piece.len() as u64;
                if size > wanted.size_bytes {
                    return Err(FetchError::NotNow(
                        "more bytes came than the manifest names".to_owned(),
                    ));
                }
                file.write_all(&piece).map_err(failed)?;
            }
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some((chain(&error.without_url()), None))),
        }
    }
}

/// Whether the program runs here at all, and is the version that the manifest names.
async fn tells_version(path: &Path, version: &str) -> Result<(), FetchError> {
    let run = tokio::process::Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(VERSION_LIMIT, run)
        .await
        .map_err(|_| FetchError::Unfit("it does not tell its version: it hangs".to_owned()))?
        .map_err(|error| FetchError::Unfit(format!("it does not run here: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.split_whitespace().last() == Some(version) {
        return Ok(());
    }
    Err(FetchError::Unfit(format!(
        "it does not run here as version {version}: {}; it said {:?}",
        output.status,
        said.trim().chars().take(100).collect::<String>()
    )))
}
