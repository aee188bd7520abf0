//! Objects that uploaders put into the object store past the server: allowed, seen there, taken in.

use outfitter_domain::Millis;
use outfitter_ids::{AppId, ProjectId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::job::id_list;
use crate::query::in_ids;
use crate::{AppKey, Db, ProjectKey, StoreError, Tx};

/// Holds for a revision `r` of project `{project}` whose object was seen in the store and is not taken in yet.
pub(crate) fn object_is_pending(project: &str) -> String {
    format!(
        "(r.store_type = 'OBS' AND r.package_id IS NULL AND EXISTS ( \
           SELECT 1 FROM bucket_direct_upload du WHERE du.project_id = {project} \
           AND du.object_key = r.bucket_file_path AND du.seen_tag IS NOT NULL \
           AND du.seen_tag <> COALESCE(du.taken_tag, '')))"
    )
}

/// An object that may be put past the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectUpload {
    /// Names it here.
    pub id: i64,
    /// Whose bucket.
    pub project: ProjectKey,
    /// Whose bucket, on the wire.
    pub project_id: ProjectId,
    /// Full key of the object.
    pub object_key: String,
    /// When the last credential for it lapses.
    pub expires_at: Millis,
    /// Tells what was last seen there from what is put later: the store's tag of the bytes and when they came.
    pub seen_tag: Option<String>,
    /// The tag of what was last taken in or refused.
    pub taken_tag: Option<String>,
}

impl DirectUpload {
    /// Whether something lies there that was not taken in yet.
    pub fn is_pending(&self) -> bool {
        self.seen_tag.is_some() && self.seen_tag != self.taken_tag
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    project_id: i64,
    project_public_id: Uuid,
    object_key: String,
    expires_at: i64,
    seen_tag: Option<String>,
    taken_tag: Option<String>,
}

impl From<Row> for DirectUpload {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            project: ProjectKey::new(row.project_id),
            project_id: ProjectId::new(row.project_public_id),
            object_key: row.object_key,
            expires_at: Millis::new(row.expires_at),
            seen_tag: row.seen_tag,
            taken_tag: row.taken_tag,
        }
    }
}

const COLUMNS: &str = "u.id, u.project_id, p.public_id AS project_public_id, u.object_key, u.expires_at, \
                       u.seen_tag, u.taken_tag FROM bucket_direct_upload u JOIN project p ON p.id = u.project_id";

impl Db<'_> {
    /// Whether the app's package was seen in the store and is not taken in yet.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn direct_upload_is_pending(&self, app: AppKey) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look whether a package is taken in",
                &format!(
                    "SELECT a.id FROM app a JOIN app_revision r ON r.id = a.revision_id WHERE a.id = $1 AND {}",
                    object_is_pending("a.project_id")
                ),
                [app.into()],
            )
            .await?;
        Ok(found.is_some())
    }

    /// When the last credential for an upload lapses; `None`: it is forgotten.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn direct_upload_expires(&self, id: i64) -> Result<Option<Millis>, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look when an upload past the server lapses",
                "SELECT expires_at FROM bucket_direct_upload WHERE id = $1",
                [id.into()],
            )
            .await?;
        Ok(found.map(Millis::new))
    }

    /// That of an object, where its uploader may have put it past the server.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn direct_upload_find(
        &self,
        project: ProjectKey,
        object_key: &str,
    ) -> Result<Option<DirectUpload>, StoreError> {
        let row: Option<Row> = self
            .one(
                "find an upload past the server",
                &format!("SELECT {COLUMNS} WHERE u.project_id = $1 AND u.object_key = $2"),
                [project.into(), object_key.into()],
            )
            .await?;
        Ok(row.map(Into::into))
    }

    /// A page of them, oldest first, after the one of this id.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn direct_uploads(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<DirectUpload>, StoreError> {
        let rows: Vec<Row> = self
            .all(
                "list uploads past the server",
                &format!("SELECT {COLUMNS} WHERE u.id > $1 ORDER BY u.id LIMIT $2"),
                [after.into(), limit.into()],
            )
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Those that apps of a project wait for.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn direct_uploads_of_apps(
        &self,
        project: ProjectKey,
        apps: &[AppId],
    ) -> Result<Vec<DirectUpload>, StoreError> {
        let rows: Vec<Row> = self
            .all(
                "list uploads past the server that apps wait for",
                &format!(
                    "SELECT {COLUMNS} WHERE u.project_id = $1 AND EXISTS (SELECT 1 FROM app a \
                     JOIN app_revision r ON r.id = a.revision_id WHERE a.project_id = $1 AND {} \
                     AND r.store_type = 'OBS' AND r.package_id IS NULL AND r.bucket_file_path = u.object_key) \
                     ORDER BY u.id",
                    in_ids(self.dialect(), "a.public_id", "$2")
                ),
                [
                    project.into(),
                    id_list(apps.iter().map(|app| app.uuid())),
                ],
            )
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

impl Tx {
    /// Says that an object may be put past the server until then.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_upload_allow(
        &self,
        project: ProjectKey,
        object_key: &str,
        expires_at: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "allow an upload past the server",
            "INSERT INTO bucket_direct_upload (project_id, object_key, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT (project_id, object_key) DO UPDATE SET expires_at = excluded.expires_at",
            [
                project.into(),
                object_key.into(),
                expires_at.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Writes down what lies there now.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_upload_seen(&self, id: i64, tag: Option<&str>) -> Result<(), StoreError> {
        self.run(
            "write down an upload past the server",
            "UPDATE bucket_direct_upload SET seen_tag = $2 WHERE id = $1",
            [id.into(), tag.map(str::to_owned).into()],
        )
        .await
        .map(drop)
    }

    /// Takes or keeps the work on one, until then; `false` when another server has it. `held_until` is what this
    /// server has it until, where it does.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_upload_lease(
        &self,
        id: i64,
        held_until: Option<Millis>,
        until: Millis,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let changed = self
            .run(
                "take on an upload past the server",
                "UPDATE bucket_direct_upload SET lease_until = $2 \
                 WHERE id = $1 AND (lease_until <= $3 OR lease_until = $4)",
                [
                    id.into(),
                    until.get().into(),
                    now.get().into(),
                    held_until.map_or(-1, Millis::get).into(),
                ],
            )
            .await?;
        Ok(changed == 1)
    }

    /// Says that what had this tag was taken in or refused; the work on it ends.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_upload_taken(&self, id: i64, tag: &str) -> Result<(), StoreError> {
        self.run(
            "take an upload past the server in",
            "UPDATE bucket_direct_upload SET taken_tag = $2, lease_until = 0 WHERE id = $1",
            [id.into(), tag.into()],
        )
        .await
        .map(drop)
    }

    /// Forgets all whose last credential lapsed before then.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_uploads_forget(&self, before: Millis) -> Result<(), StoreError> {
        self.run(
            "forget uploads past the server",
            "DELETE FROM bucket_direct_upload WHERE expires_at < $1",
            [before.get().into()],
        )
        .await
        .map(drop)
    }

    /// Forgets one whose last credential lapsed before then; where there is a newer one it stays.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn direct_upload_forget(&self, id: i64, before: Millis) -> Result<(), StoreError> {
        self.run(
            "forget an upload past the server",
            "DELETE FROM bucket_direct_upload WHERE id = $1 AND expires_at < $2",
            [id.into(), before.get().into()],
        )
        .await
        .map(drop)
    }
}
