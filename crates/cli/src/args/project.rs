use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make a project with an administrator and an access key of its own; secrets are shown this once
    Add(AddProjectArgs),
    /// List the projects
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddProjectArgs {
    /// Name, unique in the domain
    pub(crate) name: String,
}
