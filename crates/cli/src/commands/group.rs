use outfitter_api_types::authorizations::PlatformTypeEnum;
use outfitter_api_types::groups::{
    ActionsOfUsersInGroupRequest, BatchDeleteUserGroupsReq, CreateUserGroupReq,
    EditUserGroupRequest, GroupOperation, UserGroupInfo, UserInGroup,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, counted, import, note_cut, table, text};
use crate::args::group::{GroupCommand, MembersArgs, ShowGroupArgs};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn run(command: GroupCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        GroupCommand::Add(args) => {
            let body = CreateUserGroupReq {
                group_name: args.name,
                platform_type: PlatformTypeEnum::Local,
                description: args.description,
            };
            let _: IgnoredAny = client.post(paths::GROUPS, &body).await?;
            // The answer is empty in the contract; the list knows the id.
            let id = listing::group_id(client, &body.group_name).await?;
            session
                .printer
                .show(&json!({"id": id, "name": body.group_name}), || {
                    View::Line(format!("group {} is added: {id}", body.group_name))
                });
        }
        GroupCommand::Import(args) => return import::groups(&args, session).await,
        GroupCommand::List(args) => {
            let filters: Vec<_> = args
                .name
                .into_iter()
                .map(|name| ("keyword", name))
                .collect();
            let listing: Listing<UserGroupInfo> = listing::GROUPS
                .fetch(client, &filters, args.list.limit)
                .await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        GroupCommand::AddMember(args) => members(args, GroupOperation::Add, session).await?,
        GroupCommand::RemoveMember(args) => members(args, GroupOperation::Delete, session).await?,
        GroupCommand::Show(args) => show(args, session).await?,
        GroupCommand::Update(args) => {
            let body = json!(EditUserGroupRequest {
                description: args.description,
                group_name: args.name,
            });
            if body.as_object().is_some_and(serde_json::Map::is_empty) {
                return Err(CommandError::usage("nothing to change is given"));
            }
            let id = listing::group_id(client, &args.group).await?;
            let path = paths::one(paths::GROUPS, &id);
            let _: IgnoredAny = client.call(Method::PUT, &path, &[], Some(&body)).await?;
            session.printer.show(&json!({"id": id}), || {
                View::Line(format!("group {} is changed", args.group))
            });
        }
        GroupCommand::Delete(args) => {
            let body = BatchDeleteUserGroupsReq {
                group_ids: listing::group_ids(client, &args.groups).await?,
            };
            let _: IgnoredAny = client.post(paths::GROUPS_DELETE, &body).await?;
            session
                .printer
                .show(&json!({"deleted": body.group_ids}), || {
                    View::Line(format!(
                        "{} deleted",
                        counted(body.group_ids.len(), "group")
                    ))
                });
        }
    }
    Ok(Outcome::Done)
}

async fn show(args: ShowGroupArgs, session: &Session) -> Result<(), CommandError> {
    let group = listing::group(&session.client, &args.group).await?;
    let group_id = text(&group.id);
    let members: Listing<UserInGroup> =
        listing::group_users(&session.client, &group_id, args.list.limit).await?;
    let document = json!({"group": group, "members": members});
    session.printer.show(&document, || {
        let rows = members.items.iter().map(|user| {
            vec![
                text(&user.id).into(),
                text(&user.user_name).into(),
                text(&user.user_email).into(),
                text(&user.description).into(),
            ]
        });
        View::Several(vec![
            View::Card(vec![
                ("group", text(&group.name)),
                ("id", group_id.clone()),
                ("users", members.count.to_string()),
                ("description", text(&group.description)),
            ]),
            table(
                &["id", "user", "mail", "description"],
                rows.collect(),
                "nobody is in the group",
            ),
        ])
    });
    note_cut(session.printer, &members);
    Ok(())
}

async fn members(
    args: MembersArgs,
    op_type: GroupOperation,
    session: &Session,
) -> Result<(), CommandError> {
    let client = &session.client;
    let group_id = listing::group_id(client, &args.group).await?;
    let user_ids = listing::user_ids(client, &args.users).await?;
    let body = ActionsOfUsersInGroupRequest { user_ids, op_type };
    let path = paths::below(paths::GROUPS, &group_id, "actions");
    let _: IgnoredAny = client.post(&path, &body).await?;
    let done = match op_type {
        GroupOperation::Add => "joined",
        GroupOperation::Delete => "left",
    };
    session
        .printer
        .show(&json!({"group_id": group_id, done: body.user_ids}), || {
            View::Line(format!(
                "{} {done} {}",
                counted(body.user_ids.len(), "user"),
                args.group
            ))
        });
    Ok(())
}

fn view(groups: &[UserGroupInfo]) -> View {
    View::Table(TableView {
        head: ["id", "name", "users", "description"]
            .map(str::to_owned)
            .into(),
        rows: groups
            .iter()
            .map(|group| {
                vec![
                    text(&group.id).into(),
                    text(&group.name).into(),
                    group
                        .user_quantity
                        .map(|count| count.to_string())
                        .unwrap_or_default()
                        .into(),
                    text(&group.description).into(),
                ]
            })
            .collect(),
        empty: "there are no groups",
    })
}
