use std::io::Read as _;

use outfitter_api_types::secret::SecretText;
use outfitter_api_types::users::{
    ActiveType, BatchDeleteUserReq, CreateDesktopUserResponse, CreateUserRequest, EditUserReq,
    ListUserDetailResponse, User,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, counted, import, note_cut, text};
use crate::args::user::{AddUserArgs, UpdateUserArgs, UserCommand};
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
        UserCommand::Import(args) => return import::users(&args, session).await,
        UserCommand::Show(args) => show(&args.user, session).await?,
        UserCommand::Update(args) => update(args, session).await?,
        UserCommand::Delete(args) => {
            let body = BatchDeleteUserReq {
                user_ids: listing::user_ids(client, &args.users).await?,
            };
            let _: IgnoredAny = client.post(paths::USERS_DELETE, &body).await?;
            session
                .printer
                .show(&json!({"deleted": body.user_ids}), || {
                    View::Line(format!("{} deleted", counted(body.user_ids.len(), "user")))
                });
        }
    }
    Ok(Outcome::Done)
}

async fn show(wanted: &str, session: &Session) -> Result<(), CommandError> {
    let id = listing::user_id(&session.client, wanted).await?;
    let answer: ListUserDetailResponse = session
        .client
        .get(&paths::one(paths::USERS, &id), &[])
        .await?;
    let user = answer.user_detail.unwrap_or_default();
    session.printer.show(&user, || {
        let yes = |given: Option<bool>| if given == Some(true) { "yes" } else { "no" }.to_owned();
        View::Card(vec![
            ("user", text(&user.user_name)),
            ("id", text(&user.id)),
            ("mail", text(&user.user_email)),
            ("phone", text(&user.user_phone)),
            (
                "groups",
                user.group_names.clone().unwrap_or_default().join(", "),
            ),
            (
                "desktops",
                user.total_desktops.unwrap_or_default().to_string(),
            ),
            ("disabled", yes(user.disabled)),
            ("locked", yes(user.locked)),
            ("description", text(&user.description)),
            (
                "added",
                user.when_created
                    .map(|time| time.to_string())
                    .unwrap_or_default(),
            ),
        ])
    });
    Ok(())
}

async fn update(args: UpdateUserArgs, session: &Session) -> Result<(), CommandError> {
    let body = EditUserReq {
        description: args.description,
        user_email: args.email,
        user_phone: args.phone,
        disabled: args.disabled,
        ..EditUserReq::default()
    };
    let changes = json!(body);
    if changes.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(CommandError::usage("nothing to change is given"));
    }
    let id = listing::user_id(&session.client, &args.user.user).await?;
    let path = paths::one(paths::USERS, &id);
    let _: IgnoredAny = session
        .client
        .call(Method::PUT, &path, &[], Some(&changes))
        .await?;
    session.printer.show(&json!({"id": id}), || {
        View::Line(format!("user {} is changed", args.user.user))
    });
    Ok(())
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
    let group_ids = listing::group_ids(&session.client, &args.groups).await?;
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
        group_ids: (!args.groups.is_empty()).then_some(group_ids),
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
