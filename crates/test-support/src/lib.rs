//! What tests share: databases of their own, test servers, filters.
//!
//! A piece that is missing fails the test that needs it, with a sentence that says how to run it; nothing is skipped.

pub mod postgres;
pub mod s3;
pub mod store;
