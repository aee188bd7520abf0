//! Our certificate authority for agents: root → issuing → agent and listener certificates.
//!
//! **Guarantees.** A root of 20 years, whose key hash agents pin through their enrollment token and which is
//! sent in every handshake; an issuing certificate of one year; agent certificates of 90 days, which agents
//! renew at one third; listener certificates of 90 days, made anew well before they lapse. All keys are P-256.
//! An expired but known agent certificate passes the handshake for up to 400 days so that a machine that slept
//! can renew; the route then refuses everything but renewal, in words (a TLS alert cannot be read by people).
//! Revocation and expiry are the routes' business, after every handshake.
//!
//! The issuing certificate gives way to a new one when half of its life is over ([`Authority::renewed`]). The root stays, so
//! that chains of both hold side by side; nothing is issued beyond the life of its issuer.

use std::sync::Arc;
use std::time::Duration;

use outfitter_domain::{Clock, Millis};
use outfitter_ids::AgentId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData as _,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::FromDer as _;

/// The name every listener certificate carries and every agent demands: the address is no part of the trust.
pub const LISTENER_NAME: &str = "outfitter-agents";

const ROOT_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
const ISSUING_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// An issuing certificate with less left than this gives way to a new one. Twice what it issues: a fleet of servers that look
/// once a day never issues less than a whole [`LEAF_LIFE`].
const ISSUING_LEFT: Duration = Duration::from_secs(182 * 24 * 60 * 60);

/// How long after its end an agent certificate may still renew. Source: docs/adr/0005.
pub const RENEWAL_GRACE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Clocks differ: certificates begin an hour before they are made.
const BACKDATE: Duration = Duration::from_secs(60 * 60);

/// The authority's keys and certificates: a secret all servers share, sealed in the database.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authority {
    root_certificate_pem: String,
    root_key_pem: String,
    issuing_certificate_pem: String,
    issuing_key_pem: String,
}

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The authority's own keys or certificates cannot be made or read.
    #[error("{doing}")]
    Authority {
        /// What was attempted.
        doing: &'static str,
        /// The library's words.
        #[source]
        source: rcgen::Error,
    },
    /// The signing request is none, or is for another kind of key.
    #[error("the signing request is not usable: {reason}")]
    Request {
        /// Why, in words.
        reason: String,
    },
    /// TLS does not take what we made.
    #[error("{doing}")]
    Tls {
        /// What was attempted.
        doing: &'static str,
        /// The library's words.
        #[source]
        source: rustls::Error,
    },
}

/// A certificate that was issued to an agent.
pub struct Issued {
    /// The agent that it names.
    pub agent: AgentId,
    /// Leaf, issuing certificate and root, PEM.
    pub chain_pem: String,
    /// SHA-256 of the leaf (DER): its name in the database.
    pub fingerprint: [u8; 32],
    /// The leaf, DER.
    pub certificate: Vec<u8>,
    /// The certificate that issued it, DER.
    pub issuer: Vec<u8>,
    /// SHA-256 of the issuer (DER).
    pub issuer_fingerprint: [u8; 32],
    /// Begin of validity.
    pub not_before: Millis,
    /// End of validity.
    pub not_after: Millis,
    /// SHA-256 of the SubjectPublicKeyInfo of the agent's key, which signed the request.
    pub key_digest: [u8; 32],
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// When the library cannot make keys.
    pub fn generate(now: Millis) -> Result<Self, PkiError> {
        let making = |source| PkiError::Authority {
            doing: "make the certificate authority",
            source,
        };
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
        let root = ca_params("Outfitter root", now, ROOT_LIFE, 1)
            .self_signed(&root_key)
            .map_err(making)?;
        let root_key_pem = root_key.serialize_pem();
        Self::issued_by_root(root.pem(), root_key_pem, now)
    }

    /// The same root with a new issuing certificate; `None` while the one there is has enough of its life left.
    ///
    /// # Errors
    /// When the authority's own keys or certificates cannot be read or made.
    pub fn renewed(&self, now: Millis) -> Result<Option<Self>, PkiError> {
        if self.issuing_not_after()? > now.plus(ISSUING_LEFT) {
            return Ok(None);
        }
        let (certificate, key) = (self.root_certificate_pem.clone(), self.root_key_pem.clone());
        Self::issued_by_root(certificate, key, now).map(Some)
    }

