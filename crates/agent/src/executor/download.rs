//! Fetching a package: resumed from what is on disk, verified as a whole, never trusted before.
//!
//! Guarantees: [`Fetcher::fetch`] returns only bytes whose size and SHA-256 are those the server recorded.
//! On crash: `package.part` and the validator beside it are taken up again; the digest of the whole
//! decides. Does not: know who serves the bytes; a refused or lapsed source is asked for again.

use std::fs::File;
use std::io;
use std::time::Duration;

use outfitter_agent_protocol::{FailureCode, PackageRef, Source, SourceTrust};
use outfitter_packages::{FileDigest, digest_reader};
use reqwest::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use super::Sources;
use crate::credentials::SharedCredentials;
use crate::durable;
use crate::evidence::Stop;
use crate::platform;
use crate::server_client::{chain, retry_after_secs};
use crate::spool::AttemptFolder;

/// Failures in a row without a byte won, after which the download is given up.
const FAILURES_ALLOWED: u32 = 8;

/// Times a source may be refused before its refusal is believed.
const REFUSALS_ALLOWED: u32 = 3;

/// Longest wait between two tries, in seconds.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Bytes that stay free on the desktop beside the package.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// Who fetches.
pub(super) struct Fetcher<'a> {
    /// Certificates for the server's own store.
    pub(super) credentials: &'a SharedCredentials,
    /// The client for everything else.
    pub(super) system: &'a reqwest::Client,
    /// Where the bytes go.
    pub(super) folder: &'a AttemptFolder,
    /// Draws the waits apart.
    pub(super) jitter: fn(Duration) -> Duration,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct PartialFacts {
    /// `ETag` (strong) or `Last-Modified` of what is on disk.
    validator: Option<String>,
}

enum Trouble {
    /// The source is refused: another may do.
    Refused(StatusCode),
    /// It broke off.
    Broken {
        reason: String,
        won_bytes: bool,
        retry_after_secs: Option<u32>,
    },
    /// No other try can help.
    Final(Stop),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Final(stop)
    }
}

