//! How many agents were online, over time: a small series for each project, bounded by its age.

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;

use crate::{Db, ProjectKey, StoreError, Tx};

/// Agents of one project at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentCount {
    /// The project.
    pub project: ProjectKey,
    /// Those with a sign of life.
    pub online: i64,
    /// Desktops with a live agent.
    pub agents: i64,
}

/// One place of the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnlineSample {
    /// Begin of its time.
    pub at: Millis,
    /// Fewest that were online in its time.
    pub online: i64,
    /// Most desktops with a live agent in its time.
    pub agents: i64,
}

impl Db<'_> {
    /// Counts the agents of every project that has any; online are those seen since `since`.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_count(&self, since: Millis) -> Result<Vec<AgentCount>, StoreError> {
        #[derive(FromQueryResult)]
        struct CountRow {
            project_id: i64,
            online: i64,
            agents: i64,
        }
        let rows: Vec<CountRow> = self
            .all(
                "count the agents online",
                "SELECT d.project_id, COUNT(CASE WHEN d.last_seen_at >= $1 THEN 1 END) AS online, COUNT(*) AS agents \
                 FROM desktop d JOIN agent a ON a.desktop_id = d.id AND a.revoked_at IS NULL \
                 WHERE d.deleted_at IS NULL GROUP BY d.project_id ORDER BY d.project_id",
                [since.get().into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AgentCount {
                project: ProjectKey::new(row.project_id),
                online: row.online,
                agents: row.agents,
            })
            .collect())
    }

    /// Whether the slot was counted, by any server.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_online_is_counted(&self, slot: Millis) -> Result<bool, StoreError> {
        let counted: Option<i64> = self
            .scalar(
                "look for the last count of agents",
                "SELECT at FROM agents_online WHERE at = $1 LIMIT 1",
                vec![slot.get().into()],
            )
            .await?;
        Ok(counted.is_some())
    }

    /// The series of a project since a moment, in places of `step` milliseconds, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_online(
        &self,
        project: ProjectKey,
        since: Millis,
        step_millis: i64,
    ) -> Result<Vec<OnlineSample>, StoreError> {
        #[derive(FromQueryResult)]
        struct SampleRow {
            place: i64,
            online: i64,
            agents: i64,
        }
        let rows: Vec<SampleRow> = self
            .all(
                "read the agents online",
                "SELECT (at / $3) * $3 AS place, MIN(online) AS online, MAX(agents) AS agents FROM agents_online \
                 WHERE project_id = $1 AND at >= $2 GROUP BY (at / $3) * $3 ORDER BY place",
                [project.get().into(), since.get().into(), step_millis.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| OnlineSample {
                at: Millis::new(row.place),
                online: row.online,
                agents: row.agents,
            })
            .collect())
    }
}

impl Tx {
    /// Writes what was counted in a slot, and deletes what is older than `keep_from`. A slot that
    /// another server has written stays as it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_online_insert(
        &self,
        slot: Millis,
        counts: &[AgentCount],
        keep_from: Millis,
    ) -> Result<(), StoreError> {
        let rows: Vec<serde_json::Value> = counts
            .iter()
            .map(|count| serde_json::json!({"p": count.project.get(), "o": count.online, "a": count.agents}))
            .collect();
        self.run(
            "write the agents online",
            &format!(
                "INSERT INTO agents_online (project_id, at, online, agents) \
                 SELECT CAST(value ->> 'p' AS BIGINT), $2, CAST(value ->> 'o' AS BIGINT), CAST(value ->> 'a' AS BIGINT) \
                 FROM {} WHERE 1 = 1 ON CONFLICT (project_id, at) DO NOTHING",
                self.dialect().each("$1")
            ),
            [
                serde_json::Value::Array(rows).to_string().into(),
                slot.get().into(),
            ],
        )
        .await?;
        self.run(
            "delete old counts of agents",
            "DELETE FROM agents_online WHERE at < $1",
            [keep_from.get().into()],
        )
        .await
        .map(drop)
    }
}
