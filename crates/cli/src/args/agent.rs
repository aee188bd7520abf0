use clap::{Args, Subcommand};

use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Show on which desktops an agent is installed
    Status(AgentStatusArgs),
    /// Show the root certificates that the certificates of agents lead to: keep them, receipts are verified by them
    Roots,
    /// Install the agent on desktops; where there is no way in, the answer is the line to run there by hand
    Install(AgentInstallArgs),
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
