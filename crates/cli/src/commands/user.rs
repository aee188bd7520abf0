use std::io::Read as _;

use outfitter_api_types::secret::SecretText;
use outfitter_api_types::users::{ActiveType, CreateDesktopUserResponse, CreateUserRequest, User};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut};
use crate::args::user::{AddUserArgs, UserCommand};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn run(command: UserCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        UserCommand::Add(args) => add(args, session).await?,
        UserCommand::List(args) => {
            let filters: Vec<_> = args
                .name
                .into_iter()
                .map(|name| ("user_name", name))
                .collect();
            let listing: Listing<User> = listing::USERS
                .fetch(client, &filters, args.list.limit)
                .await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        UserCommand::Delete(args) => {
            let id = listing::user_id(client, &args.user).await?;
            let _: IgnoredAny = client
                .call(Method::DELETE, &paths::one(paths::USERS, &id), &[], None)
                .await?;
            session.printer.show(&json!({"deleted": [id]}), || {
                View::Line(format!("user {} is deleted", args.user))
            });
        }
    }
    Ok(Outcome::Done)
}

async fn add(args: AddUserArgs, session: &Session) -> Result<(), CommandError> {
    let password = if args.password_stdin {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| CommandError::because("cannot read the password", error))?;
        Some(SecretText::new(text.trim_end_matches(['\r', '\n'])))
    } else {
        None
    };
    let body = CreateUserRequest {
        user_name: args.name.clone(),
        user_email: args.email,
        account_expires: None,
        active_type: Some(if password.is_some() {
            ActiveType::AdminActivate
        } else {
            ActiveType::UserActivate
        }),
        user_phone: args.phone,
        password,
        enable_change_password: None,
        next_login_change_password: None,
        group_ids: None,
        description: args.description,
        alias_name: None,
        enterprise_project_id: None,
        user_info_map: None,
        domain: None,
    };
    let created: CreateDesktopUserResponse = session.client.post(paths::USERS, &body).await?;
    session.printer.show(&created, || {
        View::Line(format!(
            "user {} is added: {}",
            args.name,
            created.id.as_deref().unwrap_or_default()
        ))
    });
    Ok(())
}

fn view(users: &[User]) -> View {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    View::Table(TableView {
        head: ["id", "name", "mail", "desktops", "groups", "description"]
            .map(str::to_owned)
            .into(),
        rows: users
            .iter()
            .map(|user| {
                vec![
                    text(&user.id).into(),
                    text(&user.user_name).into(),
                    text(&user.user_email).into(),
                    user.total_desktops
                        .map(|count| count.to_string())
                        .unwrap_or_default()
                        .into(),
                    user.group_names
                        .clone()
                        .unwrap_or_default()
                        .join(", ")
                        .into(),
                    text(&user.description).into(),
                ]
            })
            .collect(),
        empty: "there are no users",
    })
}
