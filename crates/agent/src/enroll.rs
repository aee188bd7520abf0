//! Enrollment: a key made here, a certificate from the server that the token pins.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use outfitter_agent_protocol::{
    ENROLL_PATH, EnrollPending, EnrollRefusal, EnrollRequest, EnrollResponse, EnrollmentToken,
    PROTOCOL, UpdateKey,
};
use outfitter_ids::{AgentId, DesktopId};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use reqwest::{Method, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::approval::Waiting;
use crate::clock::SystemClock;
use crate::history::marks;
use crate::proxy::Proxies;
use crate::server_client::{ServerAddress, ServerClient, chain, read_refusal};
use crate::tls::{KnownTime, Roots, ServerTls, TlsError, spki_sha256};
use crate::version::version;

/// What enrollment needs to know.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// The server.
    pub server: ServerAddress,
    /// What the administrator handed out.
    pub token: EnrollmentToken,
    /// Name of the desktop.
    pub name: String,
    /// Desktop user to attach.
    pub user: Option<String>,
    /// The folder that plays the desktop.
    pub sandbox_root: Option<PathBuf>,
    /// Opaque identity of the machine.
    pub machine_id: String,
    /// Local address to call from; `None`: the system's choice.
    pub source_ip: Option<IpAddr>,
    /// Proxies on the way to the server.
    pub proxies: Proxies,
}

/// What enrollment gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The agent.
    pub agent: AgentId,
    /// The desktop.
    pub desktop: DesktopId,
    /// Its name, where the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The private key, PEM.
    pub key_pem: String,
    /// Leaf, issuing certificate and root, PEM.
    pub chain_pem: String,
    /// All roots to trust, PEM.
    pub roots_pem: String,
    /// The server's clock, in milliseconds UTC.
    pub server_time_millis: i64,
    /// Keys that newer programs are signed with.
    pub update_keys: Vec<UpdateKey>,
}

/// Why there is no enrollment.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The server said no.
    #[error("the server refuses ({code}): {reason}")]
    Refused {
        /// Stable code.
        code: String,
        /// A sentence for a person.
        reason: String,
    },
    /// The server cannot say yes or no now.
    #[error("the server puts it off ({code}): {reason}")]
    PutOff {
        /// Stable code.
        code: String,
        /// A sentence for a person.
        reason: String,
    },
    /// No server, or not the one the token pins.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        server: ServerAddress,
        /// Why, in words.
        reason: String,
    },
    /// The token pins no root.
    #[error("the token names no root certificate: ask for a new one")]
    NoPins,
    /// The answer makes no sense.
    #[error("the server's answer cannot be used: {0}")]
    BadAnswer(String),
    /// The key could not be made.
    #[error("cannot make the agent's key")]
    Key(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A PKCS #10 request for the key, PEM.
///
/// # Errors
/// When the key cannot sign.
pub fn signing_request(key: &KeyPair) -> Result<String, rcgen::Error> {
    // The server ignores the subject: what a certificate names is its decision.
    CertificateParams::default().serialize_request(key)?.pem()
}

/// What the server answers.
pub enum Answer {
    /// The agent is in.
    Enrolled(Box<Enrolled>),
    /// An administrator has to approve.
    Waits(Box<Waiting>),
}

/// Enrolls where no approval is demanded; writes nothing.
///
/// # Errors
/// See [`EnrollError`].
pub async fn enroll(enrollment: &Enrollment) -> Result<Enrolled, EnrollError> {
    match ask(enrollment, Patience::None).await? {
        Answer::Enrolled(enrolled) => Ok(*enrolled),
        Answer::Waits(_) => Err(EnrollError::BadAnswer(
            "it wants an approval that was not offered to be waited for".to_owned(),
        )),
    }
}

/// Enrolls, or asks for approval where the token demands it; writes nothing.
///
/// # Errors
/// See [`EnrollError`].
pub async fn enroll_or_wait(enrollment: &Enrollment) -> Result<Answer, EnrollError> {
    ask(enrollment, Patience::UntilDecided).await
}

/// Whether the caller can wait for an approval.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    UntilDecided,
}

async fn ask(enrollment: &Enrollment, patience: Patience) -> Result<Answer, EnrollError> {
    let pins = Pins::new(&enrollment.token.root_pins)?;
    let client = pins.client(
        &enrollment.server,
        enrollment.source_ip,
        &enrollment.proxies,
    )?;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let request = EnrollRequest {
        protocol: PROTOCOL,
        token_id: enrollment.token.id,
        token_secret: enrollment.token.secret.clone(),
        csr_pem: signing_request(&key)?,
        name: enrollment.name.clone(),
        user: enrollment.user.clone(),
        machine_id: enrollment.machine_id.clone(),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        agent_version: version().to_owned(),
        sandbox_root: enrollment
            .sandbox_root
            .as_ref()
            .map(|root| root.display().to_string()),
        can_wait: patience == Patience::UntilDecided,
        marks: marks(enrollment.sandbox_root.as_deref()),
    };
    let response = client
        .request(Method::POST, ENROLL_PATH)
        .json(&request)
        .send()
        .await
        .map_err(|error| EnrollError::Unreachable {
            server: enrollment.server.clone(),
            reason: chain(&error.without_url()),
        })?;
    if response.status() == StatusCode::ACCEPTED {
        let pending: EnrollPending = response
            .json()
            .await
            .map_err(|error| EnrollError::BadAnswer(chain(&error)))?;
        return Ok(Answer::Waits(Box::new(Waiting {
            server: enrollment.server.clone(),
            root_pins: enrollment.token.root_pins.clone(),
            token: enrollment.token.id,
            request: pending.request,
            name: enrollment.name.clone(),
            sandbox_root: enrollment.sandbox_root.clone(),
            key_pem: key.serialize_pem(),
        })));
    }
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let enrolled = pins.enrolled(response, &key).await?;
    Ok(Answer::Enrolled(Box::new(enrolled)))
}

