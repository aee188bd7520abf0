//! Use cases: what operations and background tasks do, apart from how they are asked.

pub mod apps;
pub(crate) mod audit;
pub mod authorizations;
pub mod bootstrap;
pub mod cancel;
pub mod desktops;
pub mod detect;
pub mod detection_rules;
pub mod directory;
pub mod enrollment_tokens;
pub mod events;
pub mod groups;
pub mod iam;
pub mod iam_policies;
pub mod icons;
pub mod install;
pub mod job_events;
pub mod oidc;
pub mod packages;
pub mod push;
pub mod reach;
pub mod receipts;
pub mod refusals;
pub mod users;
pub mod why;
pub mod workspace_jobs;