    fn issued_by_root(
        root_certificate_pem: String,
        root_key_pem: String,
        now: Millis,
    ) -> Result<Self, PkiError> {
        let making = |source| PkiError::Authority {
            doing: "make an issuing certificate",
            source,
        };
        let root_key = KeyPair::from_pem(&root_key_pem).map_err(making)?;
        let issuer = Issuer::from_ca_cert_pem(&root_certificate_pem, root_key).map_err(making)?;
        let issuing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
        let issuing = ca_params("Outfitter issuing", now, ISSUING_LIFE, 0)
            .signed_by(&issuing_key, &issuer)
            .map_err(making)?;
        Ok(Self {
            root_certificate_pem,
            root_key_pem,
            issuing_certificate_pem: issuing.pem(),
            issuing_key_pem: issuing_key.serialize_pem(),
        })
    }

    /// Last instant at which the issuing certificate holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn issuing_not_after(&self) -> Result<Millis, PkiError> {
        certificates(&self.issuing_certificate_pem)?
            .first()
            .and_then(|der| not_after_secs(der))
            .map(|secs| Millis::new(secs.saturating_mul(1000)))
            .ok_or_else(|| PkiError::Request {
                reason: "the issuing certificate cannot be read".to_owned(),
            })
    }

    /// End of what is issued now: never beyond the issuer's own.
    fn leaf_end(&self, now: Millis) -> Result<Millis, PkiError> {
        Ok(self.issuing_not_after()?.min(now.plus(LEAF_LIFE)))
    }

    /// Every root agents may trust, PEM.
    pub fn roots_pem(&self) -> &str {
        &self.root_certificate_pem
    }

    /// What enrollment tokens pin: lower-case hex SHA-256 of each root's SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn root_pins(&self) -> Result<Vec<String>, PkiError> {
        let key = KeyPair::from_pem(&self.root_key_pem).map_err(|source| PkiError::Authority {
            doing: "read the root key",
            source,
        })?;
        Ok(vec![hex::encode(Sha256::digest(
            key.subject_public_key_info(),
        ))])
    }

    /// Issues an agent certificate for the key of a signing request. Nothing else of the request is used.
    ///
    /// # Errors
    /// [`PkiError::Request`] when the request is none or its key is not P-256.
    pub fn issue_agent(
        &self,
        csr_pem: &str,
        agent: AgentId,
        now: Millis,
    ) -> Result<Issued, PkiError> {
        let request = read_request(csr_pem)?;
        let not_after = self.leaf_end(now)?;
        let mut params = params(&agent.to_string(), now, not_after);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params
            .signed_by(&request.public_key, &self.issuer()?)
            .map_err(|source| PkiError::Authority {
                doing: "sign an agent certificate",
                source,
            })?;
        let issuer = certificates(&self.issuing_certificate_pem)?
            .first()
            .map(|der| der.to_vec())
            .unwrap_or_default();
        Ok(Issued {
            agent,
            chain_pem: self.chain(&leaf.pem()),
            fingerprint: fingerprint(leaf.der()),
            certificate: leaf.der().to_vec(),
            issuer_fingerprint: fingerprint(&issuer),
            issuer,
            not_before: now.minus(BACKDATE),
            not_after,
            key_digest: digest_of(&request),
        })
    }

    /// TLS for the agent listener with a certificate made for the occasion; agents' certificates are judged by `clock`.
    ///
    /// # Errors
    /// When TLS does not take what we made.
    pub fn listener_config(
        &self,
        clock: &Arc<dyn Clock>,
    ) -> Result<rustls::ServerConfig, PkiError> {
        let now = clock.now();
        let signing = |source| PkiError::Authority {
            doing: "sign the listener certificate",
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing)?;
        let mut params = params(LISTENER_NAME, now, self.leaf_end(now)?);
        params.subject_alt_names = vec![rcgen::SanType::DnsName(
            LISTENER_NAME
                .try_into()
                .expect("the listener's name is ASCII"),
        )];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer()?).map_err(signing)?;
        let chain = certificates(&self.chain(&leaf.pem()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let mut roots = RootCertStore::empty();
        for root in certificates(&self.root_certificate_pem)? {
            roots.add(root).map_err(|source| PkiError::Tls {
                doing: "trust our own root",
                source,
            })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| PkiError::Request {
                    reason: error.to_string(),
                })?;
        let time = Arc::new(ListenerTime(Arc::clone(clock)));
        let mut config = rustls::ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| {
                builder
                    .with_client_cert_verifier(Arc::new(PatientVerifier { inner: verifier }))
                    .with_single_cert(chain, key)
            })
            .map_err(|source| PkiError::Tls {
                doing: "set up the agent listener",
                source,
            })?;
        // Resumption would skip the verifier and saves nothing that matters (measured: 4-17 % of a handshake).
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let reading = |source| PkiError::Authority {
            doing: "read the issuing key",
            source,
        };
        let key = KeyPair::from_pem(&self.issuing_key_pem).map_err(reading)?;
        Issuer::from_ca_cert_pem(&self.issuing_certificate_pem, key).map_err(reading)
    }

    fn chain(&self, leaf_pem: &str) -> String {
        [
            leaf_pem,
            &self.issuing_certificate_pem,
            &self.root_certificate_pem,
        ]
        .map(|pem| pem.trim_end())
        .join("\n")
            + "\n"
    }
}

