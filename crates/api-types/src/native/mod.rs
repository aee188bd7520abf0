//! Shapes of our own routes, `/api/v1/{project_id}/...`: what the contract lacks.
//!
//! They follow the style of the contract: snake_case, lists answer `count` and `items`, an optional
//! request member is nullable and null equals absent, an answer member without a value is left out.
//! Times are RFC 3339 in UTC with milliseconds and `Z`.

pub mod agent_log;
pub mod agent_releases;
pub mod agents_online;
pub mod attempts;
pub mod audit;
pub mod cancel;
pub mod copies;
pub mod deployments;
pub mod desktops;
pub mod detection;
pub mod directory;
pub mod download_limits;
pub mod enrollment_requests;
pub mod enrollment_tokens;
pub mod events;
pub mod freeze;
pub mod housekeeping;
pub mod iam;
pub mod iam_policies;
pub mod inventory;
pub mod jobs;
pub mod logged_in_users;
pub mod login_provider;
pub mod packages;
pub mod portal;
pub mod projects;
pub mod reach;
pub mod receipts;
pub mod revisions;
pub mod running_programs;
pub mod session;
pub mod why;
