//! What the packages of a project take, how much they may, and what is asked of its links.

use outfitter_domain::Millis;
use outfitter_ids::ProjectId;
use sea_orm::FromQueryResult;

use crate::{Db, DomainKey, ProjectKey, StoreError, Tx};

/// What a project is told and allowed about its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageSettings {
    /// Most bytes its packages may take; `None`: no limit.
    pub quota_bytes: Option<i64>,
    /// Whether a link must come with a digest.
    pub require_link_digest: bool,
}

#[derive(FromQueryResult)]
struct SettingsRow {
    quota_bytes: Option<i64>,
    require_link_digest: i64,
}

impl Db<'_> {
    /// What a project is told and allowed; `None` where there is no such project.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_settings(
        &self,
        project: ProjectKey,
    ) -> Result<Option<PackageSettings>, StoreError> {
        let row: Option<SettingsRow> = self
            .one(
                "read a project's settings of packages",
                "SELECT quota_bytes, require_link_digest FROM project WHERE id = $1",
                [project.into()],
            )
            .await?;
        Ok(row.map(|row| PackageSettings {
            quota_bytes: row.quota_bytes,
            require_link_digest: row.require_link_digest != 0,
        }))
    }

    /// Bytes that are kept for a project: each content once, be it an object of its bucket or held by a revision of
    /// an app that is there or was deleted after `restorable_since`, and the parts of its unfinished uploads.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_usage(
        &self,
        project: ProjectKey,
        restorable_since: Millis,
    ) -> Result<i64, StoreError> {
        let used: Option<i64> = self
            .scalar(
                "add up a project's packages",
                "SELECT CAST( \
                 COALESCE((SELECT SUM(p.size_bytes) FROM package p WHERE p.state NOT IN ('gone', 'collecting') \
                   AND p.id IN (SELECT o.package_id FROM bucket_object o WHERE o.project_id = $1 \
                     UNION SELECT r.package_id FROM app_revision r JOIN app a ON a.id = r.app_id \
                     WHERE a.project_id = $1 AND r.package_id IS NOT NULL \
                     AND (a.deleted_at IS NULL OR a.deleted_at > $2))), 0) + \
                 COALESCE((SELECT SUM(q.size_bytes) FROM bucket_upload_part q \
                   JOIN bucket_upload u ON u.id = q.upload_id WHERE u.project_id = $1), 0) AS BIGINT)",
                [project.into(), restorable_since.get().into()],
            )
            .await?;
        Ok(used.unwrap_or(0))
    }
}

impl Tx {
    /// Holds a project's quota until the end of the transaction, so that two uploads do not both take the same room;
    /// answers it. To be called before anything else of the project is locked.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn quota_lock(&self, project: ProjectKey) -> Result<Option<i64>, StoreError> {
        let quota: Option<Option<i64>> = self
            .db()
            .scalar(
                "lock a project's quota",
                &format!(
                    "SELECT quota_bytes FROM project WHERE id = $1 AND quota_bytes IS NOT NULL{}",
                    self.dialect().for_no_key_update()
                ),
                [project.into()],
            )
            .await?;
        Ok(quota.flatten())
    }

    /// Sets the quota of a domain's project; `false` where the domain has no such project. What it has already stays.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn quota_set(
        &self,
        domain: DomainKey,
        project: ProjectId,
        quota_bytes: Option<i64>,
    ) -> Result<bool, StoreError> {
        self.run(
            "set a project's quota",
            "UPDATE project SET quota_bytes = $3 WHERE domain_id = $1 AND public_id = $2",
            [domain.into(), project.uuid().into(), quota_bytes.into()],
        )
        .await
        .map(|rows| rows == 1)
    }

    /// Sets whether links of a project must come with a digest.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn require_link_digest_set(
        &self,
        project: ProjectKey,
        required: bool,
    ) -> Result<(), StoreError> {
        self.run(
            "set what a project asks of links",
            "UPDATE project SET require_link_digest = $2 WHERE id = $1",
            [project.into(), i64::from(required).into()],
        )
        .await
        .map(drop)
    }
}
