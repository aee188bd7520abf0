use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Add a rule that describes programs by product or by path
    Add(AddRuleArgs),
    /// List the rules
    List(ListRulesArgs),
    /// Show a rule
    Show(RuleArg),
    /// Change a rule
    Update(UpdateRuleArgs),
    /// Delete rules; they leave application control too
    Delete(RulesArg),
    /// Put rules under application control
    Control(RulesArg),
    /// Take rules out of application control; they stay in the list of rules
    Release(RulesArg),
    /// The switches of application control
    #[command(subcommand)]
    Restriction(RestrictionCommand),
}

#[derive(Debug, Args)]
pub(crate) struct RuleArg {
    /// Name or id of the rule
    pub(crate) rule: String,
}

#[derive(Debug, Args)]
pub(crate) struct RulesArg {
    /// Names or ids of the rules
    #[arg(required = true, num_args = 1..=50, value_name = "RULE")]
    pub(crate) rules: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListRulesArgs {
    /// Only rules whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only rules under application control
    #[arg(long)]
    pub(crate) controlled: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AddRuleArgs {
    /// Name, unique in the project
    pub(crate) name: String,
    /// What it is for
    #[arg(long)]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) matched: MatchArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateRuleArgs {
    /// Name or id of the rule
    pub(crate) rule: String,
    /// New name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) matched: MatchArgs,
}

/// Which programs a rule is about: a path, or a product of which all that is named must fit.
#[derive(Debug, Args)]
pub(crate) struct MatchArgs {
    /// This folder or file and everything below
    #[arg(long, value_name = "PATH", conflicts_with_all = ["publisher", "product", "process", "product_version", "os"])]
    pub(crate) path: Option<String>,
    /// Who published it
    #[arg(long)]
    pub(crate) publisher: Option<String>,
    /// Name of the product
    #[arg(long)]
    pub(crate) product: Option<String>,
    /// Name of the process
    #[arg(long)]
    pub(crate) process: Option<String>,
    /// Version of the product
    #[arg(long = "version", id = "product_version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Operating system it is for
    #[arg(long)]
    pub(crate) os: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestrictionCommand {
    /// Show the switches
    Show,
    /// Switch application control on
    Enable,
    /// Switch application control off
    Disable,
    /// Set the switches one by one; those not named stay
    Set(SetRestrictionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetRestrictionArgs {
    /// Application control as a whole
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(crate) enabled: bool,
    /// Which programs: 0, those under control may not run
    #[arg(long, value_name = "NUMBER")]
    pub(crate) mode: Option<i64>,
    /// Whether running programs are looked at again and again
    #[arg(long, value_name = "BOOL")]
    pub(crate) periodic: Option<bool>,
    /// How often, in minutes
    #[arg(long = "interval", value_name = "MINUTES")]
    pub(crate) interval_minutes: Option<i64>,
    /// Whether forbidden programs that run are ended
    #[arg(long, value_name = "BOOL")]
    pub(crate) force_kill: Option<bool>,
}
