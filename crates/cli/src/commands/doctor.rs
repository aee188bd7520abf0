use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::apps::ListAppCatalogsResponse;
use outfitter_api_types::native::packages::ListDamagedPackagesResponse;
use outfitter_api_types::rules::ShowRuleRestrictionResponse;
use outfitter_api_types::time::IamTime;
use outfitter_artifacts::PackageStore;
use outfitter_artifacts::check::with_causes;
use outfitter_client::Client;
use outfitter_domain::{Clock as _, SystemClock};
use outfitter_ids::SystemIds;
use outfitter_server::config::{Config, Database, PackagePlace, ServeOptions, Tls};
use outfitter_server::tls::CertificateFiles;
use serde::Serialize;
use tokio::net::TcpStream;

use super::config::{address, bucket};
use super::freeze;
use super::rule::NOT_ENFORCED;
use super::{counted, word};
use crate::args::ConnectionArgs;
use crate::args::serve::DoctorArgs;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Printer, Shade, TableView, View};
use crate::profile;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Name of the SQLite file in the data folder.
const DATABASE_FILE: &str = "outfitter.db";

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Well,
    NotChecked,
    Note,
    Wrong,
}

/// Looks at the server on this machine (where a data folder is named) and at the connection.
pub(super) async fn run(
    args: DoctorArgs,
    connection: &ConnectionArgs,
    printer: Printer,
) -> Result<Outcome, CommandError> {
    let options = args.options.merge()?;
    let mut findings = Vec::new();
    if options.data_dir.is_some() {
        server(options, &mut findings).await;
    } else {
        findings.push(Finding {
            what: "server here",
            state: State::NotChecked,
            detail: "name its folder with --data-dir".to_owned(),
        });
    }
    reach(connection, &mut findings).await;
    printer.show(&findings, || view(&findings));
    Ok(
        if findings.iter().any(|finding| finding.state == State::Wrong) {
            Outcome::Failed
        } else {
            Outcome::Done
        },
    )
}

async fn server(options: ServeOptions, findings: &mut Vec<Finding>) {
    let config = match Config::resolve(options) {
        Ok(config) => config,
        Err(error) => {
            findings.push(wrong("options", error.to_string()));
            return;
        }
    };
    findings.push(well("options", "make sense".to_owned()));
    findings.push(data_dir(&config.data_dir));
    findings.push(sealing_key(&config.server_key_file));
    findings.extend(certificate(&config));
    findings.push(database(&config).await);
    findings.push(package_store(&config).await);
    let bound = bound_addresses(&config.data_dir);
    for (what, member, configured) in [
        ("API listener", "endpoint", config.listen),
        ("agent listener", "agent_endpoint", config.agent_listen),
        ("bucket listener", "bucket_endpoint", config.bucket_listen),
    ] {
        let address = bound
            .as_ref()
            .and_then(|endpoints| endpoints[member].as_str())
            .map_or_else(|| configured.to_string(), host_and_port);
        findings.push(match connect(&address).await {
            Ok(()) => well(what, format!("{address} answers")),
            Err(error) => wrong(what, format!("{address}: {error}")),
        });
    }
}

fn data_dir(path: &Path) -> Finding {
    let what = "data folder";
    match std::fs::metadata(path) {
        Err(error) => wrong(
            what,
            format!("{}: {error}; `outfitter serve` makes it", path.display()),
        ),
        Ok(metadata) if !metadata.is_dir() => {
            wrong(what, format!("{} is no folder", path.display()))
        }
        Ok(_) => match tempfile::tempfile_in(path) {
            Ok(_) => well(what, format!("{} can be written to", path.display())),
            Err(error) => wrong(what, format!("{}: {error}", path.display())),
        },
    }
}

fn sealing_key(path: &Path) -> Finding {
    let what = "server key";
    match std::fs::metadata(path) {
        Err(error) => wrong(what, format!("{}: {error}", path.display())),
        #[cfg(unix)]
        Ok(metadata)
            if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 =>
        {
            wrong(
                what,
                format!("{} can be read by others: chmod 600", path.display()),
            )
        }
        Ok(_) => well(what, format!("{} is there", path.display())),
    }
}

/// What the certificate files hold now. A server that runs keeps the last one that could be used.
fn certificate(config: &Config) -> Option<Finding> {
    let what = "certificate";
    let files = match &config.tls {
        Tls::Off => return None,
        Tls::Files { certificate, key } => CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        Tls::SelfSigned => CertificateFiles::self_signed(&config.data_dir),
    };
    let shown = files.certificate.display();
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    Some(match files.load() {
        Err(error) => wrong(
            what,
            format!(
                "{}; a server that runs keeps the certificate from before",
                with_causes(&error)
            ),
        ),
        Ok(usable) if usable.not_after < SystemClock.now() => {
            wrong(what, format!("{shown} has lapsed"))
        }
        Ok(usable) => well(
            what,
            format!(
                "{shown} can be used until {}",
                IamTime::from_unix_millis(usable.not_after.get())
            ),
        ),
    })
}

async fn database(config: &Config) -> Finding {
    let what = "database";
    match &config.database {
        Database::File => {
            let path = config.data_dir.join(DATABASE_FILE);
            if is_sqlite(&path) {
                well(what, format!("SQLite, {}", path.display()))
            } else {
                wrong(what, format!("{} is no SQLite database", path.display()))
            }
        }
        Database::Url(url) => {
            let shown = address(url);
            let host = shown.split('/').next().unwrap_or(&shown);
            match connect(host).await {
                Ok(()) => well(what, format!("PostgreSQL at {shown} takes connections")),
                Err(error) => wrong(what, format!("PostgreSQL at {shown}: {error}")),
            }
        }
    }
}

