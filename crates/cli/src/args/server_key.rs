use clap::{Args, Subcommand};

use super::serve::ServerOptions;

#[derive(Debug, Subcommand)]
pub(crate) enum ServerKeyCommand {
    /// Show which keys are in the file, which one seals, and which servers have which
    Show(ServerKeyArgs),
    /// Seal every secret under a new key while servers work; run again, it goes on where it was
    Rotate(RotateArgs),
    /// Take keys that seal nothing any more out of the file
    Retire(RetireArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServerKeyArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
    /// Give up after this many seconds when servers do not take the new key over
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 90)]
    pub(crate) timeout_secs: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    #[command(flatten)]
    pub(crate) options: ServerOptions,
    /// End temporary credentials made before the rotation, which may live for a day after it
    #[arg(long)]
    pub(crate) now: bool,
}
