//! TLS of the API and bucket listeners: the operator's certificate, or one made at the first start.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outfitter_domain::Millis;
use prometheus_client::metrics::gauge::Gauge;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::Tls;
use crate::http::error::chain;

/// How often the files are looked at. Ours: whoever renews a certificate does so days before it lapses.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

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

/// A certificate chain and its key, as files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// Chain, PEM.
    pub certificate: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
}

/// What the files hold at one moment.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// A configuration that listeners can speak with.
pub struct Usable {
    /// The configuration.
    pub config: Arc<rustls::ServerConfig>,
    /// When its certificate lapses.
    pub not_after: Millis,
}

/// The files of the API and bucket listeners' certificate; `None` for plain HTTP. A self-signed one is made where
/// there is none yet.
///
/// # Errors
/// [`TlsError`] when one cannot be made.
pub fn files(
    tls: &Tls,
    data_dir: &Path,
    now: Millis,
) -> Result<Option<CertificateFiles>, TlsError> {
    Ok(match tls {
        Tls::Off => None,
        Tls::Files { certificate, key } => Some(CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        Tls::SelfSigned => Some(self_signed(data_dir, now)?),
    })
}

impl CertificateFiles {
    /// The self-signed certificate in the data folder.
    pub fn self_signed(data_dir: &Path) -> Self {
        Self {
            certificate: data_dir.join("tls.crt"),
            key: data_dir.join("tls.key"),
        }
    }

    /// Reads the files and makes a configuration of them.
    ///
    /// # Errors
    /// [`TlsError`] when they or their contents are unusable.
    pub fn load(&self) -> Result<Usable, TlsError> {
        self.usable(&self.read()?)
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::File {
                doing: "cannot read",
                path: path.to_owned(),
                source,
            })
        };
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: Zeroizing::new(read(&self.key)?),
        })
    }

    fn usable(&self, contents: &Contents) -> Result<Usable, TlsError> {
        let unreadable = |path: &Path, reason: String| TlsError::Pem {
            path: path.to_owned(),
            reason,
        };
        let chain = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(&self.certificate, error.to_string()))?;
        let not_after = chain
            .first()
            .and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok())
            .map(|(_, leaf)| Millis::new(leaf.validity().not_after.timestamp() * 1000))
            .ok_or_else(|| unreadable(&self.certificate, "no certificate".to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| unreadable(&self.key, error.to_string()))?;
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Usable {
            config: Arc::new(config),
            not_after,
        })
    }
}

/// How the certificate fares, for the metrics.
#[derive(Debug, Default)]
pub struct CertificateHealth {
    /// 1 while the files hold something that cannot be used, and the certificate from before is kept.
    pub failed: Gauge,
    /// When the certificate in use lapses, in seconds since 1970; 0 without TLS.
    pub not_after: Gauge,
}

/// Follows the files: what they hold is spoken with from the next connection on, without a restart; connections that
/// are open go on. New files that cannot be used leave the old certificate in its place, and say so once in the log
/// and, while it lasts, in the metrics. Files that change one after the other are no failure: it counts when two
/// looks in a row find the same.
pub async fn follow(
    files: CertificateFiles,
    current: watch::Sender<Arc<rustls::ServerConfig>>,
    health: Arc<CertificateHealth>,
    every: Duration,
    shutdown: CancellationToken,
) {
    let mut used = files.read().ok();
    let mut doubted: Option<String> = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        // Two small files: read whole, since links and whole folders may be swapped under the same names.
        let looked = {
            let files = files.clone();
            tokio::task::spawn_blocking(move || files.read()).await
        };
        let Ok(looked) = looked else { continue };
        if let Ok(contents) = &looked
            && used.as_ref() == Some(contents)
        {
            health.failed.set(0);
            doubted = None;
            continue;
        }
        match looked.and_then(|contents| files.usable(&contents).map(|usable| (contents, usable))) {
            Ok((contents, usable)) => {
                tracing::info!(
                    certificate = %files.certificate.display(),
                    "the certificate was changed: new connections get the new one"
                );
                health.not_after.set(usable.not_after.get() / 1000);
                health.failed.set(0);
                current.send_replace(usable.config);
                used = Some(contents);
                doubted = None;
            }
            Err(error) => {
                let problem = chain(&error);
                if doubted.as_ref() == Some(&problem) && health.failed.get() == 0 {
                    tracing::error!(
                        error = problem,
                        "the changed certificate cannot be used: the one from before is kept"
                    );
                    health.failed.set(1);
                }
                doubted = Some(problem);
            }
        }
    }
}

