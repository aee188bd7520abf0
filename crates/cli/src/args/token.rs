use clap::{Args, Subcommand};

use super::ListArgs;
use super::desktop::TagText;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token with which agents enroll; its text is shown this once
    Create(CreateTokenArgs),
    /// List the tokens, without their texts
    List(ListArgs),
    /// Revoke a token; agents that enrolled with it stay
    Revoke(TokenArg),
}

#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// What it is for
    pub(crate) name: String,
    /// How many agents may enroll with it [default: any number]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_uses: Option<u32>,
    /// Lifetime in seconds, 60 to 31536000
    #[arg(long = "expires-in", value_name = "SECONDS", default_value_t = 86_400)]
    pub(crate) expires_in_secs: u32,
    /// Agents may name a user to attach
    #[arg(long)]
    pub(crate) may_attach: bool,
    /// Desktops with a live agent may be taken over
    #[arg(long)]
    pub(crate) may_reenroll: bool,
    /// Network that agents must call from; may be given several times [default: any]
    #[arg(long = "network", value_name = "ADDRESS/LENGTH")]
    pub(crate) networks: Vec<String>,
    /// Tag that the desktops get; may be given several times
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<TagText>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArg {
    /// Id of the token
    pub(crate) token: String,
}
