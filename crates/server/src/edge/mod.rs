//! What stands between the network and the operations: whose address a call comes from, how many connections one
//! address may hold, how many requests it and a credential may make. See ADR 16.
//!
//! **Guarantees.** Memory is bounded whatever strangers send. What one address does costs others nothing but its
//! share. The word of a proxy about who is behind it counts only where the operator named the proxy.
//! **Kept** in this process: several servers count apart, and a restart forgets.

pub mod connections;
pub mod proxies;
pub mod rate;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

pub use proxies::{ForwardedHeader, Proxies};
pub use rate::{EdgeLimits, Monotonic, RetryAfter};
use rate::{Limiter, Quota};

use crate::tls::CertificateHealth;

/// What one caller owns: an IPv4 address, or an IPv6 network of 64 bits.
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Requests that a wrong credential costs its address: looking one up is dearer than most answers. Ours.
const WRONG_CREDENTIAL_COSTS: u32 = 10;

/// Most addresses and credentials that are counted at a time, about 4 MiB each.
const MAX_COUNTED: usize = 65_536;

/// Enrollments in vain that one address may make at once; a token that is guessed wrongly costs one, and so does a
/// golden image with a token that has expired. They come back at [`VAIN_ENROLLMENTS_PER_MINUTE`]. Ours: a network of
/// 19,000 desktops with a good token meets no limit.
const VAIN_ENROLLMENTS_AT_ONCE: u32 = 600;

/// See [`VAIN_ENROLLMENTS_AT_ONCE`].
const VAIN_ENROLLMENTS_PER_MINUTE: u32 = 300;

/// Programs of the agent that one address without a certificate may fetch at once: a floor of machines that are made
/// from one image, behind one address. They come back at [`PROGRAMS_PER_MINUTE`]. Ours.
const PROGRAMS_AT_ONCE: u32 = 2_000;

/// See [`PROGRAMS_AT_ONCE`].
const PROGRAMS_PER_MINUTE: u32 = 600;

/// Minutes' worth of wrong passwords that one address may try at once: a company behind one address on a Monday
/// morning. Ours.
const WRONG_PASSWORD_BURST_MINUTES: u32 = 10;

/// The edge of one process.
pub struct Edge {
    /// Who may speak for others.
    pub proxies: Proxies,
    /// Connections that one address may hold on the API or bucket listener; `None`: as many as there are places.
    pub connections_per_address: Option<usize>,
    /// How the certificate of the API and bucket listeners fares.
    pub certificate: Arc<CertificateHealth>,
    addresses: Option<Limiter<IpAddr>>,
    credentials: Option<Limiter<String>>,
    wrong_passwords: Option<Limiter<IpAddr>>,
    vain_enrollments: Limiter<IpAddr>,
    programs: Limiter<IpAddr>,
    throttled: Family<Throttled, Counter>,
    /// Connections that gave way to others or found no room.
    pub(crate) cut: Family<Cut, Counter>,
}

/// Which limit was met, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Limit {
    Address,
    Credential,
    WrongPasswords,
    VainEnrollments,
    Programs,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Throttled {
    limit: Limit,
}

/// Why a connection was cut, for the metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Cut {
    pub(crate) listener: &'static str,
    pub(crate) why: CutReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum CutReason {
    /// It said nothing while others waited for a place.
    GaveWay,
    /// Its address held too many, all of them busy.
    TooMany,
    /// A proxy's connection did not begin with a PROXY header.
    NoProxyHeader,
}

impl Edge {
    /// An edge with these limits; `now` must never go back.
    pub fn new(proxies: Proxies, limits: &EdgeLimits, now: &Monotonic) -> Self {
        let requests = |per_second: u32| Quota {
            per_minute: per_second.saturating_mul(60),
            at_once: per_second.saturating_mul(rate::BURST_SECS),
        };
        Self {
            proxies,
            connections_per_address: limits.connections_per_address,
            certificate: Arc::default(),
            addresses: Limiter::new(requests(limits.requests_per_address), MAX_COUNTED, now),
            credentials: Limiter::new(requests(limits.requests_per_credential), MAX_COUNTED, now),
            wrong_passwords: Limiter::new(
                Quota {
                    per_minute: limits.wrong_passwords_per_minute,
                    at_once: limits
                        .wrong_passwords_per_minute
                        .saturating_mul(WRONG_PASSWORD_BURST_MINUTES),
                },
                MAX_COUNTED,
                now,
            ),
            vain_enrollments: Limiter::new(
                Quota {
                    per_minute: VAIN_ENROLLMENTS_PER_MINUTE,
                    at_once: VAIN_ENROLLMENTS_AT_ONCE,
                },
                MAX_COUNTED,
                now,
            )
            .expect("the quota is not zero"),
            programs: Limiter::new(
                Quota {
                    per_minute: PROGRAMS_PER_MINUTE,
                    at_once: PROGRAMS_AT_ONCE,
                },
                MAX_COUNTED,
                now,
            )
            .expect("the quota is not zero"),
            throttled: Family::default(),
            cut: Family::default(),
        }
    }

