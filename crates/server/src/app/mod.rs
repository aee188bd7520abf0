//! Use cases: what operations and background tasks do, apart from how they are asked.

pub mod bootstrap;
pub mod desktops;
pub mod enrollment_tokens;
pub mod groups;
pub mod iam;
pub mod users;
