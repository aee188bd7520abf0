//! Keys of public ids, of deleted rows too: jobs of deleted apps and desktops stay in lists.

use outfitter_ids::{AppId, DesktopId};

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
}
