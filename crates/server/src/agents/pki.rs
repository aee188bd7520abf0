//! Our certificate authority for agents: root → issuing → agent and listener certificates.
//!
//! **Guarantees.** A root of 20 years, whose key hash agents pin through their enrollment token and which is
//! sent in every handshake; an issuing certificate of one year; agent certificates of 90 days, which agents
//! renew at one third; listener certificates of 90 days, made anew well before they lapse. All keys are P-256.
//! An expired but known agent certificate passes the handshake for up to 400 days so that a machine that slept
//! can renew; the route then refuses everything but renewal, in words (a TLS alert cannot be read by people).
//! Revocation and expiry are the routes' business, after every handshake.
//!
//! **Not done here.** Replacing the issuing certificate with overlap.

use std::sync::Arc;
use std::time::Duration;

use outfitter_domain::Millis;
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
        let root_pem = root.pem();
        let root_key_pem = root_key.serialize_pem();
        let issuer = Issuer::from_ca_cert_pem(&root_pem, root_key).map_err(making)?;
        let issuing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
        let issuing = ca_params("Outfitter issuing", now, ISSUING_LIFE, 0)
            .signed_by(&issuing_key, &issuer)
            .map_err(making)?;
        Ok(Self {
            root_certificate_pem: root_pem,
            root_key_pem,
            issuing_certificate_pem: issuing.pem(),
            issuing_key_pem: issuing_key.serialize_pem(),
        })
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
        let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(|error| {
            PkiError::Request {
                reason: error.to_string(),
            }
        })?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::Request {
                reason: "the key must be P-256".to_owned(),
            });
        }
        let mut params = leaf_params(&agent.to_string(), now);
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
            chain_pem: self.chain(&leaf.pem()),
            fingerprint: fingerprint(leaf.der()),
            certificate: leaf.der().to_vec(),
            issuer_fingerprint: fingerprint(&issuer),
            issuer,
            not_before: now.minus(BACKDATE),
            not_after: now.plus(LEAF_LIFE),
            key_digest: Sha256::digest(request.public_key.subject_public_key_info()).into(),
        })
    }

    /// TLS for the agent listener with a certificate made for the occasion.
    ///
    /// # Errors
    /// When TLS does not take what we made.
    pub fn listener_config(&self, now: Millis) -> Result<rustls::ServerConfig, PkiError> {
        let signing = |source| PkiError::Authority {
            doing: "sign the listener certificate",
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing)?;
        let mut params = leaf_params(LISTENER_NAME, now);
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
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .map_err(|error| PkiError::Request {
                reason: error.to_string(),
            })?;
        let mut config =
            rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
                .with_client_cert_verifier(Arc::new(PatientVerifier { inner: verifier }))
                .with_single_cert(chain, key)
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

/// SHA-256 of a certificate (DER).
pub fn fingerprint(certificate_der: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate_der).into()
}

/// How often the listener certificate is made anew: three times in its life.
pub const LISTENER_RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn ca_params(name: &str, now: Millis, life: Duration, below: u8) -> CertificateParams {
    let mut params = leaf_params(name, now);
    params.not_after = instant(now.plus(life));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(name: &str, now: Millis) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, name.to_owned());
    params.not_before = instant(now.minus(BACKDATE));
    params.not_after = instant(now.plus(LEAF_LIFE));
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

/// Lets an expired certificate of ours through the handshake, judged at its own last moment, for up to
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
        let end = x509_parser::certificate::X509Certificate::from_der(end_entity)
            .ok()
            .and_then(|(_, certificate)| {
                u64::try_from(certificate.validity().not_after.timestamp()).ok()
            })
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
        let config = authority.listener_config(NOW).expect("a configuration");
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
