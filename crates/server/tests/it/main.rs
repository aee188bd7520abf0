//! The server over HTTP: a real one, on port 0, with a database of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod absence;
mod agent_releases;
mod apps;
mod attacks;
mod audit;
mod authorizations;
mod bounds;
mod bucket_listener;
mod cases;
mod company_directory;
mod concurrency;
mod conformance;
mod copies;
mod coverage;
mod desktops;
mod detect;
mod directory;
mod document;
mod download_limits;
mod edge;
mod enrollment_requests;
mod enrollment_tokens;
#[path = "../../../api-types/tests/facts/mod.rs"]
#[allow(dead_code, reason = "the tests of the types use the rest")]
mod facts;
mod fleet;
mod hostile;
mod housekeeping;
mod install;
mod inventory;
mod packages;
mod portal;
mod receipts;
mod running_programs;
mod server;
mod server_key;
mod session;
mod truth;
