use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use outfitter_server::edge::ForwardedHeader;

use crate::env;

/// Options of the server. Each also as OUTFITTER_... and, without the leading dashes and with underscores, in
/// the TOML file; flags outrank the environment, the environment outranks the file.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// Read further options from this TOML file
    #[arg(long, value_name = "FILE", env = env::CONFIG)]
    pub(crate) config: Option<PathBuf>,
    /// Folder for everything the server keeps on disk
    #[arg(long, value_name = "DIR", env = env::DATA_DIR)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of API and console [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = env::LISTEN)]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for agents, always TLS 1.3 [default: 127.0.0.1:7443]
    #[arg(long, value_name = "ADDRESS", env = env::AGENT_LISTEN)]
    pub(crate) agent_listen: Option<SocketAddr>,
    /// Address of the package bucket [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS", env = env::BUCKET_LISTEN)]
    pub(crate) bucket_listen: Option<SocketAddr>,
    /// PostgreSQL, postgres://...; better from the environment, since process lists show flags
    /// [default: a SQLite file in the data folder]
    #[arg(long, value_name = "URL", env = env::DATABASE_URL, hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Certificate chain of API and bucket, PEM
    #[arg(long, value_name = "FILE", env = env::TLS_CERT)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", env = env::TLS_KEY)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Make a self-signed certificate for API and bucket
    #[arg(long, env = env::TLS_SELF_SIGNED, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) tls_self_signed: Option<bool>,
    /// Allow plain HTTP off loopback: a proxy in front speaks TLS
    #[arg(long, env = env::BEHIND_PROXY, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) behind_proxy: Option<bool>,
    /// Networks of proxies whose word about who is behind them counts, such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", env = env::TRUSTED_PROXY, value_delimiter = ',')]
    pub(crate) trusted_proxy: Option<Vec<IpNet>>,
    /// Header in which those proxies say it [default: x-forwarded-for]
    #[arg(long, value_name = "HEADER", value_enum, env = env::FORWARDED_HEADER)]
    pub(crate) forwarded_header: Option<ForwardedHeaderName>,
    /// Those proxies begin every connection with a PROXY v2 header; one without it is refused
    #[arg(long, env = env::PROXY_PROTOCOL, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) proxy_protocol: Option<bool>,
    /// Requests a second of one address, ten seconds' worth at once; 0: no limit [default: 2000]
    #[arg(long, value_name = "NUMBER", env = env::REQUESTS_PER_ADDRESS)]
    pub(crate) requests_per_address: Option<u32>,
    /// Requests a second with one credential, ten seconds' worth at once; 0: no limit [default: 2000]
    #[arg(long, value_name = "NUMBER", env = env::REQUESTS_PER_CREDENTIAL)]
    pub(crate) requests_per_credential: Option<u32>,
    /// Wrong passwords a minute of one address, ten minutes' worth at once; 0: no limit [default: 60]
    #[arg(long, value_name = "NUMBER", env = env::WRONG_PASSWORDS_PER_MINUTE)]
    pub(crate) wrong_passwords_per_minute: Option<u32>,
    /// Connections of one address to API or bucket; 0: no limit [default: 1024]
    #[arg(long, value_name = "NUMBER", env = env::CONNECTIONS_PER_ADDRESS)]
    pub(crate) connections_per_address: Option<usize>,
    /// How others reach the API; browsers use the bucket only from pages of this address [default: the bound address]
    #[arg(long, value_name = "URL", env = env::PUBLIC_URL)]
    pub(crate) public_url: Option<String>,
    /// How agents reach the agent listener [default: the bound address]
    #[arg(long, value_name = "HOST:PORT", env = env::AGENT_PUBLIC)]
    pub(crate) agent_public: Option<String>,
    /// How others, browsers too, reach the bucket [default: the bound address]
    #[arg(long, value_name = "URL", env = env::BUCKET_PUBLIC)]
    pub(crate) bucket_public: Option<String>,
    /// The server key that all servers of one database share [default: server.key in the data folder]
    #[arg(long, value_name = "FILE", env = env::SERVER_KEY_FILE)]
    pub(crate) server_key_file: Option<PathBuf>,
    /// Name of the region and of the first project [default: local-1]
    #[arg(long, value_name = "NAME", env = env::REGION)]
    pub(crate) region: Option<String>,
    /// Seconds between heartbeats of an agent, 1 to 3600 [default: 60]
    #[arg(long, value_name = "SECONDS", env = env::AGENT_HEARTBEAT_SECS)]
    pub(crate) agent_heartbeat_secs: Option<u32>,
    /// Folder of the agents that are pushed onto desktops: outfitter-agent-linux-ARCH, or outfitter-agent
    /// [default: where this program lies]
    #[arg(long, value_name = "DIR", env = env::AGENT_BINARIES)]
    pub(crate) agent_binaries: Option<PathBuf>,
    /// Days after which audit entries are deleted [default: never]
    #[arg(long, value_name = "DAYS", env = env::AUDIT_KEEP_DAYS)]
    pub(crate) audit_keep_days: Option<u32>,
    /// Seconds for which nothing may have needed a package before its bytes are removed [default: a day]
    #[arg(long, value_name = "SECONDS", env = env::PACKAGE_GRACE_SECS)]
    pub(crate) package_grace_secs: Option<u32>,
    /// Seconds without a part after which a multipart upload is given up [default: a day]
    #[arg(long, value_name = "SECONDS", env = env::UPLOAD_LIFE_SECS)]
    pub(crate) upload_life_secs: Option<u32>,
    /// Where desktops may fetch packages from: https://*, https://*.example.com, http://*.lan:8080; separated by
    /// commas or given several times [default: http://*,https://*]
    #[arg(long, value_name = "PATTERN", env = env::LINK_ALLOW, value_delimiter = ',')]
    pub(crate) link_allow: Option<Vec<String>>,
    /// Keep packages in an S3-compatible store, s3://BUCKET[/PREFIX], which several servers may share; its keys come
    /// from --package-store-credentials or OUTFITTER_PACKAGE_STORE_ACCESS_KEY, _SECRET_KEY and _SESSION_TOKEN
    /// [default: packages in the data folder]
    #[arg(long, value_name = "PLACE", env = env::PACKAGE_STORE)]
    pub(crate) package_store: Option<String>,
    /// Address of the store [default: that of AWS for the region]
    #[arg(long, value_name = "URL", env = env::PACKAGE_STORE_ENDPOINT)]
    pub(crate) package_store_endpoint: Option<String>,
    /// Region of the store [default with an endpoint: us-east-1]
    #[arg(long, value_name = "REGION", env = env::PACKAGE_STORE_REGION)]
    pub(crate) package_store_region: Option<String>,
    /// Name the bucket in the path, not in the host [default: true with an endpoint]
    #[arg(long, env = env::PACKAGE_STORE_PATH_STYLE, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) package_store_path_style: Option<bool>,
    /// TOML file with access_key, secret_key and, for temporary keys, session_token; read again when it changes
    #[arg(long, value_name = "FILE", env = env::PACKAGE_STORE_CREDENTIALS)]
    pub(crate) package_store_credentials: Option<PathBuf>,
    /// Certificates the store may show beside those the system trusts, PEM; agents are told them
    #[arg(long, value_name = "FILE", env = env::PACKAGE_STORE_CA)]
    pub(crate) package_store_ca: Option<PathBuf>,
    /// How desktops get packages: from the store, at addresses signed in advance, or through this server
    /// [default: presigned]
    #[arg(long, value_name = "HOW", env = env::PACKAGE_STORE_DOWNLOADS, value_enum)]
    pub(crate) package_store_downloads: Option<PackageDownloads>,
    /// How desktops and uploaders reach the store [default: the endpoint]
    #[arg(long, value_name = "URL", env = env::PACKAGE_STORE_PUBLIC)]
    pub(crate) package_store_public: Option<String>,
    /// Seconds an address for a desktop holds, 1 to 604800 [default: 3600]
    #[arg(long, value_name = "SECONDS", env = env::PACKAGE_STORE_ADDRESS_SECS)]
    pub(crate) package_store_address_secs: Option<u32>,
    /// How uploaders bring packages: through this server, or into the store itself with credentials of its STS
    /// [default: gateway]
    #[arg(long, value_name = "HOW", env = env::PACKAGE_STORE_UPLOADS, value_enum)]
    pub(crate) package_store_uploads: Option<PackageUploads>,
    /// Role whose credentials uploaders get, arn:aws:iam::ACCOUNT:role/NAME
    #[arg(long, value_name = "ARN", env = env::PACKAGE_STORE_UPLOAD_ROLE)]
    pub(crate) package_store_upload_role: Option<String>,
    /// Address of the store's STS [default: the endpoint, else that of AWS for the region]
    #[arg(long, value_name = "URL", env = env::PACKAGE_STORE_STS)]
    pub(crate) package_store_sts: Option<String>,
    /// Take the credential for the store that this machine gives: a web identity, a container's role or an instance's, as
    /// AWS' own variables say [default: false]
    #[arg(long, env = env::PACKAGE_STORE_MACHINE_CREDENTIALS, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) package_store_machine_credentials: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackageUploads {
    Gateway,
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackageDownloads {
    Presigned,
    Relayed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForwardedHeaderName {
    /// X-Forwarded-For
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

impl From<ForwardedHeaderName> for ForwardedHeader {
    fn from(name: ForwardedHeaderName) -> Self {
        match name {
            ForwardedHeaderName::XForwardedFor => Self::XForwardedFor,
            ForwardedHeaderName::Forwarded => Self::Forwarded,
        }
    }
}

/// What is worth a line: not each migration that has run already.
const DEFAULT_LOG: &str = "info,sea_orm_migration=warn";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
    /// What to log: a level, or filters such as outfitter_server=debug
    #[arg(long, value_name = "FILTER", env = env::LOG, default_value = DEFAULT_LOG)]
    pub(crate) log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line per event, for people
    Text,
    /// A JSON object per line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check file, environment and flags together and show what the server would work with
    Check(ConfigCheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
}
