//! What a package file is: type by content, digest, Debian control fields, safe extraction.
//!
//! Synchronous code without clock, network or global state, the same on server and desktop, on Linux and Windows.
//! Everything read here is foreign: sizes, names and counts are bounded before they are believed.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod archive;
mod debian;
mod digest;
mod extract;
mod files;
mod inspect;
mod manifest;
mod names;
mod proposal;

pub use debian::{DebianError, DebianPackage};
pub use digest::{
    DigestTextError, DigestWriter, Digester, FileDigest, Sha256Digest, digest_reader,
};
pub use extract::{ExtractError, Limits, Refusal, StagedArchive, extract, stage};
pub use inspect::{
    InspectError, InstallerFamily, PackageFacts, PackageKind, inspect, inspect_reader,
};
pub use proposal::{Advice, Proposal, ProposedMethod, ProposedSystem, propose};

pub use manifest::{
    Manifest, ManifestEntry, Removal, RemoveError, VerifyError, remove_manifest, verify_manifest,
};
