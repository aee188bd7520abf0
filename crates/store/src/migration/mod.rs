//! Migrations: SQL templates, run in order, each once, each in a transaction.
//!
//! Several servers that start together on PostgreSQL wait for each other on an advisory lock.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement, TransactionTrait as _};
use sea_orm_migration::prelude::*;

use crate::Dialect;

/// Key of the advisory lock: "outfitte" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f75_7466_6974_7465;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(Script {
                name: "0001_initial",
                sql: include_str!("../../migrations/0001_initial.sql"),
            }),
            Box::new(Script {
                name: "0002_fleet",
                sql: include_str!("../../migrations/0002_fleet.sql"),
            }),
            Box::new(Script {
                name: "0003_packages",
                sql: include_str!("../../migrations/0003_packages.sql"),
            }),
            Box::new(Script {
                name: "0004_security",
                sql: include_str!("../../migrations/0004_security.sql"),
            }),
            Box::new(Script {
                name: "0005_truth",
                sql: include_str!("../../migrations/0005_truth.sql"),
            }),
            Box::new(Script {
                name: "0006_push",
                sql: include_str!("../../migrations/0006_push.sql"),
            }),
            Box::new(Script {
                name: "0008_audit",
                sql: include_str!("../../migrations/0008_audit.sql"),
            }),
            Box::new(Script {
                name: "0011_object_store",
                sql: include_str!("../../migrations/0011_object_store.sql"),
            }),
            Box::new(Script {
                name: "0014_truth",
                sql: include_str!("../../migrations/0014_truth.sql"),
            }),
            Box::new(Script {
                name: "0012_housekeeping",
                sql: include_str!("../../migrations/0012_housekeeping.sql"),
            }),
            Box::new(Script {
                name: "0013_download_limits",
                sql: include_str!("../../migrations/0013_download_limits.sql"),
            }),
            Box::new(Script {
                name: "0007_directory",
                sql: include_str!("../../migrations/0007_directory.sql"),
            }),
            Box::new(Script {
                name: "0009_oidc",
                sql: include_str!("../../migrations/0009_oidc.sql"),
            }),
            Box::new(Script {
                name: "0009_server_key",
                sql: include_str!("../../migrations/0009_server_key.sql"),
            }),
            Box::new(Script {
                name: "0015_identity",
                sql: include_str!("../../migrations/0015_identity.sql"),
            }),
            Box::new(Script {
                name: "0016_direct_uploads",
                sql: include_str!("../../migrations/0016_direct_uploads.sql"),
            }),
            Box::new(Script {
                name: "0020_agents_online",
                sql: include_str!("../../migrations/0020_agents_online.sql"),
            }),
            Box::new(Script {
                name: "0018_end_users",
                sql: include_str!("../../migrations/0018_end_users.sql"),
            }),
            Box::new(Script {
                name: "0019_agent_updates",
                sql: include_str!("../../migrations/0019_agent_updates.sql"),
            }),
            Box::new(Script {
                name: "0017_receipts",
                sql: include_str!("../../migrations/0017_receipts.sql"),
            }),
            Box::new(Script {
                name: "0021_installed_by",
                sql: include_str!("../../migrations/0021_installed_by.sql"),
            }),
            Box::new(Script {
                name: "0022_running_programs",
                sql: include_str!("../../migrations/0022_running_programs.sql"),
            }),
            Box::new(Script {
                name: "0023_token_scopes",
                sql: include_str!("../../migrations/0023_token_scopes.sql"),
            }),
            Box::new(Script {
                name: "0024_inventory",
                sql: include_str!("../../migrations/0024_inventory.sql"),
            }),
            Box::new(Script {
                name: "0026_unverified",
                sql: include_str!("../../migrations/0026_unverified.sql"),
            }),
            Box::new(Script {
                name: "0027_identity",
                sql: include_str!("../../migrations/0027_identity.sql"),
            }),
            Box::new(Script {
                name: "0028_approval",
                sql: include_str!("../../migrations/0028_approval.sql"),
            }),
            Box::new(Script {
                name: "0029_logged_in_users",
                sql: include_str!("../../migrations/0029_logged_in_users.sql"),
            }),
            Box::new(Script {
                name: "0030_copies",
                sql: include_str!("../../migrations/0030_copies.sql"),
            }),
            Box::new(Script {
                name: "0031_taking_back",
                sql: include_str!("../../migrations/0031_taking_back.sql"),
            }),
            Box::new(Script {
                name: "0032_unverified_counted",
                sql: include_str!("../../migrations/0032_unverified_counted.sql"),
            }),
        ]
    }
}

struct Script {
    name: &'static str,
    sql: &'static str,
}

impl MigrationName for Script {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Script {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => Dialect::Postgres,
            _ => Dialect::Sqlite,
        };
        manager
            .get_connection()
            .execute_unprepared(&dialect.schema(self.sql))
            .await
            .map(drop)
    }
}

/// The first migration that was run here and that this version does not have.
pub(crate) async fn unknown(
    connection: &DatabaseConnection,
    dialect: Dialect,
) -> Result<Option<String>, DbErr> {
    let backend = dialect.backend();
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let exists = connection
        .query_one_raw(Statement::from_string(
            backend,
            dialect.has_table("seaql_migrations"),
        ))
        .await?;
    if exists.is_none() {
        return Ok(None);
    }
    let applied = connection
        .query_all_raw(Statement::from_string(
            backend,
            "SELECT version FROM seaql_migrations ORDER BY version",
        ))
        .await?;
    for row in applied {
        let version: String = row.try_get_by_index(0)?;
        if !known.contains(&version) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Brings the database up to date.
pub(crate) async fn migrate(
    connection: &DatabaseConnection,
    dialect: Dialect,
) -> Result<(), DbErr> {
    match dialect {
        Dialect::Sqlite => Migrator::up(connection, None).await,
        Dialect::Postgres => {
            // The lock is the transaction's: it goes with it, whatever happens in between.
            let transaction = connection.begin().await?;
            transaction
                .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                .await?;
            Migrator::up(&transaction, None).await?;
            transaction.commit().await
        }
    }
}
