//! Enrollment: a key made here, a certificate from the server that the token pins.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use outfitter_agent_protocol::{
    ENROLL_PATH, EnrollRequest, EnrollResponse, EnrollmentToken, PROTOCOL, UpdateKey,
};
use outfitter_ids::{AgentId, DesktopId};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::clock::SystemClock;
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
#[derive(Clone)]
pub struct Enrolled {
    /// The agent.
    pub agent: AgentId,
    /// The desktop.
    pub desktop: DesktopId,
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

/// Enrolls; writes nothing.
///
/// # Errors
/// See [`EnrollError`].
pub async fn enroll(enrollment: &Enrollment) -> Result<Enrolled, EnrollError> {
    let unreachable = |reason: String| EnrollError::Unreachable {
        server: enrollment.server.clone(),
        reason,
    };
    let roots = Roots::of_token(&enrollment.token);
    if matches!(&roots, Roots::Pinned(pins) if pins.is_empty()) {
        return Err(EnrollError::NoPins);
    }
    let known_time = KnownTime {
        own: Arc::new(SystemClock::default()),
        last_server_millis: 0,
    };
    let tls = ServerTls::new(roots.clone(), None, known_time)?;
    let client = ServerClient::new(
        &enrollment.server,
        tls,
        enrollment.source_ip,
        &enrollment.proxies,
    )
    .map_err(|error| unreachable(error.to_string()))?;
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
    };
    let response = client
        .request(Method::POST, ENROLL_PATH)
        .json(&request)
        .send()
        .await
        .map_err(|error| unreachable(chain(&error.without_url())))?;
    if !response.status().is_success() {
        let refusal = read_refusal(response).await;
        return Err(EnrollError::Refused {
            code: refusal.code,
            reason: refusal.reason,
        });
    }
    let answer: EnrollResponse = response
        .json()
        .await
        .map_err(|error| EnrollError::BadAnswer(chain(&error)))?;
    check_certificate(&answer.chain_pem, &key).map_err(EnrollError::BadAnswer)?;
    let Roots::Pinned(pins) = &roots else {
        return Err(EnrollError::NoPins);
    };
    let bundle = CertificateDer::pem_slice_iter(answer.roots_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| EnrollError::BadAnswer(error.to_string()))?;
    if !bundle
        .iter()
        .any(|root| spki_sha256(root).is_some_and(|hash| pins.contains(&hash)))
    {
        return Err(EnrollError::BadAnswer(
            "no root of its bundle is one that the token names".to_owned(),
        ));
    }
    Ok(Enrolled {
        agent: answer.agent,
        desktop: answer.desktop,
        key_pem: key.serialize_pem(),
        chain_pem: answer.chain_pem,
        roots_pem: answer.roots_pem,
        server_time_millis: answer.server_time_millis,
        update_keys: answer.update_keys,
    })
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