/// SHA-256 of the SubjectPublicKeyInfo of the key that signed a request.
///
/// # Errors
/// [`PkiError::Request`] when the request is none or its key is not P-256.
pub fn key_digest(csr_pem: &str) -> Result<[u8; 32], PkiError> {
    read_request(csr_pem).map(|request| digest_of(&request))
}

fn digest_of(request: &CertificateSigningRequestParams) -> [u8; 32] {
    Sha256::digest(request.public_key.subject_public_key_info()).into()
}

fn read_request(csr_pem: &str) -> Result<CertificateSigningRequestParams, PkiError> {
    let request =
        CertificateSigningRequestParams::from_pem(csr_pem).map_err(|error| PkiError::Request {
            reason: error.to_string(),
        })?;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(PkiError::Request {
            reason: "the key must be P-256".to_owned(),
        });
    }
    Ok(request)
}

/// SHA-256 of a certificate (DER).
pub fn fingerprint(certificate_der: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate_der).into()
}

/// The time that handshakes are judged by.
struct ListenerTime(Arc<dyn Clock>);

impl std::fmt::Debug for ListenerTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListenerTime")
    }
}

impl TimeProvider for ListenerTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().get()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

/// Last second of a certificate's life, since 1970; `None` for bytes that are no certificate.
fn not_after_secs(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

fn ca_params(name: &str, now: Millis, life: Duration, below: u8) -> CertificateParams {
    let mut params = params(name, now, now.plus(life));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, now: Millis, not_after: Millis) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, name.to_owned());
    params.not_before = instant(now.minus(BACKDATE));
    params.not_after = instant(not_after);
    params.use_authority_key_identifier_extension = true;
    params
}

fn instant(at: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.get() / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PkiError::Request {
            reason: error.to_string(),
        })
}

