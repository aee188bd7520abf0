use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbErr, RuntimeErr, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, TransactionOptions, TransactionTrait as _,
};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};

use crate::audit::AuditPart;
use crate::changes::{ChangeFeed, Changes};
use crate::host::{DatabaseHost, DatabaseStep, Hosting};
use crate::job_position::JobPositions;
use crate::{Db, Dialect, StoreError, Tx, migration};

/// Where the data is.
#[derive(Clone)]
pub enum StoreOptions {
    /// A file, made when it is missing.
    Sqlite {
        /// Path of the database file.
        path: PathBuf,
    },
    /// A PostgreSQL database, which must exist.
    Postgres {
        /// `postgres://user:password@host:port/name`. A secret.
        url: String,
    },
}

/// Readers at once. SQLite readers share the file's page cache; PostgreSQL's default allows 100 in all.
const READERS: u32 = 8;

/// Writers at once on PostgreSQL. SQLite has one by nature.
const POSTGRES_WRITERS: u32 = 8;

/// How long a writer waits for its turn before the call is answered "busy".
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database: a pool of readers and a way to write. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: DatabaseConnection,
    writers: DatabaseConnection,
    dialect: Dialect,
    feed: ChangeFeed,
    job_positions: Arc<JobPositions>,
    hosting: Hosting,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`] with the database's words.
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let place = options.place();
        let failed = |source: DbErr| StoreError::Open {
            place: place.clone(),
            source,
        };
        let store = match options {
            StoreOptions::Sqlite { path } => {
                let connect = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_TIMEOUT)
                    .foreign_keys(true)
                    .pragma("temp_store", "memory")
                    .statement_cache_capacity(256);
                let writers = SqlitePoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(BUSY_TIMEOUT)
                    // Only here: setting it writes to the file, which readers may not.
                    .connect_with(connect.clone().auto_vacuum(SqliteAutoVacuum::Incremental))
                    .await
                    .map_err(|error| failed(driver(error)))?;
                // The writer comes first: it makes the file and sets its journal mode.
                let readers = SqlitePoolOptions::new()
                    .max_connections(READERS)
                    .acquire_timeout(BUSY_TIMEOUT)
                    .connect_with(connect.read_only(true))
                    .await
                    .map_err(|error| failed(driver(error)))?;
                Self {
                    readers: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
                    writers: SqlxSqliteConnector::from_sqlx_sqlite_pool(writers),
                    dialect: Dialect::Sqlite,
                    feed: ChangeFeed::default(),
                    job_positions: Arc::default(),
                    hosting: Hosting::default(),
                }
            }
            StoreOptions::Postgres { url } => {
                let connect = PgConnectOptions::from_str(url)
                    .map_err(|error| failed(driver(error)))?
                    .application_name("outfitter")
                    .options([
                        ("synchronous_commit", "on"),
                        // A plan made for any LIMIT and OFFSET reads far more of a large table than a page needs, and
                        // compiling such a plan costs more than running the right one.
                        ("plan_cache_mode", "force_custom_plan"),
                        ("jit", "off"),
                    ]);
                // A pool tries until its time is over and then says no more than that.
                PgConnection::connect_with(&connect)
                    .await
                    .map_err(|error| failed(driver(error)))?
                    .close()
                    .await
                    .map_err(|error| failed(driver(error)))?;
                let pool = |connections: u32| {
                    PgPoolOptions::new()
                        .max_connections(connections)
                        .acquire_timeout(BUSY_TIMEOUT)
                        .connect_with(connect.clone())
                };
                Self {
                    writers: SqlxPostgresConnector::from_sqlx_postgres_pool(
                        pool(POSTGRES_WRITERS)
                            .await
                            .map_err(|error| failed(driver(error)))?,
                    ),
                    readers: SqlxPostgresConnector::from_sqlx_postgres_pool(
                        pool(READERS).await.map_err(|error| failed(driver(error)))?,
                    ),
                    dialect: Dialect::Postgres,
                    feed: ChangeFeed::default(),
                    job_positions: Arc::default(),
                    hosting: Hosting::default(),
                }
            }
        };
        if let Some(migration) = migration::unknown(&store.writers, store.dialect)
            .await
            .map_err(failed)?
        {
            return Err(StoreError::Newer { place, migration });
        }
        migration::migrate(&store.writers, store.dialect)
            .await
            .map_err(failed)?;
        Ok(store)
    }

    /// The same database, with whoever decides when its calls are carried out. For a simulator.
    #[must_use]
    pub fn hosted(self, host: Arc<dyn DatabaseHost>) -> Self {
        Self {
            hosting: Hosting::by(host),
            ..self
        }
    }

    /// Reads on the pool: what is committed.
    pub fn db(&self) -> Db<'_> {
        Db::on_pool(
            &self.readers,
            self.dialect,
            &self.hosting,
            &self.job_positions,
        )
    }

    pub(crate) fn readers(&self) -> &DatabaseConnection {
        &self.readers
    }

    /// Begins a write transaction. Within [`crate::AuditScope::run`] its commit leaves an audit entry. It begins as a writer, so that it cannot fail later for having read first
    /// (measured: 783 lock errors in 2,000 with deferred transactions, none with immediate ones).
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no turn came within ten seconds.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: match self.dialect {
                Dialect::Sqlite => Some(SqliteTransactionMode::Immediate),
                Dialect::Postgres => None,
            },
        };
        let turn = self.hosting.turn().await;
        let inner = self
            .hosting
            .run(
                DatabaseStep::Begin,
                self.writers.begin_with_options(options),
            )
            .await
            .map_err(|source| StoreError::from_driver("begin a write transaction", source))?;
        let mut tx = Tx::new(
            inner,
            self.dialect,
            (self.hosting.clone(), turn),
            self.feed.clone(),
        );
        tx.audit = AuditPart::begin(tx.db()).await?;
        Ok(tx)
    }

    /// Watches what this process commits from now on. Changes by other servers on the same database are not
    /// told. A watcher that falls behind by more than a thousand transactions is told that it missed some.
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<std::sync::Arc<Changes>> {
        self.feed.watch()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.readers
            .execute_unprepared("SELECT 1")
            .await
            .map(drop)
            .map_err(|source| {
                StoreError::from_driver("ask the database for a sign of life", source)
            })
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Closes every connection; SQLite's journal is folded into the file.
    pub async fn close(self) {
        // A pool that is closed twice is closed: errors say no more than that.
        drop(self.readers.close().await);
        drop(self.writers.close().await);
    }
}

impl StoreOptions {
    fn place(&self) -> String {
        match self {
            Self::Sqlite { path } => path.display().to_string(),
            Self::Postgres { url } => url.rsplit_once('@').map_or_else(
                || "postgres://".to_owned(),
                |(_, rest)| format!("postgres://{rest}"),
            ),
        }
    }
}

fn driver(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}
