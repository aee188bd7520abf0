//! The Outfitter server as a library.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod agents;
pub mod app;
pub mod audit;
pub mod auth;
pub mod background;
mod bucket_listener;
pub mod config;
pub mod data_dir;
pub mod edge;
pub mod http;
pub mod listen;
pub mod secrets;
pub mod serve;
pub mod services;
#[cfg(test)]
mod testing;
pub mod tls;
mod unread;

pub use services::Services;
