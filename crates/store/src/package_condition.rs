//! Whether packages are what they were: what is to be looked at, and what was found.

use outfitter_domain::Millis;
use outfitter_ids::AppId;
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::word;
use crate::{AppKey, Db, PackageKey, ProjectKey, StoreError, Tx};

/// What was found when the bytes of a package were last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageCondition {
    /// As they came.
    Intact,
    /// Not there.
    Missing,
    /// Others than came.
    Altered,
}

impl PackageCondition {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Missing => "missing",
            Self::Altered => "altered",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "intact" => Some(Self::Intact),
            "missing" => Some(Self::Missing),
            "altered" => Some(Self::Altered),
            _ => None,
        }
    }
}

/// How far bytes were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageLook {
    /// By size, and by the store's tag.
    Size,
    /// Every byte was read.
    Digest,
}

/// A package to look at.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct PackageToLookAt {
    id: i64,
    /// Lower-case hex SHA-256 that the content should have.
    pub sha256: String,
    /// Size that the content should have, in bytes.
    pub size_bytes: i64,
}

impl PackageToLookAt {
    /// Its key.
    pub fn key(&self) -> PackageKey {
        PackageKey::new(self.id)
    }
}

/// An application whose package cannot be had as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPackage {
    /// The application.
    pub app: AppId,
    /// Its name.
    pub app_name: String,
    /// Lower-case hex SHA-256 that the content should have.
    pub sha256: String,
    /// Size that the content should have, in bytes.
    pub size_bytes: i64,
    /// What was found.
    pub condition: PackageCondition,
    /// When it was looked at last.
    pub looked_at: Option<Millis>,
}

#[derive(FromQueryResult)]
struct DamagedRow {
    id: i64,
    public_id: Uuid,
    name: String,
    sha256: String,
    size_bytes: i64,
    condition: String,
    looked_at: Option<i64>,
}

const DAMAGED: &str = "FROM app a JOIN app_revision r ON r.id = a.revision_id JOIN package p ON p.id = r.package_id \
     WHERE p.condition <> 'intact' AND r.store_type = 'OBS' AND a.deleted_at IS NULL AND a.project_id = $1";

impl Db<'_> {
    /// Packages that nobody looked at since `before`, longest ago first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_look_due(
        &self,
        before: Millis,
        limit: i64,
    ) -> Result<Vec<PackageToLookAt>, StoreError> {
        // Two questions of the same index: its engines put NULL at different ends.
        let mut due: Vec<PackageToLookAt> = self
            .all(
                "find packages to look at",
                "SELECT id, sha256, size_bytes FROM package WHERE looked_at IS NULL AND state = 'ready' \
                 ORDER BY id LIMIT $1",
                [limit.into()],
            )
            .await?;
        let rest = limit - i64::try_from(due.len()).unwrap_or(limit);
        if rest > 0 {
            let older: Vec<PackageToLookAt> = self
                .all(
                    "find packages to look at",
                    "SELECT id, sha256, size_bytes FROM package WHERE looked_at < $1 AND state = 'ready' \
                     ORDER BY looked_at LIMIT $2",
                    [before.get().into(), rest.into()],
                )
                .await?;
            due.extend(older);
        }
        Ok(due)
    }

    /// The package that waits longest to be digested.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_digest_due(&self) -> Result<Option<PackageToLookAt>, StoreError> {
        self.one(
            "find a package to digest",
            "SELECT id, sha256, size_bytes FROM package WHERE digest_wanted_at IS NOT NULL \
             ORDER BY digest_wanted_at, id LIMIT 1",
            [],
        )
        .await
    }

    /// Applications of a project whose newest package is missing or altered, newest first, and how many there are.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_damaged(
        &self,
        project: ProjectKey,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<DamagedPackage>), StoreError> {
        const DOING: &str = "list damaged packages";
        let count = self
            .scalar(
                DOING,
                &format!("SELECT COUNT(*) {DAMAGED}"),
                [project.into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<DamagedRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT a.id, a.public_id, a.name, p.sha256, p.size_bytes, p.condition, p.looked_at {DAMAGED} \
                     ORDER BY a.id DESC LIMIT $2 OFFSET $3"
                ),
                [project.into(), limit.into(), offset.into()],
            )
            .await?;
        let items = rows
            .into_iter()
            .map(|row| {
                Ok(DamagedPackage {
                    app: AppId::new(row.public_id),
                    app_name: row.name,
                    sha256: row.sha256,
                    size_bytes: row.size_bytes,
                    condition: word(
                        "package",
                        "condition",
                        row.id,
                        &row.condition,
                        PackageCondition::parse,
                    )?,
                    looked_at: row.looked_at.map(Millis::new),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok((count, items))
    }
}

impl Tx {
    /// Writes down what was found. What was altered and looks well by size again is digested before it counts as
    /// intact: only bytes that were all read, or came anew, do.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_looked(
        &self,
        package: PackageKey,
        condition: PackageCondition,
        look: PackageLook,
        now: Millis,
    ) -> Result<(), StoreError> {
        const DOING: &str = "write down how a package is";
        match look {
            PackageLook::Size => {
                self.run(
                    DOING,
                    "UPDATE package SET looked_at = $3, \
                     condition = CASE WHEN $2 = 'intact' AND condition = 'altered' THEN condition ELSE $2 END, \
                     digest_wanted_at = CASE WHEN $2 = 'intact' AND condition = 'altered' \
                     THEN COALESCE(digest_wanted_at, $3) ELSE digest_wanted_at END WHERE id = $1",
                    [
                        package.into(),
                        condition.as_str().into(),
                        now.get().into(),
                    ],
                )
                .await?;
            }
            PackageLook::Digest => {
                self.run(
                    DOING,
                    "UPDATE package SET looked_at = $3, digested_at = $3, digest_wanted_at = NULL, condition = $2 \
                     WHERE id = $1",
                    [
                        package.into(),
                        condition.as_str().into(),
                        now.get().into(),
                    ],
                )
                .await?;
            }
        }
        Ok(())
    }

    /// Writes down that the bytes of a package were not there for somebody who wanted them.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_was_missing(&self, sha256: &str, now: Millis) -> Result<(), StoreError> {
        self.run(
            "write down that a package is missing",
            "UPDATE package SET looked_at = $2, condition = 'missing' WHERE sha256 = $1",
            [sha256.into(), now.get().into()],
        )
        .await
        .map(drop)
    }

    /// Asks that the newest package of an app is read and digested; tells whether it has one.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_want_digest(&self, app: AppKey, now: Millis) -> Result<bool, StoreError> {
        let asked = self
            .run(
                "ask for a package to be digested",
                "UPDATE package SET digest_wanted_at = COALESCE(digest_wanted_at, $2) WHERE id = \
                 (SELECT r.package_id FROM app a JOIN app_revision r ON r.id = a.revision_id WHERE a.id = $1 \
                  AND r.store_type = 'OBS')",
                [app.into(), now.get().into()],
            )
            .await?;
        Ok(asked > 0)
    }
}
