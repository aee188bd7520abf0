//! Which package bytes may go. A package is `ready` as long as something needs it, `collecting` while its bytes are
//! removed, `gone` afterwards where revisions of the past still name it; an upload of the same bytes revives it.
//!
//! **What keeps bytes from being removed under an upload:** the upload claims them before it puts them in place
//! ([`Tx::package_claim`]) and records them only while its claim holds ([`Tx::object_put`]); a collection begins only
//! what is not claimed ([`Tx::package_begin_collecting`]). Only one collection runs at a time, on however many servers
//! ([`Store::collection_lock`]), so that a killed one is finished by the next and never by two.

use outfitter_domain::Millis;
use outfitter_domain::app::ROLL_BACK_PACKAGES;
use sea_orm::{DatabaseTransaction, FromQueryResult, TransactionTrait as _, Value};
use uuid::Uuid;

use crate::host::UNHOSTED;
use crate::query::{id_array, in_ids, in_keys, key_array, text_array, word};
use crate::{BucketUploadKey, Db, Dialect, PackageKey, PackageState, Store, StoreError, Tx};

/// Key of the lock of collections: "collect!" in ASCII.
const COLLECTION_LOCK: i64 = 0x636f_6c6c_6563_7421;

/// A package that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnneededPackage {
    /// Key.
    pub key: PackageKey,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    /// Size of the content in bytes.
    pub size_bytes: i64,
    /// Since when nothing needs it, once a collection has seen it.
    pub unreferenced_at: Option<Millis>,
    /// Until when an upload holds it.
    pub claimed_until: Millis,
}

/// What a collection needs to know of the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionClock {
    /// The present.
    pub now: Millis,
    /// Apps that were deleted after this can be restored.
    pub restorable_since: Millis,
    /// Packages that nothing has needed since then may go.
    pub unreferenced_before: Millis,
}

/// Whether bytes are held for an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageClaim {
    /// They are: nobody collects them until the claim ends.
    Held,
    /// They are being removed right now: to be asked again.
    BeingCollected,
}

/// An upload that nobody went on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbandonedUpload {
    /// Key.
    pub key: BucketUploadKey,
    /// Its id on the wire.
    pub id: Uuid,
    /// Full key of the object it was for.
    pub object_key: String,
    /// Bytes of its parts.
    pub size_bytes: i64,
    /// When it was begun or its last part came.
    pub touched_at: Millis,
}

/// Held for as long as a collection runs; nobody else collects meanwhile.
pub struct CollectionLock {
    transaction: Option<DatabaseTransaction>,
}

#[derive(FromQueryResult)]
struct UnneededRow {
    id: i64,
    sha256: String,
    size_bytes: i64,
    unreferenced_at: Option<i64>,
    claimed_until: i64,
}

#[derive(FromQueryResult)]
struct NamedRow {
    id: i64,
    sha256: String,
}

#[derive(FromQueryResult)]
struct StateRow {
    id: i64,
    sha256: String,
    state: String,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
}

#[derive(FromQueryResult)]
struct PartRow {
    part_name: Uuid,
}

#[derive(FromQueryResult)]
struct UploadRow {
    id: i64,
    public_id: Uuid,
    object_key: String,
    size_bytes: i64,
    touched_at: i64,
}

/// Whether something needs the bytes of the package `p`: an object; a revision of an app that is there, or was
/// deleted after `restorable_since` (a placeholder), among its newest packages or on a desktop; an attempt or a job.
///
/// A revision that an INIT job would be given is the newest of its app, and so among these.
fn needed(restorable_since: &str) -> String {
    format!(
        "(EXISTS (SELECT 1 FROM bucket_object o WHERE o.package_id = p.id) \
         OR EXISTS (SELECT 1 FROM app_revision r JOIN app a ON a.id = r.app_id WHERE r.package_id = p.id AND ( \
           ((a.deleted_at IS NULL OR a.deleted_at > {restorable_since}) AND ( \
             (SELECT COUNT(DISTINCT n.package_id) FROM app_revision n WHERE n.app_id = r.app_id \
               AND n.number > r.number AND n.package_id <> r.package_id) <= {ROLL_BACK_PACKAGES} \
             OR EXISTS (SELECT 1 FROM desktop_app i JOIN desktop k ON k.id = i.desktop_id \
               WHERE i.app_id = r.app_id AND i.revision_id = r.id AND k.deleted_at IS NULL))) \
           OR EXISTS (SELECT 1 FROM attempt t WHERE t.revision_id = r.id AND t.ended_at IS NULL) \
           OR EXISTS (SELECT 1 FROM job j WHERE j.project_id = a.project_id AND j.app_id = a.id \
             AND j.wire IN (0, 1) AND j.revision_id = r.id))))"
    )
}

