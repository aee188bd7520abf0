use std::path::Path;

use outfitter_artifacts::{Downloads, ObjectStoreOptions};
use outfitter_server::config::{Config, Database, PackagePlace, Tls};
use outfitter_server::edge::ForwardedHeader;
use serde_json::{Value, json};

use crate::args::serve::ConfigCommand;
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, View};

pub(super) fn run(command: ConfigCommand, printer: Printer) -> Result<Outcome, CommandError> {
    let ConfigCommand::Check(args) = command;
    let config = args.options.resolve()?;
    let members = members(&config);
    let document: serde_json::Map<_, _> = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    printer.show(&document, || {
        let text = |value| match value {
            Value::Null => "the bound address".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        View::Card(
            members
                .into_iter()
                .map(|(name, value)| (name, text(value)))
                .collect(),
        )
    });
    Ok(Outcome::Done)
}

/// The options with their defaults, secrets left out; null where the bound address stands in.
fn members(config: &Config) -> Vec<(&'static str, Value)> {
    let path = |path: &Path| json!(path.display().to_string());
    let database = match &config.database {
        Database::File => "SQLite in the data folder".to_owned(),
        Database::Url(url) => format!("PostgreSQL at {}", address(url)),
    };
    let tls = match &config.tls {
        Tls::Off => "off".to_owned(),
        Tls::SelfSigned => "self-signed".to_owned(),
        Tls::Files { certificate, key } => {
            format!("{} with {}", certificate.display(), key.display())
        }
    };
    let trusted = config.proxies.trusted.iter().map(ToString::to_string);
    let trusted: Vec<_> = trusted.collect();
    let header = match config.proxies.header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let packages = match &config.packages {
        PackagePlace::Folder => "a folder in the data folder".to_owned(),
        PackagePlace::Object(place) => bucket(&place.options),
    };
    let downloads = match &config.packages {
        PackagePlace::Folder => "through this server".to_owned(),
        PackagePlace::Object(place) => match &place.options.downloads {
            Downloads::Relayed => "through this server".to_owned(),
            Downloads::Presigned { endpoint, life } => format!(
                "from {}, at addresses that hold {} s",
                endpoint.as_deref().unwrap_or("the store"),
                life.as_secs()
            ),
        },
    };
    vec![
        ("data_dir", path(&config.data_dir)),
        ("database", json!(database)),
        ("listen", json!(config.listen)),
        ("agent_listen", json!(config.agent_listen)),
        ("bucket_listen", json!(config.bucket_listen)),
        ("tls", json!(tls)),
        ("trusted_proxy", json!(trusted)),
        ("forwarded_header", json!(header)),
        ("proxy_protocol", json!(config.proxies.proxy_protocol)),
        (
            "requests_per_address",
            json!(config.limits.requests_per_address),
        ),
        (
            "requests_per_credential",
            json!(config.limits.requests_per_credential),
        ),
        (
            "wrong_passwords_per_minute",
            json!(config.limits.wrong_passwords_per_minute),
        ),
        (
            "connections_per_address",
            json!(config.limits.connections_per_address.unwrap_or(0)),
        ),
        ("public_url", json!(config.public_url)),
        ("agent_public", json!(config.agent_public)),
        ("bucket_public", json!(config.bucket_public)),
        ("server_key_file", path(&config.server_key_file)),
        ("region", json!(config.region)),
        ("agent_heartbeat_secs", json!(config.agent_heartbeat_secs)),
        ("agent_binaries", path(&config.agent_binaries)),
        (
            "audit_keep_days",
            config
                .audit_keep_days
                .map_or_else(|| json!("for ever"), |days| json!(days)),
        ),
        (
            "package_grace_secs",
            json!(config.retention.package_grace.as_secs()),
        ),
        (
            "upload_life_secs",
            json!(config.retention.upload_life.as_secs()),
        ),
        ("link_allow", json!(config.link_allow.to_string())),
        (
            "login_provider",
            json!(
                config
                    .oidc
                    .as_ref()
                    .map_or("none", |provider| provider.issuer.as_str())
            ),
        ),
        ("package_store", json!(packages)),
        ("package_downloads", json!(downloads)),
    ]
}

/// A bucket and where it is; never keys.
pub(super) fn bucket(options: &ObjectStoreOptions) -> String {
    let at = options
        .endpoint
        .as_deref()
        .map_or_else(|| format!("AWS, {}", options.region), str::to_owned);
    format!("s3://{}/{} at {at}", options.bucket, options.prefix)
}

/// Host, port and name of a database URL; never user, password or parameters.
pub(super) fn address(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) => format!(
            "{}:{}{}",
            url.host_str().unwrap_or("the local socket"),
            url.port().unwrap_or(5432),
            url.path()
        ),
        Err(_) => "an address that cannot be read".to_owned(),
    }
}
