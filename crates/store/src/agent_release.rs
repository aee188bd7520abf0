//! Newer programs of the agent, how far each is handed out, and what became of it on each desktop.

use outfitter_domain::Millis;
use outfitter_ids::DesktopId;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{Page, in_keys, key_array, text_array, word};
use crate::{AgentReleaseKey, Db, DesktopKey, Listed, StoreError, Tx};

/// A program to store.
pub struct NewAgentProgram<'a> {
    /// What it is.
    pub facts: AgentProgram,
    /// Its bytes.
    pub content: &'a [u8],
}

/// What a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProgram {
    /// Lower-case hex SHA-256.
    pub sha256: String,
    /// `linux`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// As its own slot says.
    pub version: String,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// A release to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgentRelease {
    /// Its version.
    pub version: String,
    /// What was signed.
    pub manifest: String,
    /// The signature, hex.
    pub signature: String,
    /// First instant at which it is not to be followed any more.
    pub expires_at: Millis,
    /// Who made it.
    pub operator: String,
    /// Its programs.
    pub programs: Vec<AgentProgram>,
    /// How far it is handed out.
    pub roll_out: RollOut,
}

/// How far a release is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollOut {
    /// Share of the desktops that it is offered to, 0 to 100.
    pub percent: i64,
    /// Whether it is offered to nobody for now.
    pub halted: bool,
    /// Why it is halted.
    pub halt_reason: Option<String>,
    /// Desktops that may fail in a round before it halts by itself.
    pub halt_after_failures: i64,
    /// How long the new program may take until it is connected, in seconds.
    pub trial_limit_secs: i64,
    /// Raised when desktops that failed are to try again.
    pub round: i64,
}

/// A stored release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRelease {
    /// Row.
    pub key: AgentReleaseKey,
    /// What it is. Its programs' content is not here.
    pub release: NewAgentRelease,
    /// When it was made.
    pub created_at: Millis,
    /// Desktops on which it is on trial.
    pub trying: i64,
    /// Desktops that run it.
    pub done: i64,
    /// Desktops on which it failed.
    pub failed: i64,
    /// Desktops that refused it.
    pub refused: i64,
}

/// How far a desktop is with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentUpdateStage {
    /// The new program is on trial.
    Trying,
    /// It is the agent's program.
    Done,
    /// The old one is back.
    Failed,
    /// The offer was not followed.
    Refused,
}

impl AgentUpdateStage {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Trying, Self::Done, Self::Failed, Self::Refused]
            .into_iter()
            .find(|stage| stage.as_str() == word)
    }
}

/// What a desktop says of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUpdateNote {
    /// Version of the release.
    pub version: String,
    /// Of the offer.
    pub round: i64,
    /// How far.
    pub stage: AgentUpdateStage,
    /// Why not.
    pub detail: Option<String>,
}

/// A desktop that may be offered something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateCandidate {
    /// Row.
    pub desktop: DesktopKey,
    /// Public id.
    pub desktop_id: DesktopId,
    /// What its agent runs.
    pub version: String,
    /// `linux`, as reported.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// What it said of releases so far: release, round, stage.
    pub notes: Vec<(AgentReleaseKey, i64, AgentUpdateStage)>,
}

/// A desktop on which a release failed or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedUpdate {
    /// The desktop.
    pub desktop_id: DesktopId,
    /// Its name.
    pub desktop_name: String,
    /// Failed or refused.
    pub stage: AgentUpdateStage,
    /// Why, in the agent's words.
    pub detail: Option<String>,
    /// When it said so.
    pub at: Millis,
}

#[derive(FromQueryResult)]
struct ProgramRow {
    sha256: String,
    os: String,
    arch: String,
    version: String,
    size_bytes: i64,
}

#[derive(FromQueryResult)]
struct ReleaseRow {
    id: i64,
    version: String,
    manifest: String,
    signature: String,
    expires_at: i64,
    created_at: i64,
    operator: String,
    percent: i64,
    halted: i64,
    halt_reason: Option<String>,
    halt_after_failures: i64,
    trial_limit_secs: i64,
    round: i64,
    trying: i64,
    done: i64,
    failed: i64,
    refused: i64,
}

#[derive(FromQueryResult)]
struct CandidateRow {
    id: i64,
    public_id: Uuid,
    version: String,
    os: String,
    arch: String,
}

#[derive(FromQueryResult)]
struct NoteRow {
    desktop_id: i64,
    release_id: i64,
    round: i64,
    stage: String,
}