fn package_keys(keys: &[PackageKey]) -> Value {
    key_array(keys.iter().map(|key| key.get())).into()
}

impl Store {
    /// Takes the right to collect; `None` while another server has it. It goes with the process that has it.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn collection_lock(&self) -> Result<Option<CollectionLock>, StoreError> {
        const DOING: &str = "take the lock of collections";
        let Some(sql) = self.dialect().try_lock(COLLECTION_LOCK) else {
            return Ok(Some(CollectionLock { transaction: None }));
        };
        let transaction = self
            .readers()
            .begin()
            .await
            .map_err(|source| StoreError::from_driver(DOING, source))?;
        let lock = CollectionLock {
            transaction: Some(transaction),
        };
        let taken = lock.ask(self.dialect(), DOING, &sql).await?;
        Ok(taken.then_some(lock))
    }
}

impl CollectionLock {
    /// Lets the next collection begin at once. A lock that is dropped instead is free when the database has heard of it.
    ///
    /// # Errors
    /// When the database cannot answer; the lock then goes with the connection.
    pub async fn release(self) -> Result<(), StoreError> {
        match self.transaction {
            None => Ok(()),
            Some(transaction) => transaction.rollback().await.map_err(|source| {
                StoreError::from_driver("release the lock of collections", source)
            }),
        }
    }

    /// Makes sure that the lock is still held: a connection that broke lost it.
    ///
    /// # Errors
    /// When it is not, or the database cannot answer.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.ask(
            Dialect::Postgres,
            "keep the lock of collections",
            "SELECT TRUE",
        )
        .await
        .map(drop)
    }

    async fn ask(
        &self,
        dialect: Dialect,
        doing: &'static str,
        sql: &str,
    ) -> Result<bool, StoreError> {
        match &self.transaction {
            None => Ok(true),
            Some(transaction) => Db::in_transaction(transaction, dialect, &UNHOSTED)
                .scalar(doing, sql, [])
                .await
                .map(|answer| answer.unwrap_or(false)),
        }
    }
}

