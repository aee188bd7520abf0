use clap::{Args, Subcommand};

use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentCommand {
    /// List the deployments
    List(ListArgs),
    /// Show what a deployment reached, skipped and widened
    Show(DeploymentArg),
    /// Cancel every job of a deployment that has not ended
    Cancel(DeploymentArg),
    /// Let a deployment go on that was halted by its limit of failures
    Resume(DeploymentArg),
    /// Wait until a deployment has ended
    Wait(WaitDeploymentArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeploymentArg {
    /// Id of the deployment
    pub(crate) deployment: String,
}

#[derive(Debug, Args)]
pub(crate) struct WaitDeploymentArgs {
    #[command(flatten)]
    pub(crate) deployment: DeploymentArg,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}
