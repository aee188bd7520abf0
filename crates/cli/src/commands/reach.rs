//! How desktops are reached over SSH, and what a push of the agent would find.

use std::io::Read as _;
use std::path::Path;

use outfitter_api_types::native::reach::{
    DesktopReach, ListNetworkReachesResponse, NetworkReach, ProbeDesktopResponse, Reach,
    SetNetworkReachReq, SetReachReq,
};
use outfitter_api_types::secret::SecretText;
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Session;
use crate::args::reach::{ReachCommand, SetReachArgs};
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

pub(super) async fn run(command: ReachCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        ReachCommand::Set(args) => set(*args, session).await?,
        ReachCommand::Show(args) => {
            let id = listing::desktop_id(client, &args.desktop).await?;
            let path = paths::below(paths::DESKTOPS, &id, "reach");
            let shown: DesktopReach = client.call(Method::GET, &path, &[], None).await?;
            session
                .printer
                .show(&shown, || View::Line(sentence(&args.desktop, &shown.reach)));
            if let Some(key) = &shown.pinned_host_key {
                session.printer.note(format!("pinned host key: {key}"));
            }
        }
        ReachCommand::Networks => {
            let listed = networks(session).await?;
            session.printer.show(&listed, || {
                View::Table(TableView {
                    head: ["network", "port", "user", "login", "jump host", "id"]
                        .map(str::to_owned)
                        .into(),
                    rows: listed
                        .items
                        .iter()
                        .map(|entry| {
                            let reach = &entry.reach;
                            vec![
                                entry.network.clone().into(),
                                reach
                                    .port
                                    .map_or_else(String::new, |port| port.to_string())
                                    .into(),
                                reach.user.clone().unwrap_or_default().into(),
                                if reach.has_login {
                                    Shade::Good("stored".to_owned())
                                } else {
                                    Shade::Doubtful("none".to_owned())
                                },
                                reach.jump_address.clone().unwrap_or_default().into(),
                                entry.id.clone().into(),
                            ]
                        })
                        .collect(),
                    empty: "there are no entries for networks",
                })
            });
        }
        ReachCommand::Forget(args) => {
            let id = listing::desktop_id(client, &args.desktop).await?;
            let path = paths::below(paths::DESKTOPS, &id, "reach");
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            session.printer.show(&json!({"forgotten": [id]}), || {
                View::Line(format!("how {} is reached is forgotten", args.desktop))
            });
        }
        ReachCommand::ForgetNetwork(args) => {
            let listed = networks(session).await?;
            let entry = listed
                .items
                .into_iter()
                .find(|entry| entry.network == args.network || entry.id == args.network)
                .ok_or_else(|| {
                    CommandError::failed(format!("there is no entry for {}", args.network))
                })?;
            let path = paths::one(paths::NETWORK_REACHES, &entry.id);
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            session.printer.show(&json!({"forgotten": [entry.id]}), || {
                View::Line(format!("how {} is reached is forgotten", entry.network))
            });
        }
    }
    Ok(Outcome::Done)
}

async fn networks(session: &Session) -> Result<ListNetworkReachesResponse, CommandError> {
    Ok(session
        .client
        .call(Method::GET, paths::NETWORK_REACHES, &[], None)
        .await?)
}

async fn set(args: SetReachArgs, session: &Session) -> Result<(), CommandError> {
    let client = &session.client;
    let body = SetReachReq {
        address: args.address,
        port: args.port.map(i64::from),
        user: args.user,
        key: secret(args.key_file.as_deref())?,
        key_passphrase: secret(args.passphrase_file.as_deref())?,
        password: secret(args.password_file.as_deref())?,
        sudo: args.no_sudo.then_some(false),
        sudo_password: secret(args.sudo_password_file.as_deref())?,
        host_key: args.host_key,
        jump_address: args.jump,
        jump_port: args.jump_port.map(i64::from),
        jump_user: args.jump_user,
        jump_key: secret(args.jump_key_file.as_deref())?,
        jump_key_passphrase: None,
        jump_password: None,
        jump_host_key: args.jump_host_key,
    };
    if let Some(network) = args.network {
        let body = SetNetworkReachReq {
            network,
            reach: body,
        };
        let body = serde_json::to_value(&body)
            .map_err(|error| CommandError::because("cannot write the request", error))?;
        let entry: NetworkReach = client
            .call(Method::PUT, paths::NETWORK_REACHES, &[], Some(&body))
            .await?;
        session.printer.show(&entry, || {
            View::Line(sentence(&entry.network, &entry.reach))
        });
        return Ok(());
    }
    let name = args.desktop.unwrap_or_default();
    let id = listing::desktop_id(client, &name).await?;
    let path = paths::below(paths::DESKTOPS, &id, "reach");
    let body = serde_json::to_value(&body)
        .map_err(|error| CommandError::because("cannot write the request", error))?;
    let reach: DesktopReach = client.call(Method::PUT, &path, &[], Some(&body)).await?;
    session
        .printer
        .show(&reach, || View::Line(sentence(&name, &reach.reach)));
    session
        .printer
        .note("`outfitter desktop probe` tells what a push of the agent would find");
    Ok(())
}

/// A secret from a file, without the line's end that editors add.
pub(super) fn secret(path: Option<&Path>) -> Result<Option<SecretText>, CommandError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| CommandError::because("cannot read standard input", error))?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| CommandError::file("read", path, error))?
    };
    Ok(Some(SecretText::new(text.trim_end_matches(['\r', '\n']))))
}

fn sentence(name: &str, reach: &Reach) -> String {
    let or_network = |text: &Option<String>| text.clone().unwrap_or_else(|| "(default)".to_owned());
    let port = reach
        .port
        .map_or_else(String::new, |port| format!(":{port}"));
    let login = if reach.has_login {
        "with a stored key or password"
    } else {
        "without a key or password of its own"
    };
    let jump = reach
        .jump_address
        .as_ref()
        .map_or_else(String::new, |jump| format!(", through {jump}"));
    format!(
        "{name} is reached as {}@{}{port} {login}{jump}",
        or_network(&reach.user),
        or_network(&reach.address)
    )
}

pub(super) async fn probe(desktop: &str, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    let id = listing::desktop_id(client, desktop).await?;
    let path = paths::below(paths::DESKTOPS, &id, "probe");
    let found: ProbeDesktopResponse = client.call(Method::POST, &path, &[], None).await?;
    session.printer.show(&found, || {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut lines = Vec::new();
        if found.ok {
            lines.push(format!(
                "{desktop} ({}) runs {} on {}",
                text(&found.host),
                text(&found.system),
                text(&found.arch)
            ));
            lines.extend(
                found
                    .would
                    .iter()
                    .map(|would| format!("a push would {would}")),
            );
        } else {
            let step = found
                .step
                .as_ref()
                .map_or_else(String::new, |step| format!(" at the step `{step}`"));
            lines.push(format!(
                "{desktop}: a push would fail{step}: {}",
                text(&found.words)
            ));
            lines.push(text(&found.hint));
        }
        View::Line(lines.join("\n"))
    });
    Ok(if found.ok {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}