impl Db<'_> {
    /// Packages that nothing needs and whose bytes may still be there, after a key, in the order of keys.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_unneeded(
        &self,
        after: PackageKey,
        clock: CollectionClock,
        limit: i64,
    ) -> Result<Vec<UnneededPackage>, StoreError> {
        let rows: Vec<UnneededRow> = self
            .all(
                "find packages that nothing needs",
                &format!(
                    "SELECT p.id, p.sha256, p.size_bytes, p.unreferenced_at, p.claimed_until FROM package p \
                     WHERE p.id > $1 AND p.state NOT IN ('gone', 'collecting') AND NOT {} \
                     ORDER BY p.id LIMIT $3",
                    needed("$2")
                ),
                [
                    after.into(),
                    clock.restorable_since.get().into(),
                    limit.into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| UnneededPackage {
                key: PackageKey::new(row.id),
                sha256: row.sha256,
                size_bytes: row.size_bytes,
                unreferenced_at: row.unreferenced_at.map(Millis::new),
                claimed_until: Millis::new(row.claimed_until),
            })
            .collect())
    }

    /// Packages that nothing seemed to need and something needs again, after a key.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_needed_again(
        &self,
        after: PackageKey,
        clock: CollectionClock,
        limit: i64,
    ) -> Result<Vec<PackageKey>, StoreError> {
        let rows: Vec<KeyRow> = self
            .all(
                "find packages that are needed again",
                &format!(
                    "SELECT p.id FROM package p WHERE p.id > $1 AND p.unreferenced_at IS NOT NULL \
                     AND p.state NOT IN ('gone', 'collecting') AND {} ORDER BY p.id LIMIT $3",
                    needed("$2")
                ),
                [
                    after.into(),
                    clock.restorable_since.get().into(),
                    limit.into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| PackageKey::new(row.id))
            .collect())
    }

    /// Packages whose bytes are being removed: where no collection runs, what a killed one left.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_collecting(&self) -> Result<Vec<(PackageKey, String)>, StoreError> {
        let rows: Vec<NamedRow> = self
            .all(
                "find packages that are being collected",
                "SELECT id, sha256 FROM package WHERE state = 'collecting' ORDER BY id",
                [],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (PackageKey::new(row.id), row.sha256))
            .collect())
    }

    /// Every package after a key, with what is said about its bytes.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_states(
        &self,
        after: PackageKey,
        limit: i64,
    ) -> Result<Vec<(PackageKey, String, PackageState)>, StoreError> {
        let rows: Vec<StateRow> = self
            .all(
                "list packages",
                "SELECT id, sha256, state FROM package WHERE id > $1 ORDER BY id LIMIT $2",
                [after.into(), limit.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let state = word("package", "state", row.id, &row.state, PackageState::parse)?;
                Ok((PackageKey::new(row.id), row.sha256, state))
            })
            .collect()
    }

    /// Those of these digests whose bytes have no business in the store: no package is named so, or its bytes were
    /// removed, and no upload holds them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_strays(
        &self,
        digests: &[String],
        now: Millis,
    ) -> Result<Vec<String>, StoreError> {
        #[derive(FromQueryResult)]
        struct DigestRow {
            sha256: String,
        }
        let dialect = self.dialect();
        let rows: Vec<DigestRow> = self
            .all(
                "find bytes without a package",
                &format!(
                    "SELECT {text} AS sha256 FROM {each} WHERE NOT EXISTS (SELECT 1 FROM package p \
                     WHERE p.sha256 = {text} AND (p.state <> 'gone' OR p.claimed_until >= $2))",
                    text = dialect.element_text(),
                    each = dialect.each("$1"),
                ),
                [text_array(digests).into(), now.get().into()],
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.sha256).collect())
    }

    /// Those of these parts that an upload names.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_parts_named(&self, names: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let rows: Vec<PartRow> = self
            .all(
                "find parts that uploads name",
                &format!(
                    "SELECT part_name FROM bucket_upload_part WHERE {}",
                    in_ids(self.dialect(), "part_name", "$1")
                ),
                [id_array(names.iter().copied()).into()],
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.part_name).collect())
    }

    /// Uploads that nothing happened to since then, oldest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn bucket_upload_abandoned(
        &self,
        before: Millis,
        limit: i64,
    ) -> Result<Vec<AbandonedUpload>, StoreError> {
        let rows: Vec<UploadRow> = self
            .all(
                "find abandoned uploads",
                "SELECT u.id, u.public_id, u.object_key, u.touched_at, \
                 CAST(COALESCE((SELECT SUM(q.size_bytes) FROM bucket_upload_part q WHERE q.upload_id = u.id), 0) \
                 AS BIGINT) AS size_bytes \
                 FROM bucket_upload u WHERE u.touched_at <= $1 ORDER BY u.touched_at LIMIT $2",
                [before.get().into(), limit.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AbandonedUpload {
                key: BucketUploadKey::new(row.id),
                id: row.public_id,
                object_key: row.object_key,
                size_bytes: row.size_bytes,
                touched_at: Millis::new(row.touched_at),
            })
            .collect())
    }
}

