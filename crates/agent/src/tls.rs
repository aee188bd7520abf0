//! Whom the agent believes: the server whose chain leads to a pinned root, and nobody else.
//!
//! The server's certificate is checked for the fixed name [`SERVER_NAME`]; the address it is reached
//! under is no part of the trust. Validity is judged at the latest of the own clock, the last time the
//! server told and the build time; where only time fails, once more without the own clock, and then the
//! channel is good for time and renewal alone (docs/adr/0005). A certificate that begins after all that is known of
//! time says itself that it is later: it is judged at its first moment then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use crate::channel::LinkTrust;
use crate::clock::{Clock, build_unix_millis};

/// The name that every server certificate of the agent listener carries.
pub const SERVER_NAME: &str = "outfitter-agents";

/// Keys and certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// PEM that cannot be read.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// Which of them.
        what: &'static str,
        /// Why, in words.
        reason: String,
    },
    /// The library refuses them.
    #[error("cannot use the agent's certificate and key")]
    Unusable(#[from] rustls::Error),
}

/// The roots an agent believes.
#[derive(Debug, Clone)]
pub enum Roots {
    /// Before enrollment: SHA-256 of the SubjectPublicKeyInfo of each, from the token; the server sends the root.
    Pinned(Vec<[u8; 32]>),
    /// After it: the bundle.
    Bundle(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// The pins of a token, in hex; unreadable ones are left out.
    pub fn of_pins(pins: &[String]) -> Self {
        let pin = |text: &String| {
            let mut pin = [0_u8; 32];
            hex::decode_to_slice(text, &mut pin).ok().map(|()| pin)
        };
        Self::Pinned(pins.iter().filter_map(pin).collect())
    }

    /// The bundle of an enrolled agent, PEM.
    ///
    /// # Errors
    /// When it holds no certificate or cannot be read.
    pub fn of_bundle(roots_pem: &str) -> Result<Self, TlsError> {
        Ok(Self::Bundle(certificates(
            "the bundle of roots",
            roots_pem,
        )?))
    }
}

/// A device certificate with its key.
pub struct Identity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key; never leaves the desktop.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM texts.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        Ok(Self {
            chain: certificates("the agent's certificate", chain_pem)?,
            key: PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| {
                TlsError::Unreadable {
                    what: "the agent's key",
                    reason: error.to_string(),
                }
            })?,
        })
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |reason: String| TlsError::Unreadable { what, reason };
    let all = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if all.is_empty() {
        return Err(unreadable("no certificate in it".to_owned()));
    }
    Ok(all)
}

/// What the agent knows of the present.
#[derive(Clone)]
pub struct KnownTime {
    /// Its own clock.
    pub own: Arc<dyn Clock>,
    /// The last time the server told, in milliseconds UTC; 0 when never.
    pub last_server_millis: i64,
}

impl KnownTime {
    /// No honest clock shows less.
    fn floor_millis(&self) -> i64 {
        self.last_server_millis.max(build_unix_millis())
    }
}

impl std::fmt::Debug for KnownTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownTime")
            .field("own_millis", &self.own.unix_millis())
            .field("last_server_millis", &self.last_server_millis)
            .finish()
    }
}

/// TLS towards the server, and what its last handshake was worth.
#[derive(Clone)]
pub struct ServerTls {
    /// The configuration; TLS 1.3 alone, HTTP/1.1.
    pub config: ClientConfig,
    time_only: Arc<AtomicBool>,
}

impl ServerTls {
    /// Builds it. Without an identity only enrollment is possible.
    ///
    /// # Errors
    /// When key and certificate do not fit each other.
    pub fn new(
        roots: Roots,
        identity: Option<Identity>,
        known_time: KnownTime,
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let time_only = Arc::new(AtomicBool::new(false));
        let verifier = PinVerifier {
            roots,
            known_time,
            provider: Arc::clone(&provider),
            time_only: Arc::clone(&time_only),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
            None => builder.with_no_client_auth(),
        };
        // Every handshake judges the certificate anew; the server does not profit from tickets either.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config, time_only })
    }

    /// What the last handshake was worth.
    pub fn trust(&self) -> LinkTrust {
        if self.time_only.load(Ordering::Acquire) {
            LinkTrust::TimeOnly
        } else {
            LinkTrust::Full
        }
    }
}

/// The TLS arithmetic of this build.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[derive(Debug)]
struct PinVerifier {
    roots: Roots,
    known_time: KnownTime,
    provider: Arc<CryptoProvider>,
    time_only: Arc<AtomicBool>,
}

impl PinVerifier {
    fn anchors(&self, sent: &[CertificateDer<'_>]) -> Result<RootCertStore, rustls::Error> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            Roots::Bundle(bundle) => {
                for root in bundle {
                    store.add(root.clone())?;
                }
            }
            Roots::Pinned(pins) => {
                for certificate in sent {
                    if spki_sha256(certificate).is_some_and(|hash| pins.contains(&hash)) {
                        store.add(certificate.clone().into_owned())?;
                    }
                }
            }
        }
        if store.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        Ok(store)
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo; `None` for bytes that are no certificate.
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into())
}

fn only_time_fails(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    )
}

/// When a certificate begins to hold; `None` for bytes that are no certificate.
fn first_moment(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let secs = parsed.validity().not_before.timestamp();
    Some(at_millis(secs.saturating_mul(1000)))
}

