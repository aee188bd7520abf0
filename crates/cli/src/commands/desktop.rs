use outfitter_api_types::desktops::{
    AttachInstancesDesktopInfo, AttachInstancesReq, AttachInstancesResponse,
    AttachInstancesUserInfo, AttachUserType, BatchDetachInstancesReq, BatchDetachInstancesResponse,
    DeleteDesktopsReq, DesktopDetailInfo, DetachInstancesDesktopInfo, DetachInstancesUserInfo,
    ShowDesktopDetailResponse,
};
use outfitter_api_types::native::agent_log::ShowAgentLogResponse;
use outfitter_api_types::native::desktops::{
    AgentCopySign, DesktopIdentity, RealMachine, RegisterDesktopReq, RegisteredDesktop,
    SettleDesktopIdentityReq,
};
use outfitter_api_types::tags::{
    BatchAddDesktopsTagsReq, BatchDeleteDesktopsTagsReq, DesktopTagsInfo,
    ShowTagByDesktopIdResponse, Tag, TagOut, TagsOut,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, counted, import, inventory, note_cut, table, text, word};
use crate::args::desktop::{
    DesktopCommand, DesktopUsersArgs, DetachArgs, IdentityArgs, ListDesktopsArgs, RealArg,
    TagCommand, TagDesktopsArgs, TagText,
};
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
        DesktopCommand::Import(args) => return import::desktops(&args, session).await,
        DesktopCommand::List(args) if args.tag.is_some() => list_tagged(args, session).await?,
        DesktopCommand::List(args) => {
            let name = args.name.map(|name| ("name", name));
            let copy = args.has_copy.then(|| ("has_copy", true.to_string()));
            let filters: Vec<_> = name.into_iter().chain(copy).collect();
            let listing: Listing<RegisteredDesktop> = listing::DESKTOPS
                .fetch(client, &filters, args.list.limit)
                .await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        DesktopCommand::Show(args) => show(&args.desktop, session).await?,
        DesktopCommand::Inventory(args) => inventory::show(&args.desktop, session).await?,
        DesktopCommand::Software(args) => inventory::list_software(args, session).await?,
        DesktopCommand::Find(args) => inventory::find(args, session).await?,
        DesktopCommand::Attach(args) => attach(args, session).await?,
        DesktopCommand::Detach(args) => return detach(args, session).await,
        DesktopCommand::Tag(command) => tag(command, session).await?,
        DesktopCommand::Reach(command) => return super::reach::run(command, session).await,
        DesktopCommand::Probe(args) => return super::reach::probe(&args.desktop, session).await,
        DesktopCommand::Log(args) => {
            let id = listing::desktop_id(client, &args.desktop).await?;
            let path = paths::below(paths::DESKTOPS, &id, "agent-log");
            let shown: ShowAgentLogResponse = client.call(Method::GET, &path, &[], None).await?;
            session
                .printer
                .show(&shown, || View::Line(shown.text.trim_end().to_owned()));
        }
        DesktopCommand::Identity(args) => identity(args, session).await?,
        DesktopCommand::Delete(args) => {
            let body = DeleteDesktopsReq {
                desktop_ids: listing::desktop_ids(client, &args.desktops).await?,
                delete_users: Some(args.delete_users),
                email_notification: None,
                is_force_delete: Some(args.force),
            };
            let _: IgnoredAny = client.post(paths::DESKTOPS_DELETE, &body).await?;
            session
                .printer
                .show(&json!({"deleted": body.desktop_ids}), || {
                    View::Line(format!(
                        "{} deleted",
                        counted(body.desktop_ids.len(), "desktop")
                    ))
                });
        }
    }
    Ok(Outcome::Done)
}

async fn identity(args: IdentityArgs, session: &Session) -> Result<(), CommandError> {
    let client = &session.client;
    let id = listing::desktop_id(client, &args.desktop.desktop).await?;
    let path = paths::below(paths::DESKTOPS, &id, "identity");
    let desktop: DesktopIdentity = match args.real {
        Some(real) => {
            let body = SettleDesktopIdentityReq {
                real: match real {
                    RealArg::Present => RealMachine::Present,
                    RealArg::Refused => RealMachine::Refused,
                },
            };
            client
                .call(Method::PUT, &path, &[], Some(&json!(body)))
                .await?
        }
        None => client.get(&path, &[]).await?,
    };
    let copy = desktop.copy.as_ref();
    session.printer.show(&desktop, || {
        View::Line(match copy {
            None => format!("no other machine connects as {}", desktop.desktop_name),
            Some(copy) => format!(
                "another machine connects as {} ({}, last {}): {}",
                desktop.desktop_name,
                copy.address.as_deref().unwrap_or("address unknown"),
                copy.seen_at,
                match copy.sign {
                    AgentCopySign::OtherMachine => "its machine id or board is another",
                    AgentCopySign::BothAlive =>
                        "its machine id is the same, and both are connected",
                    AgentCopySign::TookOver => {
                        "it took the place of the first one while that was off"
                    }
                }
            ),
        })
    });
    if copy.is_some() {
        session.printer.note(
            "it is refused; `--real present` says that it is the copy, `--real refused` that it is the real one",
        );
    }
    Ok(())
}

