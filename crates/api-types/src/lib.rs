//! HTTP request and response shapes of the contract and of the native routes; no logic.
//!
//! The JSON Schema that `utoipa` generates for a type here is what a request is checked against
//! before it is parsed, and what the published description shows. So a bound, a pattern or an enum
//! lives on the type and nowhere else. `tests/conformance.rs` holds every type against
//! `api/contract/openapi.json`. What no schema can state is checked by the server.
//!
//! - An optional request member is nullable, and null equals absent.
//! - An optional answer member without a value is left out, never null, unless its field says so.
//! - Ids are opaque text; names are those of the contract.
//! - `...Query` types are the query parameters of one operation each.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod amend;
mod defaults;
mod text_or_integer;

pub mod agents;
pub mod app_install;
pub mod apps;
pub mod authorizations;
pub mod buckets;
pub mod desktops;
pub mod errors;
pub mod groups;
pub mod iam;
pub mod jobs;
pub mod native;
pub mod profiles;
pub mod rules;
pub mod secret;
pub mod tags;
pub mod time;
pub mod users;
pub mod workspace_jobs;
