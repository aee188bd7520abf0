//! What can be typed. One file per noun; nothing here does anything.

pub(crate) mod agent;
pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod demo;
pub(crate) mod deployment;
pub(crate) mod desktop;
pub(crate) mod directory;
pub(crate) mod download_limits;
pub(crate) mod freeze;
pub(crate) mod group;
pub(crate) mod iam;
pub(crate) mod job;
pub(crate) mod profile;
pub(crate) mod project;
pub(crate) mod reach;
pub(crate) mod rule;
pub(crate) mod serve;
pub(crate) mod server_key;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod workspace_job;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::env;

/// An app center for fleets of desktops: the server, and the commands that talk to it.
#[derive(Debug, Parser)]
#[command(
    name = "outfitter",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 partly failed, 4 refused by the server, 5 unreachable."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Write JSON to standard output, for programs
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Whom client commands talk to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Use the server and administrator of this bootstrap.json
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "profile",
        display_order = 101
    )]
    pub(crate) bootstrap: Option<PathBuf>,
    /// Use this profile of profiles.toml [default: default]
    #[arg(long, global = true, value_name = "NAME", display_order = 102)]
    pub(crate) profile: Option<String>,
    /// Work in this project instead of the connection's own
    #[arg(long, global = true, value_name = "ID", display_order = 103)]
    pub(crate) project: Option<String>,
    /// Trust the certificates in this PEM file, and no others [default: what this machine trusts]
    #[arg(long, global = true, value_name = "FILE", env = env::CA, display_order = 104)]
    pub(crate) ca: Option<PathBuf>,
}

/// Commands that talk to no server: what says to which one is not among their options.
const WITHOUT_SERVER: [&str; 4] = ["serve", "demo", "config", "server-key"];

impl Cli {
    /// Reads the command line of the process; leaves it with help, version or a usage error.
    pub(crate) fn read() -> Self {
        let command = Self::command();
        // Options of every command are handed down except where the command has one of that name.
        let connection = ConnectionArgs::augment_args(clap::Command::new("connection"));
        let hidden: Vec<clap::Arg> = connection
            .get_arguments()
            .map(|option| option.clone().hide(true))
            .collect();
        let command = WITHOUT_SERVER.into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, |command| command.args(&hidden))
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server
    Serve(serve::ServeArgs),
    /// Show the whole thing on this machine: a server, desktops, real packages, one that lies
    Demo(demo::DemoArgs),
    /// Look at data folder, database, listeners and connection, and say what is wrong
    Doctor(serve::DoctorArgs),
    /// Look at the server's options
    #[command(subcommand)]
    Config(serve::ConfigCommand),
    /// The key that secrets in the database are sealed under, on a machine that has its file
    #[command(subcommand)]
    ServerKey(server_key::ServerKeyCommand),
    /// The package store: prove it, fill it, remove what is garbage there
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Applications of the catalogue
    #[command(subcommand)]
    App(app::AppCommand),
    /// Install jobs: one application on one desktop
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Deployments: what one install request reached
    #[command(subcommand)]
    Deployment(deployment::DeploymentCommand),
    /// Say why a desktop has an application or has it not
    Why(app::WhyArgs),
    /// One switch that stops all hand-outs, of a project or of the server
    #[command(subcommand)]
    Freeze(freeze::FreezeCommand),
    /// Rules of application control; stored, not enforced yet
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// Features of the project that can be switched, the app center among them
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Desktops
    #[command(subcommand)]
    Desktop(desktop::DesktopCommand),
    /// Agents on desktops: where they are, and putting them there
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Workspace jobs: agent installations and other batch work on desktops
    #[command(subcommand)]
    WorkspaceJob(workspace_job::WorkspaceJobCommand),
    /// Users of the directory
    #[command(subcommand)]
    User(user::UserCommand),
    /// User groups of the directory
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// How fast packages are handed out, by every server
    #[command(subcommand)]
    DownloadLimits(download_limits::DownloadLimitsCommand),
    /// The company directory that users and groups come from (Active Directory or LDAP)
    #[command(subcommand)]
    Directory(directory::DirectoryCommand),
    /// Tokens that let agents enroll
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// The audit log: who did what, from where, and whether the log is whole
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Projects
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Who may call the API: users and access keys
    #[command(subcommand)]
    Iam(iam::IamCommand),
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ListArgs {
    /// Show at most this many, newest first
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: usize,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArgs {
    /// Give up after this many seconds; the jobs go on
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) timeout_secs: u64,
}

/// A CSV file to take over.
#[derive(Debug, Clone, Args)]
pub(crate) struct ImportArgs {
    /// CSV file in UTF-8 whose first line names the columns; - reads standard input
    #[arg(value_name = "FILE.csv")]
    pub(crate) file: PathBuf,
    /// Change nothing; say what would happen to each line
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Accounts of the directory.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccountArgs {
    /// User; may be given several times
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
    /// User group; may be given several times
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// Directory domain of these users and groups [default: local.com]
    #[arg(long)]
    pub(crate) domain: Option<String>,
}
