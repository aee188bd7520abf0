//! Keys of public ids, of deleted rows too: jobs of deleted apps and desktops stay in lists.

use std::collections::HashMap;

use outfitter_ids::{AppId, DesktopId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::{id_array, in_ids};
use crate::{AppKey, Db, DesktopKey, ProjectKey, StoreError};

impl Db<'_> {
    /// The key of an app of a project, deleted or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_key(
        &self,
        project: ProjectKey,
        id: AppId,
    ) -> Result<Option<AppKey>, StoreError> {
        Ok(self
            .scalar::<i64>(
                "find an app",
                "SELECT id FROM app WHERE public_id = $1 AND project_id = $2",
                [id.uuid().into(), project.into()],
            )
            .await?
            .map(AppKey::new))
    }

    /// The key of a desktop of a project, deleted or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktop_key(
        &self,
        project: ProjectKey,
        id: DesktopId,
    ) -> Result<Option<DesktopKey>, StoreError> {
        Ok(self
            .scalar::<i64>(
                "find a desktop",
                "SELECT id FROM desktop WHERE public_id = $1 AND project_id = $2",
                [id.uuid().into(), project.into()],
            )
            .await?
            .map(DesktopKey::new))
    }

    /// Finds desktops of a project that are not deleted, in the order of the ids; `None` for those it does not have.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_keys(
        &self,
        project: ProjectKey,
        ids: &[DesktopId],
    ) -> Result<Vec<Option<DesktopKey>>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            public_id: Uuid,
        }
        let rows: Vec<Row> = self
            .all(
                "find desktops",
                &format!(
                    "SELECT id, public_id FROM desktop WHERE project_id = $1 AND deleted_at IS NULL AND {}",
                    in_ids(self.dialect(), "public_id", "$2")
                ),
                [
                    project.into(),
                    id_array(ids.iter().map(|id| id.uuid())).into(),
                ],
            )
            .await?;
        let found: HashMap<Uuid, i64> = rows
            .into_iter()
            .map(|row| (row.public_id, row.id))
            .collect();
        Ok(ids
            .iter()
            .map(|id| found.get(&id.uuid()).copied().map(DesktopKey::new))
            .collect())
    }
}
