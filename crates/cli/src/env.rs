//! Every environment variable the command reads, declared once.

// Whom client commands talk to, and as whom.
pub(crate) const ENDPOINT: &str = "OUTFITTER_ENDPOINT";
pub(crate) const ACCESS_KEY: &str = "OUTFITTER_ACCESS_KEY";
pub(crate) const SECRET_KEY: &str = "OUTFITTER_SECRET_KEY";
pub(crate) const PROJECT_ID: &str = "OUTFITTER_PROJECT_ID";
pub(crate) const CA: &str = "OUTFITTER_CA";

// Options of the server; the flag of the same name outranks them, the file does not.
pub(crate) const CONFIG: &str = "OUTFITTER_CONFIG";
pub(crate) const DATA_DIR: &str = "OUTFITTER_DATA_DIR";
pub(crate) const LISTEN: &str = "OUTFITTER_LISTEN";
pub(crate) const AGENT_LISTEN: &str = "OUTFITTER_AGENT_LISTEN";
pub(crate) const BUCKET_LISTEN: &str = "OUTFITTER_BUCKET_LISTEN";
pub(crate) const DATABASE_URL: &str = "OUTFITTER_DATABASE_URL";
pub(crate) const TLS_CERT: &str = "OUTFITTER_TLS_CERT";
pub(crate) const TLS_KEY: &str = "OUTFITTER_TLS_KEY";
pub(crate) const TLS_SELF_SIGNED: &str = "OUTFITTER_TLS_SELF_SIGNED";
pub(crate) const BEHIND_PROXY: &str = "OUTFITTER_BEHIND_PROXY";
pub(crate) const TRUSTED_PROXY: &str = "OUTFITTER_TRUSTED_PROXY";
pub(crate) const FORWARDED_HEADER: &str = "OUTFITTER_FORWARDED_HEADER";
pub(crate) const PROXY_PROTOCOL: &str = "OUTFITTER_PROXY_PROTOCOL";
pub(crate) const REQUESTS_PER_ADDRESS: &str = "OUTFITTER_REQUESTS_PER_ADDRESS";
pub(crate) const REQUESTS_PER_CREDENTIAL: &str = "OUTFITTER_REQUESTS_PER_CREDENTIAL";
pub(crate) const WRONG_PASSWORDS_PER_MINUTE: &str = "OUTFITTER_WRONG_PASSWORDS_PER_MINUTE";
pub(crate) const CONNECTIONS_PER_ADDRESS: &str = "OUTFITTER_CONNECTIONS_PER_ADDRESS";
pub(crate) const PUBLIC_URL: &str = "OUTFITTER_PUBLIC_URL";
pub(crate) const AGENT_PUBLIC: &str = "OUTFITTER_AGENT_PUBLIC";
pub(crate) const BUCKET_PUBLIC: &str = "OUTFITTER_BUCKET_PUBLIC";
pub(crate) const SERVER_KEY_FILE: &str = "OUTFITTER_SERVER_KEY_FILE";
pub(crate) const REGION: &str = "OUTFITTER_REGION";
pub(crate) const AGENT_BINARIES: &str = "OUTFITTER_AGENT_BINARIES";
pub(crate) const AUDIT_KEEP_DAYS: &str = "OUTFITTER_AUDIT_KEEP_DAYS";
pub(crate) const PACKAGE_GRACE_SECS: &str = "OUTFITTER_PACKAGE_GRACE_SECS";
pub(crate) const UPLOAD_LIFE_SECS: &str = "OUTFITTER_UPLOAD_LIFE_SECS";
pub(crate) const LINK_ALLOW: &str = "OUTFITTER_LINK_ALLOW";
/// The secret of our client at the login provider; the rest of `[oidc]` stands in the file.
pub(crate) const OIDC_CLIENT_SECRET: &str = "OUTFITTER_OIDC_CLIENT_SECRET";
pub(crate) const PACKAGE_STORE: &str = "OUTFITTER_PACKAGE_STORE";
pub(crate) const PACKAGE_STORE_ENDPOINT: &str = "OUTFITTER_PACKAGE_STORE_ENDPOINT";
pub(crate) const PACKAGE_STORE_REGION: &str = "OUTFITTER_PACKAGE_STORE_REGION";
pub(crate) const PACKAGE_STORE_PATH_STYLE: &str = "OUTFITTER_PACKAGE_STORE_PATH_STYLE";
pub(crate) const PACKAGE_STORE_CREDENTIALS: &str = "OUTFITTER_PACKAGE_STORE_CREDENTIALS";
pub(crate) const PACKAGE_STORE_CA: &str = "OUTFITTER_PACKAGE_STORE_CA";
pub(crate) const PACKAGE_STORE_DOWNLOADS: &str = "OUTFITTER_PACKAGE_STORE_DOWNLOADS";
pub(crate) const PACKAGE_STORE_PUBLIC: &str = "OUTFITTER_PACKAGE_STORE_PUBLIC";
pub(crate) const PACKAGE_STORE_ADDRESS_SECS: &str = "OUTFITTER_PACKAGE_STORE_ADDRESS_SECS";
pub(crate) const PACKAGE_STORE_UPLOADS: &str = "OUTFITTER_PACKAGE_STORE_UPLOADS";
pub(crate) const PACKAGE_STORE_UPLOAD_ROLE: &str = "OUTFITTER_PACKAGE_STORE_UPLOAD_ROLE";
pub(crate) const PACKAGE_STORE_STS: &str = "OUTFITTER_PACKAGE_STORE_STS";
pub(crate) const PACKAGE_STORE_MACHINE_CREDENTIALS: &str =
    "OUTFITTER_PACKAGE_STORE_MACHINE_CREDENTIALS";
// Secrets, which process lists must not show: there is no flag for these.
pub(crate) const PACKAGE_STORE_ACCESS_KEY: &str = "OUTFITTER_PACKAGE_STORE_ACCESS_KEY";
pub(crate) const PACKAGE_STORE_SECRET_KEY: &str = "OUTFITTER_PACKAGE_STORE_SECRET_KEY";
pub(crate) const PACKAGE_STORE_SESSION_TOKEN: &str = "OUTFITTER_PACKAGE_STORE_SESSION_TOKEN";
pub(crate) const AGENT_HEARTBEAT_SECS: &str = "OUTFITTER_AGENT_HEARTBEAT_SECS";

/// What the server logs: a filter such as `info` or `outfitter_server=debug`.
pub(crate) const LOG: &str = "OUTFITTER_LOG";

/// Set to anything: no colours. Source: no-color.org.
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// All of ours start like this.
#[cfg(unix)]
pub(crate) const PREFIX: &str = "OUTFITTER_";
