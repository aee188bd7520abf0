use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::token::TokenScopeArgs;
use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Show on which desktops an agent is installed
    #[command(alias = "list")]
    Status(AgentStatusArgs),
    /// Show the root certificates that the certificates of agents lead to: keep them, receipts are verified by them
    Roots,
    /// Install the agent on desktops; where there is no way in, the answer is the line to run there by hand
    Install(AgentInstallArgs),
    /// Print a line that installs the agent on the Linux desktop where it is pasted
    InstallCommand(InstallCommandArgs),
    /// List machines that wait for approval: their token demands it
    Waiting(WaitingArgs),
    /// Let machines in that wait for approval
    Approve(DecideArgs),
    /// Refuse machines that wait for approval; each is told so and gives up
    Refuse(DecideArgs),
    /// Newer programs of the agent: signed, offered to a share of the desktops, halted
    #[command(subcommand)]
    Release(AgentReleaseCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentReleaseCommand {
    /// Upload programs and sign them as a release; it is offered to nobody yet
    Add(AddReleaseArgs),
    /// List releases and how they fare
    List(ListArgs),
    /// Show a release and where it failed
    Show(ReleaseArg),
    /// Offer a release to a share of the desktops; a larger share holds those of the smaller one
    RollOut(RollOutArgs),
    /// Offer a release to nobody for now; desktops that have it keep it
    Halt(ReleaseArg),
    /// Go on with a release that was halted
    Resume(ResumeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddReleaseArgs {
    /// Programs, one for each architecture
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Version, which every program bears
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) version: String,
    /// Seconds for which agents follow it
    #[arg(
        long = "expires-in",
        value_name = "SECONDS",
        default_value_t = 31_536_000
    )]
    pub(crate) expires_in_secs: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArg {
    /// Version of the release
    pub(crate) version: String,
}

#[derive(Debug, Args)]
pub(crate) struct RollOutArgs {
    /// Version of the release
    pub(crate) version: String,
    /// Share of the desktops
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) percent: u8,
    /// Halt by itself after it failed on so many desktops
    #[arg(long, value_name = "COUNT")]
    pub(crate) halt_after: Option<u32>,
    /// Seconds that the new program may take until it is connected, 5 to 3600
    #[arg(long = "trial-limit", value_name = "SECONDS")]
    pub(crate) trial_limit_secs: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Version of the release
    pub(crate) version: String,
    /// Desktops on which it failed or was refused try again
    #[arg(long)]
    pub(crate) retry_failed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentStatusArgs {
    /// Only this desktop (name or id)
    #[arg(long)]
    pub(crate) desktop: Option<String>,
    /// Only desktops whose name contains this
    #[arg(long, conflicts_with = "desktop")]
    pub(crate) name: Option<String>,
    /// Only desktops whose address contains this
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip_address: Option<String>,
    /// Only desktops with an agent, or only those without
    #[arg(long, value_name = "BOOL")]
    pub(crate) installed: Option<bool>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WaitingArgs {
    /// Also those about which it was decided within a week
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// Names or request ids of the machines, up to 100
    #[arg(required = true, num_args = 1..=100, value_name = "NAME|ID")]
    pub(crate) machines: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InstallCommandArgs {
    /// Make a token with this name and put it into what is printed, which is then a secret
    /// [default: who runs the line is asked for one]
    #[arg(long, value_name = "NAME")]
    pub(crate) new_token: Option<String>,
    /// `-` reads a token from standard input and puts it into what is printed
    #[arg(long, value_name = "-", conflicts_with = "new_token", value_parser = ["-"])]
    pub(crate) token: Option<String>,
    /// Print a cloud-config that does the same at a machine's first boot; it needs a token
    #[arg(long)]
    pub(crate) cloud_init: bool,
    #[command(flatten)]
    pub(crate) scope: TokenScopeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AgentInstallArgs {
    /// Names or ids of the desktops, up to 100
    #[arg(required = true, num_args = 1..=100, value_name = "DESKTOP")]
    pub(crate) desktops: Vec<String>,
    /// Follow it to the end
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}
