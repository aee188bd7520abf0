//! Which jobs an accepted install request opens.

mod plan;

pub use plan::{
    InstallPlan, LiveJob, Persistence, PlanApp, PlanDesktop, PlanInput, PlannedJob, PlannedSkip,
    SkipReason, plan_install,
};
