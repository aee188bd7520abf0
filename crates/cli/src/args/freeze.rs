use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum FreezeCommand {
    /// Hand nothing out from now on; what runs goes on
    On(FreezeOnArgs),
    /// Let hand-outs go on
    Off(FreezeArgs),
    /// Show whether anything is handed out
    Show(FreezeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FreezeArgs {
    /// The whole server, every project, instead of this project
    #[arg(long)]
    pub(crate) server: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FreezeOnArgs {
    #[command(flatten)]
    pub(crate) freeze: FreezeArgs,
    /// Why; shown to everyone
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}
