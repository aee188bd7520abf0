use clap::{Args, Subcommand};

use super::{ImportArgs, ListArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user; the password is read from standard input when there is one to set
    Add(AddUserArgs),
    /// Add or change the users of a CSV file
    ///
    /// Columns: name (needed), email, phone, description, groups (names separated by semicolons; the groups must be
    /// there). An added user needs email or phone. An empty field changes nothing; users stay in groups that the file
    /// does not name. Repeating an import changes nothing that is as the file says.
    Import(ImportArgs),
    /// List the users
    List(ListUsersArgs),
    /// Show a user
    Show(UserArg),
    /// Change a user
    Update(UpdateUserArgs),
    /// Delete users; authorizations go with them
    Delete(UsersArg),
}

#[derive(Debug, Args)]
pub(crate) struct AddUserArgs {
    /// Name, 1 to 32 characters
    pub(crate) name: String,
    /// Mail address; the user is activated from a mail
    #[arg(long, required_unless_present_any = ["phone", "password_stdin"])]
    pub(crate) email: Option<String>,
    /// Phone number; the user is activated from a message
    #[arg(long)]
    pub(crate) phone: Option<String>,
    /// Activate at once, with the password that comes on standard input (8 to 32 characters)
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Who it is
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Group to join (name or id); may be given up to five times
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListUsersArgs {
    /// Only users whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UserArg {
    /// Name or id of the user
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct UsersArg {
    /// Names or ids of the users
    #[arg(required = true, num_args = 1..=50, value_name = "USER")]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateUserArgs {
    #[command(flatten)]
    pub(crate) user: UserArg,
    /// Mail address
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Phone number
    #[arg(long)]
    pub(crate) phone: Option<String>,
    /// Who it is
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Whether the user is locked out
    #[arg(long, value_name = "BOOL")]
    pub(crate) disabled: Option<bool>,
}
