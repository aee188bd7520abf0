use outfitter_api_types::authorizations::PlatformTypeEnum;
use outfitter_api_types::groups::{
    ActionsOfUsersInGroupRequest, CreateUserGroupReq, GroupOperation, UserGroupInfo,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, counted, note_cut};
use crate::args::group::{GroupCommand, MembersArgs};
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
        GroupCommand::List(args) => {
            let listing: Listing<UserGroupInfo> =
                listing::GROUPS.fetch(client, &[], args.limit).await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        GroupCommand::AddMember(args) => members(args, GroupOperation::Add, session).await?,
        GroupCommand::RemoveMember(args) => members(args, GroupOperation::Delete, session).await?,
        GroupCommand::Delete(args) => {
            let id = listing::group_id(client, &args.group).await?;
            let _: IgnoredAny = client
                .call(Method::DELETE, &paths::one(paths::GROUPS, &id), &[], None)
                .await?;
            session.printer.show(&json!({"deleted": [id]}), || {
                View::Line(format!("group {} is deleted", args.group))
            });
        }
    }
    Ok(Outcome::Done)
}

async fn members(
    args: MembersArgs,
    op_type: GroupOperation,
    session: &Session,
) -> Result<(), CommandError> {
    let client = &session.client;
    let group_id = listing::group_id(client, &args.group).await?;
    let mut user_ids = Vec::with_capacity(args.users.len());
    for user in &args.users {
        user_ids.push(listing::user_id(client, user).await?);
    }
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
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
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
