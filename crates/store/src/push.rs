//! Agents pushed onto desktops: how they are reached, and what is being pushed.
//!
//! A push that has not ended has a row with a lease. Who holds the lease works on it and renews it; when a server
//! ends, the lease lapses (or is given back) and another run takes the push over.

use std::collections::BTreeSet;

use outfitter_domain::Millis;
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::{AgentId, DesktopId, NetworkReachId, WorkspaceJobId};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{in_keys, key_array};
use crate::{Db, DesktopKey, ProjectKey, StoreError, SubJobOutcome, Tx, WorkspaceSubJobKey};

/// How something is reached, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredReach {
    /// What may be shown, JSON.
    pub settings: String,
    /// Keys and passwords, sealed.
    pub secrets_sealed: Vec<u8>,
    /// When it was set.
    pub updated_at: Millis,
}

/// How the desktops of a network are reached.
#[derive(Clone, PartialEq, Eq)]
pub struct NetworkReach {
    /// Public id.
    pub id: NetworkReachId,
    /// Address and length of the prefix.
    pub network: String,
    /// How.
    pub reach: StoredReach,
}

/// Whose host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyOf {
    /// The desktop's.
    Desktop,
    /// That of the jump host on the way to it.
    Jump,
}

impl HostKeyOf {
    const fn stored(self) -> i64 {
        match self {
            Self::Desktop => 0,
            Self::Jump => 1,
        }
    }
}

/// A pinned host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedHostKey {
    /// Whose.
    pub of: HostKeyOf,
    /// `SHA256:` and base64.
    pub fingerprint: String,
}

/// A push that this server works on from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedPush {
    /// The sub-job.
    pub sub_job: WorkspaceSubJobKey,
    /// The desktop.
    pub desktop: DesktopKey,
    /// Its public id.
    pub desktop_id: DesktopId,
    /// Its project.
    pub project: ProjectKey,
    /// Times a server began it, this one included.
    pub runs: i64,
}

/// What a push must know of the desktop's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentFacts {
    /// The live agent.
    pub agent: Option<AgentId>,
    /// The desktop's channel epoch: higher after each connect.
    pub channel_epoch: i64,
}

#[derive(FromQueryResult)]
struct ReachRow {
    settings: String,
    secrets_sealed: Vec<u8>,
    updated_at: i64,
}

#[derive(FromQueryResult)]
struct NetworkRow {
    public_id: Uuid,
    network: String,
    settings: String,
    secrets_sealed: Vec<u8>,
    updated_at: i64,
}

#[derive(FromQueryResult)]
struct HostKeyRow {
    of_jump: i64,
    fingerprint: String,
}

#[derive(FromQueryResult)]
struct PushRow {
    sub_job_id: i64,
    desktop_id: i64,
    desktop_public_id: Uuid,
    project_id: i64,
    runs: i64,
}

#[derive(FromQueryResult)]
struct AgentRow {
    agent_public_id: Option<Uuid>,
    channel_epoch: i64,
}

#[derive(FromQueryResult)]
struct PercentRow {
    desktop_id: i64,
    percent: i64,
}

impl From<ReachRow> for StoredReach {
    fn from(row: ReachRow) -> Self {
        Self {
            settings: row.settings,
            secrets_sealed: row.secrets_sealed,
            updated_at: Millis::new(row.updated_at),
        }
    }
}

