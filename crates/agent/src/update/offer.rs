//! Whether an offer is followed. Pure.

use outfitter_agent_protocol::{
    MANIFEST_CONTEXT, MANIFEST_FORMAT, UpdateKey, UpdateManifest, UpdateOffer,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use semver::Version;

/// Largest program that is fetched, in bytes; ours are near 5 MiB.
pub const MAX_PROGRAM_BYTES: u64 = 256 * 1024 * 1024;

/// The program to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its version.
    pub version: String,
    /// Lower-case hex SHA-256.
    pub sha256: String,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// An offer that is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the offer, where it could be read.
    pub version: String,
    /// Why, in words.
    pub detail: String,
}

impl Refusal {
    pub(super) fn new(version: &str, detail: impl Into<String>) -> Self {
        Self {
            version: version.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Characters of a version that is told back before its signature holds.
const NAMED_VERSION_CHARS: usize = 64;

/// Judges an offer for a desktop that runs `running`; `now_millis` is the present as far as it is known, in
/// milliseconds UTC.
///
/// # Errors
/// Why it is not followed. Nothing of it was believed before its signature held.
pub fn judge(
    offer: &UpdateOffer,
    keys: &[UpdateKey],
    running: &str,
    now_millis: i64,
) -> Result<Wanted, Refusal> {
    let manifest: UpdateManifest = serde_json::from_str(&offer.manifest).map_err(|error| {
        Refusal::new("unknown", format!("the manifest cannot be read: {error}"))
    })?;
    // Only named, not believed: the server looks for it among its own releases.
    let named: String = manifest.version.chars().take(NAMED_VERSION_CHARS).collect();
    let unsigned = |detail: &str| Refusal::new(&named, detail);
    let key = keys
        .iter()
        .find(|key| key.id == manifest.key_id)
        .ok_or_else(|| {
            unsigned("it is signed with a key that was not pinned when this desktop enrolled")
        })?;
    let signed = [MANIFEST_CONTEXT.as_bytes(), offer.manifest.as_bytes()].concat();
    let holds = hex::decode(&key.public_key)
        .ok()
        .zip(hex::decode(&offer.signature).ok())
        .is_some_and(|(key, signature)| {
            UnparsedPublicKey::new(&ED25519, key)
                .verify(&signed, &signature)
                .is_ok()
        });
    if !holds {
        return Err(unsigned("the signature does not hold"));
    }
    let version = manifest.version.as_str();
    let refused = |detail: String| Refusal::new(version, detail);
    if manifest.format != MANIFEST_FORMAT {
        return Err(refused(format!(
            "this agent does not read manifests of format {}",
            manifest.format
        )));
    }
    if now_millis >= manifest.expires_at_millis {
        return Err(refused("the manifest has expired".to_owned()));
    }
    let parsed =
        |text: &str| Version::parse(text).map_err(|error| refused(format!("{text}: {error}")));
    // A signature is for ever: without this an old program with a known hole could be put back.
    if parsed(version)? <= parsed(running)? {
        return Err(refused(format!(
            "this desktop runs {running}: there is no way back to {version}"
        )));
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let program = manifest
        .programs
        .iter()
        .find(|program| program.os == os && program.arch == arch)
        .ok_or_else(|| refused(format!("it has no program for {os} on {arch}")))?;
    let digest_like = program.sha256.len() == 64
        && program
            .sha256
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !digest_like || program.size_bytes > MAX_PROGRAM_BYTES {
        return Err(refused(
            "digest or size of its program make no sense".to_owned(),
        ));
    }
    Ok(Wanted {
        version: manifest.version.clone(),
        sha256: program.sha256.clone(),
        size_bytes: program.size_bytes,
    })
}

#[cfg(test)]
mod tests {
    use outfitter_agent_protocol::UpdateProgram;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn key() -> (Ed25519KeyPair, Vec<UpdateKey>) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
        let keys = vec![UpdateKey {
            id: "k1".to_owned(),
            public_key: hex::encode(pair.public_key()),
        }];
        (pair, keys)
    }

    fn manifest() -> UpdateManifest {
        UpdateManifest {
            format: MANIFEST_FORMAT,
            version: "1.2.0".to_owned(),
            key_id: "k1".to_owned(),
            signed_at_millis: 0,
            expires_at_millis: 1000,
            programs: vec![UpdateProgram {
                os: std::env::consts::OS.to_owned(),
                arch: std::env::consts::ARCH.to_owned(),
                sha256: "ab".repeat(32),
                size_bytes: 5,
            }],
        }
    }

    fn signed(manifest: &UpdateManifest) -> UpdateOffer {
        let manifest = serde_json::to_string(manifest).expect("JSON");
        let signed = format!("{MANIFEST_CONTEXT}{manifest}");
        UpdateOffer {
            signature: hex::encode(key().0.sign(signed.as_bytes())),
            manifest,
            round: 1,
            trial_limit_secs: 60,
        }
    }

    #[test]
    fn a_newer_program_that_a_pinned_key_signed_is_wanted_and_nothing_else() {
        let keys = key().1;
        let good = signed(&manifest());
        let wanted = judge(&good, &keys, "1.1.9", 999).expect("wanted");
        assert_eq!((wanted.version.as_str(), wanted.size_bytes), ("1.2.0", 5));

        let why = |offer: &UpdateOffer, keys: &[UpdateKey], running: &str, now: i64| {
            judge(offer, keys, running, now)
                .expect_err("refused")
                .detail
        };
        assert!(why(&good, &[], "1.1.9", 999).contains("not pinned"));
        let mut changed = good.clone();
        changed.manifest = changed.manifest.replace("1.2.0", "1.3.0");
        assert!(why(&changed, &keys, "1.1.9", 999).contains("signature"));
        let mut foreign = keys.clone();
        foreign[0].public_key = "00".repeat(32);
        assert!(why(&good, &foreign, "1.1.9", 999).contains("signature"));
        assert!(why(&good, &keys, "1.1.9", 1000).contains("expired"));
        for running in ["1.2.0", "1.2.1", "2.0.0"] {
            assert!(why(&good, &keys, running, 999).contains("no way back"));
        }
        assert!(judge(&good, &keys, "1.2.0-rc.1", 999).is_ok());
        let mut elsewhere = manifest();
        elsewhere.programs[0].arch = "vax".to_owned();
        assert!(why(&signed(&elsewhere), &keys, "1.1.9", 999).contains("no program"));
        let mut path = manifest();
        path.programs[0].sha256 = "../".repeat(21) + "x";
        assert!(why(&signed(&path), &keys, "1.1.9", 999).contains("make no sense"));
        let mut later = manifest();
        later.format = 2;
        assert!(why(&signed(&later), &keys, "1.1.9", 999).contains("format 2"));
    }
}
