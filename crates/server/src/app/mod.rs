//! Use cases: what operations and background tasks do, apart from how they are asked.

pub mod desktops;
pub mod enrollment_tokens;
