use std::path::PathBuf;

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
    /// Policies: who may do what
    #[command(subcommand)]
    Policy(IamPolicyCommand),
    /// Groups of IAM users
    #[command(subcommand)]
    Group(IamGroupCommand),
    /// Say whether an IAM user may do something, and which statement decides
    Explain(ExplainArgs),
    /// Change your own password; tokens and sessions so far end, access keys stay
    Password(PasswordArgs),
    /// Open the sealed reason of a refusal (encoded_authorization_message)
    Decode(DecodeArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IamPolicyCommand {
    /// Write a policy from a JSON document
    Add(AddIamPolicyArgs),
    /// List the policies of the domain and the ready-made ones
    List(ListArgs),
    /// Show a policy's document
    Show(IamPolicyArg),
    /// Replace what a policy says; it counts from the next call on
    Update(UpdateIamPolicyArgs),
    /// Delete a policy that is attached to nobody
    Delete(IamPolicyArg),
    /// Attach a policy to an IAM user or group
    Attach(AttachArgs),
    /// Take a policy back from an IAM user or group
    Detach(AttachArgs),
    /// List which policies are attached to whom
    Attachments(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddIamPolicyArgs {
    /// Name, unique in the domain
    pub(crate) name: String,
    /// File with the policy document (JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) document: PathBuf,
    /// What it is for
    #[arg(long)]
    pub(crate) description: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateIamPolicyArgs {
    #[command(flatten)]
    pub(crate) policy: IamPolicyArg,
    /// File with the policy document (JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) document: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct IamPolicyArg {
    /// Name or id of the policy
    pub(crate) policy: String,
}

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) policy: IamPolicyArg,
    /// IAM user (name or id)
    #[arg(long, required_unless_present = "group", conflicts_with = "group")]
    pub(crate) user: Option<String>,
    /// IAM group (name or id)
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// It counts in every project and for what belongs to none, not only in this one
    #[arg(long)]
    pub(crate) everywhere: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IamGroupCommand {
    /// Make a group
    Add(IamGroupArg),
    /// List the groups with their members
    List(ListArgs),
    /// Put IAM users into a group
    AddMember(IamMembersArgs),
    /// Take IAM users out of a group
    RemoveMember(IamMembersArgs),
    /// Say which groups of the login provider a group stands for: these, no others
    Map(IamGroupMapArgs),
    /// Delete a group with what is attached to it
    Delete(IamGroupArg),
}

#[derive(Debug, Args)]
pub(crate) struct IamGroupArg {
    /// Name (or id) of the group
    pub(crate) group: String,
}

#[derive(Debug, Args)]
pub(crate) struct IamGroupMapArgs {
    /// Name or id of the group
    pub(crate) group: String,
    /// Group of the login provider, as its tokens name it; may be given several times
    #[arg(
        long = "provider-group",
        value_name = "NAME",
        required_unless_present = "none"
    )]
    pub(crate) provider_groups: Vec<String>,
    /// The group stands for none
    #[arg(long, conflicts_with = "provider_groups")]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IamMembersArgs {
    /// Name or id of the group
    pub(crate) group: String,
    /// Names or ids of the IAM users
    #[arg(required = true, num_args = 1..=100, value_name = "USER")]
    pub(crate) users: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// IAM user (name or id)
    #[arg(long)]
    pub(crate) user: String,
    /// Action, such as workspace:appcenter:batchInstallApps
    #[arg(long)]
    pub(crate) action: String,
    /// Resource, such as app:ID or desktop:ID; without it everything in the project
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// Address the call would come from
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<String>,
    /// Whom the call would name: ALL_USER or ASSIGN_USER
    #[arg(long, value_name = "SCOPE")]
    pub(crate) assign_scope: Option<String>,
    /// Whether the call would widen authorizations: true or false
    #[arg(long, value_name = "BOOL")]
    pub(crate) widens: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The sealed reason as the refusal had it
    pub(crate) message: String,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// File with the password so far; `-` is standard input [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) original_file: Option<PathBuf>,
    /// File with the new password; `-` is standard input [default: asked for, twice]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_file: Option<PathBuf>,
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
    /// The catalogue, authorizations and installations
    AppOperator,
    /// Installs what a user may have already, and tries again
    HelpDesk,
    /// Read only
    ReadOnly,
}

impl From<RoleArg> for IamRole {
    fn from(given: RoleArg) -> Self {
        match given {
            RoleArg::Administrator => Self::Administrator,
            RoleArg::AppOperator => Self::AppOperator,
            RoleArg::HelpDesk => Self::HelpDesk,
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
    /// Make a new access key and refuse the old one's signatures from then on
    Rotate(KeyArgs),
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
