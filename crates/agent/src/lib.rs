//! The agent on every desktop: channel, executor, supervisor, spool.
//!
//! [`channel`] decides and talks, [`executor`] carries attempts out, [`platform`] holds what differs
//! between systems. A simulated agent uses [`channel::run`] with a [`channel::Desktop`] of its own.

pub mod agent;
pub mod anew;
pub mod approval;
pub mod cache;
pub mod channel;
pub mod clock;
pub mod command;
pub mod command_line;
pub mod credentials;
pub mod desk;
pub mod doctor;
pub mod durable;
pub mod enroll;
pub mod evidence;
pub mod executor;
pub mod history;
pub mod inventory;
pub mod platform;
pub mod programs;
pub mod proxy;
pub mod receipt;
pub mod recent_log;
pub mod secrets;
pub mod server_client;
pub mod spool;
pub mod state_dir;
pub mod supervision;
pub mod tls;
pub mod update;
pub mod version;
