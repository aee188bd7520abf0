//! What each command does. One file per noun.

mod agent;
mod agent_approval;
mod agent_release;
mod app;
mod audit;
mod config;
mod deployment;
mod desktop;
mod directory;
mod doctor;
mod download_limits;
mod freeze;
mod group;
mod iam;
mod iam_policy;
mod import;
mod install_command;
mod inventory;
mod job;
mod job_verify;
mod profile;
mod project;
mod reach;
mod rule;
mod serve;
mod server_key;
mod store;
mod store_collect;
mod token;
mod user;
mod why;
mod workspace_job;

#[cfg(unix)]
pub(crate) use app::{PackageFile, accepted, set_detection_rule, upload};

use std::time::Duration;

use outfitter_api_types::authorizations::{AccountInfo, AccountTypeEnum};
use outfitter_client::Client;

use crate::args::{AccountArgs, Cli, Command, ConnectionArgs, WaitArgs};
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, Shade, TableView, View};
use crate::profile as connection;

/// What a client command works with.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) printer: Printer,
}

impl Session {
    fn open(arguments: &ConnectionArgs, printer: Printer) -> Result<Self, CommandError> {
        Ok(Self {
            client: connection::client(arguments)?,
            printer,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// When it could not be run to its end.
pub(crate) fn run(cli: Cli, printer: Printer) -> Result<Outcome, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::because("cannot start the runtime", error))?;
    runtime.block_on(dispatch(cli, printer))
}

async fn dispatch(cli: Cli, printer: Printer) -> Result<Outcome, CommandError> {
    let connection = &cli.global.connection;
    let session = || Session::open(connection, printer);
    match cli.command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Config(command) => config::run(command, printer),
        Command::ServerKey(command) => Box::pin(server_key::run(command, printer)).await,
        Command::Store(command) => Box::pin(store::run(command, printer, session)).await,
        Command::Doctor(args) => doctor::run(args, connection, printer).await,
        #[cfg(unix)]
        Command::Demo(args) => Box::pin(crate::demo::run(&args, printer)).await,
        #[cfg(not(unix))]
        Command::Demo(_) => Err(CommandError::failed(
            "the demo plays Linux desktops and runs on Linux only",
        )),
        Command::App(command) => Box::pin(app::run(command, &session()?)).await,
        Command::Job(command) => Box::pin(job::run(command, printer, session)).await,
        Command::Deployment(command) => deployment::run(command, &session()?).await,
        Command::Why(args) => why::run(args, &session()?).await,
        Command::Freeze(command) => freeze::run(command, &session()?).await,
        Command::Rule(command) => rule::run(command, &session()?).await,
        Command::Profile(command) => profile::run(command, &session()?).await,
        Command::Desktop(command) => Box::pin(desktop::run(command, &session()?)).await,
        Command::Agent(command) => agent::run(command, &session()?).await,
        Command::WorkspaceJob(command) => workspace_job::run(command, &session()?).await,
        Command::User(command) => Box::pin(user::run(command, &session()?)).await,
        Command::Group(command) => Box::pin(group::run(command, &session()?)).await,
        Command::DownloadLimits(command) => download_limits::run(command, &session()?).await,
        Command::Directory(command) => directory::run(command, &session()?).await,
        Command::Token(command) => token::run(command, &session()?).await,
        Command::Audit(command) => Box::pin(audit::run(command, &session()?)).await,
        Command::Project(command) => project::run(command, &session()?).await,
        Command::Iam(command) => iam::run(command, &session()?).await,
    }
}

impl AccountArgs {
    /// The accounts as the wire has them.
    fn accounts(&self) -> Vec<AccountInfo> {
        let of = |names: &[String], account_type| {
            names
                .iter()
                .map(|name| AccountInfo {
                    account: name.clone(),
                    domain: self.domain.clone(),
                    account_type,
                    platform_type: None,
                })
                .collect::<Vec<_>>()
        };
        let mut accounts = of(&self.users, AccountTypeEnum::Simple);
        accounts.extend(of(&self.groups, AccountTypeEnum::UserGroup));
        accounts
    }
}

impl WaitArgs {
    fn limit(self) -> Duration {
        Duration::from_secs(self.timeout_secs)
    }
}

/// The wire's word of an enum value, for people.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// `1 job`, `2 jobs`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A table from its head's words.
fn table(head: &[&str], rows: Vec<Vec<Shade>>, empty: &'static str) -> View {
    View::Table(TableView {
        head: head.iter().copied().map(str::to_owned).collect(),
        rows,
        empty,
    })
}

/// Text that may be absent.
fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

/// A state of a workspace job or a sub-job.
fn work_state(status: &Option<String>) -> Shade {
    let word = text(status);
    match word.as_str() {
        "SUCCESS" => Shade::Good(word),
        "FAILED" => Shade::Bad(word),
        _ => Shade::Doubtful(word),
    }
}

/// Says when a list was cut.
fn note_cut<T>(printer: Printer, listing: &crate::listing::Listing<T>) {
    let shown = i64::try_from(listing.items.len()).unwrap_or(i64::MAX);
    if shown < listing.count {
        printer.note(format!(
            "{shown} of {count} shown; --limit {count} shows all",
            count = listing.count
        ));
    }
}
