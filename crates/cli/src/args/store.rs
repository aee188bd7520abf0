use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::serve::ServerOptions;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Prove the configured store end to end: write, read by range, digest, fetch as a desktop does, in parts too,
    /// and remove what was written
    Check(StoreCheckArgs),
    /// Copy the packages of a server's folder into the configured store, before the server is told to use that
    Import(StoreImportArgs),
    /// Remove package bytes that nothing needs; the server does so by itself every hour
    Collect(CollectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Remove nothing; say what would go and why
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StoreImportArgs {
    /// The folder: packages in the data folder of the server
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) options: ServerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct StoreCheckArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
}
