use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a user group
    Add(AddGroupArgs),
    /// List the user groups
    List(ListArgs),
    /// Put users into a group
    AddMember(MembersArgs),
    /// Take users out of a group
    RemoveMember(MembersArgs),
    /// Delete a group; authorizations go with it
    Delete(GroupArg),
}

#[derive(Debug, Args)]
pub(crate) struct AddGroupArgs {
    /// Name, 1 to 64 characters
    pub(crate) name: String,
    /// What it is for
    #[arg(long)]
    pub(crate) description: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// Name or id of the group
    pub(crate) group: String,
    /// Names or ids of the users, up to 50
    #[arg(required = true, num_args = 1..=50, value_name = "USER")]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GroupArg {
    /// Name or id of the group
    pub(crate) group: String,
}