/// Why a server does not let this machine in: not at all, or not now.
pub(crate) async fn refusal(response: Response) -> EnrollError {
    let status = response.status();
    let EnrollRefusal { code, reason } = read_refusal(response).await;
    let passes = status.is_server_error()
        || [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if passes {
        EnrollError::PutOff { code, reason }
    } else {
        EnrollError::Refused { code, reason }
    }
}

/// The roots that a token names, or that are trusted already: who is spoken to, and who may say that an agent is in.
pub(crate) struct Pins(Vec<[u8; 32]>);

impl Pins {
    /// Reads them; unreadable ones are left out.
    ///
    /// # Errors
    /// [`EnrollError::NoPins`] when none is left.
    pub(crate) fn new(texts: &[String]) -> Result<Self, EnrollError> {
        match Roots::of_pins(texts) {
            Roots::Pinned(pins) if !pins.is_empty() => Ok(Self(pins)),
            Roots::Pinned(_) | Roots::Bundle(_) => Err(EnrollError::NoPins),
        }
    }

    /// Those of the bundle that an enrolled agent trusts.
    ///
    /// # Errors
    /// When it cannot be read; [`EnrollError::NoPins`] when there is no root in it.
    pub(crate) fn of_bundle(roots_pem: &str) -> Result<Self, EnrollError> {
        let pins: Vec<_> = match Roots::of_bundle(roots_pem)? {
            Roots::Bundle(roots) => roots.iter().filter_map(spki_sha256).collect(),
            Roots::Pinned(pins) => pins,
        };
        if pins.is_empty() {
            return Err(EnrollError::NoPins);
        }
        Ok(Self(pins))
    }

    /// A client without a certificate for the server that has one of the roots.
    ///
    /// # Errors
    /// When TLS or HTTP cannot be set up.
    pub(crate) fn client(
        &self,
        server: &ServerAddress,
        source_ip: Option<IpAddr>,
        proxies: &Proxies,
    ) -> Result<ServerClient, EnrollError> {
        let known_time = KnownTime {
            own: Arc::new(SystemClock::default()),
            last_server_millis: 0,
        };
        let tls = ServerTls::new(Roots::Pinned(self.0.clone()), None, known_time)?;
        ServerClient::new(server, tls, source_ip, proxies).map_err(|error| {
            EnrollError::Unreachable {
                server: server.clone(),
                reason: error.to_string(),
            }
        })
    }

    /// Reads the answer that lets an agent in.
    ///
    /// # Errors
    /// [`EnrollError::BadAnswer`] when it is none for this key and these roots.
    pub(crate) async fn enrolled(
        &self,
        response: Response,
        key: &KeyPair,
    ) -> Result<Enrolled, EnrollError> {
        let answer: EnrollResponse = response
            .json()
            .await
            .map_err(|error| EnrollError::BadAnswer(chain(&error)))?;
        check_certificate(&answer.chain_pem, key).map_err(EnrollError::BadAnswer)?;
        let bundle = CertificateDer::pem_slice_iter(answer.roots_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| EnrollError::BadAnswer(error.to_string()))?;
        let is_pinned = |root: &CertificateDer<'_>| {
            spki_sha256(root).is_some_and(|hash| self.0.contains(&hash))
        };
        if !bundle.iter().any(is_pinned) {
            return Err(EnrollError::BadAnswer(
                "no root of its bundle is one that the token names".to_owned(),
            ));
        }
        Ok(Enrolled {
            agent: answer.agent,
            desktop: answer.desktop,
            name: answer.name,
            key_pem: key.serialize_pem(),
            chain_pem: answer.chain_pem,
            roots_pem: answer.roots_pem,
            server_time_millis: answer.server_time_millis,
            update_keys: answer.update_keys,
        })
    }
}

/// Checks that a chain begins with a certificate for the key.
///
/// # Errors
/// In words, when it does not.
pub fn check_certificate(chain_pem: &str, key: &KeyPair) -> Result<(), String> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes())
        .map_err(|error| format!("the chain cannot be read: {error}"))?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    if leaf.tbs_certificate.subject_pki.raw == key.subject_public_key_info() {
        Ok(())
    } else {
        Err("the certificate is not for this agent's key".to_owned())
    }
}

/// A desktop name made from the machine's host name: 1 to 15 letters, digits and `-`, a letter first.
pub fn name_of_host(host: &str) -> String {
    let short = host.split('.').next().unwrap_or_default();
    let name: String = short
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphabetic())
        .take(15)
        .collect();
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "desktop".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_become_desktop_names() {
        for (host, name) in [
            ("pc-17.example.org", "pc-17"),
            ("0-my_host", "my-host"),
            ("a-very-long-host-name", "a-very-long-hos"),
            ("abcdefghijklmn-opq", "abcdefghijklmn"),
            ("0815", "desktop"),
        ] {
            assert_eq!(name_of_host(host), name);
        }
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let ours = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = CertificateParams::default()
            .self_signed(&ours)
            .expect("a certificate");
        assert_eq!(check_certificate(&certificate.pem(), &ours), Ok(()));
        assert!(check_certificate(&certificate.pem(), &other).is_err());
    }
}
