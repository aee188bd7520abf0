//! What this desktop is and has, as it is told to the server. Source: docs/adr/0028-inventory.md.
//!
//! What a system knows is the platform's to say ([`crate::platform::inventory`]); here it is bounded and gets its digests.

use std::path::Path;

use outfitter_agent_protocol::{
    InventoryFacts, InventoryKind, InventoryPart, InventoryReport, InventorySoftware,
};
use sha2::{Digest as _, Sha256};

use crate::channel::InventoryDigests;
use crate::platform::{self, PlatformError};
use crate::version::version;

/// What a look found, until the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    facts: Option<InventoryReport>,
    software: Option<InventoryReport>,
}

impl Looked {
    /// Bounds what was found; answers it with its digests.
    pub fn of(facts: InventoryFacts, software: InventorySoftware) -> (Self, InventoryDigests) {
        let facts = report(InventoryPart::Facts(Box::new(facts.bounded())));
        let software = report(InventoryPart::Software(software.bounded()));
        let digests = InventoryDigests {
            facts: facts.digest.clone(),
            software: software.digest.clone(),
        };
        let looked = Self {
            facts: Some(facts),
            software: Some(software),
        };
        (looked, digests)
    }

    /// A part, where the server has not got it yet.
    pub fn part(&self, kind: InventoryKind) -> Option<InventoryReport> {
        match kind {
            InventoryKind::Facts => self.facts.clone(),
            InventoryKind::Software => self.software.clone(),
        }
    }

    /// Lets go of a part that the server has.
    pub fn noted(&mut self, kind: InventoryKind) {
        match kind {
            InventoryKind::Facts => self.facts = None,
            InventoryKind::Software => self.software = None,
        }
    }
}

fn report(part: InventoryPart) -> InventoryReport {
    // Texts and numbers only: it cannot fail.
    let content = serde_json::to_vec(&part).unwrap_or_default();
    InventoryReport {
        digest: hex::encode(Sha256::digest(&content)),
        part,
    }
}

/// Looks at this desktop; `state`: a folder on the disk that the agent keeps its own files on.
///
/// # Errors
/// When this system cannot be looked at.
pub async fn look(
    sandbox_root: Option<&Path>,
    state: &Path,
) -> Result<(InventoryFacts, InventorySoftware), PlatformError> {
    let (mut facts, software) = platform::inventory(sandbox_root, state).await?;
    facts.architecture = Some(std::env::consts::ARCH.to_owned());
    facts.agent_version = Some(version().to_owned());
    for disk in &mut facts.disks {
        disk.free_bytes = rounded_down(disk.free_bytes);
    }
    Ok((facts, software))
}

/// The number with all but its first five binary digits zero: at most 6 % less. A disk at work is no change.
fn rounded_down(number: u64) -> u64 {
    let below = (u64::BITS - number.leading_zeros()).saturating_sub(5);
    (number >> below) << below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_told_in_steps_and_never_too_much() {
        for (number, told) in [
            (0, 0),
            (31, 31),
            (32, 32),
            (33, 32),
            (63, 62),
            (1_000_000, 983_040),
            (u64::MAX, 0b11111 << 59),
        ] {
            assert_eq!(rounded_down(number), told, "{number}");
        }
    }

    #[test]
    fn a_part_is_kept_until_it_was_noted() {
        let (mut looked, digests) =
            Looked::of(InventoryFacts::default(), InventorySoftware::default());
        let facts = looked.part(InventoryKind::Facts).map(|part| part.digest);
        assert_eq!(facts, Some(digests.facts));
        looked.noted(InventoryKind::Facts);
        assert_eq!(looked.part(InventoryKind::Facts), None);
        assert!(looked.part(InventoryKind::Software).is_some());
    }
}
