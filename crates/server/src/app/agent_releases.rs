//! Releases of the agent: signed here, offered to a growing share of the desktops, halted when they fail.
//!
//! **Guarantees.** What is signed names the digest of every program, and each program bears the version of its
//! release. The key is one secret that all servers share, sealed in the database; agents pinned its public half when
//! they enrolled. Which desktops are in a share follows from version and desktop alone, so that a raised share holds
//! those of before. **Does not** replace the key: agents would have to learn of the next one first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bytes::Bytes;
use outfitter_agent_protocol::{
    MANIFEST_CONTEXT, MANIFEST_FORMAT, UpdateKey, UpdateManifest, UpdateOffer, UpdateProgram,
    version_in_program,
};
use outfitter_domain::Millis;
use outfitter_domain::app::FieldProblem;
use outfitter_ids::DesktopId;
use outfitter_store::{
    AgentProgram, AgentRelease, AgentUpdateStage, DesktopKey, NewAgentRelease, RollOut,
    UpdateCandidate,
};
use secrecy::ExposeSecret as _;
use semver::Version;
use sha2::{Digest as _, Sha256};

use crate::secrets::SecretBytes;

/// Bytes of the seed of an Ed25519 key. Source: RFC 8032.
pub const KEY_SEED_BYTES: usize = 32;

/// Largest program that is taken, in bytes; ours are near 5 MiB, debug builds ten times that.
pub const MAX_PROGRAM_BYTES: usize = 64 * 1024 * 1024;

/// Desktops on which a release may fail before it halts by itself, where nobody says otherwise.
const HALT_AFTER_FAILURES: i64 = 3;

/// How long a new program may take until it is connected, where nobody says otherwise: a server's restart (30 s,
/// docs/invariants.md, budgets) and a slow start beside it.
const TRIAL_LIMIT_SECS: i64 = 120;

/// An offer that nothing came of is repeated after this time.
const OFFER_AGAIN: Duration = Duration::from_secs(600);

/// Programs that are held in memory: one for each platform of a release.
const PROGRAMS_HELD: usize = 4;

/// What this process knows about handing out programs.
pub struct AgentUpdates {
    pair: Ed25519KeyPair,
    key: UpdateKey,
    held: Mutex<Vec<(String, Bytes)>>,
    reading: tokio::sync::Mutex<()>,
    offered: Mutex<HashMap<DesktopKey, Offered>>,
}

#[derive(PartialEq, Eq)]
struct Offered {
    epoch: i64,
    version: String,
    round: i64,
    at: Millis,
}

/// The secret is no key.
#[derive(Debug, thiserror::Error)]
#[error("the stored key for updates of the agent cannot be used")]
pub struct UpdateKeyError;

impl AgentUpdates {
    /// Signs with the key of this seed.
    ///
    /// # Errors
    /// When it is no seed.
    pub fn new(seed: &SecretBytes) -> Result<Self, UpdateKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret())
            .map_err(|_| UpdateKeyError)?;
        let public = pair.public_key().as_ref();
        let key = UpdateKey {
            id: hex::encode(&Sha256::digest(public)[..8]),
            public_key: hex::encode(public),
        };
        Ok(Self {
            pair,
            key,
            held: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            offered: Mutex::default(),
        })
    }

    /// What agents pin.
    pub fn keys(&self) -> Vec<UpdateKey> {
        vec![self.key.clone()]
    }

    /// Makes and signs a release of programs that were uploaded.
    ///
    /// # Errors
    /// The programs do not make a release.
    pub fn sign(
        &self,
        version: &str,
        programs: Vec<AgentProgram>,
        life: Duration,
        operator: &str,
        now: Millis,
    ) -> Result<NewAgentRelease, FieldProblem> {
        Version::parse(version)
            .map_err(|error| FieldProblem::new("version", format!("is no version: {error}")))?;
        if let Some(other) = programs.iter().find(|program| program.version != version) {
            return Err(FieldProblem::new(
                "programs",
                format!("{} bears version {}", other.sha256, other.version),
            ));
        }
        let platforms: BTreeSet<_> = programs
            .iter()
            .map(|program| (&program.os, &program.arch))
            .collect();
        if platforms.len() < programs.len() {
            return Err(FieldProblem::new(
                "programs",
                "two of them are for one system and architecture",
            ));
        }
        let expires_at = now.plus(life);
        let manifest = UpdateManifest {
            format: MANIFEST_FORMAT,
            version: version.to_owned(),
            key_id: self.key.id.clone(),
            signed_at_millis: now.get(),
            expires_at_millis: expires_at.get(),
            programs: programs
                .iter()
                .map(|program| UpdateProgram {
                    os: program.os.clone(),
                    arch: program.arch.clone(),
                    sha256: program.sha256.clone(),
                    size_bytes: u64::try_from(program.size_bytes).unwrap_or(0),
                })
                .collect(),
        };
        let manifest = serde_json::to_string(&manifest).expect("texts and numbers are JSON");
        let signature = self
            .pair
            .sign(format!("{MANIFEST_CONTEXT}{manifest}").as_bytes());
        Ok(NewAgentRelease {
            version: version.to_owned(),
            signature: hex::encode(signature.as_ref()),
            manifest,
            expires_at,
            operator: operator.to_owned(),
            programs,
            roll_out: RollOut {
                percent: 0,
                halted: false,
                halt_reason: None,
                halt_after_failures: HALT_AFTER_FAILURES,
                trial_limit_secs: TRIAL_LIMIT_SECS,
                round: 1,
            },
        })
    }

    /// A program that is in memory already.
    pub fn held(&self, sha256: &str) -> Option<Bytes> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|(held, _)| held == sha256)?;
        Some(found.1.clone())
    }

    /// Waits for its turn to read a program from the database.
    pub async fn reading(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// Keeps a program in memory, in the place of the one that was kept longest.
    pub fn hold(&self, sha256: &str, content: Bytes) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(held, _)| held != sha256);
        if held.len() >= PROGRAMS_HELD {
            held.remove(0);
        }
        held.push((sha256.to_owned(), content));
    }

    /// Whether an offer is to be made over a channel now; says yes once in a while.
    pub fn may_offer(
        &self,
        desktop: DesktopKey,
        epoch: i64,
        release: &AgentRelease,
        now: Millis,
    ) -> bool {
        let offer = Offered {
            epoch,
            version: release.release.version.clone(),
            round: release.release.roll_out.round,
            at: now,
        };
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        // Channels end; what was offered over them is forgotten.
        if offered.len() > 100_000 {
            offered.clear();
        }
        let rests = offered.get(&desktop).is_some_and(|last| {
            (last.epoch, &last.version, last.round) == (epoch, &offer.version, offer.round)
                && now < last.at.plus(OFFER_AGAIN)
        });
        if !rests {
            offered.insert(desktop, offer);
        }
        !rests
    }
}