async fn list_tagged(args: ListDesktopsArgs, session: &Session) -> Result<(), CommandError> {
    let filter: Vec<_> = args
        .tag
        .into_iter()
        .map(|tag| ("tag", tag_text(&tag)))
        .collect();
    let listing: Listing<DesktopDetailInfo> = listing::DESKTOPS_DETAIL
        .fetch(&session.client, &filter, args.list.limit)
        .await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|desktop| {
            vec![
                text(&desktop.desktop_id).into(),
                text(&desktop.computer_name).into(),
                desktop
                    .user_list
                    .clone()
                    .unwrap_or_default()
                    .join(", ")
                    .into(),
                tags_text(desktop.tags.as_deref().unwrap_or_default()).into(),
                text(&desktop.agent_version).into(),
            ]
        });
        table(
            &["id", "name", "users", "tags", "agent"],
            rows.collect(),
            "no desktop has this tag",
        )
    });
    note_cut(session.printer, &listing);
    Ok(())
}

fn tag_text(tag: &TagText) -> String {
    match &tag.value {
        Some(value) => format!("{}={value}", tag.key),
        None => tag.key.clone(),
    }
}

fn tags_text(tags: &[TagOut]) -> String {
    let texts =
        tags.iter().map(
            |tag| match tag.value.as_deref().filter(|value| !value.is_empty()) {
                Some(value) => format!("{}={value}", text(&tag.key)),
                None => text(&tag.key),
            },
        );
    texts.collect::<Vec<_>>().join(", ")
}

async fn show(wanted: &str, session: &Session) -> Result<(), CommandError> {
    let id = listing::desktop_id(&session.client, wanted).await?;
    let answer: ShowDesktopDetailResponse = session
        .client
        .get(&paths::one(paths::V2_DESKTOPS, &id), &[])
        .await?;
    let desktop = answer.desktop.unwrap_or_default();
    session.printer.show(&desktop, || {
        let os = desktop
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get("os_type").cloned());
        View::Card(vec![
            ("desktop", text(&desktop.computer_name)),
            ("id", text(&desktop.desktop_id)),
            ("os", text(&os)),
            ("type", text(&desktop.desktop_type)),
            ("status", text(&desktop.status)),
            (
                "users",
                desktop.user_list.clone().unwrap_or_default().join(", "),
            ),
            (
                "tags",
                tags_text(desktop.tags.as_deref().unwrap_or_default()),
            ),
            (
                "addresses",
                desktop.ip_addresses.clone().unwrap_or_default().join(", "),
            ),
            (
                "agent",
                match (&desktop.agent_version, desktop.login_status.as_deref()) {
                    (None, _) => "none".to_owned(),
                    (Some(version), Some("REGISTERED")) => format!("{version} connected"),
                    (Some(version), _) => format!("{version} away"),
                },
            ),
            (
                "registered",
                desktop
                    .created
                    .map(|time| time.to_string())
                    .unwrap_or_default(),
            ),
        ])
    });
    Ok(())
}

/// Users to attach, as the wire has them.
pub(super) fn attachment(
    desktop_id: String,
    users: &[String],
    domain: Option<&str>,
    privilege: &str,
) -> AttachInstancesReq {
    let users = users.iter().map(|name| AttachInstancesUserInfo {
        user_id: None,
        user_name: name.clone(),
        domain: domain.map(str::to_owned),
        user_group: privilege.to_owned(),
        account_type: Some(AttachUserType::User),
    });
    AttachInstancesReq {
        desktops: vec![AttachInstancesDesktopInfo {
            desktop_id,
            user_name: None,
            user_id: None,
            user_email: None,
            user_group: None,
            computer_name: None,
            is_clear_data: None,
            attach_user_infos: Some(users.collect()),
        }],
        image_type: None,
        image_id: None,
        desktop_name_policy_id: None,
        encrypt_type: None,
        kms_id: None,
    }
}

