//! How the server is told what to do: file, environment, flag, in that order; unknown keys are errors.
//!
//! The command line reads flags and environment into [`ServeOptions`] and lays them over those of the file;
//! [`Config::resolve`] checks the whole and fills the defaults.

mod oidc;
mod package_store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::uri::Authority;
use ipnet::IpNet;
use outfitter_agent_protocol::LinkAllowList;
use outfitter_artifacts::KeyPair;
use outfitter_bucket::Retention;
use serde::Deserialize;

use crate::edge::{EdgeLimits, ForwardedHeader, Proxies};
pub use oidc::{ClientSecretSource, OidcConfig, OidcOptions};

pub use package_store::{
    DownloadsOption, ObjectPlace, OpenPackagesError, PackagePlace, UploadsOption,
};

/// Every option as it was given; what is `None` was not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeOptions {
    /// Folder for everything the server keeps on disk.
    pub data_dir: Option<PathBuf>,
    /// Address of the API, console and CLI.
    pub listen: Option<SocketAddr>,
    /// Address of the agent listener (always TLS 1.3).
    pub agent_listen: Option<SocketAddr>,
    /// Address of the package bucket.
    pub bucket_listen: Option<SocketAddr>,
    /// `postgres://...`; without it a SQLite file in the data folder.
    pub database_url: Option<String>,
    /// Certificate chain of the API and bucket listeners, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Make a self-signed certificate for the API and bucket listeners.
    pub tls_self_signed: Option<bool>,
    /// A proxy in front terminates TLS: plain HTTP is allowed off loopback.
    pub behind_proxy: Option<bool>,
    /// Networks of the proxies whose word about who is behind them counts.
    pub trusted_proxy: Option<Vec<IpNet>>,
    /// In which header those proxies say who is behind them.
    pub forwarded_header: Option<ForwardedHeader>,
    /// Those proxies begin every connection with a PROXY v2 header.
    pub proxy_protocol: Option<bool>,
    /// Requests a second of one address; 0: no limit.
    pub requests_per_address: Option<u32>,
    /// Requests a second with one credential; 0: no limit.
    pub requests_per_credential: Option<u32>,
    /// Wrong passwords a minute of one address; 0: no limit.
    pub wrong_passwords_per_minute: Option<u32>,
    /// Connections of one address on the API or bucket listener; 0: no limit.
    pub connections_per_address: Option<usize>,
    /// How others reach the API.
    pub public_url: Option<String>,
    /// How agents reach the agent listener, `HOST:PORT`.
    pub agent_public: Option<String>,
    /// How others reach the bucket.
    pub bucket_public: Option<String>,
    /// The sealing key all servers share; default `server.key` in the data folder.
    pub server_key_file: Option<PathBuf>,
    /// Name of the region and of the first project.
    pub region: Option<String>,
    /// Seconds between heartbeats of an agent.
    pub agent_heartbeat_secs: Option<u32>,
    /// Folder of the agent's programs that are pushed onto desktops; default: where this program lies.
    pub agent_binaries: Option<PathBuf>,
    /// Days after which audit entries are deleted; default: never.
    pub audit_keep_days: Option<u32>,
    /// Seconds for which nothing may have needed a package before its bytes are removed.
    pub package_grace_secs: Option<u32>,
    /// Seconds for which nothing may have happened to a multipart upload before it is given up.
    pub upload_life_secs: Option<u32>,
    /// Where desktops may fetch packages from; default: anywhere by http and https.
    pub link_allow: Option<Vec<String>>,
    /// The login provider. In the file only.
    pub oidc: Option<OidcOptions>,
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`; without it a folder in the data folder.
    pub package_store: Option<String>,
    /// Address of the S3-compatible store; default: that of AWS for the region.
    pub package_store_endpoint: Option<String>,
    /// Region that requests to the store are signed for.
    pub package_store_region: Option<String>,
    /// Whether the bucket stands in the path; default: where an endpoint is given.
    pub package_store_path_style: Option<bool>,
    /// TOML file with the store's `access_key`, `secret_key` and perhaps `session_token`.
    pub package_store_credentials: Option<PathBuf>,
    /// The same from the environment; no key of the file, which others read.
    #[serde(skip)]
    pub package_store_keys: Option<KeyPair>,
    /// Certificates that the store may show beside those the system trusts, PEM.
    pub package_store_ca: Option<PathBuf>,
    /// How desktops get packages out of the store.
    pub package_store_downloads: Option<DownloadsOption>,
    /// How desktops reach the store; default: the endpoint.
    pub package_store_public: Option<String>,
    /// Seconds that an address for a desktop holds.
    pub package_store_address_secs: Option<u32>,
    /// See [`PackagePlace`].
    pub package_store_uploads: Option<UploadsOption>,
    /// ARN of the role whose credentials uploaders get.
    pub package_store_upload_role: Option<String>,
    /// Where the store's STS answers.
    pub package_store_sts: Option<String>,
    /// Whether the machine gives the credential for the store.
    pub package_store_machine_credentials: Option<bool>,
}

/// What the server works with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for everything the server keeps on disk.
    pub data_dir: PathBuf,
    /// Address of the API, console and CLI.
    pub listen: SocketAddr,
    /// Address of the agent listener.
    pub agent_listen: SocketAddr,
    /// Address of the package bucket.
    pub bucket_listen: SocketAddr,
    /// Where the data is. May hold a password: not for logs.
    pub database: Database,
    /// How the API and bucket listeners speak.
    pub tls: Tls,
    /// The proxies before the server.
    pub proxies: Proxies,
    /// What one address and one credential may do.
    pub limits: EdgeLimits,
    /// How others reach the API; default: the bound address.
    pub public_url: Option<String>,
    /// How agents reach the agent listener; default: the bound address.
    pub agent_public: Option<String>,
    /// How others reach the bucket; default: the bound address.
    pub bucket_public: Option<String>,
    /// The sealing key.
    pub server_key_file: PathBuf,
    /// Name of the region and of the first project.
    pub region: String,
    /// Seconds between heartbeats of an agent.
    pub agent_heartbeat_secs: u32,
    /// Folder of the agent's programs that are pushed onto desktops.
    pub agent_binaries: PathBuf,
    /// Days after which audit entries are deleted; `None`: never.
    pub audit_keep_days: Option<u32>,
    /// How long what nobody needs is kept.
    pub retention: Retention,
    /// Where desktops may fetch packages from.
    pub link_allow: LinkAllowList,
    /// The login provider, where there is one.
    pub oidc: Option<OidcConfig>,
    /// Where packages are.
    pub packages: PackagePlace,
}

/// Where the data is.
#[derive(Clone)]
pub enum Database {
    /// A SQLite file in the data folder.
    File,
    /// PostgreSQL.
    Url(String),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "File",
            Self::Url(_) => "Url(..)",
        })
    }
}

/// How the API and bucket listeners speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    Off,
    /// HTTPS with the operator's certificate.
    Files {
        /// Chain, PEM.
        certificate: PathBuf,
        /// Key, PEM.
        key: PathBuf,
    },
    /// HTTPS with a certificate made at the first start, kept in the data folder.
    SelfSigned,
}

/// An option that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// An option is missing.
    #[error("{option} is missing")]
    Missing {
        /// Its flag.
        option: &'static str,
    },
    /// Two options exclude each other, or one needs the other.
    #[error("{what}")]
    Conflict {
        /// Which and why.
        what: &'static str,
    },
    /// Plain HTTP where others can listen in.
    #[error(
        "{address} is not a loopback address: give --tls-cert and --tls-key or --tls-self-signed, \
         or --behind-proxy when a proxy in front speaks TLS"
    )]
    PlainOffLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// A value is out of its range.
    #[error("{option}: {reason}")]
    Value {
        /// Its flag.
        option: &'static str,
        /// Why.
        reason: String,
    },
}

impl ServeOptions {
    /// These options, with those of `below` where these say nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(below.data_dir),
            listen: self.listen.or(below.listen),
            agent_listen: self.agent_listen.or(below.agent_listen),
            bucket_listen: self.bucket_listen.or(below.bucket_listen),
            database_url: self.database_url.or(below.database_url),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            tls_self_signed: self.tls_self_signed.or(below.tls_self_signed),
            behind_proxy: self.behind_proxy.or(below.behind_proxy),
            trusted_proxy: self.trusted_proxy.or(below.trusted_proxy),
            forwarded_header: self.forwarded_header.or(below.forwarded_header),
            proxy_protocol: self.proxy_protocol.or(below.proxy_protocol),
            requests_per_address: self.requests_per_address.or(below.requests_per_address),
            requests_per_credential: self
                .requests_per_credential
                .or(below.requests_per_credential),
            wrong_passwords_per_minute: self
                .wrong_passwords_per_minute
                .or(below.wrong_passwords_per_minute),
            connections_per_address: self
                .connections_per_address
                .or(below.connections_per_address),
            public_url: self.public_url.or(below.public_url),
            agent_public: self.agent_public.or(below.agent_public),
            bucket_public: self.bucket_public.or(below.bucket_public),
            server_key_file: self.server_key_file.or(below.server_key_file),
            region: self.region.or(below.region),
            agent_heartbeat_secs: self.agent_heartbeat_secs.or(below.agent_heartbeat_secs),
            agent_binaries: self.agent_binaries.or(below.agent_binaries),
            audit_keep_days: self.audit_keep_days.or(below.audit_keep_days),
            package_grace_secs: self.package_grace_secs.or(below.package_grace_secs),
            upload_life_secs: self.upload_life_secs.or(below.upload_life_secs),
            link_allow: self.link_allow.or(below.link_allow),
            oidc: self.oidc.or(below.oidc),
            package_store: self.package_store.or(below.package_store),
            package_store_endpoint: self.package_store_endpoint.or(below.package_store_endpoint),
            package_store_region: self.package_store_region.or(below.package_store_region),
            package_store_path_style: self
                .package_store_path_style
                .or(below.package_store_path_style),
            package_store_credentials: self
                .package_store_credentials
                .or(below.package_store_credentials),
            package_store_keys: self.package_store_keys.or(below.package_store_keys),
            package_store_ca: self.package_store_ca.or(below.package_store_ca),
            package_store_downloads: self
                .package_store_downloads
                .or(below.package_store_downloads),
            package_store_public: self.package_store_public.or(below.package_store_public),
            package_store_address_secs: self
                .package_store_address_secs
                .or(below.package_store_address_secs),
            package_store_uploads: self.package_store_uploads.or(below.package_store_uploads),
            package_store_upload_role: self
                .package_store_upload_role
                .or(below.package_store_upload_role),
            package_store_sts: self.package_store_sts.or(below.package_store_sts),
            package_store_machine_credentials: self
                .package_store_machine_credentials
                .or(below.package_store_machine_credentials),
        }
    }

    /// Reads a TOML file's text.
    ///
    /// # Errors
    /// With line and column, also for keys that do not exist.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Config {
    /// Checks the options and fills the defaults.
    ///
    /// # Errors
    /// The first option that cannot be.
    pub fn resolve(options: ServeOptions) -> Result<Self, ConfigError> {
        let packages = PackagePlace::resolve(&options)?;
        let data_dir = options.data_dir.ok_or(ConfigError::Missing {
            option: "--data-dir",
        })?;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen = options.listen.unwrap_or_else(|| loopback(8080));
        let bucket_listen = options.bucket_listen.unwrap_or_else(|| loopback(8081));
        let tls = match (
            options.tls_cert,
            options.tls_key,
            options.tls_self_signed.unwrap_or(false),
        ) {
            (None, None, false) => Tls::Off,
            (None, None, true) => Tls::SelfSigned,
            (Some(certificate), Some(key), false) => Tls::Files { certificate, key },
            (_, _, true) => {
                return Err(ConfigError::Conflict {
                    what: "--tls-self-signed excludes --tls-cert and --tls-key",
                });
            }
            _ => {
                return Err(ConfigError::Conflict {
                    what: "--tls-cert and --tls-key go together",
                });
            }
        };
        if tls == Tls::Off && !options.behind_proxy.unwrap_or(false) {
            for address in [listen, bucket_listen] {
                if !address.ip().is_loopback() {
                    return Err(ConfigError::PlainOffLoopback { address });
                }
            }
        }
        let proxies = Proxies {
            trusted: options.trusted_proxy.unwrap_or_default(),
            header: options.forwarded_header.unwrap_or_default(),
            proxy_protocol: options.proxy_protocol.unwrap_or(false),
        };
        if proxies.proxy_protocol && proxies.trusted.is_empty() {
            return Err(ConfigError::Conflict {
                what: "--proxy-protocol needs --trusted-proxy: whose PROXY header is to count?",
            });
        }
        let defaults = EdgeLimits::default();
        let limits = EdgeLimits {
            requests_per_address: options
                .requests_per_address
                .unwrap_or(defaults.requests_per_address),
            requests_per_credential: options
                .requests_per_credential
                .unwrap_or(defaults.requests_per_credential),
            wrong_passwords_per_minute: options
                .wrong_passwords_per_minute
                .unwrap_or(defaults.wrong_passwords_per_minute),
            connections_per_address: match options.connections_per_address {
                None => defaults.connections_per_address,
                Some(0) => None,
                Some(most) => Some(most),
            },
        };
        let region = options.region.unwrap_or_else(|| "local-1".to_owned());
        if region.is_empty() || region.len() > 64 || region.contains(char::is_whitespace) {
            return Err(ConfigError::Value {
                option: "--region",
                reason: "1 to 64 characters without white space".to_owned(),
            });
        }
        let agent_heartbeat_secs = options.agent_heartbeat_secs.unwrap_or(60);
        if !(1..=3600).contains(&agent_heartbeat_secs) {
            return Err(ConfigError::Value {
                option: "--agent-heartbeat-secs",
                reason: "1 to 3600".to_owned(),
            });
        }
        if options.audit_keep_days == Some(0) {
            return Err(ConfigError::Value {
                option: "--audit-keep-days",
                reason: "1 or more".to_owned(),
            });
        }
        let retention = Retention {
            package_grace: kept(
                "--package-grace-secs",
                options.package_grace_secs,
                Retention::STANDARD.package_grace,
            )?,
            upload_life: kept(
                "--upload-life-secs",
                options.upload_life_secs,
                Retention::STANDARD.upload_life,
            )?,
        };
        let link_allow = match options.link_allow {
            None => LinkAllowList::everything(),
            Some(patterns) => LinkAllowList::new(
                patterns
                    .iter()
                    .map(|pattern| pattern.parse())
                    .collect::<Result<_, String>>()
                    .map_err(|reason| ConfigError::Value {
                        option: "--link-allow",
                        reason,
                    })?,
            ),
        };
        for (option, url) in [
            ("--public-url", &options.public_url),
            ("--bucket-public", &options.bucket_public),
        ] {
            package_store::check_address(option, url.as_deref())?;
        }
        if let Some(public) = &options.agent_public
            && !is_host_and_port(public)
        {
            return Err(ConfigError::Value {
                option: "--agent-public",
                reason: "HOST:PORT".to_owned(),
            });
        }
        let oidc = options.oidc.map(OidcConfig::resolve).transpose()?;
        Ok(Self {
            oidc,
            audit_keep_days: options.audit_keep_days,
            listen,
            agent_listen: options.agent_listen.unwrap_or_else(|| loopback(7443)),
            bucket_listen,
            database: options.database_url.map_or(Database::File, Database::Url),
            tls,
            proxies,
            limits,
            public_url: options.public_url,
            agent_public: options.agent_public,
            bucket_public: options.bucket_public,
            server_key_file: options
                .server_key_file
                .unwrap_or_else(|| data_dir.join("server.key")),
            region,
            agent_heartbeat_secs,
            agent_binaries: options.agent_binaries.unwrap_or_else(beside_this_program),
            retention,
            link_allow,
            packages,
            data_dir,
        })
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|address| {
        address.port_u16().is_some() && !address.host().is_empty() && !text.contains('@')
    })
}

/// Longest time that what nobody needs may be kept, in seconds: a year.
const MAX_KEPT_SECS: u32 = 365 * 24 * 60 * 60;

/// How long something that nobody needs is kept.
fn kept(
    option: &'static str,
    secs: Option<u32>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    match secs {
        None => Ok(default),
        Some(secs) if (1..=MAX_KEPT_SECS).contains(&secs) => {
            Ok(Duration::from_secs(u64::from(secs)))
        }
        Some(_) => Err(ConfigError::Value {
            option,
            reason: format!("1 to {MAX_KEPT_SECS}"),
        }),
    }
}

/// Packages put both programs into one folder.
fn beside_this_program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/usr/bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<Config, ConfigError> {
        Config::resolve(ServeOptions::from_toml(text).expect("TOML"))
    }

    #[test]
    fn plain_http_off_loopback_needs_a_proxy() {
        let open = "data_dir = '/d'\nlisten = '0.0.0.0:80'\n";
        assert!(matches!(
            given(open),
            Err(ConfigError::PlainOffLoopback { .. })
        ));
        assert!(given(&format!("{open}behind_proxy = true")).is_ok());
        assert!(given(&format!("{open}tls_self_signed = true")).is_ok());
    }

    #[test]
    fn proxies_and_limits_are_read_and_zero_means_none() {
        let config = given(
            "data_dir = '/d'\ntrusted_proxy = ['10.0.0.0/8', '::1/128']\nforwarded_header = 'forwarded'\n\
             requests_per_address = 5\nconnections_per_address = 0",
        )
        .expect("a configuration");
        assert!(config.proxies.is_trusted([10, 1, 2, 3].into()));
        assert!(!config.proxies.is_trusted([11, 1, 2, 3].into()));
        assert_eq!(config.proxies.header, ForwardedHeader::Forwarded);
        assert_eq!(config.limits.requests_per_address, 5);
        assert_eq!(config.limits.connections_per_address, None);
        assert!(given("data_dir = '/d'\nproxy_protocol = true").is_err());
        assert!(ServeOptions::from_toml("trusted_proxy = ['everybody']").is_err());
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(ServeOptions::from_toml("lisen = '127.0.0.1:1'").is_err());
    }

    #[test]
    fn flags_lie_over_the_file() {
        let flags = ServeOptions {
            region: Some("north-1".to_owned()),
            ..ServeOptions::default()
        };
        let file = ServeOptions::from_toml("data_dir = '/d'\nregion = 'south-1'").expect("TOML");
        let config = Config::resolve(flags.over(file)).expect("a configuration");
        assert_eq!(config.region, "north-1");
        assert_eq!(config.server_key_file, PathBuf::from("/d/server.key"));
    }
}
