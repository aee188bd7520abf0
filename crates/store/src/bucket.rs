//! The package bucket of a project: whether it may be used, its objects, its unfinished multipart uploads.

use outfitter_domain::Millis;
use outfitter_ids::ProjectId;
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{BucketUploadKey, Db, DomainKey, ProjectKey, StoreError, Tx};

/// The bucket of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Whose it is.
    pub project: ProjectKey,
    /// The account that belongs to.
    pub domain: DomainKey,
    /// Whether it was made and opened to uploads.
    pub authorized: bool,
}

/// An object as its uploader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketObject {
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    /// Size of the content in bytes.
    pub size_bytes: i64,
    /// S3's entity tag, where it came through the bucket.
    pub etag: Option<String>,
    /// When it came.
    pub created_at: Millis,
}

/// A multipart upload to begin.
#[derive(Debug)]
pub struct NewBucketUpload<'a> {
    /// Its id on the wire.
    pub id: Uuid,
    /// Whose bucket.
    pub project: ProjectKey,
    /// Full key of the object.
    pub object_key: &'a str,
    /// Lower-case hex SHA-256 that was announced for the whole.
    pub expected_sha256: Option<&'a str>,
}

/// An unfinished multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUpload {
    /// Key.
    pub key: BucketUploadKey,
    /// Lower-case hex SHA-256 that was announced for the whole.
    pub expected_sha256: Option<String>,
}

/// One part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUploadPart {
    /// 1 to 10,000; the object is its parts in this order.
    pub number: i64,
    /// Name of the bytes in the package store.
    pub name: Uuid,
    /// Number of the bytes.
    pub size_bytes: i64,
    /// Lower-case hex MD5 of the bytes.
    pub md5: String,
    /// When it came.
    pub created_at: Millis,
}

#[derive(FromQueryResult)]
struct BucketRow {
    id: i64,
    domain_id: i64,
    bucket_authorized: i64,
}

#[derive(FromQueryResult)]
struct ObjectRow {
    sha256: String,
    size_bytes: i64,
    etag: Option<String>,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct UploadRow {
    id: i64,
    expected_sha256: Option<String>,
}

#[derive(FromQueryResult)]
struct PartRow {
    part_number: i64,
    part_name: Uuid,
    size_bytes: i64,
    md5: String,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct PartNameRow {
    part_name: Uuid,
}

impl Db<'_> {
    /// The bucket of a project that is open for use.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_find(&self, project: ProjectId) -> Result<Option<Bucket>, StoreError> {
        let row: Option<BucketRow> = self
            .one(
                "find the bucket of a project",
                "SELECT id, domain_id, bucket_authorized FROM project WHERE public_id = $1 AND enabled <> 0",
                [project.uuid().into()],
            )
            .await?;
        Ok(row.map(|row| Bucket {
            project: ProjectKey::new(row.id),
            domain: DomainKey::new(row.domain_id),
            authorized: row.bucket_authorized != 0,
        }))
    }

    /// An object of the bucket.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_object_find(
        &self,
        project: ProjectKey,
        object_key: &str,
    ) -> Result<Option<BucketObject>, StoreError> {
        let row: Option<ObjectRow> = self
            .one(
                "find an object of the bucket",
                "SELECT p.sha256, p.size_bytes, o.etag, o.created_at FROM bucket_object o \
                 JOIN package p ON p.id = o.package_id WHERE o.project_id = $1 AND o.object_key = $2",
                [project.into(), object_key.into()],
            )
            .await?;
        Ok(row.map(|row| BucketObject {
            sha256: row.sha256,
            size_bytes: row.size_bytes,
            etag: row.etag,
            created_at: Millis::new(row.created_at),
        }))
    }

    /// An unfinished upload of exactly this object.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_upload_find(
        &self,
        project: ProjectKey,
        object_key: &str,
        id: Uuid,
    ) -> Result<Option<BucketUpload>, StoreError> {
        let row: Option<UploadRow> = self
            .one(
                "find an upload",
                "SELECT id, expected_sha256 FROM bucket_upload \
                 WHERE public_id = $1 AND project_id = $2 AND object_key = $3",
                [id.into(), project.into(), object_key.into()],
            )
            .await?;
        Ok(row.map(|row| BucketUpload {
            key: BucketUploadKey::new(row.id),
            expected_sha256: row.expected_sha256,
        }))
    }

    /// Every part of an upload, in their order: at most 10,000.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_upload_parts(
        &self,
        upload: BucketUploadKey,
    ) -> Result<Vec<BucketUploadPart>, StoreError> {
        let rows: Vec<PartRow> = self
            .all(
                "list the parts of an upload",
                "SELECT part_number, part_name, size_bytes, md5, created_at FROM bucket_upload_part \
                 WHERE upload_id = $1 ORDER BY part_number",
                [upload.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| BucketUploadPart {
                number: row.part_number,
                name: row.part_name,
                size_bytes: row.size_bytes,
                md5: row.md5,
                created_at: Millis::new(row.created_at),
            })
            .collect())
    }
}

