//! What desktops are and have, as their agents tell.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::time::WireTime;

/// An address of a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopAddress {
    /// Interface that has it.
    pub interface: String,
    /// Address.
    pub address: String,
}

/// Room on a disk of a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopDisk {
    /// A folder on it.
    pub path: String,
    /// Size in bytes.
    #[schema(minimum = 0)]
    pub total_bytes: i64,
    /// Free bytes, rounded down: by 6 % at most.
    #[schema(minimum = 0)]
    pub free_bytes: i64,
}

/// What a desktop is. What its agent did not tell is left out.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopFacts {
    /// Name and version of the operating system.
    #[schema(nullable = false)]
    pub os_name: Option<String>,
    /// Version of the operating system.
    #[schema(nullable = false)]
    pub os_version: Option<String>,
    /// Release of the kernel.
    #[schema(nullable = false)]
    pub kernel: Option<String>,
    /// Architecture of the agent, `x86_64` and the like.
    #[schema(nullable = false)]
    pub architecture: Option<String>,
    /// The machine's own name.
    #[schema(nullable = false)]
    pub host_name: Option<String>,
    /// Maker of the machine.
    #[schema(nullable = false)]
    pub vendor: Option<String>,
    /// Model of the machine.
    #[schema(nullable = false)]
    pub model: Option<String>,
    /// Processors that the system sees.
    #[schema(minimum = 0, nullable = false)]
    pub processors: Option<i64>,
    /// Memory in bytes.
    #[schema(minimum = 0, nullable = false)]
    pub memory_bytes: Option<i64>,
    /// Addresses.
    pub addresses: Vec<DesktopAddress>,
    /// Accounts that are logged in.
    pub users: Vec<String>,
    /// Those of them who sit at it: at its own screen or a picture of it, not over a remote shell.
    pub users_at_desktop: Vec<String>,
    /// Where the system and the agent lie.
    pub disks: Vec<DesktopDisk>,
    /// Whether the system waits for a restart; left out: it does not tell.
    #[schema(nullable = false)]
    pub reboot_pending: Option<bool>,
    /// Version of the agent.
    #[schema(nullable = false)]
    pub agent_version: Option<String>,
}

/// Software on a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstalledSoftware {
    /// Who says so: `dpkg`, `rpm`, or `outfitter` for an application that was installed from here.
    pub source: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Inventory of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopInventory {
    /// Desktop ID.
    pub desktop_id: String,
    /// Desktop name.
    pub desktop_name: String,
    /// What it is.
    pub facts: DesktopFacts,
    /// When that changed last; left out: its agent has not told it.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub facts_at: Option<WireTime>,
    /// When its packages changed last; left out: its agent has not told them.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub software_at: Option<WireTime>,
    /// Packages that it has beyond those that are kept.
    #[schema(minimum = 0)]
    pub software_left_off: i64,
}

/// Answer of listing the software of a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopSoftwareResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, by name.
    pub items: Vec<InstalledSoftware>,
}

/// Query parameters of listing the software of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopSoftwareQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Text the name contains, without regard to case.
    #[schema(max_length = 128, nullable = false)]
    pub name: Option<String>,
}

/// A desktop that was found by its inventory.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundInventory {
    /// Desktop ID.
    pub desktop_id: String,
    /// Desktop name.
    pub desktop_name: String,
    /// Name and version of the operating system.
    #[schema(nullable = false)]
    pub os_name: Option<String>,
    /// Accounts that are logged in.
    pub users: Vec<String>,
    /// Whether the system waits for a restart; left out: it does not tell.
    #[schema(nullable = false)]
    pub reboot_pending: Option<bool>,
    /// Free bytes of the disk with the least.
    #[schema(minimum = 0, nullable = false)]
    pub disk_free_bytes: Option<i64>,
    /// Software for which it was found, by name, ten at most; empty where none was asked for.
    pub software: Vec<InstalledSoftware>,
    /// When its agent told a change last; left out: it has told nothing.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub told_at: Option<WireTime>,
}

/// Answer of searching the inventories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchInventoryResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest desktop first.
    pub items: Vec<FoundInventory>,
}

/// Query parameters of searching the inventories; a desktop must fit all that are given.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchInventoryQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Name of installed software, without regard to case; with `*` at its end, what it begins with.
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub software: Option<String>,
    /// Version of that software, to the letter; without `software` it is refused.
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub version: Option<String>,
    /// Text that name and version of the operating system contain, without regard to case.
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub os: Option<String>,
    /// Account that is logged in, without regard to case.
    #[schema(min_length = 1, max_length = 128, nullable = false)]
    pub user: Option<String>,
    /// Whether the system waits for a restart.
    #[schema(nullable = false)]
    pub reboot_pending: Option<bool>,
    /// Bytes: some disk has less room.
    #[schema(minimum = 0, nullable = false)]
    pub disk_free_below: Option<i64>,
}
