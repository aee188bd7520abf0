//! A fresh store with two projects, on either database; builders of apps.

#![allow(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]

use outfitter_domain::app::{
    AppMembers, BucketPlace, FileStore, Icon, IconChange, RevisionContent,
};
use outfitter_domain::{
    Account, AccountType, AppSource, AppStatus, AssignType, InstallType, Millis, OsType, StoreType,
};
use outfitter_ids::{AppId, IdSource as _, RevisionId, SystemIds};
use outfitter_store::{AppKey, NewApp, NewRevision, ProjectKey, Store, StoreOptions, Tx};
use outfitter_test_support::postgres::TestDatabase;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

/// The instant at which everything in these tests happens.
pub(crate) const NOW: Millis = Millis::new(1_735_109_899_765);

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

pub(crate) struct TestStore {
    pub(crate) store: Store,
    /// The project tests work in.
    pub(crate) project: ProjectKey,
    /// Somebody else's.
    pub(crate) other_project: ProjectKey,
    url: String,
    backend: DbBackend,
    _folder: tempfile::TempDir,
    _database: Option<TestDatabase>,
}

impl TestStore {
    pub(crate) async fn new(on: On) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (options, url, backend, database) = match on {
            On::Sqlite => {
                let path = folder.path().join("outfitter.db");
                let url = format!("sqlite://{}", path.display());
                (StoreOptions::Sqlite { path }, url, DbBackend::Sqlite, None)
            }
            On::Postgres => {
                let database = TestDatabase::create("store_apps", |url| async move {
                    Store::open(&StoreOptions::Postgres { url })
                        .await?
                        .close()
                        .await;
                    anyhow::Ok(())
                })
                .await
                .unwrap();
                let url = database.url().to_owned();
                let options = StoreOptions::Postgres { url: url.clone() };
                (options, url, DbBackend::Postgres, Some(database))
            }
        };
        let store = Store::open(&options).await.unwrap();
        let mut fixture = Self {
            store,
            project: ProjectKey::new(0),
            other_project: ProjectKey::new(0),
            url,
            backend,
            _folder: folder,
            _database: database,
        };
        fixture
            .run(
                "INSERT INTO domain (id, public_id, name, name_folded, created_at) VALUES (7, $1, 'd', 'd', 0)",
                [SystemIds.uuid(0).into()],
            )
            .await;
        for (key, name) in [(11_i64, "ours"), (12, "theirs")] {
            fixture
                .run(
                    "INSERT INTO project (id, public_id, domain_id, name, created_at) VALUES ($1, $2, 7, $3, 0)",
                    [key.into(), SystemIds.uuid(0).into(), name.into()],
                )
                .await;
        }
        fixture.project = ProjectKey::new(11);
        fixture.other_project = ProjectKey::new(12);
        fixture
    }

    /// Runs SQL of the test's own, past the store.
    pub(crate) async fn run(&self, sql: &str, values: impl IntoIterator<Item = sea_orm::Value>) {
        let connection = Database::connect(&self.url).await.unwrap();
        connection
            .execute_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// The plan SQLite makes for a query; empty on PostgreSQL, which plans by what it measured.
    pub(crate) async fn plan(&self, sql: &str) -> Option<String> {
        if self.backend != DbBackend::Sqlite {
            return None;
        }
        let connection = Database::connect(&self.url).await.unwrap();
        let rows = connection
            .query_all_raw(Statement::from_string(
                self.backend,
                format!("EXPLAIN QUERY PLAN {sql}"),
            ))
            .await
            .unwrap();
        let lines: Vec<String> = rows
            .iter()
            .map(|row| row.try_get::<String>("", "detail").unwrap())
            .collect();
        connection.close().await.unwrap();
        Some(lines.join("\n"))
    }
}

/// A test that runs on each database, as `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both {
    ($(async fn $name:ident($fixture:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn body($fixture: common::TestStore) $body

            #[tokio::test]
            async fn sqlite() {
                body(common::TestStore::new(common::On::Sqlite).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                body(common::TestStore::new(common::On::Postgres).await).await;
            }
        }
    )*};
}

/// Members of an app whose package is an object of the bucket.
pub(crate) fn members(name: &str, object_key: &str) -> AppMembers {
    AppMembers {
        name: name.to_owned(),
        description: "described".to_owned(),
        authorization_type: AssignType::AssignUser,
        install_type: InstallType::QuietInstall,
        support_os: OsType::Linux,
        status: AppStatus::Normal,
        catalog_id: "1".to_owned(),
        install_info: None,
        icon: Icon::Absent,
        content: RevisionContent {
            version: "1.0".to_owned(),
            file_store: FileStore {
                store_type: StoreType::Obs,
                bucket: Some(BucketPlace {
                    bucket_name: "wks-appcenter-x".to_owned(),
                    object_key: object_key.to_owned(),
                }),
                file_link: Some("https://a.example/unused".to_owned()),
            },
            install_command: Some("run ${FILE_PATH}".to_owned()),
            uninstall_command: None,
        },
    }
}

/// Inserts an app with its first revision, bound where its object is there.
pub(crate) async fn app_insert(
    tx: &Tx,
    project: ProjectKey,
    members: &AppMembers,
) -> (AppKey, AppId) {
    let id = AppId::new(SystemIds.uuid(NOW.get()));
    let key = tx
        .app_insert(
            &NewApp {
                id,
                project,
                source: AppSource::Custom,
                members,
                icon: &IconChange::Clear,
                run_limit_secs: 3600,
            },
            NOW,
        )
        .await
        .unwrap();
    tx.revision_insert(
        &NewRevision {
            id: RevisionId::new(SystemIds.uuid(NOW.get())),
            app: key,
            content: &members.content,
            package: None,
            link_pin: None,
            rule: None,
            success_exit_codes: &[0],
        },
        NOW,
    )
    .await
    .unwrap();
    tx.revision_bind(project, &[key]).await.unwrap();
    (key, id)
}

/// A user of the local domain.
pub(crate) fn user(name: &str) -> Account {
    Account::new(AccountType::Simple, name.to_owned(), None, None)
}
