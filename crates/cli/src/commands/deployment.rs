use std::collections::BTreeMap;

use outfitter_api_types::apps::Application;
use outfitter_api_types::native::cancel::CancelResponse;
use outfitter_api_types::native::deployments::{
    Deployment, DeploymentKind, DeploymentState, DeploymentSummary,
};
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, freeze, note_cut, word};
use crate::args::deployment::DeploymentCommand;
use crate::follow;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

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
            // Whoever may not ask is not told.
            if deployment.state != DeploymentState::Ended
                && let Ok(state) = freeze::state(&session.client).await
                && state.frozen
            {
                session
                    .printer
                    .note(format!("nothing is handed out: {}", freeze::text(&state)));
            }
            Ok(Outcome::Done)
        }
        DeploymentCommand::Cancel(args) => {
            let path = paths::below(paths::DEPLOYMENTS, &args.deployment, "actions/cancel");
            let answer: CancelResponse = session.client.post(&path, &json!({})).await?;
            session.printer.show(&answer, || cancel_view(&answer));
            Ok(Outcome::Done)
        }
        DeploymentCommand::Resume(args) => {
            let path = paths::below(paths::DEPLOYMENTS, &args.deployment, "actions/resume");
            let _: IgnoredAny = session.client.post(&path, &json!({})).await?;
            session
                .printer
                .show(&json!({"resumed": args.deployment}), || {
                    View::Line("it goes on; the failures until now are forgiven".to_owned())
                });
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

/// What became of a wish to cancel.
pub(super) fn cancel_view(answer: &CancelResponse) -> View {
    View::Line(format!(
        "{} cancelled, {} asked to stop, {} had ended before",
        answer.cancelled, answer.stopping, answer.ended
    ))
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
                    match deployment.halted_at {
                        Some(_) => Shade::Bad("halted".to_owned()),
                        None => word(&deployment.state).into(),
                    },
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

fn state_text(deployment: &Deployment) -> String {
    let state = word(&deployment.state);
    match &deployment.halted_at {
        Some(since) => format!(
            "{state}, halted since {since} by its limit of failures; `outfitter deployment resume` lets it go on"
        ),
        None => state,
    }
}

pub(super) fn deployment_view(deployment: &Deployment, names: &AppNames) -> View {
    // One that is deleted has only its id left.
    let named = |id: &String| names.get(id).unwrap_or(id).clone();
    let counts = &deployment.counts;
    let mut members = vec![
        ("deployment", deployment.id.clone()),
        ("state", state_text(deployment)),
        (
            "jobs",
            format!(
                "{} success{}, {} failed, {} running, {} waiting for their desktop",
                counts.jobs_success,
                match counts.jobs_unverified {
                    0 => String::new(),
                    unverified => format!(" ({unverified} unverified)"),
                },
                counts.jobs_fail,
                counts.jobs_waiting,
                counts.jobs_init
            ),
        ),
        ("desktops", format!("{} reached", counts.desktops_reached)),
    ];
    if deployment.kind == DeploymentKind::Uninstall {
        members.insert(1, ("kind", word(&deployment.kind)));
    }
    if deployment.repair {
        members.push((
            "repair",
            "runs also where the application is there already".to_owned(),
        ));
    }
    if let Some(limit) = &deployment.fail_limit {
        let texts: Vec<String> = [
            limit
                .count
                .map(|count| format!("more than {count} failures")),
            limit
                .percent
                .map(|percent| format!("more than {percent}% failures")),
        ]
        .into_iter()
        .flatten()
        .collect();
        members.push(("halts after", texts.join(" or ")));
    }
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
