use std::collections::BTreeMap;

use outfitter_api_types::apps::Application;
use outfitter_api_types::native::deployments::{Deployment, DeploymentSummary};

use super::{Session, note_cut, word};
use crate::args::deployment::DeploymentCommand;
use crate::follow;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn run(
    command: DeploymentCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    match command {
        DeploymentCommand::List(args) => {
            let listing = listing::DEPLOYMENTS
                .fetch::<DeploymentSummary>(&session.client, &[], args.limit)
                .await?;
            session.printer.show(&listing, || list_view(&listing.items));
            note_cut(session.printer, &listing);
            Ok(Outcome::Done)
        }
        DeploymentCommand::Show(args) => {
            let deployment: Deployment = session
                .client
                .get(
                    &paths::one(paths::DEPLOYMENTS, &args.deployment),
                    &[("limit", "1000".to_owned())],
                )
                .await?;
            let names = app_names(session, &deployment).await?;
            session
                .printer
                .show(&deployment, || deployment_view(&deployment, &names));
            Ok(Outcome::Done)
        }
        DeploymentCommand::Wait(args) => {
            let ended =
                follow::deployment(session, &args.deployment.deployment, args.limit.limit())
                    .await?;
            let names = app_names(session, &ended.deployment).await?;
            session.printer.show(&ended, || {
                View::Several(vec![
                    follow::jobs_view(&ended.jobs),
                    deployment_view(&ended.deployment, &names),
                ])
            });
            Ok(ended.outcome())
        }
    }
}

fn list_view(deployments: &[DeploymentSummary]) -> View {
    View::Table(TableView {
        head: [
            "id", "kind", "state", "open", "success", "fail", "operator", "created",
        ]
        .map(str::to_owned)
        .into(),
        rows: deployments
            .iter()
            .map(|deployment| {
                let counts = &deployment.counts;
                vec![
                    deployment.id.clone().into(),
                    word(&deployment.kind).into(),
                    word(&deployment.state).into(),
                    (counts.jobs_init + counts.jobs_waiting).to_string().into(),
                    counts.jobs_success.to_string().into(),
                    counts.jobs_fail.to_string().into(),
                    deployment.operator.clone().into(),
                    deployment.created_at.to_string().into(),
                ]
            })
            .collect(),
        empty: "nothing was deployed yet",
    })
}

/// Names of applications by their ids.
pub(super) type AppNames = BTreeMap<String, String>;

/// The names of the applications that the view of a deployment speaks of; empty where it speaks of none, and for
/// programs.
///
/// # Errors
/// The server.
pub(super) async fn app_names(
    session: &Session,
    deployment: &Deployment,
) -> Result<AppNames, CommandError> {
    let spoken_of = !deployment.desktops_skipped.items.is_empty()
        || !deployment.authorizations_widened.items.is_empty();
    if !spoken_of || !session.printer.is_text() {
        return Ok(AppNames::new());
    }
    let apps = listing::APPS
        .fetch::<Application>(&session.client, &[], usize::MAX)
        .await?;
    Ok(apps
        .items
        .into_iter()
        .map(|app| (app.id, app.name))
        .collect())
}

pub(super) fn deployment_view(deployment: &Deployment, names: &AppNames) -> View {
    // One that is deleted has only its id left.
    let named = |id: &String| names.get(id).unwrap_or(id).clone();
    let counts = &deployment.counts;
    let mut members = vec![
        ("deployment", deployment.id.clone()),
        ("state", word(&deployment.state)),
        (
            "jobs",
            format!(
                "{} success, {} failed, {} running, {} waiting for their desktop",
                counts.jobs_success, counts.jobs_fail, counts.jobs_waiting, counts.jobs_init
            ),
        ),
        ("desktops", format!("{} reached", counts.desktops_reached)),
    ];
    for skipped in &deployment.desktops_skipped.items {
        members.push((
            "skipped",
            format!(
                "{}: {} ({})",
                skipped.desktop_name,
                word(&skipped.reason).replace('_', " "),
                named(&skipped.app_id)
            ),
        ));
    }
    for account in &deployment.accounts_unknown.items {
        members.push((
            "unknown",
            format!("{} is not in the directory", account.account),
        ));
    }
    for widened in &deployment.authorizations_widened.items {
        let whom = widened
            .account
            .as_ref()
            .map_or("everyone", |account| account.account.as_str());
        members.push((
            "authorized",
            format!("{whom} may now have {}", named(&widened.app_id)),
        ));
    }
    View::Card(members)
}
