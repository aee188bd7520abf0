//! Policies, groups of IAM users, and why somebody may or may not.

use std::path::Path;

use outfitter_api_types::native::iam_policies::{
    CreateIamGroupReq, CreateIamPolicyReq, ExplainIamResponse, IamAttachment, IamAttachmentReq,
    IamGroup, IamPolicy, IamPolicyDocument, ProviderGroup, UpdateIamGroupReq, UpdateIamPolicyReq,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut};
use crate::args::iam::{AttachArgs, ExplainArgs, IamGroupCommand, IamPolicyCommand};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn policy(
    command: IamPolicyCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let (client, printer) = (&session.client, session.printer);
    match command {
        IamPolicyCommand::Add(args) => {
            let body = CreateIamPolicyReq {
                name: args.name,
                description: args.description,
                document: read(&args.document)?,
            };
            let made: IamPolicy = client.post(paths::IAM_POLICIES, &body).await?;
            printer.show(&made, || {
                View::Card(vec![
                    ("policy", made.name.clone()),
                    ("policy_id", made.id.clone()),
                ])
            });
        }
        IamPolicyCommand::List(args) => {
            let listing: Listing<IamPolicy> =
                listing::IAM_POLICIES.fetch(client, &[], args.limit).await?;
            printer.show(&listing, || {
                table(
                    &["id", "name", "ready-made", "description"],
                    listing.items.iter().map(|policy| {
                        vec![
                            policy.id.clone(),
                            policy.name.clone(),
                            if policy.ready_made { "yes" } else { "no" }.to_owned(),
                            policy.description.clone(),
                        ]
                    }),
                    "there are no policies",
                )
            });
            note_cut(printer, &listing);
        }
        IamPolicyCommand::Show(args) => {
            let policy = find_policy(session, &args.policy).await?;
            printer.show(&policy, || {
                View::Line(
                    serde_json::to_string_pretty(&policy.document)
                        .expect("a policy document is JSON"),
                )
            });
        }
        IamPolicyCommand::Update(args) => {
            let policy = find_policy(session, &args.policy.policy).await?;
            let body = json!(UpdateIamPolicyReq {
                description: None,
                document: Some(read(&args.document)?),
            });
            let path = paths::one(paths::IAM_POLICIES, &policy.id);
            let changed: IamPolicy = client.call(Method::PATCH, &path, &[], Some(&body)).await?;
            printer.show(&changed, || {
                View::Line(format!("policy {} says this from now on", changed.name))
            });
        }
        IamPolicyCommand::Delete(args) => {
            let policy = find_policy(session, &args.policy).await?;
            let path = paths::one(paths::IAM_POLICIES, &policy.id);
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            printer.show(&json!({"deleted": [policy.id]}), || {
                View::Line(format!("policy {} is deleted", policy.name))
            });
        }
        IamPolicyCommand::Attach(args) => {
            let body = attachment(&args, session).await?;
            let _: IgnoredAny = client.post(paths::IAM_ATTACHMENTS, &body).await?;
            printer.show(&body, || {
                View::Line(format!("{} is attached", args.policy.policy))
            });
        }
        IamPolicyCommand::Detach(args) => {
            let body = attachment(&args, session).await?;
            let _: IgnoredAny = client.post(paths::IAM_DETACH, &body).await?;
            printer.show(&body, || {
                View::Line(format!("{} is detached", args.policy.policy))
            });
        }
        IamPolicyCommand::Attachments(args) => {
            let listing: Listing<IamAttachment> = listing::IAM_ATTACHMENTS
                .fetch(client, &[], args.limit)
                .await?;
            printer.show(&listing, || {
                table(
                    &["policy", "user", "group", "project"],
                    listing.items.iter().map(|row| {
                        let text = |text: &Option<String>| text.clone().unwrap_or_default();
                        vec![
                            row.policy_name.clone(),
                            text(&row.user_name),
                            text(&row.group_name),
                            row.project_id.clone().unwrap_or_else(|| "all".to_owned()),
                        ]
                    }),
                    "no policy is attached",
                )
            });
            note_cut(printer, &listing);
        }
    }
    Ok(Outcome::Done)
}

