//! The version of this program, in a slot that is read from the file too, without running it.

use outfitter_agent_protocol::{VERSION_MARKER, VERSION_SLOT_BYTES, version_in_slot};

/// The version this was built as.
const BUILT: &str = env!("CARGO_PKG_VERSION");

#[used]
static SLOT: [u8; VERSION_SLOT_BYTES] = slot(BUILT.as_bytes());

const fn slot(version: &[u8]) -> [u8; VERSION_SLOT_BYTES] {
    assert!(VERSION_MARKER.len() + version.len() < VERSION_SLOT_BYTES);
    let mut slot = [0; VERSION_SLOT_BYTES];
    let mut at = 0;
    while at < VERSION_MARKER.len() {
        slot[at] = VERSION_MARKER[at];
        at += 1;
    }
    let mut at = 0;
    while at < version.len() {
        slot[VERSION_MARKER.len() + at] = version[at];
        at += 1;
    }
    slot
}

/// The version of this program, as in semantic versioning.
pub fn version() -> &'static str {
    // The compiler is not to know what is in the slot: a release may be stamped after it was built.
    version_in_slot(std::hint::black_box(&SLOT)).unwrap_or(BUILT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_says_what_was_built() {
        assert_eq!(version(), BUILT);
    }
}
