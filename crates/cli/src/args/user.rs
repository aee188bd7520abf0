use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user; the password is read from standard input when there is one to set
    Add(AddUserArgs),
    /// List the users
    List(ListUsersArgs),
    /// Delete a user; authorizations go with it
    Delete(UserArg),
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