/// The offer of a release.
pub fn offer(release: &AgentRelease) -> UpdateOffer {
    let of = &release.release;
    UpdateOffer {
        manifest: of.manifest.clone(),
        signature: of.signature.clone(),
        round: of.roll_out.round,
        trial_limit_secs: u32::try_from(of.roll_out.trial_limit_secs).unwrap_or(u32::MAX),
    }
}

/// Facts about bytes that are said to be a program of the agent.
///
/// # Errors
/// They are none.
pub fn examine(content: &[u8]) -> Result<AgentProgram, FieldProblem> {
    let arch = outfitter_push::arch_of(content).ok_or_else(|| {
        FieldProblem::new(
            "body",
            "is no Linux program for an architecture that is known",
        )
    })?;
    let version = version_in_program(content).ok_or_else(|| {
        FieldProblem::new("body", "is no program of the agent: it bears no version")
    })?;
    Ok(AgentProgram {
        sha256: hex::encode(Sha256::digest(content)),
        os: "linux".to_owned(),
        arch: arch.to_owned(),
        version: version.to_owned(),
        size_bytes: i64::try_from(content.len()).unwrap_or(i64::MAX),
    })
}

/// Whom a release is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Those in its share.
    Offered,
    /// Everybody: the agent is too old to be given anything else.
    Everybody,
}

/// The newest of the releases that a desktop is to be offered, where there is one. Pure.
pub fn choose<'a>(
    rolling: &'a [AgentRelease],
    candidate: &UpdateCandidate,
    share: Share,
) -> Option<&'a AgentRelease> {
    let running = Version::parse(&candidate.version).ok()?;
    rolling
        .iter()
        .filter_map(|release| Some((Version::parse(&release.release.version).ok()?, release)))
        .filter(|(version, release)| {
            let of = &release.release;
            let fits = of
                .programs
                .iter()
                .any(|program| program.os == candidate.os && program.arch == candidate.arch);
            let ended = candidate.notes.iter().any(|(key, round, stage)| {
                let ended = match stage {
                    AgentUpdateStage::Failed | AgentUpdateStage::Refused => true,
                    AgentUpdateStage::Trying | AgentUpdateStage::Done => false,
                };
                *key == release.key && *round >= of.roll_out.round && ended
            });
            let meant = share == Share::Everybody
                || place(&of.version, candidate.desktop_id) < of.roll_out.percent;
            *version > running && fits && meant && !ended
        })
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, release)| release)
}

/// Place of a desktop in the row of all for a version, 0 to 99.
fn place(version: &str, desktop: DesktopId) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update(version.as_bytes());
    hasher.update(desktop.uuid().as_bytes());
    let digest = hasher.finalize();
    let number = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
    i64::try_from(number % 100).expect("below one hundred")
}

