//! Agents: who a certificate belongs to, channel epochs, signs of life.

use outfitter_domain::fleet::{NotedIdentity, SeenCopy};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{AgentId, DesktopId, ProjectId};
use sea_orm::{FromQueryResult, Value};
use serde::Serialize;
use uuid::Uuid;

use crate::query::{in_keys, json, key_array, word};
use crate::{AgentKey, Db, DesktopKey, ProjectKey, StoreError, Tx};

/// An agent to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Public id.
    pub id: AgentId,
    /// Identity of the machine, opaque.
    pub machine_id: String,
    /// Version of the agent.
    pub version: String,
    /// `linux` or `windows`, as reported.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<String>,
    /// Its first certificate.
    pub certificate: NewCertificate,
}

/// A certificate to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCertificate {
    /// SHA-256 of the certificate (DER).
    pub fingerprint: [u8; 32],
    /// First instant of validity.
    pub not_before: Millis,
    /// Last instant of validity.
    pub not_after: Millis,
}

/// Whether an agent may still do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderState {
    /// It may.
    Live,
    /// Not as long as its project is disabled.
    Suspended,
    /// Never again: certificate or agent was revoked, or the desktop deleted.
    Gone,
}

/// Whose certificate it is, and whether it still stands. Expiry is judged by the caller, against its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateHolder {
    /// The agent.
    pub agent: AgentKey,
    /// Its public id.
    pub agent_id: AgentId,
    /// The desktop it stands for.
    pub desktop: DesktopKey,
    /// Its public id.
    pub desktop_id: DesktopId,
    /// Its name.
    pub desktop_name: String,
    /// Its operating system.
    pub os_type: OsType,
    /// The desktop's project.
    pub project: ProjectKey,
    /// Its public id.
    pub project_id: ProjectId,
    /// Whether it may still do anything, expiry aside.
    pub state: HolderState,
    /// Last instant of the certificate's validity.
    pub not_after: Millis,
    /// The desktop's present channel epoch.
    pub channel_epoch: i64,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<String>,
    /// Which machine it was when it was let in last.
    pub identity: Option<NotedIdentity>,
    /// The copy of it that was seen last.
    pub copy: Option<SeenCopy>,
    /// Digest of what is kept of what the desktop is; empty: nothing.
    pub inventory_facts: String,
    /// Digest of what is kept of its software; empty: nothing.
    pub inventory_software: String,
}

/// A desktop whose agent connects, and the epoch its certificate was looked up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochRaise {
    /// The desktop.
    pub desktop: DesktopKey,
    /// The epoch it must still have.
    pub expected: i64,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopSeen {
    /// The desktop.
    pub desktop: DesktopKey,
    /// When.
    pub at: Millis,
    /// Where from; `None` keeps what is stored.
    pub ip_address: Option<String>,
}

#[derive(FromQueryResult)]
struct HolderRow {
    agent_id: i64,
    agent_public_id: Uuid,
    desktop_id: i64,
    desktop_public_id: Uuid,
    desktop_name: String,
    os_type: String,
    project_id: i64,
    project_public_id: Uuid,
    gone: i64,
    project_enabled: i64,
    not_after: i64,
    channel_epoch: i64,
    sandbox_root: Option<String>,
    noted_identity: Option<String>,
    seen_copy: Option<String>,
    inventory_facts: Option<String>,
    inventory_software: Option<String>,
}

#[derive(FromQueryResult)]
struct EpochRow {
    id: i64,
    channel_epoch: i64,
}

