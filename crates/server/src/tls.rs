//! TLS of the API and bucket listeners: the operator's certificate, or one made at the first start.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outfitter_domain::Millis;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// Why the listeners cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificate or key.
    #[error("{} holds no usable PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not fit.
    #[error("certificate and key do not work together")]
    Pair(#[source] rustls::Error),
    /// No certificate can be made.
    #[error("cannot make a self-signed certificate")]
    Make(#[source] rcgen::Error),
}

/// The configuration of the API and bucket listeners; `None` for plain HTTP.
///
/// # Errors
/// [`TlsError`] when files or their contents are unusable.
pub fn configuration(
    tls: &Tls,
    data_dir: &Path,
    now: Millis,
) -> Result<Option<Arc<rustls::ServerConfig>>, TlsError> {
    let (certificate, key) = match tls {
        Tls::Off => return Ok(None),
        Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
        Tls::SelfSigned => self_signed(data_dir, now)?,
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::Pem {
            path: certificate.clone(),
            reason: error.to_string(),
        })?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| TlsError::Pem {
        path: key.clone(),
        reason: error.to_string(),
    })?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// A certificate for this machine's names, made once and kept: `tls.crt` and `tls.key` in the data folder.
fn self_signed(data_dir: &Path, now: Millis) -> Result<(PathBuf, PathBuf), TlsError> {
    let certificate = data_dir.join("tls.crt");
    let key = data_dir.join("tls.key");
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let mut names = vec!["localhost".to_owned()];
    if let Ok(name) = nix::unistd::gethostname()
        && let Ok(name) = name.into_string()
        && name != "localhost"
    {
        names.push(name);
    }
    let pair = KeyPair::generate().map_err(TlsError::Make)?;
    let mut params = CertificateParams::new(names).map_err(TlsError::Make)?;
    for address in ["127.0.0.1", "::1"] {
        params.subject_alt_names.push(SanType::IpAddress(
            address.parse().expect("a literal address is one"),
        ));
    }
    params
        .distinguished_name
        .push(DnType::CommonName, "Outfitter (self-signed)");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let second = now.get() / 1000;
    let instant = |at: i64| {
        time::OffsetDateTime::from_unix_timestamp(at).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    params.not_before = instant(second - 3600);
    params.not_after = instant(second + 825 * 24 * 3600);
    let made = params.self_signed(&pair).map_err(TlsError::Make)?;
    write_private(&key, &pair.serialize_pem())?;
    write_private(&certificate, &made.pem())?;
    Ok((certificate, key))
}

fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source| TlsError::File {
        doing: "cannot write",
        path: path.to_owned(),
        source,
    };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}