#[cfg(test)]
mod tests {
    use outfitter_store::AgentReleaseKey;
    use uuid::Uuid;

    use super::*;

    fn updates() -> AgentUpdates {
        AgentUpdates::new(&SecretBytes::from(vec![7; KEY_SEED_BYTES])).unwrap()
    }

    fn program(arch: &str, version: &str) -> AgentProgram {
        AgentProgram {
            sha256: "ab".repeat(32),
            os: "linux".to_owned(),
            arch: arch.to_owned(),
            version: version.to_owned(),
            size_bytes: 5,
        }
    }

    fn release(key: i64, version: &str, percent: i64) -> AgentRelease {
        let life = Duration::from_secs(60);
        let programs = vec![program("x86_64", version)];
        let mut release = updates()
            .sign(version, programs, life, "me", Millis::new(0))
            .unwrap();
        release.roll_out.percent = percent;
        AgentRelease {
            key: AgentReleaseKey::new(key),
            release,
            created_at: Millis::new(0),
            trying: 0,
            done: 0,
            failed: 0,
            refused: 0,
        }
    }

    fn candidate(number: u128, version: &str) -> UpdateCandidate {
        UpdateCandidate {
            desktop: DesktopKey::new(1),
            desktop_id: DesktopId::new(Uuid::from_u128(number)),
            version: version.to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn programs_of_another_version_or_twice_for_a_platform_make_no_release() {
        let sign = |version: &str, programs| {
            updates().sign(
                version,
                programs,
                Duration::from_secs(60),
                "me",
                Millis::new(0),
            )
        };
        let field = |result: Result<NewAgentRelease, FieldProblem>| result.unwrap_err().field;
        assert_eq!(
            field(sign("1.2", vec![program("x86_64", "1.2")])),
            "version"
        );
        assert_eq!(
            field(sign("1.2.0", vec![program("x86_64", "1.1.0")])),
            "programs"
        );
        let twice = vec![program("x86_64", "1.2.0"), program("x86_64", "1.2.0")];
        assert_eq!(field(sign("1.2.0", twice)), "programs");
        let both = vec![program("x86_64", "1.2.0"), program("aarch64", "1.2.0")];
        assert_eq!(sign("1.2.0", both).unwrap().roll_out.percent, 0);
    }

    #[test]
    fn a_raised_share_holds_the_desktops_of_the_smaller_one() {
        let reached = |percent| -> BTreeSet<u128> {
            let rolling = [release(1, "1.2.0", percent)];
            (0..1000)
                .filter(|number| {
                    choose(&rolling, &candidate(*number, "1.0.0"), Share::Offered).is_some()
                })
                .collect()
        };
        let (ten, half, all) = (reached(10), reached(50), reached(100));
        assert!((50..150).contains(&ten.len()), "{}", ten.len());
        assert!((400..600).contains(&half.len()), "{}", half.len());
        assert!(ten.is_subset(&half));
        assert_eq!((reached(0).len(), all.len()), (0, 1000));
    }

    #[test]
    fn the_newest_release_that_fits_is_offered_until_it_failed_in_this_round() {
        let mut rolling = [release(1, "1.2.0", 100), release(2, "1.10.0", 100)];
        let mut desktop = candidate(1, "1.0.0");
        let version = |rolling: &[AgentRelease], desktop: &UpdateCandidate| {
            choose(rolling, desktop, Share::Offered).map(|release| release.release.version.clone())
        };
        assert_eq!(version(&rolling, &desktop).as_deref(), Some("1.10.0"));
        desktop.notes = vec![(AgentReleaseKey::new(2), 1, AgentUpdateStage::Failed)];
        assert_eq!(version(&rolling, &desktop).as_deref(), Some("1.2.0"));
        rolling[1].release.roll_out.round = 2;
        assert_eq!(version(&rolling, &desktop).as_deref(), Some("1.10.0"));
        assert_eq!(version(&rolling, &candidate(1, "1.10.0")), None);
        assert_eq!(version(&rolling, &candidate(1, "nonsense")), None);
        let mut other = candidate(1, "1.0.0");
        other.arch = "vax".to_owned();
        assert_eq!(version(&rolling, &other), None);
        rolling[1].release.roll_out.percent = 0;
        let all = choose(&rolling[1..], &candidate(1, "1.0.0"), Share::Everybody);
        assert!(all.is_some());
    }

    #[test]
    fn an_offer_rests_on_a_channel_and_is_made_again_on_the_next() {
        let (updates, release) = (updates(), release(1, "1.2.0", 100));
        let may =
            |epoch, at| updates.may_offer(DesktopKey::new(1), epoch, &release, Millis::new(at));
        assert!(may(1, 0));
        assert!(!may(1, 599_999));
        assert!(may(2, 600_000));
        assert!(may(2, 1_200_000));
    }
}
