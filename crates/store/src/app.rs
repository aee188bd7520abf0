//! Apps. Rows of deleted apps stay while jobs refer to them; every look-up here passes them over.

use outfitter_domain::app::{AppMembers, Icon, IconChange};
use outfitter_domain::text::fold;
use outfitter_domain::{AppSource, AppStatus, AssignType, InstallType, Millis, OsType};
use outfitter_ids::AppId;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{Conditions, id_array, in_ids, in_keys, key_array, word};
use crate::revision::{REVISION_COLUMNS, REVISION_TABLES, RevisionRow};
use crate::{AppKey, Db, Listed, Page, ProjectKey, Revision, StoreError, Tx};

/// An app with its newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Key.
    pub key: AppKey,
    /// Public id.
    pub id: AppId,
    /// Where it comes from.
    pub source: AppSource,
    /// What an administrator can say about it; its content is that of the newest revision.
    pub members: AppMembers,
    /// The newest revision.
    pub revision: Revision,
    /// Longest run of its installer, in seconds.
    pub run_limit_secs: i64,
    /// When it was uploaded.
    pub created_at: Millis,
    /// When it changed last.
    pub updated_at: Millis,
}

/// An app to insert; its first revision follows with [`Tx::revision_insert`].
#[derive(Debug)]
pub struct NewApp<'a> {
    /// Public id.
    pub id: AppId,
    /// Its project.
    pub project: ProjectKey,
    /// Where it comes from.
    pub source: AppSource,
    /// What an administrator says about it; the content goes into the revision.
    pub members: &'a AppMembers,
    /// Its icon.
    pub icon: &'a IconChange,
    /// Longest run of its installer, in seconds.
    pub run_limit_secs: i64,
}

/// An app that was deleted and can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedApp {
    /// Public id.
    pub id: AppId,
    /// Name.
    pub name: String,
    /// Version of its newest revision.
    pub version: String,
    /// When it was deleted.
    pub deleted_at: Millis,
}

/// Which apps a list shows.
#[derive(Debug, Clone, Default)]
pub struct AppFilter {
    /// Text the name holds, whatever its case.
    pub name: Option<String>,
}

/// What happens to the package objects of deleted apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFate {
    /// They leave the bucket unless a live app refers to them.
    Remove,
    /// They stay in the bucket.
    Keep,
}

const FIND: &str = "find an application";

#[derive(FromQueryResult)]
struct AppRow {
    id: i64,
    public_id: Uuid,
    name: String,
    description: String,
    authorization_type: String,
    install_type: String,
    support_os: String,
    status: String,
    source: String,
    catalog_id: String,
    install_info: Option<String>,
    icon_url: Option<String>,
    icon_sha256: Option<String>,
    run_limit_secs: i64,
    created_at: i64,
    updated_at: i64,
    #[sea_orm(nested)]
    revision: RevisionRow,
}

const APP_COLUMNS: &str = "a.id, a.public_id, a.name, a.description, a.authorization_type, a.install_type, \
     a.support_os, a.status, a.source, a.catalog_id, a.install_info, a.icon_url, a.icon_sha256, \
     a.run_limit_secs, a.created_at, a.updated_at";

impl AppRow {
    fn read(self) -> Result<App, StoreError> {
        let revision = self.revision.read()?;
        let id = self.id;
        let icon = match (self.icon_url, self.icon_sha256) {
            (_, Some(sha256)) => Icon::Png { sha256 },
            (Some(address), None) => Icon::Link(address),
            (None, None) => Icon::Absent,
        };
        Ok(App {
            key: AppKey::new(id),
            id: AppId::new(self.public_id),
            source: word("app", "source", id, &self.source, AppSource::parse)?,
            members: AppMembers {
                name: self.name,
                description: self.description,
                authorization_type: word(
                    "app",
                    "authorization_type",
                    id,
                    &self.authorization_type,
                    AssignType::parse,
                )?,
                install_type: word(
                    "app",
                    "install_type",
                    id,
                    &self.install_type,
                    InstallType::parse,
                )?,
                support_os: word("app", "support_os", id, &self.support_os, OsType::parse)?,
                status: word("app", "status", id, &self.status, AppStatus::parse)?,
                catalog_id: self.catalog_id,
                install_info: self.install_info,
                icon,
                content: revision.content.clone(),
            },
            revision,
            run_limit_secs: self.run_limit_secs,
            created_at: Millis::new(self.created_at),
            updated_at: Millis::new(self.updated_at),
        })
    }
}

