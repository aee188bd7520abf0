//! The certificate in use: where clients for the server are made, and where it is renewed.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{KeyPair, SigningKey as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use sha2::{Digest as _, Sha256};

use crate::channel::{Renewals, TimeLearned};
use crate::clock::{Clock, SystemClock, build_unix_millis};
use crate::enroll::{check_certificate, signing_request};
use crate::proxy::Proxies;
use crate::receipt::Signer;
use crate::server_client::{ServerAddress, ServerClient};
use crate::state_dir::{StateDir, StateError};
use crate::tls::{Identity, KnownTime, Roots, ServerTls, TlsError};

/// The server's time is written down again after this long, in milliseconds; it is a lower bound only.
const SERVER_TIME_GRAIN_MILLIS: i64 = 6 * 3600 * 1000;

/// Own clock and server may differ by this much before it is reported, in milliseconds.
pub(crate) const SKEW_REPORTED_MILLIS: i64 = 5 * 60 * 1000;

/// What a client for the server is made of.
#[derive(Clone)]
pub struct Credentials {
    /// The server.
    pub server: ServerAddress,
    /// The private key, PEM.
    pub key_pem: String,
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// All roots to trust, PEM.
    pub roots_pem: String,
    /// The last time the server told, in milliseconds UTC; 0 when never.
    pub last_server_millis: i64,
    /// Local address to call from; `None`: the system's choice.
    pub source_ip: Option<IpAddr>,
    /// Proxies on the way to it.
    pub proxies: Proxies,
}

impl Credentials {
    /// A client under this certificate, which judges the server's by the machine's clock.
    ///
    /// # Errors
    /// In words, when key and certificate cannot be used.
    pub fn client(&self) -> Result<ServerClient, String> {
        self.client_by(Arc::new(SystemClock::default()))
    }

    fn client_by(&self, clock: Arc<dyn Clock>) -> Result<ServerClient, String> {
        let tls = self.tls(clock).map_err(|error| error.to_string())?;
        ServerClient::new(&self.server, tls, self.source_ip, &self.proxies)
            .map_err(|error| error.to_string())
    }

    fn tls(&self, own: Arc<dyn Clock>) -> Result<ServerTls, TlsError> {
        ServerTls::new(
            Roots::of_bundle(&self.roots_pem)?,
            Some(Identity::from_pem(&self.chain_pem, &self.key_pem)?),
            KnownTime {
                own,
                last_server_millis: self.last_server_millis,
            },
        )
    }
}

/// Validity of a certificate chain's leaf, in milliseconds UTC, both inclusive.
///
/// # Errors
/// In words, when it cannot be read.
pub fn validity_millis(chain_pem: &str) -> Result<(i64, i64), String> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes())
        .map_err(|error| format!("the certificate chain cannot be read: {error}"))?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let validity = leaf.validity();
    Ok((
        validity.not_before.timestamp().saturating_mul(1000),
        validity.not_after.timestamp().saturating_mul(1000),
    ))
}

/// The credentials of the agent in a state folder, shared by all that call the server.
#[derive(Clone)]
pub struct SharedCredentials {
    state: StateDir,
    clock: Arc<dyn Clock>,
    inner: Arc<Mutex<Credentials>>,
}

impl SharedCredentials {
    /// Reads them.
    ///
    /// # Errors
    /// When nobody is enrolled in the folder or a file cannot be read.
    pub fn load(
        state: StateDir,
        clock: Arc<dyn Clock>,
        proxies: Proxies,
    ) -> Result<Self, StateError> {
        let credentials = Credentials {
            server: state.require_identity()?.server,
            key_pem: state.key_pem()?,
            chain_pem: state.chain_pem()?,
            roots_pem: state.roots_pem()?,
            last_server_millis: state.last_server_millis(),
            source_ip: None,
            proxies,
        };
        Ok(Self {
            state,
            clock,
            inner: Arc::new(Mutex::new(credentials)),
        })
    }

    /// A client under the newest certificate.
    ///
    /// # Errors
    /// As [`Credentials::client`].
    pub fn client(&self) -> Result<ServerClient, String> {
        self.get().client_by(Arc::clone(&self.clock))
    }

    fn get(&self) -> Credentials {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The present as far as it is known, in milliseconds UTC: never before the build or what the server told.
    pub fn present_millis(&self) -> i64 {
        self.clock
            .unix_millis()
            .max(self.get().last_server_millis)
            .max(build_unix_millis())
    }
}

impl Signer for SharedCredentials {
    fn sign(&self, bytes: &[u8]) -> Result<([u8; 32], Vec<u8>), String> {
        self.get().sign(bytes)
    }
}

impl Signer for Credentials {
    fn sign(&self, bytes: &[u8]) -> Result<([u8; 32], Vec<u8>), String> {
        let key = KeyPair::from_pem(&self.key_pem).map_err(|error| error.to_string())?;
        let leaf = CertificateDer::from_pem_slice(self.chain_pem.as_bytes())
            .map_err(|error| format!("the certificate chain cannot be read: {error}"))?;
        let signature = key.sign(bytes).map_err(|error| error.to_string())?;
        Ok((Sha256::digest(&leaf).into(), signature))
    }
}

impl Renewals for SharedCredentials {
    fn due(&mut self) -> Option<String> {
        let credentials = self.get();
        let request = || -> Result<Option<String>, String> {
            let (not_before, not_after) = validity_millis(&credentials.chain_pem)?;
            // One third of its life (docs/adr/0005).
            let renew_at = not_before + (not_after - not_before) / 3;
            if self.present_millis() < renew_at {
                return Ok(None);
            }
            let key = KeyPair::from_pem(&credentials.key_pem).map_err(|error| error.to_string())?;
            signing_request(&key)
                .map(Some)
                .map_err(|error| error.to_string())
        };
        request().unwrap_or_else(|reason| {
            tracing::error!("the certificate cannot be renewed: {reason}");
            None
        })
    }

    fn keep(&mut self, chain_pem: &str, roots_pem: Option<&str>) -> Result<(), String> {
        let mut renewed = self.get();
        let key = KeyPair::from_pem(&renewed.key_pem).map_err(|error| error.to_string())?;
        check_certificate(chain_pem, &key)?;
        chain_pem.clone_into(&mut renewed.chain_pem);
        if let Some(roots_pem) = roots_pem {
            roots_pem.clone_into(&mut renewed.roots_pem);
        }
        // Whatever cannot carry a connection is not kept.
        renewed
            .tls(Arc::clone(&self.clock))
            .map_err(|error| error.to_string())?;
        self.state
            .keep_certificate(chain_pem, &renewed.roots_pem)
            .map_err(|error| crate::server_client::chain(&error))?;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    fn learn_time(&mut self, server_time_millis: i64) -> TimeLearned {
        let skew = self.clock.unix_millis() - server_time_millis;
        if skew.abs() > SKEW_REPORTED_MILLIS {
            tracing::warn!(skew_millis = skew, "the clock of this desktop is off");
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if server_time_millis <= inner.last_server_millis + SERVER_TIME_GRAIN_MILLIS {
            return TimeLearned::Known;
        }
        inner.last_server_millis = server_time_millis;
        if let Err(error) = self.state.keep_server_millis(server_time_millis) {
            tracing::warn!("{error}");
        }
        TimeLearned::Later
    }
}
