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
    #[command(flatten)]
    pub(crate) scope: TokenScopeArgs,
}

/// What a token allows.
#[derive(Debug, Args)]
pub(crate) struct TokenScopeArgs {
    /// How many agents may enroll with it [default: any number]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_uses: Option<u32>,
    /// Lifetime in seconds, 60 to 31536000 [default: 86400]
    #[arg(long = "expires-in", value_name = "SECONDS")]
    pub(crate) expires_in_secs: Option<u32>,
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
    /// Each agent waits until an administrator approves it
    #[arg(long)]
    pub(crate) approval: bool,
}

/// Seconds that a token lives where nobody says otherwise.
pub(crate) const LIFETIME_SECS: u32 = 86_400;

impl TokenScopeArgs {
    /// Whether anything was said.
    pub(crate) fn is_given(&self) -> bool {
        let flags = self.may_attach || self.may_reenroll || self.approval;
        let lists = !self.networks.is_empty() || !self.tags.is_empty();
        flags || lists || self.max_uses.is_some() || self.expires_in_secs.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenArg {
    /// Id of the token
    pub(crate) token: String,
}
