use std::collections::HashMap;

use outfitter_api_types::groups::{ActionsOfUsersInGroupRequest, GroupOperation, UserGroupInfo};
use outfitter_api_types::users::{
    ActiveType, CreateDesktopUserResponse, CreateUserRequest, EditUserReq, User,
};
use outfitter_client::{ClientError, Method};
use outfitter_domain::text::fold;
use outfitter_server::http::schema::RequestSchema;
use serde::de::IgnoredAny;
use serde_json::json;

use super::file::{self, Line};
use super::{Import, Planned, fits};
use crate::args::ImportArgs;
use crate::commands::{Session, text};
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;

pub(in crate::commands) async fn run(
    args: &ImportArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let read = file::read(&args.file, Users::COLUMNS)?;
    let client = &session.client;
    let users = listing::USERS
        .fetch::<User>(client, &[], usize::MAX)
        .await?;
    let groups = listing::GROUPS
        .fetch::<UserGroupInfo>(client, &[], usize::MAX)
        .await?;
    let import = Users {
        users: users
            .items
            .into_iter()
            .map(|user| (fold(&text(&user.user_name)), user))
            .collect(),
        groups: groups
            .items
            .into_iter()
            .map(|group| (fold(&text(&group.name)), text(&group.id)))
            .collect(),
        create: RequestSchema::of::<CreateUserRequest>(),
        edit: RequestSchema::of::<EditUserReq>(),
    };
    super::run(import, read, args, session).await
}

struct Users {
    /// By folded name.
    users: HashMap<String, User>,
    /// Id by folded name.
    groups: HashMap<String, String>,
    create: RequestSchema,
    edit: RequestSchema,
}

enum Step {
    Add {
        body: Box<CreateUserRequest>,
        group_ids: Vec<String>,
    },
    Change {
        user_id: String,
        body: Option<Box<EditUserReq>>,
        group_ids: Vec<String>,
    },
}

impl Import for Users {
    type Step = Step;
    const NOUN: &'static str = "user";
    const COLUMNS: &'static [&'static str] = &["name", "email", "phone", "description", "groups"];

    fn plan(&mut self, line: &Line) -> Result<Planned<Step>, String> {
        let name = line.get("name").unwrap_or_default();
        let field = |column| line.get(column).map(str::to_owned);
        let wanted_groups = line.names("groups");
        let mut group_ids = Vec::new();
        let mut joined = Vec::new();
        let known = self.users.get(&fold(name));
        let current: Vec<String> = known
            .and_then(|user| user.group_names.clone())
            .unwrap_or_default()
            .iter()
            .map(|group| fold(group))
            .collect();
        for group in wanted_groups {
            let id = self
                .groups
                .get(&fold(&group))
                .ok_or_else(|| format!("there is no user group named {group}"))?;
            if !current.contains(&fold(&group)) && !group_ids.contains(id) {
                group_ids.push(id.clone());
                joined.push(group);
            }
        }
        let joins = (!joined.is_empty()).then(|| format!("joins {}", joined.join(", ")));
        let Some(user) = known else {
            let body = CreateUserRequest {
                user_name: name.to_owned(),
                user_email: field("email"),
                account_expires: None,
                active_type: Some(ActiveType::UserActivate),
                user_phone: field("phone"),
                password: None,
                enable_change_password: None,
                next_login_change_password: None,
                group_ids: None,
                description: field("description"),
                alias_name: None,
                enterprise_project_id: None,
                user_info_map: None,
                domain: None,
            };
            if body.user_email.is_none() && body.user_phone.is_none() {
                return Err("a user who is added needs email or phone".to_owned());
            }
            fits(&self.create, &body)?;
            return Ok(Planned::Add(
                Step::Add {
                    body: Box::new(body),
                    group_ids,
                },
                joins.unwrap_or_default(),
            ));
        };
        let mut changed = Vec::new();
        let mut differs = |column: &'static str, stored: &Option<String>| {
            let wanted = field(column).filter(|wanted| stored.as_ref() != Some(wanted));
            if wanted.is_some() {
                changed.push(format!("new {column}"));
            }
            wanted
        };
        let body = EditUserReq {
            user_email: differs("email", &user.user_email),
            user_phone: differs("phone", &user.user_phone),
            description: differs("description", &user.description),
            ..EditUserReq::default()
        };
        let body = if changed.is_empty() {
            None
        } else {
            fits(&self.edit, &body)?;
            Some(Box::new(body))
        };
        changed.extend(joins);
        if changed.is_empty() {
            return Ok(Planned::Unchanged);
        }
        Ok(Planned::Change(
            Step::Change {
                user_id: text(&user.id),
                body,
                group_ids,
            },
            changed.join(", "),
        ))
    }

    async fn carry_out(&mut self, step: Step, session: &Session) -> Result<(), ClientError> {
        let client = &session.client;
        let (user_id, group_ids) = match step {
            Step::Add { body, group_ids } => {
                let created: CreateDesktopUserResponse = client.post(paths::USERS, &*body).await?;
                (text(&created.id), group_ids)
            }
            Step::Change {
                user_id,
                body,
                group_ids,
            } => {
                if let Some(body) = body {
                    let path = paths::one(paths::USERS, &user_id);
                    let _: IgnoredAny = client
                        .call(Method::PUT, &path, &[], Some(&json!(body)))
                        .await?;
                }
                (user_id, group_ids)
            }
        };
        for group_id in group_ids {
            let body = ActionsOfUsersInGroupRequest {
                user_ids: vec![user_id.clone()],
                op_type: GroupOperation::Add,
            };
            let path = paths::below(paths::GROUPS, &group_id, "actions");
            let _: IgnoredAny = client.post(&path, &body).await?;
        }
        Ok(())
    }
}
