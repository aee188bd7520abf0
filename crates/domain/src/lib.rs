//! The rules: names, accounts, job states, install planning, access. No I/O, no global clock, no async.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

// First, for its macro.
#[macro_use]
pub mod words;

pub mod account;
pub mod app;
pub mod directory;
pub mod downloads;
pub mod fleet;
pub mod iam;
pub mod install;
pub mod job;
pub mod portal;
pub mod text;
pub mod time;
pub mod why;

pub use account::{Account, AccountKey};
pub use time::{Clock, Millis, SystemClock};
pub use words::{
    AccountType, AppSource, AppStatus, AssignType, InstallType, Language, OsType, PlatformType,
    StoreType,
};
