use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::desktop::DesktopArg;

#[derive(Debug, Subcommand)]
pub(crate) enum ReachCommand {
    /// Set how a desktop, or every desktop of a network, is reached; what was set before is replaced
    Set(Box<SetReachArgs>),
    /// Show how a desktop is reached, without secrets
    Show(DesktopArg),
    /// List how networks are reached
    Networks,
    /// Forget how a desktop is reached, and the host key that was pinned
    Forget(DesktopArg),
    /// Forget how a network is reached
    ForgetNetwork(NetworkReachArg),
}

#[derive(Debug, Args)]
pub(crate) struct NetworkReachArg {
    /// Id of the entry, or the network as it was set
    pub(crate) network: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetReachArgs {
    /// Name or id of the desktop
    #[arg(required_unless_present = "network", conflicts_with = "network")]
    pub(crate) desktop: Option<String>,
    /// Instead of a desktop: every desktop of this network, such as 10.1.0.0/16, that says nothing of its own
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    pub(crate) network: Option<String>,
    /// Host name or address [default: where its agent last connected from]
    #[arg(long, conflicts_with = "network")]
    pub(crate) address: Option<String>,
    /// Port [default: the network's, or 22]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// User
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// File with the private key, Ed25519 or ECDSA
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the key's passphrase; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File with the user's password; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) password_file: Option<PathBuf>,
    /// The user may not use sudo
    #[arg(long)]
    pub(crate) no_sudo: bool,
    /// File with the password that sudo asks for [default: the user's password]
    #[arg(long, value_name = "FILE", conflicts_with = "no_sudo")]
    pub(crate) sudo_password_file: Option<PathBuf>,
    /// The one host key that is accepted, as `ssh-keygen -lf` prints it [default: the first one that lets us in]
    #[arg(long, value_name = "SHA256:...")]
    pub(crate) host_key: Option<String>,
    /// Machine through which it is reached
    #[arg(long, value_name = "HOST")]
    pub(crate) jump: Option<String>,
    /// Its port [default: 22]
    #[arg(long, value_name = "PORT", requires = "jump", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jump_port: Option<u16>,
    /// User there [default: as on the desktop]
    #[arg(long, value_name = "NAME", requires = "jump")]
    pub(crate) jump_user: Option<String>,
    /// File with the private key there [default: as on the desktop]
    #[arg(long, value_name = "FILE", requires = "jump")]
    pub(crate) jump_key_file: Option<PathBuf>,
    /// The one host key that is accepted of it
    #[arg(long, value_name = "SHA256:...", requires = "jump")]
    pub(crate) jump_host_key: Option<String>,
}
