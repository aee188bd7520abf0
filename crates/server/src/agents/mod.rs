//! The agents' side of the server: their certificates, listener, channels and registry.

pub mod approval;
pub mod authority;
pub mod channel;
pub mod copies;
pub mod desk;
pub mod downloads;
pub mod enroll;
pub mod installer;
pub mod listener;
pub mod pace;
pub mod peer;
pub mod pki;
pub mod presence;
pub mod programs;
pub mod questions;
pub mod refusal;
pub mod registry;
