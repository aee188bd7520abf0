use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Say how the company directory is reached; it is synchronised at once
    Set(Box<SetDirectoryArgs>),
    /// Show how the company directory is reached, without secrets
    Show,
    /// Connect to the company directory and count what is there; nothing is stored
    Test,
    /// Synchronise now and wait until that has ended
    Sync(SyncDirectoryArgs),
    /// Show how the synchronisation fares
    Status,
    /// Forget the company directory; its users and groups stay as they are known
    Remove,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum KindArg {
    /// Active Directory, or Samba in that role
    Ad,
    /// Another LDAP directory
    Ldap,
}

#[derive(Debug, Args)]
pub(crate) struct SetDirectoryArgs {
    /// ldaps://HOST or ldaps://HOST:PORT, or with ldap, which always uses StartTLS
    #[arg(long)]
    pub(crate) url: String,
    /// What kind of directory it is
    #[arg(long, value_enum, default_value = "ad")]
    pub(crate) kind: KindArg,
    /// File with the certificate authorities to believe (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: PathBuf,
    /// Account that reads the directory: a DN; with Active Directory also NAME@DOMAIN or DOMAIN\NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) bind_user: String,
    /// File with its password; - reads standard input [default: keep the stored one]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// DN below which everything stands
    #[arg(long, value_name = "DN")]
    pub(crate) base: String,
    /// DN below which users stand [default: the base]
    #[arg(long, value_name = "DN")]
    pub(crate) user_base: Option<String>,
    /// DN below which groups stand [default: the base]
    #[arg(long, value_name = "DN")]
    pub(crate) group_base: Option<String>,
    /// LDAP filter that users must fit as well
    #[arg(long, value_name = "FILTER")]
    pub(crate) user_filter: Option<String>,
    /// LDAP filter that groups must fit as well
    #[arg(long, value_name = "FILTER")]
    pub(crate) group_filter: Option<String>,
    /// Domain of its users and groups here [default: made of the DC parts of the base]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Attribute with a user's account name [default: sAMAccountName, or uid with LDAP]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) user_name_attribute: Option<String>,
    /// Attribute with a group's account name [default: sAMAccountName, or cn with LDAP]
    #[arg(long, value_name = "ATTRIBUTE")]
    pub(crate) group_name_attribute: Option<String>,
    /// Seconds between synchronisations, 60 to 86400
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) interval: i64,
}

#[derive(Debug, Args)]
pub(crate) struct SyncDirectoryArgs {
    /// Read everything, not what changed alone
    #[arg(long)]
    pub(crate) full: bool,
    /// Remove even most of the known users or groups, where the directory no longer has them
    #[arg(long)]
    pub(crate) allow_removals: bool,
    /// Give up waiting after this many seconds; the synchronisation goes on
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 900)]
    pub(crate) timeout_secs: u64,
}
