use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::workspace_jobs::SubJobEndStatus;

use super::{ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceJobCommand {
    /// List the sub-jobs, one per desktop
    List(ListSubJobsArgs),
    /// Show a job with its sub-jobs
    Show(WorkspaceJobArg),
    /// Wait until a job has ended
    Wait(WaitWorkspaceJobArgs),
    /// Try the failed sub-jobs of a job again
    Retry(RetryWorkspaceJobArgs),
    /// Delete records of sub-jobs that have ended
    Delete(DeleteSubJobsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListSubJobsArgs {
    /// Only sub-jobs of this job
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    /// Only sub-jobs of jobs of this type, such as installAgents
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) job_type: Option<String>,
    /// Only sub-jobs in this state
    #[arg(long, value_enum)]
    pub(crate) status: Option<SubJobStatusArg>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceJobArg {
    /// Id of the job
    pub(crate) job: String,
}

#[derive(Debug, Args)]
pub(crate) struct WaitWorkspaceJobArgs {
    #[command(flatten)]
    pub(crate) job: WorkspaceJobArg,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RetryWorkspaceJobArgs {
    #[command(flatten)]
    pub(crate) job: WorkspaceJobArg,
    /// Follow it to the end
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteSubJobsArgs {
    /// Ids of the sub-jobs, up to 10
    #[arg(required_unless_present = "ended", num_args = 1..=10, value_name = "SUB_JOB")]
    pub(crate) sub_jobs: Vec<String>,
    /// All that ended like this
    #[arg(long, value_enum, conflicts_with = "sub_jobs")]
    pub(crate) ended: Option<EndArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubJobStatusArg {
    /// Not begun
    Waiting,
    /// Begun
    Running,
    /// Ended well
    Success,
    /// Failed
    Failed,
}

impl SubJobStatusArg {
    /// The wire's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndArg {
    /// Well
    Success,
    /// Failed
    Failed,
}

impl From<EndArg> for SubJobEndStatus {
    fn from(given: EndArg) -> Self {
        match given {
            EndArg::Success => Self::Success,
            EndArg::Failed => Self::Failed,
        }
    }
}
