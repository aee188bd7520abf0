use clap::{Args, Subcommand};

use super::ListArgs;
use super::app::OsArg;

#[derive(Debug, Subcommand)]
pub(crate) enum DesktopCommand {
    /// Register a desktop before its agent comes
    Add(AddDesktopArgs),
    /// List the desktops
    List(ListDesktopsArgs),
    /// Delete a desktop; its open jobs fail
    Delete(DesktopArg),
}

#[derive(Debug, Args)]
pub(crate) struct AddDesktopArgs {
    /// Name, unique in the project
    pub(crate) name: String,
    /// Operating system
    #[arg(long, value_enum, default_value_t = OsArg::Linux)]
    pub(crate) os: OsArg,
    /// User to attach; may be given several times
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
    /// What is installed does not stay there; installs skip it
    #[arg(long)]
    pub(crate) non_persistent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListDesktopsArgs {
    /// Only desktops whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DesktopArg {
    /// Name or id of the desktop
    pub(crate) desktop: String,
}