async fn package_store(config: &Config) -> Finding {
    let what = "package store";
    let (shown, store) = match &config.packages {
        PackagePlace::Folder => {
            let store = PackageStore::join_local(config.data_dir.join("packages"));
            (store.description(), Ok(store))
        }
        PackagePlace::Object(options) => (
            bucket(&options.options),
            config
                .packages
                .open(&config.data_dir, Arc::new(SystemIds))
                .await,
        ),
    };
    let store = match store {
        Ok(store) => store,
        Err(error) => return wrong(what, format!("{shown}: {}", with_causes(&error))),
    };
    match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => well(
            what,
            format!("{shown} answers; `outfitter store check` proves more"),
        ),
        Ok(Err(error)) => wrong(what, format!("{shown}: {}", with_causes(&error))),
        Err(_) => wrong(what, format!("{shown}: no answer")),
    }
}

/// Whether the file begins like a SQLite database. Source: sqlite.org/fileformat.html, 1.3.
fn is_sqlite(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 16];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok()
        && head == *b"SQLite format 3\0"
}

/// What the server wrote down at its last start.
fn bound_addresses(data_dir: &Path) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(data_dir.join("endpoints.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// `HOST:PORT` of an address with or without a scheme.
fn host_and_port(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.parse::<SocketAddr>().is_ok() || authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{}", if scheme == "http" { 80 } else { 443 })
    }
}

async fn connect(address: &str) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// What went wrong and why, with what to do about it.
fn advised(error: &CommandError) -> String {
    let told = with_causes(error);
    match error.advice() {
        Some(advice) => format!("{told}; {advice}"),
        None => told,
    }
}

/// Whether client commands get through, key and all; then what the project is told and does not do yet.
async fn reach(connection: &ConnectionArgs, findings: &mut Vec<Finding>) {
    let what = "connection";
    let client = match profile::client(connection) {
        Ok(client) => client,
        Err(error) => {
            findings.push(Finding {
                what,
                state: State::NotChecked,
                detail: error.to_string(),
            });
            return;
        }
    };
    let address = client.endpoint().url.origin().ascii_serialization();
    let call = client.get::<ListAppCatalogsResponse>(paths::APP_CATALOGS, &[]);
    findings.push(match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(_)) => well(what, format!("{address} answers and knows the key")),
        Ok(Err(error)) => wrong(what, advised(&error.into())),
        Err(_) => wrong(what, format!("{address} gives no answer")),
    });
    if findings.iter().all(|finding| finding.state != State::Wrong) {
        findings.extend(damaged_packages(&client).await);
        findings.extend(application_control(&client).await);
        findings.extend(hand_outs(&client).await);
    }
}

/// Whether packages are missing or altered. Nothing where the caller may not ask.
async fn damaged_packages(client: &Client) -> Option<Finding> {
    let what = "packages";
    let call = client.get::<ListDamagedPackagesResponse>(paths::DAMAGED_PACKAGES, &[]);
    let damaged = tokio::time::timeout(PATIENCE, call).await.ok()?.ok()?;
    if damaged.count == 0 {
        return Some(well(
            what,
            "are as they came, as far as was looked".to_owned(),
        ));
    }
    let names: Vec<String> = damaged
        .items
        .iter()
        .map(|found| format!("{} ({})", found.app_name, word(&found.condition)))
        .collect();
    Some(wrong(
        what,
        format!(
            "{} cannot be installed: {}; upload the same files again",
            counted(usize::try_from(damaged.count).unwrap_or(0), "application"),
            names.join(", ")
        ),
    ))
}

/// What the switches of application control say. Nothing where the caller may not ask.
async fn application_control(client: &Client) -> Option<Finding> {
    let call = client.get::<ShowRuleRestrictionResponse>(paths::RESTRICTION_SHOW, &[]);
    let switches = tokio::time::timeout(PATIENCE, call).await.ok()?.ok()?;
    Some(if switches.app_restrict_rule_switch == Some(true) {
        Finding {
            what: "app control",
            state: State::Note,
            detail: NOT_ENFORCED.to_owned(),
        }
    } else {
        well("app control", "is off".to_owned())
    })
}

/// Whether a freeze stands. Nothing where the caller may not ask.
async fn hand_outs(client: &Client) -> Option<Finding> {
    let call = freeze::state(client);
    let state = tokio::time::timeout(PATIENCE, call).await.ok()?.ok()?;
    Some(if state.frozen {
        Finding {
            what: "hand-outs",
            state: State::Note,
            detail: freeze::text(&state),
        }
    } else {
        well("hand-outs", "are not frozen".to_owned())
    })
}

fn well(what: &'static str, detail: String) -> Finding {
    Finding {
        what,
        state: State::Well,
        detail,
    }
}

fn wrong(what: &'static str, detail: String) -> Finding {
    Finding {
        what,
        state: State::Wrong,
        detail,
    }
}

fn view(findings: &[Finding]) -> View {
    View::Table(TableView {
        head: ["what", "state", "detail"].map(str::to_owned).into(),
        rows: findings
            .iter()
            .map(|finding| {
                vec![
                    finding.what.into(),
                    match finding.state {
                        State::Well => Shade::Good("well".to_owned()),
                        State::NotChecked => Shade::Doubtful("not checked".to_owned()),
                        State::Note => Shade::Doubtful("note".to_owned()),
                        State::Wrong => Shade::Bad("wrong".to_owned()),
                    },
                    finding.detail.clone().into(),
                ]
            })
            .collect(),
        empty: "nothing was looked at",
    })
}