/// Lets an expired certificate of ours through the handshake, judged at the last moment of its chain, for up to
/// [`RENEWAL_GRACE`]. Asks for a certificate but does not demand one: enrollment has none.
#[derive(Debug)]
struct PatientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for PatientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let refusal = match self
            .inner
            .verify_client_cert(end_entity, intermediates, now)
        {
            Err(
                error @ rustls::Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ),
            ) => error,
            other => return other,
        };
        // Certificates of before could outlive their issuer, by which they are judged then.
        let end = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| not_after_secs(der).and_then(|secs| u64::try_from(secs).ok()))
            .min()
            .flatten()
            .ok_or(CertificateError::BadEncoding)?;
        if now.as_secs().saturating_sub(end) > RENEWAL_GRACE.as_secs() {
            return Err(refusal);
        }
        self.inner.verify_client_cert(
            end_entity,
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(end)),
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::new(1_790_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn provider() {
        // The second test of a process finds it installed.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }

    fn leaf(authority: &Authority, at: Millis) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .expect("a request")
            .pem()
            .expect("PEM");
        let agent = AgentId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").expect("an id");
        let issued = authority
            .issue_agent(&csr, agent, at)
            .expect("a certificate");
        certificates(&issued.chain_pem).expect("PEM")
    }

    fn verify(
        authority: &Authority,
        chain: &[CertificateDer<'static>],
        at: Millis,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificates(authority.roots_pem()).expect("PEM").remove(0))
            .expect("a root");
        let inner = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .expect("a verifier");
        let now = UnixTime::since_unix_epoch(Duration::from_millis(
            u64::try_from(at.get()).expect("after 1970"),
        ));
        PatientVerifier { inner }
            .verify_client_cert(&chain[0], &chain[1..2], now)
            .map(drop)
    }

    #[test]
    fn an_expired_certificate_may_come_back_for_400_days_and_no_longer() {
        provider();
        let authority = Authority::generate(NOW).expect("an authority");
        let chain = leaf(&authority, NOW);
        assert!(verify(&authority, &chain, NOW).is_ok());
        let end = NOW.plus(LEAF_LIFE);
        assert!(verify(&authority, &chain, end.plus(DAY)).is_ok());
        assert!(verify(&authority, &chain, end.plus(RENEWAL_GRACE - DAY)).is_ok());
        assert!(verify(&authority, &chain, end.plus(RENEWAL_GRACE + DAY)).is_err());
    }

    #[test]
    fn a_new_issuing_certificate_comes_in_time_and_what_the_old_one_issued_still_holds() {
        provider();
        let before = Authority::generate(NOW).expect("an authority");
        assert!(before.renewed(NOW.plus(DAY * 180)).expect("read").is_none());
        let late = NOW.plus(DAY * 190);
        let issued = leaf(&before, late.minus(DAY));
        let after = before.renewed(late).expect("made").expect("due");
        assert_eq!(after.roots_pem(), before.roots_pem());
        assert!(after.issuing_not_after().expect("read") >= late.plus(DAY * 364));
        assert!(verify(&after, &issued, late).is_ok());
        assert!(verify(&before, &leaf(&after, late), late).is_ok());
        // Long after the old one has ended too.
        assert!(verify(&after, &issued, NOW.plus(DAY * 600)).is_ok());
        assert!(verify(&after, &issued, late.plus(LEAF_LIFE + RENEWAL_GRACE)).is_err());
    }

    #[test]
    fn nothing_outlives_its_issuer() {
        provider();
        let authority = Authority::generate(NOW).expect("an authority");
        let end = authority.issuing_not_after().expect("read");
        let chain = leaf(&authority, end.minus(DAY));
        assert_eq!(not_after_secs(&chain[0]), Some(end.get() / 1000));
    }

    #[test]
    fn a_certificate_of_another_authority_is_refused() {
        provider();
        let ours = Authority::generate(NOW).expect("an authority");
        let theirs = Authority::generate(NOW).expect("an authority");
        assert!(verify(&ours, &leaf(&theirs, NOW), NOW).is_err());
    }

    #[test]
    fn the_listener_is_tls_1_3_and_sends_the_root() {
        provider();
        let authority = Authority::generate(NOW).expect("an authority");
        let clock: Arc<dyn Clock> = Arc::new(outfitter_domain::SystemClock);
        let config = authority.listener_config(&clock).expect("a configuration");
        assert_eq!(config.send_tls13_tickets, 0);
        assert_eq!(authority.root_pins().expect("a pin")[0].len(), 64);
        assert_eq!(certificates(&authority.chain("")).expect("PEM").len(), 2);
    }

    #[test]
    fn a_request_that_is_none_is_refused_in_words() {
        provider();
        let authority = Authority::generate(NOW).expect("an authority");
        let agent = AgentId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").expect("an id");
        assert!(matches!(
            authority.issue_agent("nonsense", agent, NOW),
            Err(PkiError::Request { .. })
        ));
    }
}
