//! The real agent against a small server: what it runs, how often, and what it says afterwards.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a failed test shows the agent's log")]

mod approval;
mod copies;
mod crashes;
mod desk;
mod downloads;
mod identity;
mod installs;
mod lies;
mod process;
mod programs;
mod server;
mod sessions;