impl Db<'_> {
    /// A page of a project's apps, newest first by insertion.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_list(
        &self,
        project: ProjectKey,
        filter: &AppFilter,
        page: Page,
    ) -> Result<Listed<App>, StoreError> {
        const DOING: &str = "list applications";
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("project_id", project);
        conditions.and("deleted_at IS NULL");
        if let Some(name) = &filter.name {
            conditions.contains("name_folded", name);
        }
        let paged = conditions.page("id DESC", page);
        // Both parts live in the index app_list alone; only the page's own rows are read.
        let indexed = self.dialect().indexed_by("app_list");
        let total: i64 = self
            .scalar(
                DOING,
                &format!("SELECT COUNT(*) FROM app{indexed} WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        if page.offset >= total {
            let items = Vec::new();
            return Ok(Listed { total, items });
        }
        let rows: Vec<AppRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT {APP_COLUMNS}, {REVISION_COLUMNS} FROM \
                     (SELECT id FROM app{indexed} WHERE {}) AS page \
                     JOIN app a ON a.id = page.id JOIN {REVISION_TABLES} ON r.id = a.revision_id \
                     ORDER BY a.id DESC",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let items = rows
            .into_iter()
            .map(AppRow::read)
            .collect::<Result<_, _>>()?;
        Ok(Listed { total, items })
    }

    /// Finds an app of a project.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_find(
        &self,
        project: ProjectKey,
        id: AppId,
    ) -> Result<Option<App>, StoreError> {
        self.one::<AppRow>(
            FIND,
            &format!(
                "SELECT {APP_COLUMNS}, {REVISION_COLUMNS} FROM app a \
                 JOIN {REVISION_TABLES} ON r.id = a.revision_id \
                 WHERE a.project_id = $1 AND a.public_id = $2 AND a.deleted_at IS NULL"
            ),
            [project.into(), id.uuid().into()],
        )
        .await?
        .map(AppRow::read)
        .transpose()
    }

    /// A page of a project's apps that were deleted after `deleted_after`, newest first by insertion.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_list_deleted(
        &self,
        project: ProjectKey,
        deleted_after: Millis,
        page: Page,
    ) -> Result<Listed<DeletedApp>, StoreError> {
        #[derive(FromQueryResult)]
        struct DeletedRow {
            public_id: Uuid,
            name: String,
            version: String,
            deleted_at: i64,
        }
        const DOING: &str = "list deleted applications";
        // The index app_deleted finds them.
        const WHICH: &str = "a.project_id = $1 AND a.deleted_at IS NOT NULL AND a.purged_at IS NULL \
                             AND a.deleted_at > $2";
        let total: i64 = self
            .scalar(
                DOING,
                &format!("SELECT COUNT(*) FROM app a WHERE {WHICH}"),
                [project.into(), deleted_after.get().into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<DeletedRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT a.public_id, a.name, r.version, a.deleted_at FROM app a \
                     JOIN app_revision r ON r.id = a.revision_id WHERE {WHICH} \
                     ORDER BY a.id DESC LIMIT $3 OFFSET $4"
                ),
                [
                    project.into(),
                    deleted_after.get().into(),
                    page.limit.into(),
                    page.offset.into(),
                ],
            )
            .await?;
        let items = rows
            .into_iter()
            .map(|row| DeletedApp {
                id: AppId::new(row.public_id),
                name: row.name,
                version: row.version,
                deleted_at: Millis::new(row.deleted_at),
            })
            .collect();
        Ok(Listed { total, items })
    }

    /// The image of an app, whichever project has it, with its lower-case hex SHA-256.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_icon(&self, id: AppId) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        #[derive(FromQueryResult)]
        struct IconRow {
            icon_sha256: String,
            png: Vec<u8>,
        }
        Ok(self
            .one::<IconRow>(
                "read an icon",
                "SELECT a.icon_sha256, i.png FROM app a JOIN app_icon i ON i.app_id = a.id \
                 WHERE a.public_id = $1 AND a.deleted_at IS NULL AND a.icon_sha256 IS NOT NULL",
                [id.uuid().into()],
            )
            .await?
            .map(|row| (row.icon_sha256, row.png)))
    }
}

