use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::native::iam::IamRole;

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum IamCommand {
    /// Show who this connection is
    Whoami,
    /// Who may call the API
    #[command(subcommand)]
    User(IamUserCommand),
    /// Access keys that sign calls
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IamUserCommand {
    /// Make an IAM user with a first access key; secrets are shown this once
    Add(AddIamUserArgs),
    /// List the IAM users
    List(ListArgs),
    /// Let an IAM user in again
    Enable(IamUserArg),
    /// Refuse an IAM user everything
    Disable(IamUserArg),
}

#[derive(Debug, Args)]
pub(crate) struct AddIamUserArgs {
    /// Name, unique in the domain
    pub(crate) name: String,
    /// What the user may do
    #[arg(long, value_enum)]
    pub(crate) role: RoleArg,
}

#[derive(Debug, Args)]
pub(crate) struct IamUserArg {
    /// Name or id of the IAM user
    pub(crate) user: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Everything
    Administrator,
    /// Read only
    ReadOnly,
}

impl From<RoleArg> for IamRole {
    fn from(given: RoleArg) -> Self {
        match given {
            RoleArg::Administrator => Self::Administrator,
            RoleArg::ReadOnly => Self::ReadOnly,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key; the secret is shown this once
    Add(KeyOwnerArgs),
    /// List the access keys of an IAM user
    List(ListKeysArgs),
    /// Let an access key sign again
    Enable(KeyArgs),
    /// Refuse an access key's signatures
    Disable(KeyArgs),
    /// Delete an access key
    Delete(KeyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyOwnerArgs {
    /// IAM user it belongs to (name or id)
    #[arg(long)]
    pub(crate) user: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListKeysArgs {
    #[command(flatten)]
    pub(crate) owner: KeyOwnerArgs,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The access key id
    pub(crate) access_key: String,
    #[command(flatten)]
    pub(crate) owner: KeyOwnerArgs,
}
