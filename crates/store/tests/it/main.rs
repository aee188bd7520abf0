//! The store on both databases.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod agent_release;
mod agents_online;
mod app;
mod app_builders;
mod app_control;
mod audit;
mod authorization;
mod copies;
mod database;
mod deployment;
mod desktop;
mod direct_upload;
mod directory;
mod enrollment;
mod enrollment_request;
mod group;
mod housekeeping;
mod iam;
mod iam_identity;
mod iam_policy;
mod inventory;
mod job;
mod job_list;
mod job_scene;
mod package;
mod portal;
mod push;
mod truth;
mod uninstall;
mod user;
mod workspace_job;
