use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Remove package bytes that nothing needs; the server does so by itself every hour
    Collect(CollectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Remove nothing; say what would go and why
    #[arg(long)]
    pub(crate) dry_run: bool,
}
