//! The store on both databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod app;
mod app_builders;
mod authorization;
mod database;
mod desktop;
mod enrollment;
mod group;
mod package;
mod user;
