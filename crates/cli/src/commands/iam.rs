use std::io::IsTerminal as _;

use outfitter_api_types::iam::{CallerIdentity, DecodeAuthorizationMessageResponse};
use outfitter_api_types::native::iam::{
    AccessKey, ChangePasswordReq, CreateAccessKeyResponse, CreateIamUserReq, CreateIamUserResponse,
    IamUser, UpdateAccessKeyReq, UpdateIamUserReq,
};
use outfitter_api_types::secret::SecretText;
use outfitter_client::{Client, Method};
use serde::de::IgnoredAny;
use serde_json::json;

use super::reach::secret;
use super::{Session, iam_policy, note_cut, text, word};
use crate::args::iam::{IamCommand, IamUserCommand, KeyArgs, KeyCommand, PasswordArgs};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn run(command: IamCommand, session: &Session) -> Result<Outcome, CommandError> {
    match command {
        IamCommand::Whoami => whoami(session).await,
        IamCommand::User(command) => user(command, session).await,
        IamCommand::Key(command) => key(command, session).await,
        IamCommand::Policy(command) => iam_policy::policy(command, session).await,
        IamCommand::Group(command) => iam_policy::group(command, session).await,
        IamCommand::Explain(args) => iam_policy::explain(args, session).await,
        IamCommand::Password(args) => password(args, session).await,
        IamCommand::Decode(args) => decode(&args.message, session).await,
    }
}

async fn whoami(session: &Session) -> Result<Outcome, CommandError> {
    let caller: CallerIdentity = session.client.get(paths::CALLER, &[]).await?;
    session.printer.show(&caller, || {
        View::Card(vec![
            ("principal", text(&caller.principal_urn)),
            ("principal_id", text(&caller.principal_id)),
            ("account_id", text(&caller.account_id)),
            ("project_id", session.client.endpoint().project_id.clone()),
        ])
    });
    Ok(Outcome::Done)
}

/// Changes the password of who this connection is.
async fn password(args: PasswordArgs, session: &Session) -> Result<Outcome, CommandError> {
    let stdin = std::path::Path::new("-");
    if args.original_file.as_deref() == Some(stdin) && args.new_file.as_deref() == Some(stdin) {
        return Err(CommandError::usage(
            "standard input can hold one of the two passwords",
        ));
    }
    let original_password = match secret(args.original_file.as_deref())? {
        Some(given) => given,
        None => ask("Password so far")?,
    };
    let password = match secret(args.new_file.as_deref())? {
        Some(given) => given,
        None => {
            let given = ask("New password")?;
            if ask("New password again")? != given {
                return Err(CommandError::failed("the two new passwords differ"));
            }
            given
        }
    };
    let body = json!(ChangePasswordReq {
        password,
        original_password,
    });
    let _: IgnoredAny = session
        .client
        .call(Method::PUT, paths::PASSWORD, &[], Some(&body))
        .await?;
    session.printer.show(&json!({"changed": true}), || {
        View::Line("the password is changed; tokens and sessions so far have ended".to_owned())
    });
    Ok(Outcome::Done)
}

/// Asks at the terminal, without showing what is typed.
fn ask(what: &str) -> Result<SecretText, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::usage(format!(
            "{}: there is no terminal to ask at",
            what.to_lowercase()
        ))
        .hint("--original-file and --new-file read passwords from files"));
    }
    rpassword::prompt_password(format!("{what}: "))
        .map(SecretText::new)
        .map_err(|error| CommandError::because("cannot read the password", error))
}

async fn decode(message: &str, session: &Session) -> Result<Outcome, CommandError> {
    let refusal = open_refusal(&session.client, message).await?;
    session.printer.show(&refusal, || {
        let text = |name: &str| refusal[name].as_str().unwrap_or("-").to_owned();
        View::Card(vec![
            ("reason", text("reason")),
            ("user", text("user_name")),
            ("action", text("action")),
            ("resource", text("resource")),
            ("project", text("project_id")),
            ("policy", text("policy")),
            (
                "statement",
                refusal
                    .get("statement")
                    .map_or_else(|| "-".to_owned(), ToString::to_string),
            ),
        ])
    });
    Ok(Outcome::Done)
}

/// Has the server open the sealed reason of a refusal.
///
/// # Errors
/// When the caller may not read it, or it is none.
pub(crate) async fn open_refusal(
    client: &Client,
    message: &str,
) -> Result<serde_json::Value, CommandError> {
    let body = json!({"encoded_message": message});
    let answer: DecodeAuthorizationMessageResponse =
        client.post(paths::DECODE_REFUSAL, &body).await?;
    serde_json::from_str(&answer.decoded_message.unwrap_or_default())
        .map_err(|error| CommandError::because("cannot read the opened reason", error))
}

async fn user(command: IamUserCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        IamUserCommand::Add(args) => {
            let body = CreateIamUserReq {
                name: args.name,
                role: args.role.into(),
                password: None,
            };
            let created: CreateIamUserResponse = client.post(paths::IAM_USERS, &body).await?;
            session.printer.show(&created, || {
                let mut members = vec![
                    ("user", created.user.name.clone()),
                    ("user_id", created.user.id.clone()),
                    ("role", word(&created.user.role)),
                ];
                if let Some(password) = &created.password {
                    members.push(("password", password.expose().to_owned()));
                }
                members.push(("access_key", created.access_key.access_key.clone()));
                members.push((
                    "secret_key",
                    created.access_key.secret_key.expose().to_owned(),
                ));
                View::Card(members)
            });
            session
                .printer
                .note("keep password and secret key: they are not shown again");
        }
        IamUserCommand::List(args) => {
            let listing: Listing<IamUser> =
                listing::IAM_USERS.fetch(client, &[], args.limit).await?;
            session
                .printer
                .show(&listing, || users_view(&listing.items));
            note_cut(session.printer, &listing);
        }
        IamUserCommand::Enable(args) => set_user_enabled(&args.user, true, session).await?,
        IamUserCommand::Disable(args) => set_user_enabled(&args.user, false, session).await?,
    }
    Ok(Outcome::Done)
}

