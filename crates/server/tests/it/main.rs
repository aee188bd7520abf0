//! The server over HTTP: a real one, on port 0, with a database of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod apps;
mod authorizations;
mod desktops;
mod directory;
mod enrollment_tokens;
mod fleet;
mod install;
mod packages;
mod server;