impl Db<'_> {
    /// How a desktop is reached, by its own settings.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_reach(
        &self,
        desktop: DesktopKey,
    ) -> Result<Option<StoredReach>, StoreError> {
        let row: Option<ReachRow> = self
            .one(
                "read how a desktop is reached",
                "SELECT settings, secrets_sealed, updated_at FROM desktop_reach WHERE desktop_id = $1",
                [desktop.into()],
            )
            .await?;
        Ok(row.map(StoredReach::from))
    }

    /// How the networks of the project are reached, by network.
    ///
    /// # Errors
    /// The database's.
    pub async fn network_reach_list(
        &self,
        project: ProjectKey,
    ) -> Result<Vec<NetworkReach>, StoreError> {
        let rows: Vec<NetworkRow> = self
            .all(
                "list how networks are reached",
                "SELECT public_id, network, settings, secrets_sealed, updated_at FROM network_reach \
                 WHERE project_id = $1 ORDER BY network",
                [project.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| NetworkReach {
                id: NetworkReachId::new(row.public_id),
                network: row.network,
                reach: StoredReach {
                    settings: row.settings,
                    secrets_sealed: row.secrets_sealed,
                    updated_at: Millis::new(row.updated_at),
                },
            })
            .collect())
    }

    /// The host keys pinned for a desktop.
    ///
    /// # Errors
    /// The database's.
    pub async fn host_keys(&self, desktop: DesktopKey) -> Result<Vec<PinnedHostKey>, StoreError> {
        let rows: Vec<HostKeyRow> = self
            .all(
                "read pinned host keys",
                "SELECT of_jump, fingerprint FROM desktop_host_key WHERE desktop_id = $1 ORDER BY of_jump",
                [desktop.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| PinnedHostKey {
                of: if row.of_jump == 0 {
                    HostKeyOf::Desktop
                } else {
                    HostKeyOf::Jump
                },
                fingerprint: row.fingerprint,
            })
            .collect())
    }

    /// The live agent and the channel epoch of a desktop.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_facts(&self, desktop: DesktopKey) -> Result<Option<AgentFacts>, StoreError> {
        let row: Option<AgentRow> = self
            .one(
                "read the agent of a desktop",
                "SELECT a.public_id AS agent_public_id, d.channel_epoch FROM desktop d \
                 LEFT JOIN agent a ON a.desktop_id = d.id AND a.revoked_at IS NULL WHERE d.id = $1",
                [desktop.into()],
            )
            .await?;
        Ok(row.map(|row| AgentFacts {
            agent: row.agent_public_id.map(AgentId::new),
            channel_epoch: row.channel_epoch,
        }))
    }

    /// Whether a push may be waiting for a server.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_is_due(&self, now: Millis) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look for pushes",
                "SELECT sub_job_id FROM agent_push WHERE lease_until <= $1 LIMIT 1",
                [now.get().into()],
            )
            .await?;
        Ok(found.is_some())
    }

    /// How far pushes onto these desktops are, in percent; a desktop that is missing has none.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_percents(
        &self,
        desktops: &[DesktopKey],
    ) -> Result<Vec<(DesktopKey, i64)>, StoreError> {
        let of_desktops = in_keys(self.dialect(), "desktop_id", "$1");
        let rows: Vec<PercentRow> = self
            .all(
                "read how far pushes are",
                &format!(
                    "SELECT desktop_id, max(percent) AS percent FROM agent_push WHERE {of_desktops} \
                     GROUP BY desktop_id"
                ),
                [key_array(desktops.iter().map(|key| key.get())).into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (DesktopKey::new(row.desktop_id), row.percent))
            .collect())
    }
}

