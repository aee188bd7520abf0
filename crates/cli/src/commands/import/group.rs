use std::collections::{HashMap, HashSet};

use outfitter_api_types::authorizations::PlatformTypeEnum;
use outfitter_api_types::groups::{
    ActionsOfUsersInGroupRequest, CreateUserGroupReq, EditUserGroupRequest, GroupOperation,
    UserGroupInfo, UserInGroup,
};
use outfitter_api_types::users::User;
use outfitter_client::{ClientError, Method};
use outfitter_domain::text::fold;
use outfitter_server::http::schema::RequestSchema;
use serde::de::IgnoredAny;
use serde_json::json;

use super::file::{self, Line};
use super::{Import, Planned, fits};
use crate::args::ImportArgs;
use crate::commands::{Session, counted, text};
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;

/// Most users that one call adds. Source: contract, RunActionsOnGroup.
const MEMBERS_PER_CALL: usize = 50;

pub(in crate::commands) async fn run(
    args: &ImportArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let read = file::read(&args.file, Groups::COLUMNS)?;
    let client = &session.client;
    let users = listing::USERS
        .fetch::<User>(client, &[], usize::MAX)
        .await?;
    let stored = listing::GROUPS
        .fetch::<UserGroupInfo>(client, &[], usize::MAX)
        .await?;
    let wanted: HashSet<String> = read
        .lines
        .iter()
        .filter_map(|line| line.get("name").map(fold))
        .collect();
    let mut groups = HashMap::new();
    for group in stored.items {
        let name = fold(&text(&group.name));
        if !wanted.contains(&name) {
            continue;
        }
        let id = text(&group.id);
        let members = listing::group_users::<UserInGroup>(client, &id, usize::MAX).await?;
        groups.insert(
            name,
            Known {
                id,
                platform_type: group.platform_type,
                description: group.description,
                members: members
                    .items
                    .into_iter()
                    .map(|user| text(&user.id))
                    .collect(),
            },
        );
    }
    let import = Groups {
        groups,
        users: users
            .items
            .into_iter()
            .map(|user| (fold(&text(&user.user_name)), text(&user.id)))
            .collect(),
        create: RequestSchema::of::<CreateUserGroupReq>(),
        edit: RequestSchema::of::<EditUserGroupRequest>(),
    };
    super::run(import, read, args, session).await
}

struct Known {
    id: String,
    platform_type: Option<PlatformTypeEnum>,
    description: Option<String>,
    /// Ids of users.
    members: HashSet<String>,
}

struct Groups {
    /// Those the file names, by folded name.
    groups: HashMap<String, Known>,
    /// Id by folded name.
    users: HashMap<String, String>,
    create: RequestSchema,
    edit: RequestSchema,
}

enum Step {
    Add {
        body: CreateUserGroupReq,
        user_ids: Vec<String>,
    },
    Change {
        group_id: String,
        body: Option<EditUserGroupRequest>,
        user_ids: Vec<String>,
    },
}

impl Import for Groups {
    type Step = Step;
    const NOUN: &'static str = "group";
    const COLUMNS: &'static [&'static str] = &["name", "description", "members"];

    fn plan(&mut self, line: &Line) -> Result<Planned<Step>, String> {
        let name = line.get("name").unwrap_or_default();
        let description = line.get("description").map(str::to_owned);
        let known = self.groups.get(&fold(name));
        let mut user_ids = Vec::new();
        for user in line.names("members") {
            let id = self
                .users
                .get(&fold(&user))
                .ok_or_else(|| format!("there is no user named {user}"))?;
            let is_member = known.is_some_and(|group| group.members.contains(id));
            if !is_member && !user_ids.contains(id) {
                user_ids.push(id.clone());
            }
        }
        let joins =
            (!user_ids.is_empty()).then(|| format!("{} join", counted(user_ids.len(), "user")));
        let Some(group) = known else {
            let body = CreateUserGroupReq {
                group_name: name.to_owned(),
                platform_type: PlatformTypeEnum::Local,
                description,
            };
            fits(&self.create, &body)?;
            return Ok(Planned::Add(
                Step::Add { body, user_ids },
                joins.unwrap_or_default(),
            ));
        };
        if group.platform_type == Some(PlatformTypeEnum::Ad) {
            return Err("the group comes from a directory and is changed there".to_owned());
        }
        let body = EditUserGroupRequest {
            description: description.filter(|wanted| group.description.as_ref() != Some(wanted)),
            group_name: None,
        };
        let mut changed = Vec::new();
        let body = match body.description {
            None => None,
            Some(_) => {
                fits(&self.edit, &body)?;
                changed.push("new description".to_owned());
                Some(body)
            }
        };
        changed.extend(joins);
        if changed.is_empty() {
            return Ok(Planned::Unchanged);
        }
        Ok(Planned::Change(
            Step::Change {
                group_id: group.id.clone(),
                body,
                user_ids,
            },
            changed.join(", "),
        ))
    }

    async fn carry_out(&mut self, step: Step, session: &Session) -> Result<(), ClientError> {
        let client = &session.client;
        let (group_id, user_ids) = match step {
            Step::Add { body, user_ids } => {
                let _: IgnoredAny = client.post(paths::GROUPS, &body).await?;
                if user_ids.is_empty() {
                    return Ok(());
                }
                // The answer is empty in the contract; the list knows the id.
                let filter = [("keyword", body.group_name.clone())];
                let found = listing::GROUPS
                    .fetch::<UserGroupInfo>(client, &filter, usize::MAX)
                    .await?;
                let group = found
                    .items
                    .into_iter()
                    .find(|group| group.name.as_deref() == Some(body.group_name.as_str()));
                let Some(group) = group else {
                    return Err(ClientError::Answer {
                        address: client.endpoint().url.origin().ascii_serialization(),
                        what: format!("the group {} was added and is gone", body.group_name),
                    });
                };
                (text(&group.id), user_ids)
            }
            Step::Change {
                group_id,
                body,
                user_ids,
            } => {
                if let Some(body) = body {
                    let path = paths::one(paths::GROUPS, &group_id);
                    let _: IgnoredAny = client
                        .call(Method::PUT, &path, &[], Some(&json!(body)))
                        .await?;
                }
                (group_id, user_ids)
            }
        };
        let path = paths::below(paths::GROUPS, &group_id, "actions");
        for user_ids in user_ids.chunks(MEMBERS_PER_CALL) {
            let body = ActionsOfUsersInGroupRequest {
                user_ids: user_ids.to_vec(),
                op_type: GroupOperation::Add,
            };
            let _: IgnoredAny = client.post(&path, &body).await?;
        }
        Ok(())
    }
}