impl Tx {
    /// Holds bytes for an upload that is about to put them in place, until `until` at least; the package is made
    /// where there is none.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_claim(
        &self,
        sha256: &str,
        size_bytes: i64,
        until: Millis,
        now: Millis,
    ) -> Result<PackageClaim, StoreError> {
        let claimed: Option<i64> = self
            .db()
            .scalar(
                "claim a package",
                "INSERT INTO package (sha256, size_bytes, state, facts, created_at, claimed_until) \
                 VALUES ($1, $2, 'pending', '{\"kind\":\"unknown\"}', $4, $3) ON CONFLICT (sha256) DO UPDATE \
                 SET claimed_until = CASE WHEN package.claimed_until > excluded.claimed_until \
                   THEN package.claimed_until ELSE excluded.claimed_until END \
                 WHERE package.state <> 'collecting' RETURNING id",
                [
                    sha256.into(),
                    size_bytes.into(),
                    until.get().into(),
                    now.get().into(),
                ],
            )
            .await?;
        Ok(match claimed {
            Some(_) => PackageClaim::Held,
            None => PackageClaim::BeingCollected,
        })
    }

    /// Notes that nothing needs these packages any more, where that is so.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_mark_unneeded(
        &self,
        packages: &[PackageKey],
        clock: CollectionClock,
    ) -> Result<u64, StoreError> {
        self.run(
            "note that packages are not needed",
            &format!(
                "UPDATE package AS p SET unreferenced_at = $3 WHERE p.unreferenced_at IS NULL AND {} AND NOT {}",
                in_keys(self.dialect(), "p.id", "$1"),
                needed("$2")
            ),
            [
                package_keys(packages),
                clock.restorable_since.get().into(),
                clock.now.get().into(),
            ],
        )
        .await
    }

    /// Notes that these packages are needed.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_mark_needed(&self, packages: &[PackageKey]) -> Result<(), StoreError> {
        self.run(
            "note that packages are needed",
            &format!(
                "UPDATE package SET unreferenced_at = NULL WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [package_keys(packages)],
        )
        .await
        .map(drop)
    }

    /// Turns those of these packages that may go to `collecting` and answers them: from the commit on nobody uses
    /// their bytes, and they are to be removed. What is needed, claimed or not yet due stays.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_begin_collecting(
        &self,
        packages: &[PackageKey],
        clock: CollectionClock,
    ) -> Result<Vec<(PackageKey, String)>, StoreError> {
        const DOING: &str = "begin to collect packages";
        let dialect = self.dialect();
        // Whoever is about to refer to one of them is waited for, and then seen.
        let _: Vec<KeyRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "SELECT id FROM package WHERE {} ORDER BY id{}",
                    in_keys(dialect, "id", "$1"),
                    dialect.for_update()
                ),
                [package_keys(packages)],
            )
            .await?;
        let rows: Vec<NamedRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "UPDATE package AS p SET state = 'collecting' WHERE {} \
                     AND p.state NOT IN ('gone', 'collecting') AND p.unreferenced_at <= $3 \
                     AND p.claimed_until < $4 AND NOT {} RETURNING id, sha256",
                    in_keys(dialect, "p.id", "$1"),
                    needed("$2")
                ),
                [
                    package_keys(packages),
                    clock.restorable_since.get().into(),
                    clock.unreferenced_before.get().into(),
                    clock.now.get().into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (PackageKey::new(row.id), row.sha256))
            .collect())
    }

    /// Takes bytes that have no package into collection ([`Db::package_strays`]); `None` where somebody has a use
    /// for them by now.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_collect_stray(
        &self,
        sha256: &str,
        size_bytes: i64,
        now: Millis,
    ) -> Result<Option<PackageKey>, StoreError> {
        let key: Option<i64> = self
            .db()
            .scalar(
                "collect bytes without a package",
                "INSERT INTO package (sha256, size_bytes, state, facts, created_at) \
                 VALUES ($1, $2, 'collecting', '{\"kind\":\"unknown\"}', $3) ON CONFLICT (sha256) DO UPDATE \
                 SET state = 'collecting' WHERE package.state = 'gone' AND package.claimed_until < $3 \
                 RETURNING id",
                [sha256.into(), size_bytes.into(), now.get().into()],
            )
            .await?;
        Ok(key.map(PackageKey::new))
    }

    /// Notes that the bytes of a package that was being collected are removed: its row goes too, unless revisions
    /// of the past name it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn package_finish_collecting(&self, package: PackageKey) -> Result<(), StoreError> {
        const DOING: &str = "finish collecting a package";
        self.run(
            DOING,
            "DELETE FROM package WHERE id = $1 AND state = 'collecting' \
             AND NOT EXISTS (SELECT 1 FROM app_revision r WHERE r.package_id = package.id)",
            [package.into()],
        )
        .await?;
        self.run(
            DOING,
            "UPDATE package SET state = 'gone', unreferenced_at = NULL WHERE id = $1 AND state = 'collecting'",
            [package.into()],
        )
        .await
        .map(drop)
    }

    /// Forgets an upload that nothing happened to since then; answers the names of its parts' bytes, or `None` where
    /// somebody went on with it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn bucket_upload_give_up(
        &self,
        upload: BucketUploadKey,
        before: Millis,
    ) -> Result<Option<Vec<Uuid>>, StoreError> {
        let held = self
            .run(
                "give an abandoned upload up",
                "UPDATE bucket_upload SET touched_at = touched_at WHERE id = $1 AND touched_at <= $2",
                [upload.into(), before.get().into()],
            )
            .await?;
        if held == 0 {
            return Ok(None);
        }
        self.bucket_upload_delete(upload).await.map(Some)
    }
}
