//! What becomes of copies of enrolled machines: the token that lets them enroll anew, by project.

use outfitter_agent_protocol::MachineIdentity;
use outfitter_domain::fleet::{DesktopName, SeenCopy};
use outfitter_ids::{AgentId, DesktopId, EnrollmentTokenId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::json;
use crate::{AgentKey, Db, ProjectKey, RequestAgent, StoreError, Tx};

/// Whose copy an agent that wants in is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOf {
    /// The agent whose certificate was copied.
    pub agent: AgentKey,
    /// Public id of the desktop that it stands for.
    pub desktop: DesktopId,
    /// Name of that desktop.
    pub desktop_name: String,
    /// What the copy told of itself.
    pub told: MachineIdentity,
    /// Names to try where the one that it asks for is taken.
    pub spare_names: Vec<DesktopName>,
}

/// The token that lets copies enroll anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiesToken {
    /// Public id.
    pub id: EnrollmentTokenId,
    /// What it is for.
    pub name: String,
}

/// What came of naming a token for copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiesSet {
    /// It is named.
    Applied,
    /// The project has no such token.
    UnknownToken,
    /// It is for one desktop alone.
    ForOneDesktop,
}

#[derive(FromQueryResult)]
struct CopiesRow {
    public_id: Uuid,
    name: String,
}

#[derive(FromQueryResult)]
struct NamedTokenRow {
    id: i64,
    desktop_id: Option<i64>,
}

#[derive(FromQueryResult)]
struct AgentRow {
    id: i64,
    desktop_public_id: Uuid,
    desktop_name: String,
    live: i64,
}

impl Db<'_> {
    /// The token that lets copies of the project's machines enroll anew; `None`: they are refused.
    ///
    /// # Errors
    /// The database's.
    pub async fn copies_token(
        &self,
        project: ProjectKey,
    ) -> Result<Option<CopiesToken>, StoreError> {
        let row: Option<CopiesRow> = self
            .one(
                "read what becomes of copies",
                "SELECT t.public_id, t.name FROM project p JOIN enrollment_token t ON t.id = p.copies_token_id \
                 WHERE p.id = $1",
                [project.into()],
            )
            .await?;
        Ok(row.map(|row| CopiesToken {
            id: EnrollmentTokenId::new(row.public_id),
            name: row.name,
        }))
    }

    /// Whether the agent that was copied still stands, in the project.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn copied_agent_stands(
        &self,
        project: ProjectKey,
        agent: AgentKey,
    ) -> Result<bool, StoreError> {
        let key: Option<i64> = self
            .scalar(
                "look for the agent that was copied",
                "SELECT a.id FROM agent a JOIN desktop d ON d.id = a.desktop_id \
                 WHERE a.id = $1 AND a.revoked_at IS NULL AND d.project_id = $2 AND d.deleted_at IS NULL",
                [agent.into(), project.into()],
            )
            .await?;
        Ok(key.is_some())
    }

    /// An agent by its public id, of whatever project.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_find(&self, id: AgentId) -> Result<Option<RequestAgent>, StoreError> {
        let row: Option<AgentRow> = self
            .one(
                "look an agent up",
                "SELECT a.id, d.public_id AS desktop_public_id, d.name AS desktop_name, \
                 CAST(CASE WHEN a.revoked_at IS NULL AND d.deleted_at IS NULL THEN 1 ELSE 0 END AS BIGINT) \
                 AS live FROM agent a JOIN desktop d ON d.id = a.desktop_id \
                 WHERE a.public_id = $1",
                [id.uuid().into()],
            )
            .await?;
        Ok(row.map(|row| RequestAgent {
            key: AgentKey::new(row.id),
            id,
            desktop: DesktopId::new(row.desktop_public_id),
            desktop_name: row.desktop_name,
            live: row.live != 0,
        }))
    }
}

impl Tx {
    /// Names the token that lets copies of the project's machines enroll anew; `None`: they are refused. Anything but
    /// [`CopiesSet::Applied`] changes nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn copies_token_set(
        &self,
        project: ProjectKey,
        token: Option<EnrollmentTokenId>,
    ) -> Result<CopiesSet, StoreError> {
        let named = match token {
            None => None,
            Some(id) => {
                let row: Option<NamedTokenRow> = self
                    .db()
                    .one(
                        "look an enrollment token up",
                        "SELECT id, desktop_id FROM enrollment_token WHERE project_id = $1 AND public_id = $2",
                        [project.into(), id.uuid().into()],
                    )
                    .await?;
                match row {
                    None => return Ok(CopiesSet::UnknownToken),
                    Some(row) if row.desktop_id.is_some() => return Ok(CopiesSet::ForOneDesktop),
                    Some(row) => Some(row.id),
                }
            }
        };
        self.run(
            "set what becomes of copies",
            "UPDATE project SET copies_token_id = $2 WHERE id = $1",
            [project.into(), named.into()],
        )
        .await?;
        Ok(CopiesSet::Applied)
    }

    /// Forgets that this copy of an agent was seen, now that it is a desktop of its own. One that was seen after it stays.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn agent_copy_settle(
        &self,
        agent: AgentKey,
        told: &MachineIdentity,
    ) -> Result<(), StoreError> {
        let seen: Option<String> = self
            .db()
            .scalar(
                "hold the copy of an agent",
                &format!(
                    "SELECT seen_copy FROM agent WHERE id = $1 AND seen_copy IS NOT NULL{}",
                    self.dialect().for_update()
                ),
                [agent.into()],
            )
            .await?;
        let seen: Option<SeenCopy> = seen
            .map(|text| json("agent", "seen_copy", agent.get(), &text))
            .transpose()?;
        match seen {
            Some(seen) if seen.is(told) => self.agent_copy_note(agent, None).await,
            Some(_) | None => Ok(()),
        }
    }
}
