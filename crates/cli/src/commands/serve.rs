use std::io::IsTerminal as _;

use outfitter_artifacts::KeyPair;
use outfitter_server::config::{Config, ConfigError, DownloadsOption, ServeOptions, UploadsOption};
use secrecy::SecretString;
use tokio::signal;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::serve::{LogFormat, PackageDownloads, PackageUploads, ServeArgs, ServerOptions};
use crate::env;
use crate::outcome::{CommandError, Outcome};
use crate::profile::TomlError;

/// Serves until SIGINT or SIGTERM.
pub(super) async fn run(args: ServeArgs) -> Result<Outcome, CommandError> {
    let config = args.options.resolve()?;
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| CommandError::usage(format!("--log {}: {error}", args.log)))?
        // It logs every refusal as an error of its own, and signatures at the lower levels.
        .add_directive("s3s=off".parse().expect("a directive"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let shutdown = CancellationToken::new();
    tokio::spawn(end_on_signal(shutdown.clone()));
    outfitter_server::serve::run(config, shutdown)
        .await
        .map_err(|error| {
            let hint = error.hint();
            let error = CommandError::because("the server cannot start", error);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
    Ok(Outcome::Done)
}

async fn end_on_signal(shutdown: CancellationToken) {
    #[cfg(unix)]
    let terminate = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminate => {}
    }
    shutdown.cancel();
}

impl ServerOptions {
    /// File, environment and flags together.
    pub(super) fn merge(self) -> Result<ServeOptions, CommandError> {
        let file = match &self.config {
            None => ServeOptions::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| CommandError::file("read", path, error))?;
                ServeOptions::from_toml(&text).map_err(|error| {
                    let error = TomlError::new(&error, &text);
                    CommandError::usage(format!("{}: {error}", path.display()))
                })?
            }
        };
        // The environment stands in the flags already: clap reads it where a flag is absent.
        let flags = ServeOptions {
            data_dir: self.data_dir,
            listen: self.listen,
            agent_listen: self.agent_listen,
            bucket_listen: self.bucket_listen,
            database_url: self.database_url,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            tls_self_signed: self.tls_self_signed,
            behind_proxy: self.behind_proxy,
            trusted_proxy: self.trusted_proxy,
            forwarded_header: self.forwarded_header.map(Into::into),
            proxy_protocol: self.proxy_protocol,
            requests_per_address: self.requests_per_address,
            requests_per_credential: self.requests_per_credential,
            wrong_passwords_per_minute: self.wrong_passwords_per_minute,
            connections_per_address: self.connections_per_address,
            public_url: self.public_url,
            agent_public: self.agent_public,
            bucket_public: self.bucket_public,
            server_key_file: self.server_key_file,
            region: self.region,
            agent_heartbeat_secs: self.agent_heartbeat_secs,
            agent_binaries: self.agent_binaries,
            audit_keep_days: self.audit_keep_days,
            package_grace_secs: self.package_grace_secs,
            upload_life_secs: self.upload_life_secs,
            link_allow: self.link_allow,
            oidc: None,
            package_store: self.package_store,
            package_store_endpoint: self.package_store_endpoint,
            package_store_region: self.package_store_region,
            package_store_path_style: self.package_store_path_style,
            package_store_credentials: self.package_store_credentials,
            package_store_keys: keys_of_environment()?,
            package_store_ca: self.package_store_ca,
            package_store_downloads: self.package_store_downloads.map(|how| match how {
                PackageDownloads::Presigned => DownloadsOption::Presigned,
                PackageDownloads::Relayed => DownloadsOption::Relayed,
            }),
            package_store_public: self.package_store_public,
            package_store_address_secs: self.package_store_address_secs,
            package_store_uploads: self.package_store_uploads.map(|how| match how {
                PackageUploads::Gateway => UploadsOption::Gateway,
                PackageUploads::Direct => UploadsOption::Direct,
            }),
            package_store_upload_role: self.package_store_upload_role,
            package_store_sts: self.package_store_sts,
            package_store_machine_credentials: self.package_store_machine_credentials,
        };
        let mut options = flags.over(file);
        if let Some(provider) = &mut options.oidc {
            provider.client_secret = std::env::var(env::OIDC_CLIENT_SECRET)
                .ok()
                .filter(|secret| !secret.is_empty())
                .map(SecretString::from);
        }
        Ok(options)
    }

    /// What the server works with.
    pub(super) fn resolve(self) -> Result<Config, CommandError> {
        Config::resolve(self.merge()?).map_err(|error| {
            let refused = CommandError::usage(error.to_string());
            match error {
                ConfigError::Missing {
                    option: "--data-dir",
                } => refused.hint(
                    "give --data-dir DIR: a new or empty folder becomes a new server, and its bootstrap.json \
                     tells the console's address and the first administrator",
                ),
                _ => refused,
            }
        })
    }
}

/// The keys of the package store, where the environment has them.
fn keys_of_environment() -> Result<Option<KeyPair>, CommandError> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (
        given(env::PACKAGE_STORE_ACCESS_KEY),
        given(env::PACKAGE_STORE_SECRET_KEY),
    ) {
        (Some(access_key), Some(secret_key)) => Ok(Some(KeyPair {
            access_key,
            secret_key: secret_key.into(),
            session_token: given(env::PACKAGE_STORE_SESSION_TOKEN).map(Into::into),
        })),
        (None, None) => Ok(None),
        _ => Err(CommandError::usage(format!(
            "{} and {} go together",
            env::PACKAGE_STORE_ACCESS_KEY,
            env::PACKAGE_STORE_SECRET_KEY
        ))),
    }
}