/// A certificate for this machine's names, made once and kept: `tls.crt` and `tls.key` in the data folder.
fn self_signed(data_dir: &Path, now: Millis) -> Result<CertificateFiles, TlsError> {
    let files = CertificateFiles::self_signed(data_dir);
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
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
    write_private(&files.key, &pair.serialize_pem())?;
    write_private(&files.certificate, &made.pem())?;
    Ok(files)
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::get;
    use rcgen::CertifiedKey;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::edge::Edge;
    use crate::listen::{Endpoint, Transport, serve};

    /// Writes a new certificate and its key; answers the certificate.
    fn renew(files: &CertificateFiles) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, cert.pem()).unwrap();
        fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    /// A connection of somebody who trusts these certificates and no others.
    async fn connect(
        address: SocketAddr,
        trusted: &[CertificateDer<'static>],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate.clone()).unwrap();
        }
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    }

    async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "{what} never happened");
    }

    async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_changed_certificate_is_spoken_with_and_a_broken_one_changes_nothing() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles::self_signed(folder.path());
        let first = renew(&files);
        let (current, now) = watch::channel(files.load().unwrap().config);
        let health = Arc::new(CertificateHealth::default());
        let shutdown = CancellationToken::new();
        let every = Duration::from_millis(10);
        let following = follow(
            files.clone(),
            current,
            Arc::clone(&health),
            every,
            shutdown.clone(),
        );
        tokio::spawn(following);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "served" }));
        let endpoint = Endpoint::new(
            "test",
            socket,
            Transport::Tls(now),
            router,
            16,
            Edge::ordinary(),
        );
        tokio::spawn(serve(endpoint, shutdown.clone()));

        let mut before = connect(address, std::slice::from_ref(&first))
            .await
            .unwrap();
        assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
        let second = renew(&files);
        let trusted = [second.clone()];
        wait_until("the second certificate", async || {
            connect(address, &trusted).await.is_ok()
        })
        .await;
        assert!(
            connect(address, &[first]).await.is_err(),
            "the first is gone"
        );
        let answer = ask(&mut before).await;
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "open connections go on: {answer}"
        );

        // Another one's certificate with the key from before, then no certificate at all, then none readable.
        let other = tempfile::tempdir().unwrap();
        let others = CertificateFiles::self_signed(other.path());
        renew(&others);
        fs::copy(&others.certificate, &files.certificate).unwrap();
        wait_until("the doubt", async || health.failed.get() == 1).await;
        assert!(
            connect(address, &trusted).await.is_ok(),
            "the second is kept"
        );
        fs::write(&files.certificate, "-----BEGIN").unwrap();
        fs::remove_file(&files.key).unwrap();
        tokio::time::sleep(every * 5).await;
        assert!(
            connect(address, &trusted).await.is_ok(),
            "the second is kept"
        );
        assert_eq!(health.failed.get(), 1);

        let trusted = [renew(&files)];
        wait_until("the third certificate", async || {
            connect(address, &trusted).await.is_ok()
        })
        .await;
        assert_eq!(health.failed.get(), 0);
        assert!(health.not_after.get() > 0);
        shutdown.cancel();
    }

    /// The first record of a TLS 1.1 client: no versions extension, one cipher of its time.
    fn tls_1_1_hello() -> Vec<u8> {
        let mut hello = vec![3, 2];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
        let mut handshake = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
        handshake.extend(hello);
        let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
        record.extend(handshake);
        record
    }

    #[tokio::test]
    async fn nothing_older_than_tls_1_2_and_nothing_plain_is_answered() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles::self_signed(folder.path());
        let trusted = [renew(&files)];
        let (_current, now) = watch::channel(files.load().unwrap().config);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "served" }));
        let endpoint = Endpoint::new(
            "test",
            socket,
            Transport::Tls(now),
            router,
            16,
            Edge::ordinary(),
        );
        tokio::spawn(serve(endpoint, shutdown.clone()));
        for opening in [
            tls_1_1_hello(),
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&opening).await.unwrap();
            let mut heard = Vec::new();
            // A reset is an end as well.
            drop(stream.read_to_end(&mut heard).await);
            // An alert (21) or nothing: neither a ServerHello (22) nor HTTP.
            assert!(heard.first().is_none_or(|kind| *kind == 21), "{heard:?}");
        }
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(trusted[0].clone()).unwrap();
            let config = rustls::ClientConfig::builder_with_protocol_versions(&[version])
                .with_root_certificates(roots)
                .with_no_client_auth();
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let connected = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await;
            assert_eq!(
                connected.unwrap().get_ref().1.protocol_version(),
                Some(version.version)
            );
        }
        shutdown.cancel();
    }
}
