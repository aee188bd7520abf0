use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::jobs::JobStatus;

use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs
    List(ListJobsArgs),
    /// Show the attempts of a job with the evidence each left
    Show(JobArg),
    /// Export the receipt that the desktop signed, as JSON: keep it, or hand it to an auditor
    Receipt(ReceiptArgs),
    /// Verify a receipt: signature, chain to the root, and whether the evidence carries the job's end
    Verify(VerifyArgs),
    /// Try failed jobs again, with the newest revision
    Retry(RetryArgs),
    /// Cancel jobs: what waits ends at once, what runs is asked to stop safely
    Cancel(JobsArg),
    /// Delete records of jobs; one that was not handed out yet is cancelled
    Delete(JobsArg),
    /// Wait until jobs have ended
    Wait(WaitJobsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JobArg {
    /// Id of the job
    pub(crate) job: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReceiptArgs {
    /// Id of the job
    pub(crate) job: String,
    /// Number of the attempt; without it, the newest that left a receipt
    #[arg(long)]
    pub(crate) attempt: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Id of the job; with --file, the job that the receipt must be about
    #[arg(required_unless_present = "file")]
    pub(crate) job: Option<String>,
    /// Number of the attempt; without it, the newest that left a receipt
    #[arg(long, conflicts_with = "file")]
    pub(crate) attempt: Option<i64>,
    /// A receipt of `job receipt` instead of the server's
    #[arg(long, value_name = "RECEIPT.json")]
    pub(crate) file: Option<PathBuf>,
    /// Root certificate (PEM) of `agent roots`, kept from before; without it, the server is asked. With --file, no server
    /// is needed
    #[arg(long, value_name = "ROOT.pem")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArg {
    /// Ids of the jobs
    #[arg(required = true, num_args = 1..=50, value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) jobs: JobsArg,
    /// Follow them to the end
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WaitJobsArgs {
    #[command(flatten)]
    pub(crate) jobs: JobsArg,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListJobsArgs {
    /// Only this application (name or id)
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// Only this desktop (name or id)
    #[arg(long)]
    pub(crate) desktop: Option<String>,
    /// Only jobs for this user
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only jobs in this state
    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusArg>,
    /// Uninstalls instead of installs
    #[arg(long)]
    pub(crate) uninstalls: bool,
    /// Only those that succeeded and that nothing verifies: the exit code alone says so
    #[arg(long)]
    pub(crate) unverified: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusArg {
    /// Not handed out yet
    Init,
    /// Handed out
    Waiting,
    /// Ended well
    Success,
    /// Failed
    Fail,
}

impl From<StatusArg> for JobStatus {
    fn from(given: StatusArg) -> Self {
        match given {
            StatusArg::Init => Self::Init,
            StatusArg::Waiting => Self::Waiting,
            StatusArg::Success => Self::Success,
            StatusArg::Fail => Self::Fail,
        }
    }
}