    /// The defaults, without proxies, by the system's clock.
    pub fn ordinary() -> Arc<Self> {
        let limits = EdgeLimits::default();
        Arc::new(Self::new(Proxies::default(), &limits, &rate::monotonic()))
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// When it made too many.
    pub fn request_from(&self, address: IpAddr) -> Result<(), RetryAfter> {
        let counted = self
            .addresses
            .as_ref()
            .map(|it| it.count(&network(address)));
        self.told(Limit::Address, counted.unwrap_or(Ok(())))
    }

    /// Counts a request with a credential, by whatever text tells it from others.
    ///
    /// # Errors
    /// When too many were made with it.
    pub fn request_with(&self, credential: &String) -> Result<(), RetryAfter> {
        let counted = self.credentials.as_ref().map(|it| it.count(credential));
        self.told(Limit::Credential, counted.unwrap_or(Ok(())))
    }

    /// Lets a wrong credential cost its address what it costs us.
    pub fn wrong_credential_from(&self, address: IpAddr) {
        if let Some(addresses) = &self.addresses {
            let address = network(address);
            // One by one: a charge of many is refused whole where less is left.
            for _ in 0..WRONG_CREDENTIAL_COSTS {
                if addresses.count(&address).is_err() {
                    return;
                }
            }
        }
    }

    /// Whether an address may try a password.
    ///
    /// # Errors
    /// When it tried too many wrong ones.
    pub fn may_try_password(&self, address: IpAddr) -> Result<(), RetryAfter> {
        let seen = self
            .wrong_passwords
            .as_ref()
            .map(|it| it.look(&network(address)));
        self.told(Limit::WrongPasswords, seen.unwrap_or(Ok(())))
    }

    /// Counts a wrong password.
    pub fn wrong_password_from(&self, address: IpAddr) {
        if let Some(wrong) = &self.wrong_passwords {
            // What is beyond the limit was refused before: see `may_try_password`.
            let _ = wrong.count(&network(address));
        }
    }

    /// Whether an address may try to enroll an agent.
    ///
    /// # Errors
    /// When it tried too often in vain.
    pub fn may_enroll(&self, address: IpAddr) -> Result<(), RetryAfter> {
        let seen = self.vain_enrollments.look(&network(address));
        self.told(Limit::VainEnrollments, seen)
    }

    /// Counts an enrollment that was refused.
    pub fn vain_enrollment_from(&self, address: IpAddr) {
        let _ = self.vain_enrollments.count(&network(address));
    }

    /// Counts a program of the agent that somebody without a certificate fetches.
    ///
    /// # Errors
    /// When the address fetched too many.
    pub fn program_for(&self, address: IpAddr) -> Result<(), RetryAfter> {
        let counted = self.programs.count(&network(address));
        self.told(Limit::Programs, counted)
    }

    fn told(&self, limit: Limit, outcome: Result<(), RetryAfter>) -> Result<(), RetryAfter> {
        if outcome.is_err() {
            self.throttled.get_or_create(&Throttled { limit }).inc();
        }
        outcome
    }

    /// Puts the counters among those that `/metrics` shows.
    pub(crate) fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "requests_throttled",
            "Requests that met a limit of the edge",
            self.throttled.clone(),
        );
        metrics.register(
            "connections_cut",
            "Connections that gave way to others or found no room",
            self.cut.clone(),
        );
        metrics.register(
            "tls_certificate_reload_failed",
            "1 while the certificate files hold something that cannot be used",
            self.certificate.failed.clone(),
        );
        metrics.register(
            "tls_certificate_not_after_seconds",
            "When the certificate in use lapses, in seconds since 1970; 0 without TLS",
            self.certificate.not_after.clone(),
        );
    }
}

/// Whole seconds until `duration` is over, at least one.
pub(crate) fn seconds_of(duration: Duration) -> u32 {
    let whole = duration.as_millis().div_ceil(1000).max(1);
    u32::try_from(whole).unwrap_or(u32::MAX)
}
