use clap::{Args, Subcommand};

use super::{ImportArgs, ListArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Add a user group
    Add(AddGroupArgs),
    /// Add the user groups of a CSV file and put users into them
    ///
    /// Columns: name (needed), description, members (names of users separated by semicolons; the users must be there).
    /// An empty field changes nothing; members that the file does not name stay. Repeating an import changes nothing
    /// that is as the file says.
    Import(ImportArgs),
    /// List the user groups
    List(ListGroupsArgs),
    /// Show a group with its members
    Show(ShowGroupArgs),
    /// Change a group
    Update(UpdateGroupArgs),
    /// Put users into a group
    AddMember(MembersArgs),
    /// Take users out of a group
    RemoveMember(MembersArgs),
    /// Delete groups; authorizations go with them
    Delete(GroupsArg),
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
pub(crate) struct GroupsArg {
    /// Names or ids of the groups
    #[arg(required = true, num_args = 1..=50, value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListGroupsArgs {
    /// Only groups whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowGroupArgs {
    /// Name or id of the group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateGroupArgs {
    /// Name or id of the group
    pub(crate) group: String,
    /// New name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) description: Option<String>,
}