#[derive(FromQueryResult)]
struct FailureRow {
    id: i64,
    public_id: Uuid,
    name: String,
    stage: String,
    detail: Option<String>,
    at: i64,
}

impl From<ProgramRow> for AgentProgram {
    fn from(row: ProgramRow) -> Self {
        Self {
            sha256: row.sha256,
            os: row.os,
            arch: row.arch,
            version: row.version,
            size_bytes: row.size_bytes,
        }
    }
}

const RELEASE: &str = "SELECT r.id, r.version, r.manifest, r.signature, r.expires_at, r.created_at, r.operator, \
    r.percent, r.halted, r.halt_reason, r.halt_after_failures, r.trial_limit_secs, r.round, \
    (SELECT COUNT(*) FROM agent_update u WHERE u.release_id = r.id AND u.stage = 'trying') AS trying, \
    (SELECT COUNT(*) FROM agent_update u WHERE u.release_id = r.id AND u.stage = 'done') AS done, \
    (SELECT COUNT(*) FROM agent_update u WHERE u.release_id = r.id AND u.stage = 'failed') AS failed, \
    (SELECT COUNT(*) FROM agent_update u WHERE u.release_id = r.id AND u.stage = 'refused') AS refused \
    FROM agent_release r";

impl Db<'_> {
    /// What is known of programs by their digests; those that are not there are left out.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_program_list(
        &self,
        sha256: &[String],
    ) -> Result<Vec<AgentProgram>, StoreError> {
        let (each, element) = (self.dialect().each("$1"), self.dialect().element_text());
        let rows: Vec<ProgramRow> = self
            .all(
                "look programs of the agent up",
                &format!(
                    "SELECT sha256, os, arch, version, size_bytes FROM agent_program \
                     WHERE sha256 IN (SELECT {element} FROM {each}) ORDER BY os, arch, sha256"
                ),
                [text_array(sha256).into()],
            )
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Whether a program is handed out: a release that is rolled out names it.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_program_is_handed_out(&self, sha256: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look whether a program of the agent is handed out",
                "SELECT CAST(1 AS BIGINT) FROM agent_release_program p JOIN agent_release r ON r.id = p.release_id \
                 WHERE p.sha256 = $1 AND r.percent > 0 AND r.halted = 0 LIMIT 1",
                [sha256.into()],
            )
            .await?;
        Ok(found.is_some())
    }

    /// The bytes of a program.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_program_content(&self, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.scalar(
            "read a program of the agent",
            "SELECT content FROM agent_program WHERE sha256 = $1",
            [sha256.into()],
        )
        .await
    }

    /// Releases, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_release_list(&self, page: Page) -> Result<Listed<AgentRelease>, StoreError> {
        let total: Option<i64> = self
            .scalar(
                "count releases of the agent",
                "SELECT COUNT(*) FROM agent_release",
                [],
            )
            .await?;
        let rows: Vec<ReleaseRow> = self
            .all(
                "list releases of the agent",
                &format!("{RELEASE} ORDER BY r.id DESC LIMIT $1 OFFSET $2"),
                [page.limit.into(), page.offset.into()],
            )
            .await?;
        Ok(Listed {
            total: total.unwrap_or(0),
            items: self.with_programs(rows).await?,
        })
    }

    /// A release by its version.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_release_find(
        &self,
        version: &str,
    ) -> Result<Option<AgentRelease>, StoreError> {
        let rows: Vec<ReleaseRow> = self
            .all(
                "look a release of the agent up",
                &format!("{RELEASE} WHERE r.version = $1"),
                [version.into()],
            )
            .await?;
        Ok(self.with_programs(rows).await?.pop())
    }

    /// Releases that are offered to somebody now.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_release_rolling(
        &self,
        now: Millis,
    ) -> Result<Vec<AgentRelease>, StoreError> {
        let rows: Vec<ReleaseRow> = self
            .all(
                "look for releases of the agent that are rolled out",
                &format!("{RELEASE} WHERE r.percent > 0 AND r.halted = 0 AND r.expires_at > $1"),
                [now.get().into()],
            )
            .await?;
        self.with_programs(rows).await
    }

    async fn with_programs(&self, rows: Vec<ReleaseRow>) -> Result<Vec<AgentRelease>, StoreError> {
        let mut releases = Vec::new();
        for row in rows {
            let programs: Vec<ProgramRow> = self
                .all(
                    "list the programs of a release",
                    "SELECT p.sha256, p.os, p.arch, p.version, p.size_bytes FROM agent_release_program q \
                     JOIN agent_program p ON p.sha256 = q.sha256 WHERE q.release_id = $1 ORDER BY p.os, p.arch",
                    [row.id.into()],
                )
                .await?;
            releases.push(AgentRelease {
                key: AgentReleaseKey::new(row.id),
                release: NewAgentRelease {
                    version: row.version,
                    manifest: row.manifest,
                    signature: row.signature,
                    expires_at: Millis::new(row.expires_at),
                    operator: row.operator,
                    programs: programs.into_iter().map(Into::into).collect(),
                    roll_out: RollOut {
                        percent: row.percent,
                        halted: row.halted != 0,
                        halt_reason: row.halt_reason,
                        halt_after_failures: row.halt_after_failures,
                        trial_limit_secs: row.trial_limit_secs,
                        round: row.round,
                    },
                },
                created_at: Millis::new(row.created_at),
                trying: row.trying,
                done: row.done,
                failed: row.failed,
                refused: row.refused,
            });
        }
        Ok(releases)
    }

    /// Desktops on which a release failed or was refused, the latest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_update_failures(
        &self,
        release: AgentReleaseKey,
        limit: i64,
    ) -> Result<Vec<FailedUpdate>, StoreError> {
        let rows: Vec<FailureRow> = self
            .all(
                "list the desktops on which a release of the agent failed",
                "SELECT d.id, d.public_id, d.name, u.stage, u.detail, u.at FROM agent_update u \
                 JOIN desktop d ON d.id = u.desktop_id WHERE u.release_id = $1 \
                 AND u.stage IN ('failed', 'refused') ORDER BY u.at DESC, d.id DESC LIMIT $2",
                [release.into(), limit.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(FailedUpdate {
                    desktop_id: DesktopId::new(row.public_id),
                    desktop_name: row.name,
                    stage: word(
                        "agent_update",
                        "stage",
                        row.id,
                        &row.stage,
                        AgentUpdateStage::parse,
                    )?,
                    detail: row.detail,
                    at: Millis::new(row.at),
                })
            })
            .collect()
    }

    /// What is known of the agents of desktops, as far as updates go.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_update_candidates(
        &self,
        desktops: &[DesktopKey],
    ) -> Result<Vec<UpdateCandidate>, StoreError> {
        let keys: Value = key_array(desktops.iter().map(|key| key.get())).into();
        let rows: Vec<CandidateRow> = self
            .all(
                "look for agents that may be offered a newer program",
                &format!(
                    "SELECT d.id, d.public_id, a.version, a.os, a.arch FROM desktop d \
                     JOIN agent a ON a.desktop_id = d.id AND a.revoked_at IS NULL WHERE {} ORDER BY d.id",
                    in_keys(self.dialect(), "d.id", "$1")
                ),
                [keys.clone()],
            )
            .await?;
        let notes: Vec<NoteRow> = self
            .all(
                "look at what desktops said of updates",
                &format!(
                    "SELECT desktop_id, release_id, round, stage FROM agent_update WHERE {}",
                    in_keys(self.dialect(), "desktop_id", "$1")
                ),
                [keys],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let notes = notes
                    .iter()
                    .filter(|note| note.desktop_id == row.id)
                    .map(|note| {
                        let stage = word(
                            "agent_update",
                            "stage",
                            note.desktop_id,
                            &note.stage,
                            AgentUpdateStage::parse,
                        )?;
                        Ok((AgentReleaseKey::new(note.release_id), note.round, stage))
                    })
                    .collect::<Result<_, StoreError>>()?;
                Ok(UpdateCandidate {
                    desktop: DesktopKey::new(row.id),
                    desktop_id: DesktopId::new(row.public_id),
                    version: row.version,
                    os: row.os,
                    arch: row.arch,
                    notes,
                })
            })
            .collect()
    }
}