impl Db<'_> {
    /// Whose certificate has this fingerprint (SHA-256 of its DER form).
    ///
    /// # Errors
    /// The database's.
    pub async fn certificate_holder(
        &self,
        fingerprint: &[u8; 32],
    ) -> Result<Option<CertificateHolder>, StoreError> {
        let row: Option<HolderRow> = self
            .one(
                "look a certificate up",
                "SELECT a.id AS agent_id, a.public_id AS agent_public_id, d.id AS desktop_id, \
                 d.public_id AS desktop_public_id, d.name AS desktop_name, d.os_type, p.id AS project_id, \
                 p.public_id AS project_public_id, c.not_after, d.channel_epoch, a.sandbox_root, a.noted_identity, a.seen_copy, \
                 i.facts_digest AS inventory_facts, i.software_digest AS inventory_software, \
                 p.enabled AS project_enabled, \
                 CAST(CASE WHEN c.revoked_at IS NULL AND a.revoked_at IS NULL AND d.deleted_at IS NULL \
                 THEN 0 ELSE 1 END AS BIGINT) AS gone \
                 FROM agent_certificate c JOIN agent a ON a.id = c.agent_id \
                 JOIN desktop d ON d.id = a.desktop_id JOIN project p ON p.id = d.project_id \
                 LEFT JOIN inventory i ON i.desktop_id = d.id \
                 WHERE c.fingerprint = $1",
                [fingerprint.to_vec().into()],
            )
            .await?;
        row.map(|row| {
            Ok(CertificateHolder {
                agent: AgentKey::new(row.agent_id),
                agent_id: AgentId::new(row.agent_public_id),
                desktop: DesktopKey::new(row.desktop_id),
                desktop_id: DesktopId::new(row.desktop_public_id),
                os_type: word(
                    "desktop",
                    "os_type",
                    row.desktop_id,
                    &row.os_type,
                    OsType::parse,
                )?,
                desktop_name: row.desktop_name,
                project: ProjectKey::new(row.project_id),
                project_id: ProjectId::new(row.project_public_id),
                state: match (row.gone, row.project_enabled) {
                    (0, 1) => HolderState::Live,
                    (0, _) => HolderState::Suspended,
                    (_, _) => HolderState::Gone,
                },
                not_after: Millis::new(row.not_after),
                channel_epoch: row.channel_epoch,
                sandbox_root: row.sandbox_root,
                identity: row
                    .noted_identity
                    .map(|text| json("agent", "noted_identity", row.agent_id, &text))
                    .transpose()?,
                copy: row
                    .seen_copy
                    .map(|text| json("agent", "seen_copy", row.agent_id, &text))
                    .transpose()?,
                inventory_facts: row.inventory_facts.unwrap_or_default(),
                inventory_software: row.inventory_software.unwrap_or_default(),
            })
        })
        .transpose()
    }
}

/// The live agent of a desktop, by what tells it from copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    /// The agent.
    pub agent: AgentKey,
    /// Which machine it was when it was let in last.
    pub noted: Option<NotedIdentity>,
    /// The copy of it that was seen last.
    pub copy: Option<SeenCopy>,
}

#[derive(FromQueryResult)]
struct IdentityRow {
    id: i64,
    noted_identity: Option<String>,
    seen_copy: Option<String>,
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

impl Tx {
    /// Stores an agent with its first certificate.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the desktop has a live agent.
    pub(crate) async fn agent_insert(
        &self,
        desktop: DesktopKey,
        agent: &NewAgent,
        now: Millis,
    ) -> Result<AgentKey, StoreError> {
        let key = self
            .insert(
                "store an agent",
                "INSERT INTO agent (public_id, desktop_id, machine_id, version, os, arch, sandbox_root, enrolled_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
                [
                    agent.id.uuid().into(),
                    desktop.into(),
                    agent.machine_id.as_str().into(),
                    agent.version.as_str().into(),
                    agent.os.as_str().into(),
                    agent.arch.as_str().into(),
                    agent.sandbox_root.clone().into(),
                    now.get().into(),
                ],
            )
            .await?;
        let key = AgentKey::new(key);
        self.certificate_insert(key, &agent.certificate).await?;
        Ok(key)
    }

    /// Revokes the live agents of desktops, and every certificate of theirs. Open channels are the caller's to
    /// close; one that is being opened loses, since the epoch is another.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_revoke(
        &self,
        desktops: &[DesktopKey],
        now: Millis,
    ) -> Result<(), StoreError> {
        let keys: Value = key_array(desktops.iter().map(|key| key.get())).into();
        let of_desktops = in_keys(self.dialect(), "desktop_id", "$1");
        self.run(
            "revoke the certificates of agents",
            &format!(
                "UPDATE agent_certificate SET revoked_at = $2 WHERE revoked_at IS NULL \
                 AND agent_id IN (SELECT id FROM agent WHERE {of_desktops})"
            ),
            [keys.clone(), now.get().into()],
        )
        .await?;
        self.run(
            "revoke agents",
            &format!("UPDATE agent SET revoked_at = $2 WHERE revoked_at IS NULL AND {of_desktops}"),
            [keys.clone(), now.get().into()],
        )
        .await?;
        self.run(
            "raise the channel epochs of desktops whose agents were revoked",
            &format!(
                "UPDATE desktop SET channel_epoch = channel_epoch + 1 WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [keys],
        )
        .await
        .map(drop)
    }

    /// Notes the version that an agent reports.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_version_set(
        &self,
        agent: AgentKey,
        version: &str,
    ) -> Result<(), StoreError> {
        self.run(
            "note the version of an agent",
            "UPDATE agent SET version = $2 WHERE id = $1 AND version <> $2",
            [agent.into(), version.into()],
        )
        .await
        .map(drop)
    }

