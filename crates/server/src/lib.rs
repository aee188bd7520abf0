//! The Outfitter server as a library.

pub mod agents;
pub mod auth;
pub mod http;
pub mod services;

pub use services::Services;
