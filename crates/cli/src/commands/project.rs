use outfitter_api_types::native::projects::{CreateProjectReq, CreateProjectResponse, Project};

use super::{Session, note_cut};
use crate::args::project::ProjectCommand;
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{TableView, View};

pub(super) async fn run(
    command: ProjectCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    match command {
        ProjectCommand::Add(args) => {
            let body = CreateProjectReq { name: args.name };
            let created: CreateProjectResponse =
                session.client.post(paths::PROJECTS, &body).await?;
            session.printer.show(&created, || {
                View::Card(vec![
                    ("project", created.project.name.clone()),
                    ("project_id", created.project.id.clone()),
                    ("administrator", created.administrator.name.clone()),
                    ("password", created.password.expose().to_owned()),
                    ("access_key", created.access_key.access_key.clone()),
                    (
                        "secret_key",
                        created.access_key.secret_key.expose().to_owned(),
                    ),
                ])
            });
            session
                .printer
                .note("keep password and secret key: they are not shown again");
        }
        ProjectCommand::List(args) => {
            let listing: Listing<Project> = listing::PROJECTS
                .fetch(&session.client, &[], args.limit)
                .await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
    }
    Ok(Outcome::Done)
}

fn view(projects: &[Project]) -> View {
    View::Table(TableView {
        head: ["id", "name", "enabled", "created"]
            .map(str::to_owned)
            .into(),
        rows: projects
            .iter()
            .map(|project| {
                vec![
                    project.id.clone().into(),
                    project.name.clone().into(),
                    if project.enabled { "yes" } else { "no" }.into(),
                    project.created_at.to_string().into(),
                ]
            })
            .collect(),
        empty: "there are no projects",
    })
}