    /// What tells the live agent of a desktop from copies, held until the transaction ends; `None`: there is no agent.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_identity_hold(
        &self,
        desktop: DesktopKey,
    ) -> Result<Option<AgentIdentity>, StoreError> {
        let row: Option<IdentityRow> = self
            .db()
            .one(
                "hold which machine an agent is",
                &format!(
                    "SELECT id, noted_identity, seen_copy FROM agent WHERE desktop_id = $1 AND revoked_at IS NULL{}",
                    self.dialect().for_update()
                ),
                [desktop.into()],
            )
            .await?;
        row.map(|row| {
            let noted = row.noted_identity.as_deref();
            let copy = row.seen_copy.as_deref();
            Ok(AgentIdentity {
                agent: AgentKey::new(row.id),
                noted: noted
                    .map(|text| json("agent", "noted_identity", row.id, text))
                    .transpose()?,
                copy: copy
                    .map(|text| json("agent", "seen_copy", row.id, text))
                    .transpose()?,
            })
        })
        .transpose()
    }

    /// Notes which machine an agent is that was let in.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_identity_note(
        &self,
        agent: AgentKey,
        identity: &NotedIdentity,
    ) -> Result<(), StoreError> {
        self.run(
            "note which machine an agent is",
            "UPDATE agent SET noted_identity = $2 WHERE id = $1",
            [agent.into(), text(identity).into()],
        )
        .await
        .map(drop)
    }

    /// Notes a copy of an agent that was seen; `None`: there is none any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_copy_note(
        &self,
        agent: AgentKey,
        copy: Option<&SeenCopy>,
    ) -> Result<(), StoreError> {
        self.run(
            "note a copy of an agent",
            "UPDATE agent SET seen_copy = $2 WHERE id = $1",
            [agent.into(), copy.map(text).into()],
        )
        .await
        .map(drop)
    }

    /// Raises the channel epoch of desktops whose agents connect, each only where it is still the expected one
    /// and the desktop still has a live agent. Answers the new epochs; a desktop that is missing lost against
    /// another connect (or was deleted), and its connection must be closed.
    ///
    /// # Errors
    /// The database's.
    pub async fn channel_epoch_raise(
        &self,
        raises: &[EpochRaise],
        now: Millis,
    ) -> Result<Vec<(DesktopKey, i64)>, StoreError> {
        let rows: Vec<serde_json::Value> = raises
            .iter()
            .map(|raise| serde_json::json!({"d": raise.desktop.get(), "e": raise.expected}))
            .collect();
        let raised: Vec<EpochRow> = self
            .db()
            .all(
                "raise channel epochs",
                &format!(
                    "UPDATE desktop SET channel_epoch = channel_epoch + 1, last_seen_at = $2 \
                     FROM {} WHERE desktop.id = CAST(value ->> 'd' AS BIGINT) \
                     AND channel_epoch = CAST(value ->> 'e' AS BIGINT) AND deleted_at IS NULL \
                     AND EXISTS (SELECT 1 FROM agent WHERE agent.desktop_id = desktop.id AND agent.revoked_at IS NULL) \
                     RETURNING desktop.id, channel_epoch",
                    self.dialect().each("$1")
                ),
                [serde_json::Value::Array(rows).to_string().into(), now.get().into()],
            )
            .await?;
        Ok(raised
            .into_iter()
            .map(|row| (DesktopKey::new(row.id), row.channel_epoch))
            .collect())
    }

    /// Writes signs of life that were gathered in memory. An older one never replaces a newer one.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_seen(&self, seen: &[DesktopSeen]) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let rows: Vec<serde_json::Value> = seen
            .iter()
            .map(|sign| {
                serde_json::json!({"d": sign.desktop.get(), "t": sign.at.get(), "ip": sign.ip_address})
            })
            .collect();
        self.run(
            "note signs of life",
            &format!(
                "UPDATE desktop SET last_seen_at = CAST(value ->> 't' AS BIGINT), \
                 ip_address = COALESCE(value ->> 'ip', ip_address) \
                 FROM {} WHERE desktop.id = CAST(value ->> 'd' AS BIGINT) AND deleted_at IS NULL \
                 AND COALESCE(last_seen_at, 0) <= CAST(value ->> 't' AS BIGINT)",
                self.dialect().each("$1")
            ),
            [serde_json::Value::Array(rows).to_string().into()],
        )
        .await
        .map(drop)
    }
}
