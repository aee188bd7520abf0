//! What a desktop is and has: told in parts, each under a digest, and only where the server has another one.
//!
//! Both sides bound what they make and what they get by [`InventoryFacts::bounded`] and
//! [`InventorySoftware::bounded`]. Members are only added; a new part needs a new member in [`InventoryAsk`], because a
//! server closes the channel on a part it does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest text in an inventory, in characters.
pub const MAX_INVENTORY_TEXT_CHARS: usize = 128;

/// Most entries of each list of the facts.
pub const MAX_INVENTORY_LIST: usize = 32;

/// Most packages of a desktop that are told.
pub const MAX_INVENTORY_SOFTWARE: usize = 4000;

/// Most bytes that they take as JSON: with what is around them they fit into a frame.
pub const MAX_INVENTORY_SOFTWARE_BYTES: usize = 160 * 1024;

/// What the server has of a desktop, and thereby what it wants to hear: a part with another digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryAsk {
    /// Digest of the facts that it keeps; empty: none.
    #[serde(default)]
    pub facts: String,
    /// Digest of the software that it keeps; empty: none.
    #[serde(default)]
    pub software: String,
    /// The agent draws the moment of its first part from as many seconds, so that a fleet does not speak at once.
    #[serde(default)]
    pub within_secs: u32,
}

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InventoryKind {
    /// [`InventoryFacts`].
    Facts,
    /// [`InventorySoftware`].
    Software,
}

/// One part of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryReport {
    /// What tells this content from others: lower-case hex SHA-256, made by the agent, opaque to the server.
    pub digest: String,
    /// The content.
    pub part: InventoryPart,
}

/// The content of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InventoryPart {
    /// What the desktop is.
    Facts(Box<InventoryFacts>),
    /// What is installed.
    Software(InventorySoftware),
}

/// What a desktop is. What cannot be told is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InventoryFacts {
    /// Name and version of the operating system, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Release of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// `x86_64` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The machine's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Who made the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Processors that the system sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processors: Option<u32>,
    /// Memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Addresses, without those of the machine to itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<InventoryAddress>,
    /// Accounts that are logged in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Those of them who sit at it: at its own screen or a picture of it, not over a remote shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_desktop: Vec<String>,
    /// Where the system and the agent lie.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<InventoryDisk>,
    /// Whether the system waits for a restart; left out: it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_pending: Option<bool>,
    /// Version of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
}

/// An address of a desktop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InventoryAddress {
    /// The interface that has it.
    pub interface: String,
    /// The address.
    pub address: String,
}

/// Room on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryDisk {
    /// A folder on it.
    pub path: String,
    /// Its size, in bytes.
    pub total_bytes: u64,
    /// Free bytes, rounded down to five binary digits.
    pub free_bytes: u64,
}

/// What is installed, by who says so: `dpkg`, `rpm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InventorySoftware {
    /// Name and version of each package.
    pub packages: BTreeMap<String, Vec<(String, String)>>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_off: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Text as an inventory has it: without control characters and white space around, cut at
/// [`MAX_INVENTORY_TEXT_CHARS`].
pub fn inventory_text(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    kept.trim().chars().take(MAX_INVENTORY_TEXT_CHARS).collect()
}

impl InventoryFacts {
    /// The same within the bounds; empty texts are left out, lists sorted.
    #[must_use]
    pub fn bounded(self) -> Self {
        let text = |text: Option<String>| {
            text.map(|text| inventory_text(&text))
                .filter(|text| !text.is_empty())
        };
        let mut addresses: Vec<InventoryAddress> = self
            .addresses
            .into_iter()
            .map(|it| InventoryAddress {
                interface: inventory_text(&it.interface),
                address: inventory_text(&it.address),
            })
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MAX_INVENTORY_LIST);
        let accounts = |accounts: &[String]| {
            let mut accounts: Vec<String> = accounts
                .iter()
                .map(|account| inventory_text(account))
                .filter(|account| !account.is_empty())
                .collect();
            accounts.sort();
            accounts.dedup();
            accounts.truncate(MAX_INVENTORY_LIST);
            accounts
        };
        let disks = self.disks.into_iter().take(MAX_INVENTORY_LIST);
        Self {
            os_name: text(self.os_name),
            os_version: text(self.os_version),
            kernel: text(self.kernel),
            architecture: text(self.architecture),
            host_name: text(self.host_name),
            vendor: text(self.vendor),
            model: text(self.model),
            agent_version: text(self.agent_version),
            addresses,
            users: accounts(&self.users),
            at_desktop: accounts(&self.at_desktop),
            disks: disks
                .map(|disk| InventoryDisk {
                    path: inventory_text(&disk.path),
                    ..disk
                })
                .collect(),
            ..self
        }
    }
}

