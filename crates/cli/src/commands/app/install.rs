use outfitter_api_types::app_install::{AutoInstallAppReq, BatchAutoInstallAppsReq};
use outfitter_api_types::authorizations::AssignType;
use outfitter_client::{Answer, Client};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::args::app::InstallArgs;
use crate::commands::Session;
use crate::commands::deployment::{AppNames, app_names, deployment_view};
use crate::follow;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

pub(super) async fn run(args: InstallArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_ids = listing::app_ids(&session.client, &args.apps.apps).await?;
    let users = args.accounts.accounts();
    let mut deployments = Vec::new();
    if args.all_users || !users.is_empty() {
        let body = BatchAutoInstallAppsReq {
            app_ids,
            assign_scope: if args.all_users {
                AssignType::AllUser
            } else {
                AssignType::AssignUser
            },
            users: (!users.is_empty()).then_some(users),
        };
        deployments.push(accepted(&session.client, paths::APPS_INSTALL, &body).await?);
    } else {
        // Everyone who is authorized already: a call of its own per application.
        for app_id in &app_ids {
            let body = AutoInstallAppReq {
                install_command: None,
                uninstall_command: None,
                users: None,
            };
            let path = paths::below(paths::APPS, app_id, "actions/auto-install");
            deployments.push(accepted(&session.client, &path, &body).await?);
        }
    }
    if !args.wait {
        session
            .printer
            .show(&json!({"deployment_ids": deployments}), || {
                View::Line(deployments.join("\n"))
            });
        session.printer.note(
            "accepted; `outfitter deployment wait` follows it, `outfitter job list` shows the jobs",
        );
        return Ok(Outcome::Done);
    }
    let mut ended = Vec::with_capacity(deployments.len());
    let mut names = AppNames::new();
    for deployment_id in &deployments {
        let one = follow::deployment(session, deployment_id, args.limit.limit()).await?;
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

/// Asks for an install; the answer's header names the deployment.
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
