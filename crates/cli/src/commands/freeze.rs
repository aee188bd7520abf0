use outfitter_api_types::native::freeze::{Freeze, FreezeState, SetFreezeReq};
use outfitter_client::{Client, ClientError, Method};

use super::Session;
use crate::args::freeze::{FreezeArgs, FreezeCommand};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

pub(super) async fn run(
    command: FreezeCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let state = match command {
        FreezeCommand::On(args) => set(&args.freeze, true, args.reason, session).await?,
        FreezeCommand::Off(args) => set(&args, false, None, session).await?,
        FreezeCommand::Show(args) => session.client.get(path(&args), &[]).await?,
    };
    session.printer.show(&state, || View::Line(text(&state)));
    Ok(Outcome::Done)
}

fn path(args: &FreezeArgs) -> &'static str {
    if args.server {
        paths::SERVER_FREEZE
    } else {
        paths::FREEZE
    }
}

async fn set(
    args: &FreezeArgs,
    frozen: bool,
    reason: Option<String>,
    session: &Session,
) -> Result<FreezeState, CommandError> {
    let body = serde_json::to_value(SetFreezeReq { frozen, reason })
        .map_err(|error| CommandError::because("cannot write the request", error))?;
    let answer = session
        .client
        .call(Method::PUT, path(args), &[], Some(&body))
        .await?;
    Ok(answer)
}

/// Whether anything is handed out in the project.
///
/// # Errors
/// The server.
pub(super) async fn state(client: &Client) -> Result<FreezeState, ClientError> {
    client.get(paths::FREEZE, &[]).await
}

/// The state in words.
pub(super) fn text(state: &FreezeState) -> String {
    let one = |what: &str, freeze: &Option<Freeze>| {
        freeze.as_ref().map(|freeze| {
            let reason = freeze
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(": {reason}"));
            format!(
                "{what} frozen by {} since {}{reason}",
                freeze.operator, freeze.since
            )
        })
    };
    let standing: Vec<String> = [
        one("the server is", &state.server),
        one("the project is", &state.project),
    ]
    .into_iter()
    .flatten()
    .collect();
    if standing.is_empty() {
        "nothing is frozen".to_owned()
    } else {
        standing.join("; ")
    }
}