impl InventorySoftware {
    /// The same within the bounds: sorted, none twice, the first ones of each source's turn.
    #[must_use]
    pub fn bounded(self) -> Self {
        let mut left_off = self.left_off;
        let mut kept: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        for (source, packages) in self.packages {
            let source = inventory_text(&source);
            let mut packages: Vec<(String, String)> = packages
                .iter()
                .map(|(name, version)| (inventory_text(name), inventory_text(version)))
                .filter(|(name, _)| !name.is_empty())
                .collect();
            packages.sort();
            packages.dedup();
            for package in packages {
                let size =
                    serde_json::to_string(&package).map_or(usize::MAX, |text| text.len() + 1);
                if count < MAX_INVENTORY_SOFTWARE
                    && size <= MAX_INVENTORY_SOFTWARE_BYTES.saturating_sub(bytes)
                {
                    count += 1;
                    bytes += size;
                    kept.entry(source.clone()).or_default().push(package);
                } else {
                    left_off = left_off.saturating_add(1);
                }
            }
        }
        Self {
            packages: kept,
            left_off,
        }
    }

    /// How many packages are told.
    pub fn count(&self) -> usize {
        self.packages.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentMessage, MAX_FRAME_BYTES};

    #[test]
    fn the_largest_part_fits_into_a_frame() {
        // Characters that take six bytes each in JSON would be control characters: they go.
        let packages = (0..9000)
            .map(|number| {
                (
                    format!("{number:05}\u{1}{}", "\"".repeat(200)),
                    "\\".repeat(200),
                )
            })
            .collect();
        let software = InventorySoftware {
            packages: [("dpkg".to_owned(), packages)].into(),
            left_off: 0,
        }
        .bounded();
        assert_eq!(
            software.count() + usize::try_from(software.left_off).expect("few"),
            9000
        );
        let disk = InventoryDisk {
            path: "\"".repeat(500),
            total_bytes: u64::MAX,
            free_bytes: u64::MAX,
        };
        let facts = InventoryFacts {
            os_name: Some("\"".repeat(500)),
            users: (0..99)
                .map(|number| format!("{number}{}", "\"".repeat(500)))
                .collect(),
            disks: vec![disk; 99],
            ..InventoryFacts::default()
        };
        for part in [
            InventoryPart::Software(software),
            InventoryPart::Facts(Box::new(facts.bounded())),
        ] {
            let message = AgentMessage::Inventory(Box::new(InventoryReport {
                digest: "0".repeat(64),
                part,
            }));
            let text = serde_json::to_string(&message).expect("JSON");
            assert!(text.len() < MAX_FRAME_BYTES, "{}", text.len());
        }
    }

    #[test]
    fn what_is_told_is_clean_sorted_and_told_once() {
        let package = |name: &str| (name.to_owned(), "1".to_owned());
        let software = InventorySoftware {
            packages: [(
                "dpkg".to_owned(),
                vec![
                    package("vim"),
                    package(" ba\u{1b}[1msh\n"),
                    package("\n"),
                    package("vim"),
                ],
            )]
            .into(),
            left_off: 2,
        }
        .bounded();
        assert_eq!(
            software.packages["dpkg"],
            [package("ba[1msh"), package("vim")]
        );
        assert_eq!(software.left_off, 2);
        assert_eq!(software.clone().bounded(), software);
        let facts = InventoryFacts {
            os_name: Some("\u{7}".to_owned()),
            users: vec!["bo".to_owned(), "ana".to_owned(), "bo".to_owned()],
            ..InventoryFacts::default()
        }
        .bounded();
        assert_eq!(
            (facts.os_name, facts.users),
            (None, vec!["ana".to_owned(), "bo".to_owned()])
        );
    }

    #[test]
    fn the_first_packages_are_told_and_the_rest_counted() {
        let packages = (0..=MAX_INVENTORY_SOFTWARE)
            .map(|number| (format!("p{number:05}"), "1".to_owned()))
            .collect();
        let software = InventorySoftware {
            packages: [("rpm".to_owned(), packages)].into(),
            left_off: 0,
        }
        .bounded();
        assert_eq!(
            (software.count(), software.left_off),
            (MAX_INVENTORY_SOFTWARE, 1)
        );
    }

    #[test]
    fn facts_of_a_later_version_are_read() {
        let text = r#"{"digest":"d","part":{"facts":{"kernel":"7","later":{"x":1}}}}"#;
        let report: InventoryReport = serde_json::from_str(text).expect("JSON");
        let InventoryPart::Facts(facts) = report.part else {
            panic!("no facts");
        };
        assert_eq!(facts.kernel.as_deref(), Some("7"));
    }
}
