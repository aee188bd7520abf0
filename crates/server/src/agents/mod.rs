//! The agents' side of the server: their certificates, listener, channels and registry.

pub mod pki;
pub mod registry;
