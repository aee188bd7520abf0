//! How an agent learns of a newer program of itself. Frozen for ever: members are only added, so that an agent that
//! slept for years can still be told, and can still answer.

use serde::{Deserialize, Serialize};

/// Prefix of program downloads on the agent listener; the lower-case hex SHA-256 follows.
pub const PROGRAMS_PATH: &str = "/agent-programs/";

/// The layout of [`UpdateManifest`] that this build reads.
pub const MANIFEST_FORMAT: u32 = 1;

/// Stands before the manifest in what is signed, so that no signature made for something else fits.
pub const MANIFEST_CONTEXT: &str = "outfitter agent update 1\n";

/// Length of the slot in an agent's program that holds its version, in bytes.
pub const VERSION_SLOT_BYTES: usize = 64;

/// What the slot begins with; the version follows, then zeros. Read from the file without running it.
pub const VERSION_MARKER: [u8; 25] = *b"\x7foutfitter-agent-version=";

/// A key that updates are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateKey {
    /// Names it in manifests.
    pub id: String,
    /// Ed25519 public key, lower-case hex of 32 bytes.
    pub public_key: String,
}

/// A newer program is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateOffer {
    /// [`UpdateManifest`] as JSON, byte for byte what was signed after [`MANIFEST_CONTEXT`].
    pub manifest: String,
    /// Ed25519 signature, lower-case hex of 64 bytes.
    pub signature: String,
    /// Raised when desktops that failed are to try again; comes back in [`UpdateReport`].
    pub round: i64,
    /// How long the new program may take until it is connected, in seconds.
    pub trial_limit_secs: u32,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateManifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The version, as in semantic versioning.
    pub version: String,
    /// The key that signed it.
    pub key_id: String,
    /// When it was signed, in milliseconds UTC.
    pub signed_at_millis: i64,
    /// First instant at which it is no longer to be followed, in milliseconds UTC.
    pub expires_at_millis: i64,
    /// One program for each platform.
    pub programs: Vec<UpdateProgram>,
}

/// The program for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateProgram {
    /// `linux` or `windows`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// Lower-case hex SHA-256.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// How far a desktop is with an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStage {
    /// The new program says so itself, on trial: it runs and is connected. It stays when this was noted.
    Trying,
    /// It is the agent's program now.
    Done,
    /// It did not run, or did not connect in time: the old one is back.
    Failed,
    /// The offer was not followed: its signature, version, age or program do not fit this desktop.
    Refused,
}

/// What a desktop says of an update. Sent until it was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateReport {
    /// The version.
    pub version: String,
    /// Of the offer.
    pub round: i64,
    /// How far.
    pub stage: UpdateStage,
    /// Why not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Finds the version in the bytes of an agent's program. `None`: it has no slot, as every other file.
pub fn version_in_program(program: &[u8]) -> Option<&str> {
    let mut rest = program;
    while let Some(at) = rest
        .windows(VERSION_MARKER.len())
        .position(|window| window == VERSION_MARKER)
    {
        let slot = &rest[at..];
        if let Some(version) = slot.get(..VERSION_SLOT_BYTES).and_then(version_in_slot) {
            return Some(version);
        }
        rest = &slot[VERSION_MARKER.len()..];
    }
    None
}

/// The version in a slot of [`VERSION_SLOT_BYTES`].
pub fn version_in_slot(slot: &[u8]) -> Option<&str> {
    let text = slot.get(VERSION_MARKER.len()..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    let version = std::str::from_utf8(&text[..end]).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (!version.is_empty() && version.chars().all(plain)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentMessage, ServerMessage};

    /// An agent of the first release says and reads exactly this: a test that has to be changed means that it would
    /// be stranded.
    #[test]
    fn the_messages_of_updates_are_frozen() {
        let offer =
            r#"{"update":{"manifest":"{}","signature":"ab","round":2,"trial_limit_secs":90}}"#;
        let read: ServerMessage = serde_json::from_str(offer).expect("JSON");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), offer);
        let noted = r#"{"update_noted":{"version":"1.2.0","round":2,"stage":"trying"}}"#;
        let read: ServerMessage = serde_json::from_str(noted).expect("JSON");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), noted);
        for stage in ["trying", "done", "failed", "refused"] {
            let report = format!(
                r#"{{"update":{{"version":"1.2.0","round":1,"stage":"{stage}","detail":"why"}}}}"#
            );
            let read: AgentMessage = serde_json::from_str(&report).expect("JSON");
            assert_eq!(serde_json::to_string(&read).expect("JSON"), report);
        }
        let manifest = r#"{"format":1,"version":"1.2.0","key_id":"k","signed_at_millis":1,"expires_at_millis":2,"programs":[{"os":"linux","arch":"x86_64","sha256":"ab","size_bytes":3}]}"#;
        let read: UpdateManifest = serde_json::from_str(manifest).expect("JSON");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), manifest);
        let later = offer.replace("\"round\"", "\"later\":{},\"round\"");
        assert!(serde_json::from_str::<ServerMessage>(&later).is_ok());
    }

    #[test]
    fn a_version_is_found_in_a_program_and_a_marker_alone_is_none() {
        let mut slot = VERSION_MARKER.to_vec();
        slot.extend(b"1.2.0-rc.1");
        slot.resize(VERSION_SLOT_BYTES, 0);
        let program = [b"x".repeat(99), VERSION_MARKER.to_vec(), vec![7; 80], slot].concat();
        assert_eq!(version_in_program(&program), Some("1.2.0-rc.1"));
        assert_eq!(version_in_program(&program[..190]), None);
        assert_eq!(version_in_program(b""), None);
    }
}
