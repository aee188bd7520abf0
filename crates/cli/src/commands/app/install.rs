use std::time::Duration;

use outfitter_api_types::authorizations::AssignType;
use outfitter_api_types::native::deployments::{
    CreateDeploymentReq, CreateDeploymentResponse, CreateUninstallReq, DeploymentPreview, FailLimit,
};
#[cfg(unix)]
use outfitter_client::{Answer, Client};
use serde::Serialize;
#[cfg(unix)]
use serde::de::IgnoredAny;
use serde_json::json;

use crate::args::app::{InstallArgs, UninstallArgs};
use crate::commands::deployment::{AppNames, app_names, deployment_view};
use crate::commands::{Session, counted, word};
use crate::follow;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

pub(super) async fn run(args: InstallArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_ids = listing::app_ids(&session.client, &args.apps.apps).await?;
    let users = args.accounts.accounts();
    let desktop_ids = listing::desktop_ids(&session.client, &args.desktops).await?;
    let body = |app_ids| CreateDeploymentReq {
        app_ids,
        assign_scope: args.all_users.then_some(AssignType::AllUser),
        users: (!users.is_empty()).then_some(users.clone()),
        desktop_ids: (!desktop_ids.is_empty()).then_some(desktop_ids.clone()),
        repair: args.repair.then_some(true),
        fail_limit: args.halt_after.map(FailLimit::from),
        expires_in_secs: None,
        install_command: None,
    };
    let calls = if args.all_users || !users.is_empty() || !desktop_ids.is_empty() {
        vec![body(app_ids)]
    } else {
        // Everyone who is authorized already: a call of its own per application.
        app_ids
            .into_iter()
            .map(|app_id| body(vec![app_id]))
            .collect()
    };
    let mut deployments = Vec::new();
    for call in &calls {
        deployments.push(created(session, paths::DEPLOYMENTS, call).await?);
    }
    tell(&deployments, args.wait.then(|| args.limit.limit()), session).await
}

pub(super) async fn uninstall(
    args: UninstallArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let app_ids = listing::app_ids(&session.client, &args.apps.apps).await?;
    let users = args.accounts.accounts();
    let desktop_ids = listing::desktop_ids(&session.client, &args.desktops).await?;
    let body = CreateUninstallReq {
        app_ids,
        assign_scope: args.everyone.then_some(AssignType::AllUser),
        users: (!users.is_empty()).then_some(users),
        desktop_ids: (!desktop_ids.is_empty()).then_some(desktop_ids),
        fail_limit: args.halt_after.map(FailLimit::from),
        expires_in_secs: None,
        uninstall_command: args.command,
    };
    if args.preview {
        let preview: DeploymentPreview =
            session.client.post(paths::UNINSTALL_PREVIEW, &body).await?;
        session.printer.show(&preview, || preview_view(&preview));
        return Ok(Outcome::Done);
    }
    let deployment = created(session, paths::UNINSTALL, &body).await?;
    tell(
        &[deployment],
        args.wait.then(|| args.limit.limit()),
        session,
    )
    .await
}

async fn created(
    session: &Session,
    path: &str,
    body: &impl Serialize,
) -> Result<String, CommandError> {
    let created: CreateDeploymentResponse = session.client.post(path, body).await?;
    Ok(created.id)
}

fn many(count: i64, noun: &str) -> String {
    counted(usize::try_from(count).unwrap_or(0), noun)
}

fn preview_view(preview: &DeploymentPreview) -> View {
    let at_least = if preview.complete { "" } else { "at least " };
    let mut members = vec![(
        "would open",
        format!(
            "{at_least}{} on {}",
            many(preview.jobs, "job"),
            many(preview.desktops_reached.count, "desktop")
        ),
    )];
    for desktop in &preview.desktops_reached.items {
        members.push(("desktop", desktop.desktop_name.clone()));
    }
    for skipped in &preview.desktops_skipped.items {
        members.push((
            "skipped",
            format!(
                "{}: {}",
                skipped.desktop_name,
                word(&skipped.reason).replace('_', " ")
            ),
        ));
    }
    for account in &preview.accounts_unknown.items {
        members.push((
            "unknown",
            format!("{} is not in the directory", account.account),
        ));
    }
    View::Card(members)
}

/// Tells what was accepted, or follows it to its end.
async fn tell(
    deployments: &[String],
    wait: Option<Duration>,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let Some(limit) = wait else {
        session
            .printer
            .show(&json!({"deployment_ids": deployments}), || {
                View::Line(deployments.join("\n"))
            });
        session.printer.note(
            "accepted; `outfitter deployment wait` follows it, `outfitter job list` shows the jobs",
        );
        return Ok(Outcome::Done);
    };
    let mut ended = Vec::with_capacity(deployments.len());
    let mut names = AppNames::new();
    for deployment_id in deployments {
        let one = follow::deployment(session, deployment_id, limit).await?;
        if names.is_empty() {
            names = app_names(session, &one.deployment).await?;
        }
        ended.push(one);
    }
    session.printer.show(&ended, || {
        View::Several(
            ended
                .iter()
                .flat_map(|one| {
                    [
                        follow::jobs_view(&one.jobs),
                        deployment_view(&one.deployment, &names),
                    ]
                })
                .collect(),
        )
    });
    let count = |outcome| ended.iter().filter(|one| one.outcome() == outcome).count();
    Ok(if count(Outcome::Done) == ended.len() {
        Outcome::Done
    } else if count(Outcome::Failed) == ended.len() {
        Outcome::Failed
    } else {
        Outcome::PartlyFailed
    })
}

/// Asks for an install by the contract's call; the answer's header names the deployment.
#[cfg(unix)]
pub(crate) async fn accepted(
    client: &Client,
    path: &str,
    body: &impl Serialize,
) -> Result<String, CommandError> {
    let answer: Answer<IgnoredAny> = client.post_answer(path, body).await?;
    answer
        .headers
        .get("x-deployment-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .ok_or_else(|| {
            CommandError::failed("the request was accepted, but the answer names no deployment")
                .hint("`outfitter job list` shows the jobs")
        })
}
