//! A fresh store for each test, on SQLite and on PostgreSQL: [`on_both!`](crate::on_both).

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use outfitter_domain::Millis;
use outfitter_ids::{IdSource as _, SystemIds};
use outfitter_store::{Dialect, ProjectKey, Store, StoreError, StoreOptions};

use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use tempfile::TempDir;
use uuid::Uuid;

use crate::postgres::TestDatabase;

/// The present of tests, until they say otherwise.
pub const NOW: Millis = Millis::new(1_700_000_000_000);

/// A store with two projects of one domain.
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// The first project.
    pub project: ProjectKey,
    /// The second project.
    pub other_project: ProjectKey,
    address: String,
    _place: Place,
}

enum Place {
    Folder(#[expect(dead_code, reason = "held so that it lives as long as the test")] TempDir),
    Server(#[expect(dead_code, reason = "held so that it lives as long as the test")] TestDatabase),
}

impl TestStore {
    /// A fresh SQLite file.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let address = format!("sqlite://{}?mode=rw", path.display());
        let store = Store::open(&StoreOptions::Sqlite { path }).await.unwrap();
        Self::with(store, address, Place::Folder(folder)).await
    }

    /// A fresh PostgreSQL database, cloned from a template that stands for the migrations as they are now.
    pub async fn postgres() -> Self {
        let database = empty_postgres().await;
        let address = database.url().to_owned();
        let store = Store::open(&StoreOptions::Postgres {
            url: address.clone(),
        })
        .await
        .unwrap();
        Self::with(store, address, Place::Server(database)).await
    }

    async fn with(store: Store, address: String, place: Place) -> Self {
        let test = Self {
            store,
            project: ProjectKey::new(1),
            other_project: ProjectKey::new(2),
            address,
            _place: place,
        };
        test.sql(&format!(
            "INSERT INTO domain (id, public_id, name, name_folded, created_at) VALUES (1, {}, 'd', 'd', 0)",
            test.uuid_literal(id())
        ))
        .await;
        for project in [1, 2] {
            test.sql(&format!(
                "INSERT INTO project (id, public_id, domain_id, name, created_at) VALUES ({project}, {}, 1, 'p{project}', 0)",
                test.uuid_literal(id())
            ))
            .await;
        }
        if test.store.dialect() == Dialect::Postgres {
            // Keys that were given do not move the sequences on.
            for table in ["domain", "project"] {
                test.sql(&format!(
                    "ALTER TABLE {table} ALTER COLUMN id RESTART WITH 100"
                ))
                .await;
            }
        }
        test
    }

    /// Opens the same database again, as a second process would.
    pub async fn open_again(&self) -> Result<Store, StoreError> {
        Store::open(&match self.address.strip_prefix("sqlite://") {
            Some(rest) => StoreOptions::Sqlite {
                path: rest.trim_end_matches("?mode=rw").into(),
            },
            None => StoreOptions::Postgres {
                url: self.address.clone(),
            },
        })
        .await
    }

    /// Runs a statement beside the store: for tables that belong to other aggregates.
    pub async fn sql(&self, sql: &str) {
        execute(&self.address, sql).await;
    }

    /// Reads one number beside the store.
    pub async fn number(&self, sql: &str) -> i64 {
        let connection = Database::connect(&self.address).await.unwrap();
        let backend = if self.address.starts_with("sqlite") {
            DbBackend::Sqlite
        } else {
            DbBackend::Postgres
        };
        let row = connection
            .query_one_raw(Statement::from_string(backend, sql))
            .await
            .unwrap()
            .unwrap();
        let number = row.try_get_by_index(0).unwrap();
        connection.close().await.unwrap();
        number
    }

    /// Every column of bytes, as `table.column`. On SQLite public ids are among them.
    pub async fn byte_columns(&self) -> Vec<String> {
        let (backend, sql) = if self.address.starts_with("sqlite") {
            (
                DbBackend::Sqlite,
                "SELECT m.name || '.' || c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.type = 'BLOB' ORDER BY 1",
            )
        } else {
            (
                DbBackend::Postgres,
                "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND data_type = 'bytea' ORDER BY 1",
            )
        };
        let connection = Database::connect(&self.address).await.unwrap();
        let rows = connection
            .query_all_raw(Statement::from_string(backend, sql))
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows.iter()
            .map(|row| row.try_get("", "name").unwrap())
            .collect()
    }

    /// The plan that SQLite makes for a query, a line a step.
    pub async fn sqlite_plan(&self, sql: &str) -> String {
        let connection = Database::connect(&self.address).await.unwrap();
        let rows = connection
            .query_all_raw(Statement::from_string(
                DbBackend::Sqlite,
                format!("EXPLAIN QUERY PLAN {sql}"),
            ))
            .await
            .unwrap();
        connection.close().await.unwrap();
        let steps: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("", "detail").unwrap())
            .collect();
        steps.join("\n")
    }

    /// A public id as SQL text.
    pub fn uuid_literal(&self, uuid: Uuid) -> String {
        if self.address.starts_with("sqlite") {
            format!("x'{}'", uuid.simple())
        } else {
            format!("'{uuid}'")
        }
    }

    /// An app of the project with one authorized account, both names as given.
    pub async fn authorize(&self, app: i64, account_type: &str, account: &str) {
        self.sql(&format!(
            "INSERT INTO app (id, public_id, project_id, name, name_folded, description, authorization_type, \
             install_type, support_os, status, source, catalog_id, run_limit_secs, created_at, updated_at) \
             VALUES ({app}, {}, 1, 'a', 'a', '', 'ASSIGN_USER', 'QUIET_INSTALL', 'Linux', 'NORMAL', 'CUSTOM', '1', \
             60, 0, 0) ON CONFLICT DO NOTHING",
            self.uuid_literal(id())
        ))
        .await;
        let folded = account.to_lowercase();
        self.sql(&format!(
            "INSERT INTO app_authorization (app_id, account_type, account, account_folded, domain, domain_folded, \
             platform_type, created_at) VALUES ({app}, '{account_type}', '{account}', '{folded}', 'local.com', \
             'local.com', 'LOCAL', 0)"
        ))
        .await;
    }
}

/// A fresh PostgreSQL database with the schema and no rows.
pub async fn empty_postgres() -> TestDatabase {
    TestDatabase::create(&template(), |url| async move {
        let store = Store::open(&StoreOptions::Postgres { url }).await?;
        store.close().await;
        Ok::<_, anyhow::Error>(())
    })
    .await
    .unwrap()
}

/// Runs a statement on a database, beside whoever has it open. `address` is `sqlite://FILE?mode=rw` or
/// `postgres://...`.
pub async fn execute(address: &str, sql: &str) {
    let connection = Database::connect(address).await.unwrap();
    connection.execute_unprepared(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// A fresh id.
pub fn id() -> Uuid {
    SystemIds.uuid(NOW.get())
}

/// Names the migrations by their content, so that a template of other migrations is never taken.
fn template() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/migrations");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    format!("store_{:016x}", hasher.finish())
}

/// Makes a test of each function and database: `on_both! { async fn name(test: TestStore) { .. } }`. The crate that
/// uses it depends on `tokio`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($test:ident: TestStore) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "each test uses what it needs")]
            use super::*;

            async fn body($test: $crate::store::TestStore) $body

            #[tokio::test]
            async fn sqlite() {
                body($crate::store::TestStore::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                body($crate::store::TestStore::postgres().await).await;
            }
        }
    )+};
}
