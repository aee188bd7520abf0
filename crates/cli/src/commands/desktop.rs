use outfitter_api_types::native::desktops::{RegisterDesktopReq, RegisteredDesktop};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut, word};
use crate::args::desktop::DesktopCommand;
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

pub(super) async fn run(
    command: DesktopCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        DesktopCommand::Add(args) => {
            let body = RegisterDesktopReq {
                name: args.name,
                os_type: args.os.into(),
                users: Some(args.users),
                persistent: Some(!args.non_persistent),
            };
            let desktop: RegisteredDesktop = client.post(paths::DESKTOPS, &body).await?;
            session.printer.show(&desktop, || {
                View::Line(format!(
                    "desktop {} is registered: {}",
                    desktop.name, desktop.id
                ))
            });
            session.printer.note(
                "its agent comes with `outfitter-agent enroll`; `outfitter token create` makes the token",
            );
        }
        DesktopCommand::List(args) => {
            let filters: Vec<_> = args.name.into_iter().map(|name| ("name", name)).collect();
            let listing: Listing<RegisteredDesktop> = listing::DESKTOPS
                .fetch(client, &filters, args.list.limit)
                .await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        DesktopCommand::Delete(args) => {
            let id = listing::desktop_id(client, &args.desktop).await?;
            let _: IgnoredAny = client
                .call(Method::DELETE, &paths::one(paths::DESKTOPS, &id), &[], None)
                .await?;
            session.printer.show(&json!({"deleted": [id]}), || {
                View::Line(format!("desktop {} is deleted", args.desktop))
            });
        }
    }
    Ok(Outcome::Done)
}

fn view(desktops: &[RegisteredDesktop]) -> View {
    View::Table(TableView {
        head: ["id", "name", "os", "users", "agent", "last seen"]
            .map(str::to_owned)
            .into(),
        rows: desktops
            .iter()
            .map(|desktop| {
                let users: Vec<&str> = desktop
                    .users
                    .iter()
                    .map(|user| user.account.as_str())
                    .collect();
                let (agent, seen) = match &desktop.agent {
                    None => (Shade::Doubtful("none".to_owned()), String::new()),
                    Some(agent) if agent.connected => (
                        Shade::Good(format!("{} connected", agent.version)),
                        "now".to_owned(),
                    ),
                    Some(agent) => (
                        Shade::Doubtful(format!("{} away", agent.version)),
                        agent
                            .last_seen_at
                            .map(|time| time.to_string())
                            .unwrap_or_default(),
                    ),
                };
                vec![
                    desktop.id.clone().into(),
                    desktop.name.clone().into(),
                    word(&desktop.os_type).into(),
                    users.join(", ").into(),
                    agent,
                    seen.into(),
                ]
            })
            .collect(),
        empty: "there are no desktops",
    })
}
