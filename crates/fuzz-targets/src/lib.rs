//! One function for each parser that reads bytes of strangers. A fuzzer calls it with whatever it makes up
//! (`fuzz/`, `scripts/fuzz`), the tests of this crate with the corpus that is committed (`fuzz/corpus`).
//!
//! Each checks more than that nothing panics: what is accepted means the same when it is written and read again, and
//! what must never follow from any input does not. A broken property panics, which is what a fuzzer looks for.

mod agent_frame;
mod api_body;
mod archive;
mod client_address;
mod policy_document;
mod signed_request;

/// A target's name, which is that of its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("signed_request", signed_request::run),
    ("policy_document", policy_document::run),
    ("archive", archive::run),
    ("agent_frame", agent_frame::run),
    ("api_body", api_body::run),
    ("client_address", client_address::run),
];

/// Runs a target by its name.
///
/// # Panics
/// When there is none of that name, and when the input breaks a property.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("there is no target {name}"));
    target(data);
}