impl Tx {
    /// Opens the bucket of a project to uploads; it stays open.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_authorize(&self, project: ProjectKey) -> Result<(), StoreError> {
        self.run(
            "mark the bucket as authorized",
            "UPDATE project SET bucket_authorized = 1 WHERE id = $1 AND bucket_authorized = 0",
            [project.into()],
        )
        .await
        .map(drop)
    }

    /// Begins a multipart upload.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_upload_insert(
        &self,
        upload: &NewBucketUpload<'_>,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "begin an upload",
            "INSERT INTO bucket_upload (public_id, project_id, object_key, expected_sha256, created_at, touched_at) \
             VALUES ($1, $2, $3, $4, $5, $5)",
            [
                upload.id.into(),
                upload.project.into(),
                upload.object_key.into(),
                upload.expected_sha256.map(str::to_owned).into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Takes an upload for this transaction; `false` when it is completed or given up meanwhile.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_upload_lock(
        &self,
        upload: BucketUploadKey,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.run(
            "take an upload",
            "UPDATE bucket_upload SET touched_at = $2 WHERE id = $1",
            [upload.into(), now.get().into()],
        )
        .await
        .map(|rows| rows == 1)
    }

    /// Records a part of a locked upload; answers the name of the bytes that it replaces.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_upload_part_put(
        &self,
        upload: BucketUploadKey,
        part: &BucketUploadPart,
    ) -> Result<Option<Uuid>, StoreError> {
        let replaced: Option<Uuid> = self
            .db()
            .scalar(
                "find a part of an upload",
                "SELECT part_name FROM bucket_upload_part WHERE upload_id = $1 AND part_number = $2",
                [upload.into(), part.number.into()],
            )
            .await?;
        self.run(
            "record a part of an upload",
            "INSERT INTO bucket_upload_part (upload_id, part_number, part_name, size_bytes, md5, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (upload_id, part_number) DO UPDATE \
             SET part_name = excluded.part_name, size_bytes = excluded.size_bytes, md5 = excluded.md5, \
             created_at = excluded.created_at",
            [
                upload.into(),
                part.number.into(),
                part.name.into(),
                part.size_bytes.into(),
                part.md5.as_str().into(),
                part.created_at.get().into(),
            ],
        )
        .await?;
        Ok(replaced)
    }

    /// Forgets an upload; answers the names of its parts' bytes.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_upload_delete(
        &self,
        upload: BucketUploadKey,
    ) -> Result<Vec<Uuid>, StoreError> {
        const DOING: &str = "forget an upload";
        let parts: Vec<PartNameRow> = self
            .db()
            .all(
                DOING,
                "SELECT part_name FROM bucket_upload_part WHERE upload_id = $1",
                [upload.into()],
            )
            .await?;
        self.run(
            DOING,
            "DELETE FROM bucket_upload_part WHERE upload_id = $1",
            [upload.into()],
        )
        .await?;
        self.run(
            DOING,
            "DELETE FROM bucket_upload WHERE id = $1",
            [upload.into()],
        )
        .await?;
        Ok(parts.into_iter().map(|row| row.part_name).collect())
    }
}