impl Tx {
    /// Stores a program; one that is there already stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_program_insert(
        &self,
        program: &NewAgentProgram<'_>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let facts = &program.facts;
        self.run(
            "store a program of the agent",
            "INSERT INTO agent_program (sha256, os, arch, version, size_bytes, content, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sha256) DO NOTHING",
            [
                facts.sha256.as_str().into(),
                facts.os.as_str().into(),
                facts.arch.as_str().into(),
                facts.version.as_str().into(),
                facts.size_bytes.into(),
                program.content.to_vec().into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Stores a release.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that version.
    pub async fn agent_release_insert(
        &self,
        release: &NewAgentRelease,
        now: Millis,
    ) -> Result<AgentReleaseKey, StoreError> {
        let roll_out = &release.roll_out;
        let key = self
            .insert(
                "store a release of the agent",
                "INSERT INTO agent_release (version, manifest, signature, expires_at, created_at, operator, percent, \
                 halted, halt_after_failures, trial_limit_secs, round) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
                [
                    release.version.as_str().into(),
                    release.manifest.as_str().into(),
                    release.signature.as_str().into(),
                    release.expires_at.get().into(),
                    now.get().into(),
                    release.operator.as_str().into(),
                    roll_out.percent.into(),
                    i64::from(roll_out.halted).into(),
                    roll_out.halt_after_failures.into(),
                    roll_out.trial_limit_secs.into(),
                    roll_out.round.into(),
                ],
            )
            .await?;
        self.made("agentRelease", &release.version);
        for program in &release.programs {
            self.run(
                "store a program of a release",
                "INSERT INTO agent_release_program (release_id, os, arch, sha256) VALUES ($1, $2, $3, $4)",
                [
                    key.into(),
                    program.os.as_str().into(),
                    program.arch.as_str().into(),
                    program.sha256.as_str().into(),
                ],
            )
            .await?;
        }
        Ok(AgentReleaseKey::new(key))
    }

    /// Sets how far a release is handed out.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_release_roll_out(
        &self,
        release: AgentReleaseKey,
        roll_out: &RollOut,
    ) -> Result<(), StoreError> {
        self.changes("agentRelease", &[release.get()]).await?;
        self.run(
            "set how far a release of the agent is handed out",
            "UPDATE agent_release SET percent = $2, halted = $3, halt_reason = $4, halt_after_failures = $5, \
             trial_limit_secs = $6, round = $7 WHERE id = $1",
            [
                release.into(),
                roll_out.percent.into(),
                i64::from(roll_out.halted).into(),
                roll_out.halt_reason.clone().into(),
                roll_out.halt_after_failures.into(),
                roll_out.trial_limit_secs.into(),
                roll_out.round.into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Holds a release until the transaction ends: what desktops say of it waits meanwhile. Answers whether there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_release_hold(&self, version: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .db()
            .scalar(
                "hold a release of the agent",
                &format!(
                    "SELECT id FROM agent_release WHERE version = $1{}",
                    self.dialect().for_update()
                ),
                [version.into()],
            )
            .await?;
        Ok(found.is_some())
    }

    /// Notes what a desktop says of an update; what it says of an earlier round than it said before changes nothing.
    /// A release that fails on too many desktops halts. Answers whether that happened now.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_update_note(
        &self,
        desktop: DesktopKey,
        note: &AgentUpdateNote,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let release: Option<i64> = self
            .db()
            .scalar(
                "look a release of the agent up",
                &format!(
                    "SELECT id FROM agent_release WHERE version = $1{}",
                    self.dialect().for_update()
                ),
                [note.version.as_str().into()],
            )
            .await?;
        // What was never ours is nothing to note: an agent that came from another server says such things.
        let Some(release) = release else {
            return Ok(false);
        };
        self.run(
            "note how a desktop fares with an update",
            "INSERT INTO agent_update (desktop_id, release_id, round, stage, detail, at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (desktop_id, release_id) DO UPDATE SET \
             round = excluded.round, stage = excluded.stage, detail = excluded.detail, at = excluded.at \
             WHERE agent_update.round <= excluded.round \
             AND (agent_update.round < excluded.round OR agent_update.stage <> excluded.stage)",
            [
                desktop.into(),
                release.into(),
                note.round.into(),
                note.stage.as_str().into(),
                note.detail.clone().into(),
                now.get().into(),
            ],
        )
        .await?;
        if note.stage != AgentUpdateStage::Failed {
            return Ok(false);
        }
        let is_enough: Option<i64> = self
            .db()
            .scalar(
                "count where a release of the agent failed",
                "SELECT id FROM agent_release WHERE id = $1 AND halted = 0 \
                 AND (SELECT COUNT(*) FROM agent_update u WHERE u.release_id = $1 AND u.stage = 'failed' \
                 AND u.round = agent_release.round) >= halt_after_failures",
                [release.into()],
            )
            .await?;
        if is_enough.is_none() {
            return Ok(false);
        }
        self.changes("agentRelease", &[release]).await?;
        self.run(
            "halt a release of the agent that fails",
            "UPDATE agent_release SET halted = 1, halt_reason = $2 WHERE id = $1",
            [
                release.into(),
                "it failed on as many desktops as it may".into(),
            ],
        )
        .await?;
        Ok(true)
    }
}