impl Fetcher<'_> {
    /// Fetches the package into the attempt's `package.part` and verifies it. `percent` is told now and then.
    ///
    /// # Errors
    /// When no source gives the recorded bytes, or the desktop cannot take them.
    pub(super) async fn fetch(
        &self,
        package: &PackageRef,
        sources: &mut Sources,
        percent: &mut (dyn FnMut(u8) + Send),
    ) -> Result<FileDigest, Stop> {
        let mut clean_start_left = true;
        loop {
            let resumed = self.bytes_on_disk()? > 0;
            self.transfer_whole(package, sources, percent).await?;
            let found = self.digest().await?;
            let right_size = package
                .size_bytes
                .is_none_or(|size| size == found.size_bytes);
            let right_digest = package
                .sha256
                .as_ref()
                .is_none_or(|digest| *digest == found.sha256.to_string());
            if right_size && right_digest {
                return Ok(found);
            }
            self.discard()?;
            // Pieces of two different files make a third; only a whole one proves that the source is wrong.
            if !(resumed && clean_start_left) {
                return Err(Stop::new(
                    FailureCode::DigestMismatch,
                    format!(
                        "the source gave {} bytes with SHA-256 {}",
                        found.size_bytes, found.sha256
                    ),
                ));
            }
            clean_start_left = false;
        }
    }

    async fn transfer_whole(
        &self,
        package: &PackageRef,
        sources: &mut Sources,
        percent: &mut (dyn FnMut(u8) + Send),
    ) -> Result<(), Stop> {
        if package.size_bytes.is_some() && package.size_bytes == Some(self.bytes_on_disk()?) {
            return Ok(());
        }
        let (mut failures, mut refusals, mut unavailable) = (0_u32, 0_u32, 0_u32);
        let mut source: Option<Source> = None;
        loop {
            let current = match source.take() {
                Some(current) => current,
                None => match sources.ask().await {
                    Ok(fresh) => fresh,
                    Err((reason, retry)) => {
                        unavailable += 1;
                        if !retry || unavailable > FAILURES_ALLOWED {
                            return Err(Stop::new(FailureCode::DownloadFailed, reason));
                        }
                        self.wait(unavailable, None).await;
                        continue;
                    }
                },
            };
            match self.transfer(package, &current, percent).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(stop)) => return Err(stop),
                Err(Trouble::Refused(status)) => {
                    refusals += 1;
                    if refusals > REFUSALS_ALLOWED {
                        return Err(Stop::new(
                            FailureCode::DownloadForbidden,
                            format!("the source answered {status}"),
                        ));
                    }
                    self.wait(refusals - 1, None).await;
                }
                Err(Trouble::Broken {
                    reason,
                    won_bytes,
                    retry_after_secs,
                }) => {
                    failures = if won_bytes { 1 } else { failures + 1 };
                    tracing::info!(attempt.id = %self.folder.attempt, "the download broke off: {reason}");
                    if failures > FAILURES_ALLOWED {
                        return Err(Stop::new(FailureCode::DownloadFailed, reason));
                    }
                    source = Some(current);
                    self.wait(failures, retry_after_secs).await;
                }
            }
        }
    }

    async fn wait(&self, tries: u32, asked_secs: Option<u32>) {
        let ceiling = Duration::from_millis(250)
            .saturating_mul(1 << tries.min(16))
            .min(WAIT_LIMIT);
        let asked = Duration::from_secs(asked_secs.unwrap_or(0).into()).min(WAIT_LIMIT);
        tokio::time::sleep(asked + (self.jitter)(ceiling)).await;
    }

    fn request(&self, source: &Source) -> Result<reqwest::RequestBuilder, Trouble> {
        let failed = |reason: String| Trouble::Broken {
            reason,
            won_bytes: false,
            retry_after_secs: None,
        };
        let mut request = match (source.trust, source.url.starts_with('/')) {
            (SourceTrust::Server, true) => self
                .credentials
                .client()
                .map_err(failed)?
                .request(Method::GET, &source.url),
            (SourceTrust::System, false) => self.system.get(&source.url),
            _ => {
                return Err(Stop::new(
                    FailureCode::DownloadFailed,
                    "the source's address and trust do not fit each other",
                )
                .into());
            }
        };
        for (name, value) in &source.headers {
            request = request.header(name, value);
        }
        Ok(request)
    }

    async fn transfer(
        &self,
        package: &PackageRef,
        source: &Source,
        percent: &mut (dyn FnMut(u8) + Send),
    ) -> Result<(), Trouble> {
        let mut on_disk = self.bytes_on_disk()?;
        let facts: PartialFacts = durable::read_json(&self.folder.partial_facts_path())
            .ok()
            .flatten()
            .unwrap_or_default();
        let mut request = self.request(source)?;
        // Without a validator and without a digest nothing would tell pieces of two files apart.
        if on_disk > 0 && (facts.validator.is_some() || package.sha256.is_some()) {
            request = request.header(header::RANGE, format!("bytes={on_disk}-"));
            if let Some(validator) = &facts.validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let broken = |reason: String, won_bytes| Trouble::Broken {
            reason,
            won_bytes,
            retry_after_secs: None,
        };
        let mut response = request
            .send()
            .await
            .map_err(|error| broken(chain(&error.without_url()), false))?;
        let status = response.status();
        match status {
            StatusCode::PARTIAL_CONTENT => {
                if content_range_start(&response) != Some(on_disk) {
                    self.discard()?;
                    return Err(broken("the source gave another range".to_owned(), false));
                }
            }
            StatusCode::OK => {
                self.discard()?;
                on_disk = 0;
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Trouble::Refused(status));
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Stop::new(
                    FailureCode::DownloadGone,
                    format!("the source answered {status}"),
                )
                .into());
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.discard()?;
                return Err(broken(format!("the source answered {status}"), false));
            }
            _ => {
                return Err(Trouble::Broken {
                    reason: format!("the source answered {status}"),
                    won_bytes: false,
                    retry_after_secs: retry_after_secs(&response),
                });
            }
        }
        let total = response.content_length().map(|length| on_disk + length);
        let expected = package.size_bytes.or(total);
        if let (Some(recorded), Some(total)) = (package.size_bytes, total)
            && recorded != total
        {
            return Err(Stop::new(
                FailureCode::DigestMismatch,
                format!("the source has {total} bytes, {recorded} were recorded"),
            )
            .into());
        }
        self.check_room(expected.map(|size| size - on_disk.min(size)))?;
        let facts = PartialFacts {
            validator: validator(&response),
        };
        durable::write_json(&self.folder.partial_facts_path(), &facts)
            .map_err(|error| Stop::agent(&error))?;

        let path = self.folder.partial_path();
        let mut file = tokio::fs::OpenOptions::from(platform::private_file_options())
            .append(true)
            .create(true)
            .open(&path)
            .await
            .map_err(|error| disk(&error))?;
        let mut gathered = Vec::with_capacity(WRITE_BYTES);
        let begun_at = on_disk;
        let ended = loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break None,
                Err(error) => break Some(chain(&error.without_url())),
            };
            on_disk += piece.len() as u64;
            if package.size_bytes.is_some_and(|size| on_disk > size) {
                return Err(Stop::new(
                    FailureCode::DigestMismatch,
                    "the source has more bytes than were recorded",
                )
                .into());
            }
            gathered.extend_from_slice(&piece);
            if gathered.len() >= WRITE_BYTES {
                file.write_all(&gathered)
                    .await
                    .map_err(|error| disk(&error))?;
                gathered.clear();
                if let Some(size) = expected.filter(|size| *size > 0) {
                    percent(
                        u8::try_from(on_disk.saturating_mul(100) / size)
                            .unwrap_or(100)
                            .min(100),
                    );
                }
            }
        };
        file.write_all(&gathered)
            .await
            .map_err(|error| disk(&error))?;
        file.flush().await.map_err(|error| disk(&error))?;
        let won_bytes = on_disk > begun_at;
        match (ended, expected) {
            (Some(reason), _) => Err(broken(reason, won_bytes)),
            (None, Some(size)) if on_disk < size => {
                Err(broken("the source ended early".to_owned(), won_bytes))
            }
            (None, _) => Ok(()),
        }
    }

    fn check_room(&self, missing_bytes: Option<u64>) -> Result<(), Stop> {
        let (Some(missing), Ok(free)) = (missing_bytes, platform::free_bytes(self.folder.path()))
        else {
            return Ok(());
        };
        if free < missing.saturating_add(RESERVE_BYTES) {
            return Err(Stop::new(
                FailureCode::DiskFull,
                format!("{missing} bytes are to come, {free} are free"),
            ));
        }
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64, Stop> {
        match self.folder.partial_path().metadata() {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(disk(&error)),
        }
    }

    fn discard(&self) -> Result<(), Stop> {
        for path in [self.folder.partial_path(), self.folder.partial_facts_path()] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn digest(&self) -> Result<FileDigest, Stop> {
        let path = self.folder.partial_path();
        tokio::task::spawn_blocking(move || match File::open(&path) {
            Ok(file) => digest_reader(file),
            // An empty package has no byte that would have made the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => digest_reader(io::empty()),
            Err(error) => Err(error),
        })
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| disk(&error))
    }
}

fn disk(error: &io::Error) -> Stop {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::DiskFull,
        _ => FailureCode::AgentFailure,
    };
    Stop::new(code, format!("the package cannot be kept on disk: {error}"))
}

fn content_range_start(response: &reqwest::Response) -> Option<u64> {
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)?
        .to_str()
        .ok()?;
    let (start, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

/// What `If-Range` may be given: a strong `ETag`, else `Last-Modified` (RFC 9110, section 13.1.5).
fn validator(response: &reqwest::Response) -> Option<String> {
    let text = |name| response.headers().get(name)?.to_str().ok();
    text(header::ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(header::LAST_MODIFIED))
        .map(str::to_owned)
}
