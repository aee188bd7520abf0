//! Fetching a package: resumed from what is on disk, verified as a whole, never trusted before.
//!
//! Guarantees: [`Fetcher::fetch`] returns only bytes whose size and SHA-256 are those the server recorded.
//! On crash: `package.part` and the validator beside it are taken up again; the digest of the whole
//! decides. Does not: know who serves the bytes. After a refusal, a lapse or a cut the source is asked for
//! again: while the server is away that question waits, so an outage of the server or of the network is no failure.

use std::fs::File;
use std::io;
use std::time::Duration;

use outfitter_agent_protocol::{
    DOWNLOAD_QUEUED, FailureCode, LinkAllowList, PackageRef, Source, SourceTrust,
};
use outfitter_packages::{FileDigest, digest_reader};
use reqwest::{Method, StatusCode, header, redirect};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use super::Sources;
use crate::agent::system_client;
use crate::cache::PackageCache;
use crate::clock::Clock;
use crate::credentials::SharedCredentials;
use crate::durable;
use crate::evidence::Stop;
use crate::platform;
use crate::proxy::Proxies;
use crate::server_client::{chain, read_refusal, retry_after_secs};
use crate::spool::AttemptFolder;

/// Failures in a row without a byte won, after which the download is given up.
const FAILURES_ALLOWED: u32 = 8;

/// Times a source may be refused before its refusal is believed.
const REFUSALS_ALLOWED: u32 = 3;

/// Longest wait between two tries, in seconds.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Bytes that stay free on the desktop beside the package.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes gathered before they are written, unless they come slowly.
const WRITE_BYTES: usize = 256 * 1024;

/// Shortest time between two reports, and longest that bytes which have come are not written.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Wait for a place where the server names none, in seconds.
const QUEUE_WAIT_SECS: u32 = 5;

/// Addresses that one source may lead through.
const REDIRECTS_ALLOWED: usize = 10;

/// An address that the source led to and that the server's operator does not let desktops fetch from.
#[derive(Debug, thiserror::Error)]
#[error("it leads to {scheme}://{host}, where desktops may not fetch from")]
struct NotAllowed {
    scheme: String,
    host: String,
}

/// The source led through too many addresses.
#[derive(Debug, thiserror::Error)]
#[error("it leads through more than {REDIRECTS_ALLOWED} addresses")]
struct TooManyRedirects;

/// Follows redirects, each only to where the operator lets desktops fetch from.
fn redirects(source: &Source) -> redirect::Policy {
    let allowed = source
        .redirects_within
        .as_deref()
        .map(LinkAllowList::of_message);
    redirect::Policy::custom(move |hop| {
        if allowed
            .as_ref()
            .is_some_and(|allowed| !allowed.allows_url(hop.url()))
        {
            // Without the rest of the address: it may hold what opens it.
            let refused = NotAllowed {
                scheme: hop.url().scheme().to_owned(),
                host: hop.url().host_str().unwrap_or_default().to_owned(),
            };
            hop.error(refused)
        } else if hop.previous().len() > REDIRECTS_ALLOWED {
            hop.error(TooManyRedirects)
        } else {
            hop.follow()
        }
    })
}

/// What a request failed of.
fn sending_failed(error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(refused) = found.downcast_ref::<NotAllowed>() {
            return Stop::new(FailureCode::LinkNotAllowed, refused.to_string()).into();
        }
        cause = found.source();
    }
    Trouble::Broken {
        reason: chain(&error),
        won_bytes: false,
        retry_after_secs: None,
    }
}

/// Who fetches.
pub(super) struct Fetcher<'a> {
    /// Certificates for the server's own store.
    pub(super) credentials: &'a SharedCredentials,
    /// The way to everything else.
    pub(super) proxies: &'a Proxies,
    /// Where the bytes go.
    pub(super) folder: &'a AttemptFolder,
    /// Packages that were fetched before.
    pub(super) cache: &'a PackageCache,
    /// Measures rates.
    pub(super) clock: &'a dyn Clock,
    /// Draws the waits apart.
    pub(super) jitter: fn(Duration) -> Duration,
}

/// How a download fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// Share of the package that is on disk, 0 to 100, where its size is known.
    pub percent: Option<u8>,
    /// Rate over the last second or more.
    pub bytes_per_second: u64,
}

/// Whom a download tells how it fares.
pub type Report<'a> = &'a mut (dyn FnMut(Transferred) + Send);

/// Bytes since the last report.
struct Meter {
    since: Duration,
    bytes: u64,
}

impl Meter {
    /// The rate since the last report, when it is time for the next.
    fn due(&mut self, now: Duration) -> Option<u64> {
        let millis = u64::try_from(now.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
        if u128::from(millis) < REPORT_EVERY.as_millis() {
            return None;
        }
        let rate = self.bytes.saturating_mul(1000) / millis;
        *self = Self {
            since: now,
            bytes: 0,
        };
        Some(rate)
    }
}

/// Keeps a download to the rate that its source names.
struct Pace {
    bytes_per_second: Option<u64>,
    free_at: Duration,
}

impl Pace {
    /// How long to wait after bytes have come.
    fn after(&mut self, bytes: usize, now: Duration) -> Duration {
        let Some(rate) = self.bytes_per_second else {
            return Duration::ZERO;
        };
        let millis = (bytes as u64).saturating_mul(1000) / rate.max(1);
        self.free_at = self.free_at.max(now) + Duration::from_millis(millis);
        self.free_at - now
    }
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
    /// Every place at the server is taken; ours in the queue is kept.
    Queued { secs: u32 },
    /// What the source said of its rate holds no longer.
    RateLapsed,
    /// No other try can help.
    Final(Stop),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Final(stop)
    }
}