impl Tx {
    /// Sets how a desktop is reached.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_reach_set(
        &self,
        desktop: DesktopKey,
        reach: &StoredReach,
    ) -> Result<(), StoreError> {
        self.run(
            "store how a desktop is reached",
            "INSERT INTO desktop_reach (desktop_id, settings, secrets_sealed, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (desktop_id) DO UPDATE SET settings = $2, secrets_sealed = $3, updated_at = $4",
            [
                desktop.into(),
                reach.settings.as_str().into(),
                reach.secrets_sealed.clone().into(),
                reach.updated_at.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Forgets how a desktop is reached, its pinned host keys too. `false` when nothing was known.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_reach_delete(&self, desktop: DesktopKey) -> Result<bool, StoreError> {
        let keys = self.host_keys_forget(desktop).await?;
        let changed = self
            .run(
                "forget how a desktop is reached",
                "DELETE FROM desktop_reach WHERE desktop_id = $1",
                [desktop.into()],
            )
            .await?;
        Ok(keys + changed > 0)
    }

    /// Forgets the pinned host keys of a desktop: the next login pins anew.
    ///
    /// # Errors
    /// The database's.
    pub async fn host_keys_forget(&self, desktop: DesktopKey) -> Result<u64, StoreError> {
        self.run(
            "forget pinned host keys",
            "DELETE FROM desktop_host_key WHERE desktop_id = $1",
            [desktop.into()],
        )
        .await
    }

    /// Pins a host key where none is pinned.
    ///
    /// # Errors
    /// The database's.
    pub async fn host_key_pin_if_absent(
        &self,
        desktop: DesktopKey,
        key: &PinnedHostKey,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "pin a host key",
            "INSERT INTO desktop_host_key (desktop_id, of_jump, fingerprint, seen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (desktop_id, of_jump) DO NOTHING",
            [
                desktop.into(),
                key.of.stored().into(),
                key.fingerprint.as_str().into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Sets how the desktops of a network are reached; an entry of the same network is replaced and keeps its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn network_reach_set(
        &self,
        project: ProjectKey,
        entry: &NetworkReach,
    ) -> Result<NetworkReachId, StoreError> {
        let doing = "store how a network is reached";
        let id: Option<Uuid> = self
            .db()
            .scalar(
                doing,
                "INSERT INTO network_reach (public_id, project_id, network, settings, secrets_sealed, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (project_id, network) \
                 DO UPDATE SET settings = $4, secrets_sealed = $5, updated_at = $6 RETURNING public_id",
                [
                    entry.id.uuid().into(),
                    project.into(),
                    entry.network.as_str().into(),
                    entry.reach.settings.as_str().into(),
                    entry.reach.secrets_sealed.clone().into(),
                    entry.reach.updated_at.get().into(),
                ],
            )
            .await?;
        let id = id.map_or(entry.id, NetworkReachId::new);
        self.made("network_reach", id);
        Ok(id)
    }

    /// Forgets how a network is reached. `false` when the project has no such entry.
    ///
    /// # Errors
    /// The database's.
    pub async fn network_reach_delete(
        &self,
        project: ProjectKey,
        id: NetworkReachId,
    ) -> Result<bool, StoreError> {
        let changed = self
            .run(
                "forget how a network is reached",
                "DELETE FROM network_reach WHERE project_id = $1 AND public_id = $2",
                [project.into(), id.uuid().into()],
            )
            .await?;
        Ok(changed > 0)
    }

    /// Makes every waiting sub-job of a job a push to be taken.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_enqueue(&self, job: WorkspaceJobId) -> Result<(), StoreError> {
        self.run(
            "enqueue pushes",
            "INSERT INTO agent_push (sub_job_id, desktop_id) SELECT s.id, s.desktop_id \
             FROM workspace_sub_job s JOIN workspace_job j ON j.id = s.workspace_job_id \
             WHERE j.public_id = $1 AND s.status = $2 ON CONFLICT (sub_job_id) DO NOTHING",
            [job.uuid().into(), SubJobStatus::Waiting.as_str().into()],
        )
        .await
        .map(drop)
    }

    /// Takes pushes that nobody works on, oldest first, at most one a desktop; their sub-jobs run from now on.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_claim(
        &self,
        limit: usize,
        now: Millis,
        lease_until: Millis,
    ) -> Result<Vec<ClaimedPush>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lock = match self.dialect().for_update() {
            "" => String::new(),
            clause => format!("{clause} OF p SKIP LOCKED"),
        };
        let rows: Vec<PushRow> = self
            .db()
            .all(
                "take pushes",
                &format!(
                    "SELECT p.sub_job_id, p.desktop_id, d.public_id AS desktop_public_id, s.project_id, p.runs \
                     FROM agent_push p JOIN workspace_sub_job s ON s.id = p.sub_job_id \
                     JOIN desktop d ON d.id = p.desktop_id WHERE p.lease_until <= $1 \
                     AND NOT EXISTS (SELECT 1 FROM agent_push o WHERE o.desktop_id = p.desktop_id \
                     AND o.lease_until > $1) ORDER BY p.sub_job_id LIMIT $2{lock}"
                ),
                [now.get().into(), limit.into()],
            )
            .await?;
        let mut desktops = BTreeSet::new();
        let claimed: Vec<ClaimedPush> = rows
            .into_iter()
            .filter(|row| desktops.insert(row.desktop_id))
            .map(|row| ClaimedPush {
                sub_job: WorkspaceSubJobKey::new(row.sub_job_id),
                desktop: DesktopKey::new(row.desktop_id),
                desktop_id: DesktopId::new(row.desktop_public_id),
                project: ProjectKey::new(row.project_id),
                runs: row.runs + 1,
            })
            .collect();
        let keys: Value = key_array(claimed.iter().map(|push| push.sub_job.get())).into();
        self.run(
            "lease pushes",
            &format!(
                "UPDATE agent_push SET lease_until = $2, runs = runs + 1 WHERE {}",
                in_keys(self.dialect(), "sub_job_id", "$1")
            ),
            [keys.clone(), lease_until.get().into()],
        )
        .await?;
        self.run(
            "begin sub-jobs",
            &format!(
                "UPDATE workspace_sub_job SET status = $2 WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [keys, SubJobStatus::Running.as_str().into()],
        )
        .await?;
        Ok(claimed)
    }

    /// Notes how far pushes are, and renews their leases.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_progress(
        &self,
        percents: &[(WorkspaceSubJobKey, u8)],
        lease_until: Millis,
    ) -> Result<(), StoreError> {
        let rows: Vec<serde_json::Value> = percents
            .iter()
            .map(|(sub_job, percent)| serde_json::json!({"s": sub_job.get(), "p": percent}))
            .collect();
        self.run(
            "note how far pushes are",
            &format!(
                "UPDATE agent_push SET percent = CAST(value ->> 'p' AS BIGINT), lease_until = $2 \
                 FROM {} WHERE sub_job_id = CAST(value ->> 's' AS BIGINT)",
                self.dialect().each("$1")
            ),
            [
                serde_json::Value::Array(rows).to_string().into(),
                lease_until.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Gives a push back unfinished: any server may go on with it at once. This run does not count.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_release(&self, sub_job: WorkspaceSubJobKey) -> Result<(), StoreError> {
        self.run(
            "give a push back",
            "UPDATE agent_push SET lease_until = 0, runs = runs - 1 WHERE sub_job_id = $1",
            [sub_job.into()],
        )
        .await
        .map(drop)
    }

    /// Ends a push with its outcome; the tokens made for it are gone.
    ///
    /// # Errors
    /// The database's.
    pub async fn push_finish(
        &self,
        push: &ClaimedPush,
        outcome: &SubJobOutcome,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "end a push",
            "DELETE FROM agent_push WHERE sub_job_id = $1",
            [push.sub_job.into()],
        )
        .await?;
        self.run(
            "end a sub-job",
            "UPDATE workspace_sub_job SET status = $2, error_code = $3, fail_reason = $4, ended_at = $5 \
             WHERE id = $1",
            [
                push.sub_job.into(),
                outcome.status.as_str().into(),
                outcome.error_code.clone().into(),
                outcome.fail_reason.clone().into(),
                now.get().into(),
            ],
        )
        .await?;
        self.run(
            "remove the token of a push",
            "DELETE FROM enrollment_token WHERE desktop_id = $1",
            [push.desktop.into()],
        )
        .await
        .map(drop)
    }
}
