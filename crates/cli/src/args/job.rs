use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::jobs::JobStatus;

use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List the jobs
    List(ListJobsArgs),
    /// Show the attempts of a job with the evidence each left
    Show(JobArg),
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