async fn attach(args: DesktopUsersArgs, session: &Session) -> Result<(), CommandError> {
    let id = listing::desktop_id(&session.client, &args.desktop.desktop).await?;
    let body = attachment(id, &args.users, args.domain.as_deref(), &args.privilege);
    let answer: AttachInstancesResponse =
        session.client.post(paths::DESKTOPS_ATTACH, &body).await?;
    session.printer.show(&answer, || {
        View::Line(format!(
            "{} attached to {}",
            counted(args.users.len(), "user"),
            args.desktop.desktop
        ))
    });
    Ok(())
}

async fn detach(args: DetachArgs, session: &Session) -> Result<Outcome, CommandError> {
    let desktop_id = listing::desktop_id(&session.client, &args.desktop.desktop).await?;
    let users = args.users.iter().map(|name| DetachInstancesUserInfo {
        user_id: None,
        user_name: name.clone(),
        domain: args.domain.clone(),
        user_group: None,
        account_type: Some(AttachUserType::User),
    });
    let body = BatchDetachInstancesReq {
        desktops: vec![DetachInstancesDesktopInfo {
            desktop_id,
            is_detach_all_users: args.all_users.then_some(true),
            detach_user_infos: (!args.all_users).then(|| users.collect()),
        }],
    };
    let answer: BatchDetachInstancesResponse =
        session.client.post(paths::DESKTOPS_DETACH, &body).await?;
    let failed = answer.failed_operation_list.as_deref().unwrap_or_default();
    session.printer.show(&answer, || {
        View::Line(match failed.first() {
            Some(failure) => format!("nothing is changed: {}", text(&failure.error_msg)),
            None if args.all_users => {
                format!("nobody is attached to {} any more", args.desktop.desktop)
            }
            None => format!(
                "{} detached from {}",
                counted(args.users.len(), "user"),
                args.desktop.desktop
            ),
        })
    });
    Ok(if failed.is_empty() {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

async fn tag(command: TagCommand, session: &Session) -> Result<(), CommandError> {
    match command {
        TagCommand::List(args) => match args.desktop {
            Some(desktop) => {
                let id = listing::desktop_id(&session.client, &desktop).await?;
                let path = paths::below(paths::V2_DESKTOPS, &id, "tags");
                let answer: ShowTagByDesktopIdResponse = session.client.get(&path, &[]).await?;
                session.printer.show(&answer, || {
                    let tags = answer.tags.as_deref().unwrap_or_default();
                    let rows = tags
                        .iter()
                        .map(|tag| vec![text(&tag.key).into(), text(&tag.value).into()]);
                    table(&["key", "value"], rows.collect(), "the desktop has no tags")
                });
            }
            None => {
                let listing: Listing<TagsOut> = listing::TAGS
                    .fetch(&session.client, &[], usize::MAX)
                    .await?;
                session.printer.show(&listing, || {
                    let rows = listing.items.iter().map(|tag| {
                        let values = tag.values.clone().unwrap_or_default();
                        vec![text(&tag.key).into(), values.join(", ").into()]
                    });
                    table(&["key", "values"], rows.collect(), "there are no tags")
                });
            }
        },
        TagCommand::Add(args) => {
            let body = BatchAddDesktopsTagsReq {
                desktops: tagged(&args, session).await?,
            };
            let _: IgnoredAny = session.client.post(paths::DESKTOPS_TAGS, &body).await?;
            said_tags("tagged", &args, session);
        }
        TagCommand::Remove(args) => {
            let body = json!(BatchDeleteDesktopsTagsReq {
                desktops: tagged(&args, session).await?,
            });
            let _: IgnoredAny = session
                .client
                .call(Method::DELETE, paths::DESKTOPS_TAGS, &[], Some(&body))
                .await?;
            said_tags("untagged", &args, session);
        }
    }
    Ok(())
}

async fn tagged(
    args: &TagDesktopsArgs,
    session: &Session,
) -> Result<Vec<DesktopTagsInfo>, CommandError> {
    let tags: Vec<Tag> = args.tags.iter().cloned().map(Tag::from).collect();
    let ids = listing::desktop_ids(&session.client, &args.desktops).await?;
    Ok(ids
        .into_iter()
        .map(|desktop_id| DesktopTagsInfo {
            desktop_id,
            tags: tags.clone(),
        })
        .collect())
}

fn said_tags(done: &str, args: &TagDesktopsArgs, session: &Session) {
    session.printer.show(&json!({done: args.desktops}), || {
        View::Line(format!(
            "{} {done}",
            counted(args.desktops.len(), "desktop")
        ))
    });
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
                let seen = match desktop.restart_needed_since {
                    Some(_) => format!("{seen}; restart needed"),
                    None => seen,
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
        empty: "there are no such desktops",
    })
}