async fn set_user_enabled(
    wanted: &str,
    enabled: bool,
    session: &Session,
) -> Result<(), CommandError> {
    let id = listing::iam_user_id(&session.client, wanted).await?;
    let body = json!(UpdateIamUserReq {
        enabled: Some(enabled),
        ..UpdateIamUserReq::default()
    });
    let user: IamUser = session
        .client
        .call(
            Method::PATCH,
            &paths::one(paths::IAM_USERS, &id),
            &[],
            Some(&body),
        )
        .await?;
    session.printer.show(&user, || {
        View::Line(format!(
            "IAM user {} {}",
            user.name,
            if user.enabled {
                "is let in"
            } else {
                "is refused from now on"
            }
        ))
    });
    Ok(())
}

async fn key(command: KeyCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        KeyCommand::Add(args) => {
            let user_id = listing::iam_user_id(client, &args.user).await?;
            let path = paths::access_keys(&user_id);
            let created: CreateAccessKeyResponse =
                client.call(Method::POST, &path, &[], None).await?;
            session.printer.show(&created, || {
                View::Card(vec![
                    ("access_key", created.access_key.clone()),
                    ("secret_key", created.secret_key.expose().to_owned()),
                ])
            });
            session
                .printer
                .note("keep the secret key: it is not shown again");
        }
        KeyCommand::List(args) => {
            let user_id = listing::iam_user_id(client, &args.owner.user).await?;
            let listing: Listing<AccessKey> =
                listing::fetch_below(client, &paths::access_keys(&user_id), args.list.limit)
                    .await?;
            session.printer.show(&listing, || keys_view(&listing.items));
            note_cut(session.printer, &listing);
        }
        KeyCommand::Enable(args) => {
            set_enabled(&args, UpdateAccessKeyReq { enabled: true }, session).await?
        }
        KeyCommand::Disable(args) => {
            set_enabled(&args, UpdateAccessKeyReq { enabled: false }, session).await?
        }
        KeyCommand::Rotate(args) => {
            let user_id = listing::iam_user_id(client, &args.owner.user).await?;
            let keys = paths::access_keys(&user_id);
            let created: CreateAccessKeyResponse =
                client.call(Method::POST, &keys, &[], None).await?;
            // The new one is there before the old one goes, so that a failure in between locks nobody out.
            let body = json!(UpdateAccessKeyReq { enabled: false });
            let old = paths::one(&keys, &args.access_key);
            let _: IgnoredAny = client.call(Method::PATCH, &old, &[], Some(&body)).await?;
            session.printer.show(&created, || {
                View::Card(vec![
                    ("access_key", created.access_key.clone()),
                    ("secret_key", created.secret_key.expose().to_owned()),
                ])
            });
            session.printer.note(format!(
                "keep the secret key: it is not shown again; {} is refused from now on",
                args.access_key
            ));
        }
        KeyCommand::Delete(args) => {
            let path = key_path(&args, session).await?;
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            session
                .printer
                .show(&json!({"deleted": [args.access_key]}), || {
                    View::Line(format!("access key {} is deleted", args.access_key))
                });
        }
    }
    Ok(Outcome::Done)
}

async fn key_path(args: &KeyArgs, session: &Session) -> Result<String, CommandError> {
    let user_id = listing::iam_user_id(&session.client, &args.owner.user).await?;
    Ok(paths::one(&paths::access_keys(&user_id), &args.access_key))
}

async fn set_enabled(
    args: &KeyArgs,
    wanted: UpdateAccessKeyReq,
    session: &Session,
) -> Result<(), CommandError> {
    let path = key_path(args, session).await?;
    let body = json!(wanted);
    let key: AccessKey = session
        .client
        .call(Method::PATCH, &path, &[], Some(&body))
        .await?;
    session.printer.show(&key, || {
        View::Line(format!(
            "access key {} {}",
            key.access_key,
            if key.enabled {
                "may sign"
            } else {
                "is refused from now on"
            }
        ))
    });
    Ok(())
}

fn users_view(users: &[IamUser]) -> View {
    View::Table(TableView {
        head: ["id", "name", "role", "enabled", "created"]
            .map(str::to_owned)
            .into(),
        rows: users
            .iter()
            .map(|user| {
                vec![
                    user.id.clone().into(),
                    user.name.clone().into(),
                    word(&user.role).into(),
                    if user.enabled { "yes" } else { "no" }.into(),
                    user.created_at.to_string().into(),
                ]
            })
            .collect(),
        empty: "there are no IAM users",
    })
}

fn keys_view(keys: &[AccessKey]) -> View {
    View::Table(TableView {
        head: ["access key", "enabled", "created", "last used"]
            .map(str::to_owned)
            .into(),
        rows: keys
            .iter()
            .map(|key| {
                vec![
                    key.access_key.clone().into(),
                    if key.enabled { "yes" } else { "no" }.into(),
                    key.created_at.to_string().into(),
                    key.last_used_at
                        .map_or_else(|| "never".to_owned(), |time| time.to_string())
                        .into(),
                ]
            })
            .collect(),
        empty: "the user has no access keys",
    })
}
