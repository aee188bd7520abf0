//! Freezes: while one stands, nothing is handed out in its project, or anywhere.

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;

use crate::{Db, ProjectKey, StoreError, Tx};

/// Where nothing is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreezeScope {
    /// In one project.
    Project(ProjectKey),
    /// Everywhere.
    Server,
}

impl FreezeScope {
    const fn key(self) -> i64 {
        match self {
            Self::Project(project) => project.get(),
            Self::Server => 0,
        }
    }
}

/// Who froze, why and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Who.
    pub operator: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When.
    pub created_at: Millis,
}

/// That no freeze stands over the project `p`.
pub(crate) const NOT_FROZEN: &str =
    "NOT EXISTS (SELECT 1 FROM hand_out_freeze z WHERE z.project_id = p.id OR z.project_id = 0)";

impl Db<'_> {
    /// The freeze of a scope, where one stands.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn freeze_find(&self, scope: FreezeScope) -> Result<Option<Freeze>, StoreError> {
        #[derive(FromQueryResult)]
        struct FreezeRow {
            operator: String,
            reason: Option<String>,
            created_at: i64,
        }
        let row: Option<FreezeRow> = self
            .one(
                "look for a freeze",
                "SELECT operator, reason, created_at FROM hand_out_freeze WHERE project_id = $1",
                [scope.key().into()],
            )
            .await?;
        Ok(row.map(|row| Freeze {
            operator: row.operator,
            reason: row.reason,
            created_at: Millis::new(row.created_at),
        }))
    }
}

impl Tx {
    /// Freezes a scope. One that is frozen keeps its first operator, reason and time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn freeze_set(
        &self,
        scope: FreezeScope,
        operator: &str,
        reason: Option<&str>,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "freeze",
            "INSERT INTO hand_out_freeze (project_id, operator, reason, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
            [
                scope.key().into(),
                operator.into(),
                reason.map(str::to_owned).into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Lets hand-outs go on in a scope.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn freeze_lift(&self, scope: FreezeScope) -> Result<(), StoreError> {
        self.run(
            "lift a freeze",
            "DELETE FROM hand_out_freeze WHERE project_id = $1",
            [scope.key().into()],
        )
        .await
        .map(drop)
    }
}
