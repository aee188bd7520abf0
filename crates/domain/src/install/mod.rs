//! Which jobs an accepted install request opens.

mod closing;
mod plan;
mod uninstall;

pub use closing::{CLOSE_WAIT_SECS, ClosingMode, ProgramClosing};
pub use plan::{
    Aim, InstallPlan, LiveJob, Persistence, PlanApp, PlanDesktop, PlanInput, PlannedJob,
    PlannedSkip, SkipReason, plan_install,
};
pub use uninstall::{UninstallSources, uninstall_command};