impl Tx {
    /// Finds apps of a project and holds them until the end of the transaction: no other writer changes them
    /// meanwhile. Ids that do not exist are left out. In the order of keys, so that two callers never wait
    /// for each other.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_lock_many(
        &self,
        project: ProjectKey,
        ids: &[AppId],
    ) -> Result<Vec<(AppKey, AppSource)>, StoreError> {
        #[derive(FromQueryResult)]
        struct LockRow {
            id: i64,
            source: String,
        }
        let dialect = self.dialect();
        let rows: Vec<LockRow> = self
            .db()
            .all(
                "lock applications",
                &format!(
                    "SELECT id, source FROM app WHERE project_id = $1 AND deleted_at IS NULL \
                     AND {} ORDER BY id{}",
                    in_ids(dialect, "public_id", "$2"),
                    dialect.for_update()
                ),
                [
                    project.into(),
                    id_array(ids.iter().map(|id| id.uuid())).into(),
                ],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    AppKey::new(row.id),
                    word("app", "source", row.id, &row.source, AppSource::parse)?,
                ))
            })
            .collect()
    }

    /// Finds an app of a project and holds it until the end of the transaction: what is read here is what
    /// will be changed.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn app_lock(
        &self,
        project: ProjectKey,
        id: AppId,
    ) -> Result<Option<App>, StoreError> {
        // Locked first and read second: a join that waits for a lock would keep the old revision.
        let locked = self.app_lock_many(project, &[id]).await?;
        if locked.is_empty() {
            return Ok(None);
        }
        self.db().app_find(project, id).await
    }

    /// Inserts an app without a revision: [`Tx::revision_insert`] must follow in this transaction.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_insert(&self, new: &NewApp<'_>, now: Millis) -> Result<AppKey, StoreError> {
        let members = new.members;
        let icon = new.icon.icon();
        let key = self
            .insert(
                "insert an application",
                "INSERT INTO app (public_id, project_id, name, name_folded, description, \
                 authorization_type, install_type, support_os, status, source, catalog_id, install_info, \
                 icon_url, icon_sha256, run_limit_secs, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16) \
                 RETURNING id",
                [
                    new.id.uuid().into(),
                    new.project.into(),
                    members.name.as_str().into(),
                    fold(&members.name).into(),
                    members.description.as_str().into(),
                    members.authorization_type.as_str().into(),
                    members.install_type.as_str().into(),
                    members.support_os.as_str().into(),
                    members.status.as_str().into(),
                    new.source.as_str().into(),
                    members.catalog_id.as_str().into(),
                    members.install_info.clone().into(),
                    icon_url(&icon).into(),
                    icon_sha256(&icon).into(),
                    new.run_limit_secs.into(),
                    now.get().into(),
                ],
            )
            .await
            .map(AppKey::new)?;
        self.icon_store(key, new.icon).await?;
        self.made("app", new.id);
        Ok(key)
    }

    /// Writes the members that differ, those of the content excepted: they make a new revision. The app must
    /// be locked, and `app` what was read then.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_update(
        &self,
        app: &App,
        after: &AppMembers,
        icon: Option<&IconChange>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let before = &app.members;
        let mut changes: Vec<(&str, Value)> = vec![("updated_at", now.get().into())];
        if after.name != before.name {
            changes.push(("name", after.name.as_str().into()));
            changes.push(("name_folded", fold(&after.name).into()));
        }
        if after.description != before.description {
            changes.push(("description", after.description.as_str().into()));
        }
        if after.authorization_type != before.authorization_type {
            changes.push((
                "authorization_type",
                after.authorization_type.as_str().into(),
            ));
        }
        if after.install_type != before.install_type {
            changes.push(("install_type", after.install_type.as_str().into()));
        }
        if after.support_os != before.support_os {
            changes.push(("support_os", after.support_os.as_str().into()));
        }
        if after.status != before.status {
            changes.push(("status", after.status.as_str().into()));
        }
        if after.catalog_id != before.catalog_id {
            changes.push(("catalog_id", after.catalog_id.as_str().into()));
        }
        if after.install_info != before.install_info {
            changes.push(("install_info", after.install_info.clone().into()));
        }
        if after.icon != before.icon {
            changes.push(("icon_url", icon_url(&after.icon).into()));
            changes.push(("icon_sha256", icon_sha256(&after.icon).into()));
            if let Some(change) = icon {
                self.icon_store(app.key, change).await?;
            }
        }
        let assignments: Vec<String> = changes
            .iter()
            .enumerate()
            .map(|(index, (column, _))| format!("{column} = ${}", index + 2))
            .collect();
        let values = std::iter::once(app.key.into()).chain(changes.into_iter().map(|(_, v)| v));
        self.run(
            "update an application",
            &format!("UPDATE app SET {} WHERE id = $1", assignments.join(", ")),
            values,
        )
        .await
        .map(drop)
    }

    /// Sets the status of apps.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_set_status(
        &self,
        apps: &[AppKey],
        status: AppStatus,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.app_set_word(
            "set the status of applications",
            "status",
            apps,
            status.as_str(),
            now,
        )
        .await
        .map(drop)
    }

    /// Sets who apps are for; stored accounts stay. Answers for how many that is a change.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_set_authorization_type(
        &self,
        apps: &[AppKey],
        authorization_type: AssignType,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let changed = self
            .app_set_word(
                "set the authorization type of applications",
                "authorization_type",
                apps,
                authorization_type.as_str(),
                now,
            )
            .await?;
        if changed > 0 && authorization_type == AssignType::AllUser {
            self.widened(apps, Vec::new()).await?;
        }
        Ok(changed)
    }

    async fn app_set_word(
        &self,
        doing: &'static str,
        column: &str,
        apps: &[AppKey],
        word: &str,
        now: Millis,
    ) -> Result<u64, StoreError> {
        self.run(
            doing,
            &format!(
                "UPDATE app SET {column} = $2, updated_at = $3 WHERE {column} <> $2 AND {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [app_key_array(apps).into(), word.into(), now.get().into()],
        )
        .await
    }

    /// Deletes apps that are locked: their rows are marked, which puts authorizations and icons out of sight, and
    /// their package objects meet their fate. Until [`Tx::app_purge`] they can be restored. Packages themselves stay:
    /// revisions of the deleted apps still name them.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_delete(
        &self,
        project: ProjectKey,
        apps: &[AppKey],
        objects: ObjectFate,
        now: Millis,
    ) -> Result<(), StoreError> {
        const DOING: &str = "delete applications";
        let dialect = self.dialect();
        let keys = app_key_array(apps);
        self.run(
            DOING,
            &format!(
                "UPDATE app SET deleted_at = $2, updated_at = $2 WHERE {}",
                in_keys(dialect, "id", "$1")
            ),
            [keys.as_str().into(), now.get().into()],
        )
        .await?;
        if objects == ObjectFate::Remove {
            self.run(
                "remove the package objects of deleted applications",
                &format!(
                    "DELETE FROM bucket_object WHERE project_id = $1 AND object_key IN \
                     (SELECT bucket_file_path FROM app_revision WHERE store_type = 'OBS' AND {}) \
                     AND NOT EXISTS (SELECT 1 FROM app_revision r JOIN app a ON a.id = r.app_id \
                       WHERE r.store_type = 'OBS' \
                       AND substr(r.bucket_file_path, 1, 200) = substr(bucket_object.object_key, 1, 200) \
                       AND r.bucket_file_path = bucket_object.object_key \
                       AND a.project_id = $1 AND a.deleted_at IS NULL)",
                    in_keys(dialect, "app_id", "$2")
                ),
                [project.into(), keys.into()],
            )
            .await?;
        }
        Ok(())
    }

    /// Brings back an app that was deleted after `deleted_after`, with its authorizations; where its object left the
    /// bucket and nothing else took the key, the object comes back too. Answers whether there was such an app.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_restore(
        &self,
        project: ProjectKey,
        id: AppId,
        deleted_after: Millis,
        now: Millis,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "restore an application";
        let restored: Option<i64> = self
            .db()
            .scalar(
                DOING,
                "UPDATE app SET deleted_at = NULL, updated_at = $4 WHERE project_id = $1 AND public_id = $2 \
                 AND deleted_at > $3 AND purged_at IS NULL RETURNING id",
                [
                    project.into(),
                    id.uuid().into(),
                    deleted_after.get().into(),
                    now.get().into(),
                ],
            )
            .await?;
        let Some(app) = restored.map(AppKey::new) else {
            return Ok(false);
        };
        self.run(
            "restore the object of an application",
            "INSERT INTO bucket_object (project_id, object_key, package_id, created_at) \
             SELECT a.project_id, r.bucket_file_path, r.package_id, $2 FROM app a \
             JOIN app_revision r ON r.id = a.revision_id JOIN package p ON p.id = r.package_id \
             WHERE a.id = $1 AND r.store_type = 'OBS' AND p.state = 'ready' \
             ON CONFLICT (project_id, object_key) DO NOTHING",
            [app.into(), now.get().into()],
        )
        .await?;
        self.revision_bind(project, &[app]).await?;
        Ok(true)
    }

    /// Takes authorizations and icons of apps that were deleted at `deleted_until` or before: from now on they
    /// cannot be restored. Answers how many, `limit` at most.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn app_purge(
        &self,
        deleted_until: Millis,
        limit: i64,
        now: Millis,
    ) -> Result<usize, StoreError> {
        const DOING: &str = "purge deleted applications";
        #[derive(FromQueryResult)]
        struct KeyRow {
            id: i64,
        }
        let dialect = self.dialect();
        let rows: Vec<KeyRow> = self
            .db()
            .all(
                DOING,
                &format!(
                    "UPDATE app SET purged_at = $3, icon_url = NULL, icon_sha256 = NULL WHERE purged_at IS NULL \
                     AND id IN (SELECT id FROM app WHERE deleted_at IS NOT NULL AND purged_at IS NULL \
                       AND deleted_at <= $1 ORDER BY id LIMIT $2{}) RETURNING id",
                    dialect.for_update()
                ),
                [deleted_until.get().into(), limit.into(), now.get().into()],
            )
            .await?;
        let keys = key_array(rows.iter().map(|row| row.id));
        for table in ["app_authorization", "app_icon"] {
            self.run(
                DOING,
                &format!(
                    "DELETE FROM {table} WHERE {}",
                    in_keys(dialect, "app_id", "$1")
                ),
                [keys.as_str().into()],
            )
            .await?;
        }
        Ok(rows.len())
    }

    async fn icon_store(&self, app: AppKey, icon: &IconChange) -> Result<(), StoreError> {
        const DOING: &str = "store an icon";
        match icon {
            IconChange::Clear | IconChange::Link(_) => {
                self.run(
                    DOING,
                    "DELETE FROM app_icon WHERE app_id = $1",
                    [app.into()],
                )
                .await
            }
            IconChange::Png(png) => {
                self.run(
                    DOING,
                    "INSERT INTO app_icon (app_id, png) VALUES ($1, $2) \
                     ON CONFLICT (app_id) DO UPDATE SET png = excluded.png",
                    [app.into(), png.bytes.clone().into()],
                )
                .await
            }
        }
        .map(drop)
    }
}

/// Keys of apps as a JSON array, to be bound for [`in_keys`].
pub(crate) fn app_key_array(apps: &[AppKey]) -> String {
    key_array(apps.iter().map(|app| app.get()))
}

fn icon_url(icon: &Icon) -> Option<String> {
    match icon {
        Icon::Link(address) => Some(address.clone()),
        Icon::Absent | Icon::Png { .. } => None,
    }
}

fn icon_sha256(icon: &Icon) -> Option<String> {
    match icon {
        Icon::Png { sha256 } => Some(sha256.clone()),
        Icon::Absent | Icon::Link(_) => None,
    }
}