fn at_millis(millis: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // Whatever address the server is reached under, its certificate carries the one name.
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        // The time of the library is the system's; the agent's clock is an argument.
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let anchors = Arc::new(self.anchors(intermediates)?);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(anchors, Arc::clone(&self.provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        let floor = at_millis(self.known_time.floor_millis());
        let name = ServerName::try_from(SERVER_NAME)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let verify = |time| {
            verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, time)
        };
        let own = at_millis(self.known_time.own.unix_millis());
        let (judged, time_only) = match verify(own.max(floor)) {
            Err(error) if only_time_fails(&error) => {
                let begin = first_moment(end_entity).ok_or(CertificateError::BadEncoding)?;
                (verify(floor.max(begin)), true)
            }
            judged => (judged, false),
        };
        self.time_only.store(time_only, Ordering::Release);
        judged
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    const DAY_MILLIS: i64 = 86_400_000;

    struct Chain {
        root: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
    }

    /// A chain whose leaf is valid from the build on for 90 days.
    fn chain(name: &str) -> Chain {
        chain_from(name, 0)
    }

    /// The same, so many days after the build.
    fn chain_from(name: &str, days: i64) -> Chain {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root");
        let issuer = Issuer::new(params, key);
        let leaf_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let day = |days: i64| {
            time::OffsetDateTime::from_unix_timestamp(build_unix_millis() / 1000)
                .expect("a time")
                .saturating_add(time::Duration::days(days))
        };
        params.not_before = day(days - 1);
        params.not_after = day(days + 90);
        Chain {
            root: root.der().clone(),
            leaf: params
                .signed_by(&leaf_key, &issuer)
                .expect("a leaf")
                .der()
                .clone(),
        }
    }

    struct Stopped(i64);

    impl Clock for Stopped {
        fn unix_millis(&self) -> i64 {
            self.0
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn judge(
        roots: Roots,
        chain: &Chain,
        own_millis: i64,
        told_millis: i64,
    ) -> Result<LinkTrust, ()> {
        let time_only = Arc::new(AtomicBool::new(false));
        let verifier = PinVerifier {
            roots,
            known_time: KnownTime {
                own: Arc::new(Stopped(own_millis)),
                last_server_millis: told_millis,
            },
            provider: provider(),
            time_only: Arc::clone(&time_only),
        };
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let sent = [chain.root.clone()];
        verifier
            .verify_server_cert(&chain.leaf, &sent, &name, &[], at_millis(0))
            .map_err(drop)?;
        Ok(if time_only.load(Ordering::Acquire) {
            LinkTrust::TimeOnly
        } else {
            LinkTrust::Full
        })
    }

    #[test]
    fn only_a_chain_to_a_pinned_root_with_the_fixed_name_is_believed() {
        let ours = chain(SERVER_NAME);
        let other = chain(SERVER_NAME);
        let pin = |chain: &Chain| Roots::Pinned(vec![spki_sha256(&chain.root).expect("a hash")]);
        let bundle = |chain: &Chain| Roots::Bundle(vec![chain.root.clone()]);
        let now = build_unix_millis();
        for roots in [pin(&ours), bundle(&ours)] {
            assert_eq!(judge(roots, &ours, now, 0), Ok(LinkTrust::Full));
        }
        for roots in [pin(&other), bundle(&other), Roots::Pinned(Vec::new())] {
            assert_eq!(judge(roots, &ours, now, 0), Err(()));
        }
        let elsewhere = chain("example.org");
        assert_eq!(judge(pin(&elsewhere), &elsewhere, now, 0), Err(()));
        // A foreign leaf beside the pinned root proves nothing.
        let mixed = Chain {
            root: ours.root.clone(),
            leaf: other.leaf.clone(),
        };
        assert_eq!(judge(pin(&ours), &mixed, now, 0), Err(()));
    }

    #[test]
    fn a_wrong_clock_costs_work_but_not_the_way_back() {
        let chain = chain(SERVER_NAME);
        let judge_chain = judge;
        let judge = |own, told| {
            let roots = Roots::Bundle(vec![chain.root.clone()]);
            judge_chain(roots, &chain, own, told)
        };
        let build = build_unix_millis();
        // Far behind: the build time stands in.
        assert_eq!(judge(0, 0), Ok(LinkTrust::Full));
        // Far ahead: judged by what the server told last, or by the build; good for time and renewal.
        assert_eq!(judge(build + 5000 * DAY_MILLIS, 0), Ok(LinkTrust::TimeOnly));
        assert_eq!(
            judge(build + 5000 * DAY_MILLIS, build + 30 * DAY_MILLIS),
            Ok(LinkTrust::TimeOnly)
        );
        // A server whose certificate was made long after anything that is known here, whichever way the own clock is wrong.
        let later = chain_from(SERVER_NAME, 300);
        for own in [0, build + 5000 * DAY_MILLIS] {
            let roots = Roots::Bundle(vec![later.root.clone()]);
            assert_eq!(
                judge_chain(roots, &later, own, build),
                Ok(LinkTrust::TimeOnly)
            );
        }
        // Lapsed by the server's own time: no way round.
        assert_eq!(judge(build, build + 91 * DAY_MILLIS), Err(()));
    }
}