pub(super) async fn group(
    command: IamGroupCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let (client, printer) = (&session.client, session.printer);
    match command {
        IamGroupCommand::Add(args) => {
            let body = CreateIamGroupReq { name: args.group };
            let made: IamGroup = client.post(paths::IAM_GROUPS, &body).await?;
            printer.show(&made, || {
                View::Card(vec![
                    ("group", made.name.clone()),
                    ("group_id", made.id.clone()),
                ])
            });
        }
        IamGroupCommand::List(args) => {
            let listing: Listing<IamGroup> =
                listing::IAM_GROUPS.fetch(client, &[], args.limit).await?;
            printer.show(&listing, || {
                table(
                    &["id", "name", "members"],
                    listing.items.iter().map(|group| {
                        let names: Vec<&str> = group
                            .members
                            .iter()
                            .map(|member| member.user_name.as_str())
                            .collect();
                        vec![group.id.clone(), group.name.clone(), names.join(", ")]
                    }),
                    "there are no IAM groups",
                )
            });
            note_cut(printer, &listing);
        }
        IamGroupCommand::AddMember(args) => {
            let ids = user_ids(session, &args.users).await?;
            let body = UpdateIamGroupReq {
                add_user_ids: Some(ids),
                remove_user_ids: None,
                provider_groups: None,
            };
            change_group(session, &args.group, &body).await?;
        }
        IamGroupCommand::RemoveMember(args) => {
            let ids = user_ids(session, &args.users).await?;
            let body = UpdateIamGroupReq {
                add_user_ids: None,
                remove_user_ids: Some(ids),
                provider_groups: None,
            };
            change_group(session, &args.group, &body).await?;
        }
        IamGroupCommand::Map(args) => {
            let body = UpdateIamGroupReq {
                add_user_ids: None,
                remove_user_ids: None,
                provider_groups: Some(
                    args.provider_groups
                        .into_iter()
                        .map(ProviderGroup)
                        .collect(),
                ),
            };
            change_group(session, &args.group, &body).await?;
        }
        IamGroupCommand::Delete(args) => {
            let id = group_id(session, &args.group).await?;
            let path = paths::one(paths::IAM_GROUPS, &id);
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            printer.show(&json!({"deleted": [id]}), || {
                View::Line(format!("IAM group {} is deleted", args.group))
            });
        }
    }
    Ok(Outcome::Done)
}

pub(super) async fn explain(args: ExplainArgs, session: &Session) -> Result<Outcome, CommandError> {
    let query: Vec<(&str, String)> = [
        ("user", Some(args.user)),
        ("action", Some(args.action)),
        ("resource", args.resource),
        ("source_ip", args.source),
        ("assign_scope", args.assign_scope),
        (
            "widens_authorization",
            args.widens.map(|widens| widens.to_string()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let answer: ExplainIamResponse = session.client.get(paths::IAM_EXPLAIN, &query).await?;
    session.printer.show(&answer, || {
        let mut members = vec![
            (
                "allowed",
                if answer.allowed { "yes" } else { "no" }.to_owned(),
            ),
            ("reason", answer.reason.clone()),
        ];
        if let Some(statement) = &answer.statement {
            members.push((
                "statement",
                serde_json::to_string(statement).expect("a statement is JSON"),
            ));
        }
        View::Card(members)
    });
    Ok(if answer.allowed {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

async fn change_group(
    session: &Session,
    wanted: &str,
    body: &UpdateIamGroupReq,
) -> Result<(), CommandError> {
    let path = paths::one(paths::IAM_GROUPS, &group_id(session, wanted).await?);
    let changed: IamGroup = session
        .client
        .call(Method::PATCH, &path, &[], Some(&json!(body)))
        .await?;
    session.printer.show(&changed, || {
        View::Line(format!(
            "IAM group {} has {} members",
            changed.name,
            changed.members.len()
        ))
    });
    Ok(())
}

async fn attachment(
    args: &AttachArgs,
    session: &Session,
) -> Result<IamAttachmentReq, CommandError> {
    let client = &session.client;
    let user_id = match &args.user {
        Some(user) => Some(listing::iam_user_id(client, user).await?),
        None => None,
    };
    let group_id = match &args.group {
        Some(group) => Some(group_id(session, group).await?),
        None => None,
    };
    Ok(IamAttachmentReq {
        policy: find_policy(session, &args.policy.policy).await?.id,
        user_id,
        group_id,
        project_id: (!args.everywhere).then(|| client.endpoint().project_id.clone()),
    })
}

async fn user_ids(session: &Session, wanted: &[String]) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for user in wanted {
        ids.push(listing::iam_user_id(&session.client, user).await?);
    }
    Ok(ids)
}

async fn group_id(session: &Session, wanted: &str) -> Result<String, CommandError> {
    let group: IamGroup = listing::find(&session.client, listing::IAM_GROUPS, &[], wanted).await?;
    Ok(group.id)
}

async fn find_policy(session: &Session, wanted: &str) -> Result<IamPolicy, CommandError> {
    listing::find(&session.client, listing::IAM_POLICIES, &[], wanted).await
}

fn read(path: &Path) -> Result<IamPolicyDocument, CommandError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CommandError::file("read policy document", path, error))?;
    serde_json::from_str(&text)
        .map_err(|error| CommandError::file("understand policy document", path, error))
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>, empty: &'static str) -> View {
    View::Table(TableView {
        head: head.iter().map(|&name| name.to_owned()).collect(),
        rows: rows
            .map(|row| row.into_iter().map(Into::into).collect())
            .collect(),
        empty,
    })
}
