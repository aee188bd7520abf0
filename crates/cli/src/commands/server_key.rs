use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::time::WireTime;
use outfitter_domain::SystemClock;
use outfitter_ids::SystemIds;
use outfitter_server::config::Config;
use outfitter_server::secrets::{KeyState, Rotation, RotationError, SystemRandomness};
use outfitter_server::serve::{key_hint, operator_name, store_options};
use outfitter_store::Store;
use serde_json::json;

use super::table;
use crate::args::serve::ServerOptions;
use crate::args::server_key::ServerKeyCommand;
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, Shade, View};

pub(super) async fn run(
    command: ServerKeyCommand,
    printer: Printer,
) -> Result<Outcome, CommandError> {
    match command {
        ServerKeyCommand::Show(args) => {
            let here = Here::open(args.options).await?;
            let state = here
                .rotation(Duration::ZERO)
                .state()
                .await
                .map_err(|error| failed("cannot look at the server key", error))?;
            printer.show(&document(&state), || view(&state));
        }
        ServerKeyCommand::Rotate(args) => {
            let here = Here::open(args.options).await?;
            let rotated = here
                .rotation(Duration::from_secs(args.timeout_secs))
                .rotate(|resealed| {
                    printer.note(format!("{resealed} secrets are sealed anew"));
                    ControlFlow::Continue(())
                })
                .await
                .map_err(|error| {
                    failed("the rotation has not ended; what was done stays", error)
                })?;
            printer.show(
                &json!({"key_id": rotated.key_id, "resealed": rotated.resealed}),
                || {
                    View::Line(format!(
                        "every secret is sealed under server key {}",
                        rotated.key_id
                    ))
                },
            );
            printer.note(
                "back the file up, copy it to the other servers, and take the old key away with \
                 `outfitter server-key retire` after a day",
            );
        }
        ServerKeyCommand::Retire(args) => {
            let here = Here::open(args.options).await?;
            let retired = here
                .rotation(Duration::ZERO)
                .retire(args.now)
                .await
                .map_err(|error| failed("no key is retired", error))?;
            printer.show(&json!({"retired": retired}), || {
                View::Line(if retired.is_empty() {
                    "the file holds no other key than the one that seals".to_owned()
                } else {
                    let ids: Vec<String> = retired.iter().map(u8::to_string).collect();
                    format!("server key {} is out of the file", ids.join(", "))
                })
            });
            if !retired.is_empty() {
                printer.note("copy the file to the other servers; they need no restart");
            }
        }
    }
    Ok(Outcome::Done)
}

/// The database and the key file of this machine.
struct Here {
    store: Store,
    config: Config,
    clock: SystemClock,
}

impl Here {
    async fn open(options: ServerOptions) -> Result<Self, CommandError> {
        let config = options.resolve()?;
        let store = Store::open(&store_options(&config))
            .await
            .map_err(|error| CommandError::because("cannot look at the server key", error))?;
        Ok(Self {
            store,
            config,
            clock: SystemClock,
        })
    }

    fn rotation(&self, patience: Duration) -> Rotation<'_> {
        Rotation {
            store: &self.store,
            key_file: &self.config.server_key_file,
            clock: &self.clock,
            randomness: Arc::new(SystemRandomness),
            patience,
            ids: Arc::new(SystemIds),
            operator: operator_name(),
        }
    }
}

fn failed(what: &'static str, error: RotationError) -> CommandError {
    let hint = match &error {
        RotationError::Servers { .. } => Some(Cow::from(
            "copy the key file to those servers (they need no restart) and run the same command again",
        )),
        RotationError::MadeElsewhere { .. } => {
            Some("copy the key file from the machine where the rotation was begun".into())
        }
        RotationError::NoFile { .. } => {
            Some("run this where a server runs, or name the file with --server-key-file".into())
        }
        RotationError::NotEnded { .. } | RotationError::InUse { .. } => {
            Some("`outfitter server-key rotate` ends the rotation".into())
        }
        RotationError::TooEarly { .. } => Some("wait until then, or end them with --now".into()),
        RotationError::Key(error) => key_hint(error).map(Cow::from),
        RotationError::Secret(_)
        | RotationError::Store(_)
        | RotationError::Sealed { .. }
        | RotationError::Stopped => None,
    };
    let error = CommandError::because(what, error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn document(state: &KeyState) -> serde_json::Value {
    let time = |millis: i64| WireTime::from_unix_millis(millis).to_string();
    json!({
        "file": state.file,
        "sealing": state.sealing,
        "since": time(state.since.get()),
        "next": state.next,
        "secrets": state.all,
        "sealed_under_other_keys": state.left,
        "servers": state.servers.iter().map(|server| json!({
            "name": server.name,
            "key_ids": server.key_ids,
            "sealing": server.sealing,
            "seen_at": time(server.seen_at.get()),
        })).collect::<Vec<_>>(),
    })
}

fn view(state: &KeyState) -> View {
    let ids = |ids: &[u8]| ids.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    View::Several(vec![
        View::Card(vec![
            ("keys in the file", ids(&state.file)),
            ("seals", state.sealing.to_string()),
            (
                "since",
                WireTime::from_unix_millis(state.since.get()).to_string(),
            ),
            (
                "next",
                state
                    .next
                    .map_or_else(|| "-".to_owned(), |id| id.to_string()),
            ),
            ("secrets", state.all.to_string()),
            ("sealed under other keys", state.left.to_string()),
        ]),
        table(
            &["server", "has keys", "seals under"],
            state
                .servers
                .iter()
                .map(|server| {
                    vec![
                        Shade::Plain(server.name.clone()),
                        Shade::Plain(ids(&server.key_ids)),
                        Shade::Plain(server.sealing.to_string()),
                    ]
                })
                .collect(),
            "no server has said anything for a minute",
        ),
    ])
}
