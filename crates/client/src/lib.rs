//! HTTP client of the server, used by the command line and by tests: signs with an access key, reads the
//! contract's errors, streams packages.
//!
//! Calls are written as method, path and types, since the paths are the contract's and every operation stands
//! in `/openapi.json`: `client.post("/v1/{project_id}/app-center/apps", &request)`.

mod error;
mod request;

pub use error::ClientError;
pub use outfitter_signing::Signer;
pub use request::{Answer, Client, Credential, Endpoint, Trust, segment};
pub use reqwest::Method;
