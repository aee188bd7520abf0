use outfitter_api_types::native::copies::{CopiesSettings, SetCopiesReq};
use outfitter_api_types::native::logged_in_users::{LoggedInUsersMode, LoggedInUsersSettings};
use outfitter_api_types::native::packages::{PackageSettings, SetPackageSettingsReq, SetQuotaReq};
use outfitter_api_types::native::projects::{CreateProjectReq, CreateProjectResponse, Project};
use outfitter_api_types::native::running_programs::{
    RunningProgramsMode, RunningProgramsSettings, SetRunningProgramsReq,
};

use outfitter_client::Method;
use serde_json::json;

use super::{Session, note_cut};
use crate::args::project::{
    CopiesArgs, LoggedInArgs, LoggedInWho, ProgramsArgs, ProgramsMode, ProjectCommand, QuotaArgs,
};
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
        ProjectCommand::Quota(args) => quota(args, session).await?,
        ProjectCommand::Packages(args) => {
            let settings: PackageSettings = match args.require_link_digest {
                None => session.client.get(paths::PACKAGE_SETTINGS, &[]).await?,
                Some(require_link_digest) => {
                    let body = json!(SetPackageSettingsReq {
                        require_link_digest
                    });
                    session
                        .client
                        .call(Method::PUT, paths::PACKAGE_SETTINGS, &[], Some(&body))
                        .await?
                }
            };
            show_settings(&settings, session);
        }
        ProjectCommand::Programs(args) => programs(args, session).await?,
        ProjectCommand::LoggedIn(args) => logged_in(args, session).await?,
        ProjectCommand::Copies(args) => copies(args, session).await?,
    }
    Ok(Outcome::Done)
}

async fn programs(args: ProgramsArgs, session: &Session) -> Result<(), CommandError> {
    let settings: RunningProgramsSettings = match args.mode {
        None => session.client.get(paths::RUNNING_PROGRAMS, &[]).await?,
        Some(mode) => {
            let body = json!(SetRunningProgramsReq {
                mode: match mode {
                    ProgramsMode::Ask => RunningProgramsMode::Ask,
                    ProgramsMode::Stop => RunningProgramsMode::Stop,
                },
                wait_seconds: args.wait,
            });
            session
                .client
                .call(Method::PUT, paths::RUNNING_PROGRAMS, &[], Some(&body))
                .await?
        }
    };
    session.printer.show(&settings, || {
        View::Line(match settings.mode {
            RunningProgramsMode::Ask => format!(
                "users have {} s to close a running program",
                settings.wait_seconds
            ),
            RunningProgramsMode::Stop => "running programs are stopped at once".to_owned(),
        })
    });
    Ok(())
}

async fn copies(args: CopiesArgs, session: &Session) -> Result<(), CommandError> {
    let settings: CopiesSettings = if args.refuse || args.enroll_with.is_some() {
        let body = json!(SetCopiesReq {
            token_id: args.enroll_with,
        });
        session
            .client
            .call(Method::PUT, paths::COPIES, &[], Some(&body))
            .await?
    } else {
        session.client.get(paths::COPIES, &[]).await?
    };
    session.printer.show(&settings, || {
        View::Line(match (&settings.token_id, &settings.token_name) {
            (Some(id), Some(name)) => {
                format!("a copy of an enrolled machine becomes a desktop of its own, with the token {name} ({id})")
            }
            _ => "a copy of an enrolled machine is refused until an administrator settles it".to_owned(),
        })
    });
    Ok(())
}

async fn logged_in(args: LoggedInArgs, session: &Session) -> Result<(), CommandError> {
    let settings: LoggedInUsersSettings = match args.attach {
        None => session.client.get(paths::LOGGED_IN_USERS, &[]).await?,
        Some(who) => {
            let body = json!(LoggedInUsersSettings {
                mode: match who {
                    LoggedInWho::Nobody => LoggedInUsersMode::Ignore,
                    LoggedInWho::Known => LoggedInUsersMode::Known,
                    LoggedInWho::Any => LoggedInUsersMode::Any,
                },
            });
            session
                .client
                .call(Method::PUT, paths::LOGGED_IN_USERS, &[], Some(&body))
                .await?
        }
    };
    session.printer.show(&settings, || {
        View::Line(
            match settings.mode {
                LoggedInUsersMode::Ignore => "nobody becomes a desktop's user by logging in",
                LoggedInUsersMode::Known => {
                    "a known user who logs in at a single-user desktop without a user becomes its user"
                }
                LoggedInUsersMode::Any => {
                    "whoever logs in at a single-user desktop without a user becomes its user"
                }
            }
            .to_owned(),
        )
    });
    Ok(())
}

async fn quota(args: QuotaArgs, session: &Session) -> Result<(), CommandError> {
    let projects: Listing<Project> = listing::PROJECTS
        .fetch(&session.client, &[], usize::MAX)
        .await?;
    let project = projects
        .items
        .iter()
        .find(|project| project.id == args.name || project.name == args.name)
        .ok_or_else(|| CommandError::failed(format!("there is no project {}", args.name)))?;
    let path = paths::project_quota(&project.id);
    let settings: PackageSettings = if args.set.is_some() || args.unlimited {
        let body = json!(SetQuotaReq {
            quota_bytes: args.set
        });
        session
            .client
            .call(Method::PUT, &path, &[], Some(&body))
            .await?
    } else {
        session.client.get(&path, &[]).await?
    };
    show_settings(&settings, session);
    Ok(())
}

fn show_settings(settings: &PackageSettings, session: &Session) {
    session.printer.show(settings, || {
        View::Card(vec![
            ("used_bytes", settings.used_bytes.to_string()),
            (
                "quota_bytes",
                settings
                    .quota_bytes
                    .map_or_else(|| "no limit".to_owned(), |quota| quota.to_string()),
            ),
            (
                "require_link_digest",
                settings.require_link_digest.to_string(),
            ),
        ])
    });
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
