use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List entries, newest first
    List(ListAuditArgs),
    /// Show one entry and what the call changed
    Show(ShowAuditArgs),
    /// Write entries, oldest first, one JSON document a line
    Export(ExportAuditArgs),
    /// Compute the chain again and say up to where it is whole; needs rights in the whole domain
    Verify(VerifyAuditArgs),
    /// Delete the oldest entries; the rest stays provable; needs rights in the whole domain
    Prune(PruneAuditArgs),
}

/// Which entries are wanted.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditFilterArgs {
    /// Those of the domain and of all its projects [default: those of the project]
    #[arg(long)]
    pub(crate) domain: bool,
    /// Not before this time, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// By whom: id, name or access key
    #[arg(long, value_name = "WHO")]
    pub(crate) actor: Option<String>,
    /// The action; workspace:users:* takes all that begin so
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// What it is about, such as app:ID; app: takes every application
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// change, refusal, widening, enrollment, retention or results
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// done or refused
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// X-Request-Id of the answer
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListAuditArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilterArgs,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ShowAuditArgs {
    /// Id of the entry
    pub(crate) entry: String,
    /// Look among those of the domain and of all its projects
    #[arg(long)]
    pub(crate) domain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportAuditArgs {
    #[command(flatten)]
    pub(crate) filter: AuditFilterArgs,
    /// Write into this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyAuditArgs {
    /// A place noted after an earlier verification: finds a log that was rolled back
    #[arg(long, value_name = "SEQUENCE:HASH")]
    pub(crate) known: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PruneAuditArgs {
    /// Entries from before this time go, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) before: String,
}
