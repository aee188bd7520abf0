//! How a directory is reached, and reaching it.

use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings};
use outfitter_domain::directory::DirectoryKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::failure::{Failure, FailureCode};

/// How a directory is reached and what of it is read.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What kind of directory it is.
    pub kind: DirectoryKind,
    /// `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]` with StartTLS.
    pub url: String,
    /// The CAs that are believed, PEM; no others are.
    pub ca_pem: String,
    /// DN of the bind account; with Active Directory also `NAME@DOMAIN` or `DOMAIN\NAME`.
    pub bind_name: String,
    /// Its password, not empty: an empty one would be an anonymous bind (RFC 4513, section 5.1.2).
    pub bind_password: SecretString,
    /// What is read.
    pub scope: Scope,
}

/// What of a directory is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Users stand below it.
    pub user_base: String,
    /// Groups stand below it.
    pub group_base: String,
    /// Which users, besides what makes an entry a user.
    pub user_filter: Option<String>,
    /// Which groups, besides what makes an entry a group.
    pub group_filter: Option<String>,
    /// Attribute with a user's account name.
    pub user_name_attribute: String,
    /// Attribute with a group's account name.
    pub group_name_attribute: String,
}

/// How long things may take, and how much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connection with TLS.
    pub connect: Duration,
    /// Until the next answer to a request.
    pub answer: Duration,
    /// A whole read.
    pub whole: Duration,
    /// Entries a page. Source: Active Directory's `MaxPageSize` is 1,000.
    pub page: i32,
    /// Values of `member` asked for at once. Source: Active Directory's `MaxValRange` is 1,500.
    pub range: usize,
    /// Most users, and most groups.
    pub entries: usize,
    /// Most members of all groups together.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            whole: Duration::from_secs(900),
            page: 500,
            range: 1_500,
            entries: 500_000,
            members: 5_000_000,
        }
    }
}

/// Why a text holds no CA.
#[derive(Debug, Error)]
pub enum CaError {
    /// It is no PEM, or no certificate.
    #[error("is no certificate in PEM: {0}")]
    Unreadable(String),
    /// It holds none.
    #[error("holds no certificate")]
    Empty,
}

/// Checks the PEM text of one or more CAs.
///
/// # Errors
/// See [`CaError`].
pub fn check_ca(pem: &str) -> Result<(), CaError> {
    roots(pem).map(drop)
}

/// Checks a filter (RFC 4515).
pub fn check_filter(filter: &str) -> bool {
    filter.starts_with('(') && ldap3::parse_filter(filter).is_ok()
}

/// Checks a URL: `ldaps` or `ldap`, a host, perhaps a port, nothing else. Answers why not.
///
/// # Errors
/// The reason, in words.
pub fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "ldaps" | "ldap") {
        return Err("must begin with ldaps:// (or with ldap://, for StartTLS)");
    }
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() || host.contains('[') {
        return Err("must name a host, or an IPv4 address");
    }
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port() != Some(0);
    if !is_bare {
        return Err("must hold host and port alone");
    }
    Ok(())
}

fn roots(pem: &str) -> Result<RootCertStore, CaError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| CaError::Unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| CaError::Unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(CaError::Empty);
    }
    Ok(roots)
}

/// A connection whose bind account is logged in.
pub(crate) struct Open {
    pub(crate) ldap: Ldap,
    pub(crate) limits: Limits,
    /// Moves the bytes; ends with the connection.
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) async fn open(&self, limits: Limits) -> Result<Open, Failure> {
        let roots = roots(&self.ca_pem)
            .map_err(|error| Failure::new(FailureCode::Tls, format!("the CA {error}")))?;
        check_url(&self.url)
            .map_err(|reason| Failure::new(FailureCode::Protocol, format!("the URL {reason}")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(FailureCode::Tls, error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // On ldaps:// the library takes StartTLS back; on ldap:// there is no way around it.
        let settings = LdapConnSettings::new()
            .set_conn_timeout(limits.connect)
            .set_starttls(true)
            .set_config(Arc::new(tls));
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &self.url)
            .await
            .map_err(|error| Failure::of("connect to the directory", error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to a directory broke");
            }
        });
        let driver = AbortOnDropHandle::new(driver);
        ldap.with_timeout(limits.answer);
        let bound = ldap
            .simple_bind(&self.bind_name, self.bind_password.expose_secret())
            .await
            .map_err(|error| Failure::of("log in", error))?;
        if bound.rc != 0 {
            let mut failure = Failure::refused("log in as the bind account", &bound);
            if failure.code == FailureCode::SearchRefused {
                failure.code = FailureCode::BindRefused;
            }
            return Err(failure);
        }
        Ok(Open {
            ldap,
            limits,
            _driver: driver,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_and_port() {
        for good in [
            "ldaps://dc1.corp.example",
            "ldaps://192.0.2.1:3269",
            "ldap://dc1/",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for wrong in [
            "dc1",
            "https://dc1",
            "ldapi://%2frun%2fslapd",
            "ldaps://",
            "ldaps://user:word@dc1",
            "ldaps://dc1/dc=corp",
            "ldaps://dc1?x",
            "ldaps://[::1]",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_is_whole() {
        assert!(check_filter("(&(department=IT)(!(title=Bot)))"));
        for wrong in ["department=IT", "(a=b", "(a=b)(c=d)", "", "(&)x"] {
            assert!(!check_filter(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_ca_is_a_certificate() {
        assert!(matches!(check_ca("hello"), Err(CaError::Empty)));
        let key = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(check_ca(key), Err(CaError::Unreadable(_))));
    }
}