impl Fetcher<'_> {
    /// Fetches the package into the attempt's `package.part` and verifies it. `report` is told now and then.
    ///
    /// # Errors
    /// When no source gives the recorded bytes, or the desktop cannot take them.
    pub(super) async fn fetch(
        &self,
        package: &PackageRef,
        sources: &mut Sources,
        report: Report<'_>,
    ) -> Result<FileDigest, Stop> {
        let mut clean_start_left = true;
        let mut from_cache = self.take_from_cache(package)?;
        loop {
            let resumed = self.bytes_on_disk()? > 0;
            if !from_cache {
                self.transfer_whole(package, sources, report).await?;
            }
            let found = self.digest().await?;
            let right_size = package
                .size_bytes
                .is_none_or(|size| size == found.size_bytes);
            let right_digest = package
                .sha256
                .as_ref()
                .is_none_or(|digest| *digest == found.sha256.to_string());
            if right_size && right_digest {
                self.cache.keep(
                    &found.sha256.to_string(),
                    &self.folder.partial_path(),
                    self.clock,
                );
                return Ok(found);
            }
            self.discard()?;
            if from_cache {
                tracing::warn!(attempt.id = %self.folder.attempt, "the package in the cache was altered; it is fetched again");
                package
                    .sha256
                    .iter()
                    .for_each(|sha256| self.cache.forget(sha256));
                from_cache = false;
                continue;
            }
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

    /// Whether the whole package was had before and lies in the attempt's folder now.
    fn take_from_cache(&self, package: &PackageRef) -> Result<bool, Stop> {
        let Some(sha256) = &package.sha256 else {
            return Ok(false);
        };
        Ok(self.bytes_on_disk()? == 0
            && self
                .cache
                .take(sha256, &self.folder.partial_path(), self.clock))
    }

    async fn transfer_whole(
        &self,
        package: &PackageRef,
        sources: &mut Sources,
        report: Report<'_>,
    ) -> Result<(), Stop> {
        let on_disk = self.bytes_on_disk()?;
        if package.size_bytes.is_some() && package.size_bytes == Some(on_disk) {
            return Ok(());
        }
        // Before anybody is asked for a byte, and before a place in a queue is taken.
        self.check_room(package.size_bytes.map(|size| size.saturating_sub(on_disk)))?;
        let (mut failures, mut refusals, mut unavailable) = (0_u32, 0_u32, 0_u32);
        let mut source: Option<Source> = None;
        loop {
            let current = match source.take() {
                Some(current) => current,
                None => match sources.ask().await {
                    Ok(fresh) => fresh,
                    Err(refusal) => {
                        unavailable += 1;
                        if !refusal.retry || unavailable > FAILURES_ALLOWED {
                            let code = refusal.failure.unwrap_or(FailureCode::DownloadFailed);
                            return Err(Stop::new(code, refusal.reason));
                        }
                        self.wait(unavailable, None).await;
                        continue;
                    }
                },
            };
            match self.transfer(package, &current, report).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(stop)) => return Err(stop),
                Err(Trouble::RateLapsed) => failures = 0,
                Err(Trouble::Queued { secs }) => {
                    report(self.standing(package)?);
                    source = Some(current);
                    self.wait(0, Some(secs)).await;
                }
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
                    // Addresses lapse; a download that goes on may outlive many.
                    refusals = if won_bytes { 0 } else { refusals };
                    tracing::info!(attempt.id = %self.folder.attempt, "the download broke off: {reason}");
                    if failures > FAILURES_ALLOWED {
                        return Err(Stop::new(FailureCode::DownloadFailed, reason));
                    }
                    report(self.standing(package)?);
                    self.wait(failures, retry_after_secs).await;
                }
            }
        }
    }

    /// How far the download is while nothing comes.
    fn standing(&self, package: &PackageRef) -> Result<Transferred, Stop> {
        Ok(Transferred {
            percent: percent(self.bytes_on_disk()?, package.size_bytes),
            bytes_per_second: 0,
        })
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
            // A store of the operator's own may show the operator's own certificates.
            (SourceTrust::System, false) => source
                .ca_pem
                .as_deref()
                .map_or(Ok(Vec::new()), |pem| {
                    reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                })
                .and_then(|roots| system_client(self.proxies, roots, redirects(source)))
                .map_err(|error| failed(chain(&error)))?
                .get(&source.url),
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
        report: Report<'_>,
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
        let mut response = request.send().await.map_err(sending_failed)?;
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
            StatusCode::SERVICE_UNAVAILABLE if source.trust == SourceTrust::Server => {
                let retry_after_secs = retry_after_secs(&response);
                let refusal = read_refusal(response).await;
                if refusal.code == DOWNLOAD_QUEUED {
                    tracing::info!(attempt.id = %self.folder.attempt, "the download waits: {}", refusal.reason);
                    return Err(Trouble::Queued {
                        secs: retry_after_secs.unwrap_or(QUEUE_WAIT_SECS),
                    });
                }
                return Err(Trouble::Broken {
                    reason: refusal.reason,
                    won_bytes: false,
                    retry_after_secs,
                });
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
        let in_ranges = status == StatusCode::PARTIAL_CONTENT
            || response
                .headers()
                .get(header::ACCEPT_RANGES)
                .is_some_and(|units| units == "bytes");
        let facts = PartialFacts {
            validator: validator(&response),
        };
        // A source that begins anew each time would never come to its end.
        let resumable = in_ranges && (facts.validator.is_some() || package.sha256.is_some());
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
        let (begun_at, begun) = (on_disk, self.clock.elapsed());
        let mut meter = Meter {
            since: begun,
            bytes: 0,
        };
        let mut pace = Pace {
            bytes_per_second: source.bytes_per_second,
            free_at: begun,
        };
        let rate_lapses = source
            .rate_holds_secs
            .filter(|_| resumable)
            .map(|secs| begun + Duration::from_secs(secs.into()));
        let mut lapsed = false;
        let ended = loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break None,
                Err(error) => break Some(chain(&error.without_url())),
            };
            on_disk += piece.len() as u64;
            meter.bytes += piece.len() as u64;
            if package.size_bytes.is_some_and(|size| on_disk > size) {
                return Err(Stop::new(
                    FailureCode::DigestMismatch,
                    "the source has more bytes than were recorded",
                )
                .into());
            }
            gathered.extend_from_slice(&piece);
            let now = self.clock.elapsed();
            let rate = meter.due(now);
            if gathered.len() >= WRITE_BYTES || rate.is_some() {
                file.write_all(&gathered)
                    .await
                    .map_err(|error| disk(&error))?;
                gathered.clear();
            }
            if let Some(bytes_per_second) = rate {
                report(Transferred {
                    percent: percent(on_disk, expected),
                    bytes_per_second,
                });
            }
            tokio::time::sleep(pace.after(piece.len(), now)).await;
            if rate_lapses.is_some_and(|at| at <= now) {
                lapsed = true;
                break None;
            }
        };
        file.write_all(&gathered)
            .await
            .map_err(|error| disk(&error))?;
        file.flush().await.map_err(|error| disk(&error))?;
        let won_bytes = on_disk > begun_at;
        if lapsed && expected.is_none_or(|size| on_disk < size) {
            return Err(Trouble::RateLapsed);
        }
        match (ended, expected) {
            (Some(reason), _) => Err(broken(reason, won_bytes)),
            (None, Some(size)) if on_disk < size => {
                Err(broken("the source ended early".to_owned(), won_bytes))
            }
            (None, _) => Ok(()),
        }
    }

    fn check_room(&self, missing_bytes: Option<u64>) -> Result<(), Stop> {
        let free_bytes = || platform::free_bytes(self.folder.path());
        let (Some(missing), Ok(mut free)) = (missing_bytes, free_bytes()) else {
            return Ok(());
        };
        let needed = missing.saturating_add(RESERVE_BYTES);
        if free < needed {
            self.cache.make_room(needed - free);
            free = free_bytes().unwrap_or(free);
        }
        if free < needed {
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

fn percent(on_disk: u64, size: Option<u64>) -> Option<u8> {
    let size = size.filter(|size| *size > 0)?;
    let share = u128::from(on_disk) * 100 / u128::from(size);
    u8::try_from(share.min(100)).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_rate_is_told_once_a_second_and_counts_from_the_last_report() {
        let mut meter = Meter {
            since: at(0),
            bytes: 0,
        };
        meter.bytes += 500;
        assert_eq!(meter.due(at(999)), None);
        meter.bytes += 500;
        assert_eq!(meter.due(at(2000)), Some(500));
        assert_eq!(meter.due(at(2500)), None);
        assert_eq!(meter.due(at(4000)), Some(0));
    }

    #[test]
    fn a_paced_download_waits_as_long_as_its_bytes_take() {
        let mut pace = Pace {
            bytes_per_second: Some(1000),
            free_at: at(0),
        };
        assert_eq!(pace.after(500, at(0)), at(500));
        assert_eq!(pace.after(500, at(100)), at(900));
        // What was not used is not saved up.
        assert_eq!(pace.after(500, at(60_000)), at(500));
        pace.bytes_per_second = None;
        assert_eq!(pace.after(500, at(60_000)), at(0));
    }

    #[test]
    fn a_share_needs_a_size() {
        assert_eq!(percent(5, None), None);
        assert_eq!(percent(5, Some(0)), None);
        assert_eq!(percent(u64::MAX / 2, Some(u64::MAX)), Some(49));
        assert_eq!(percent(9, Some(3)), Some(100));
    }
}
