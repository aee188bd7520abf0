//! A PostgreSQL database for each test, cloned from a template that is migrated once.
//!
//! The server is started outside, by `scripts/with-postgres`: under nextest each test is a process of its own, and a
//! server for each would cost a second. Databases are dropped at the end of their test, also of a failed one; those
//! of a killed test go with the server.

use anyhow::{Context as _, bail, ensure};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

/// Environment variable with the URL of the server that tests use, as a role that may create databases.
pub const SERVER_VARIABLE: &str = "OUTFITTER_TEST_POSTGRES";

/// Key of the advisory lock under which a template is made: two tests must not migrate it at once. Any number that
/// the product does not use will do.
const TEMPLATE_LOCK: i64 = 0x6F75_7466_6974;

/// A database that exists as long as this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server_url: String,
    url: String,
}

impl TestDatabase {
    /// Makes a database that is a copy of `template`. The first caller on a server makes the template: `migrate` gets
    /// the URL of an empty database, and must have closed its connections when it returns. `template` stands for its
    /// content: name it anew (1 to 48 of `a-z`, `0-9`, `_`) when the migrations change, for example by their last name.
    ///
    /// # Errors
    /// When [`SERVER_VARIABLE`] is not set (the sentence says how to run the test), when the server refuses, or when
    /// `migrate` fails.
    pub async fn create<M, F, E>(template: &str, migrate: M) -> anyhow::Result<Self>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<anyhow::Error>,
    {
        ensure!(
            (1..=48).contains(&template.len())
                && template
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "the template name {template:?} must be 1 to 48 of a-z, 0-9 and _"
        );
        let server_url = server_url()?;
        let server = connect(&server_url).await?;
        let template = format!("template_{template}");
        ensure_template(&server, &server_url, &template, migrate).await?;
        let row = server
            .query_one_raw(statement(
                "SELECT 'test_' || replace(gen_random_uuid()::text, '-', '') AS name",
            ))
            .await
            .context("ask for a fresh name")?
            .context("a SELECT without FROM answers with one row")?;
        let name: String = row.try_get("", "name").context("read the fresh name")?;
        execute(
            &server,
            &format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await?;
        server
            .close()
            .await
            .context("close the connection to the test server")?;
        let url = with_database(&server_url, &name)?;
        Ok(Self {
            name,
            server_url,
            url,
        })
    }

    /// Where the database is reached, as `postgres://user:password@host:port/name`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    /// Drops the database, closing connections that are still open. A failure is left to the end of the server: a
    /// panic here would hide why the test failed.
    fn drop(&mut self) {
        let server_url = self.server_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // On a thread of its own: this one may be inside a runtime, which cannot be entered twice.
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(async {
                    let server = connect(&server_url).await?;
                    execute(&server, &statement).await?;
                    Ok(server.close().await?)
                })
        })
        .join();
        drop(dropped);
    }
}

fn server_url() -> anyhow::Result<String> {
    match std::env::var(SERVER_VARIABLE) {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => bail!(
            "this test needs PostgreSQL and {SERVER_VARIABLE} is not set: run `make test`, or one test with \
             `scripts/with-postgres cargo nextest run NAME` (`scripts/with-postgres cargo test NAME` without nextest)"
        ),
    }
}

/// Makes the template unless it is there. It gets its name only when it is whole, so that a crash while migrating
/// leaves nothing that looks like a template.
async fn ensure_template<M, F, E>(
    server: &DatabaseConnection,
    server_url: &str,
    template: &str,
    migrate: M,
) -> anyhow::Result<()>
where
    M: FnOnce(String) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<anyhow::Error>,
{
    if database_exists(server, template).await? {
        return Ok(());
    }
    execute(server, &format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await?;
    if !database_exists(server, template).await? {
        let unfinished = format!("{template}_unfinished");
        execute(
            server,
            &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        )
        .await?;
        execute(server, &format!("CREATE DATABASE {unfinished}")).await?;
        migrate(with_database(server_url, &unfinished)?)
            .await
            .map_err(Into::into)
            .with_context(|| format!("migrate {unfinished}"))?;
        execute(
            server,
            &format!("ALTER DATABASE {unfinished} RENAME TO {template}"),
        )
        .await?;
    }
    execute(
        server,
        &format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})"),
    )
    .await
}

async fn database_exists(server: &DatabaseConnection, name: &str) -> anyhow::Result<bool> {
    let row = server
        .query_one_raw(statement(&format!(
            "SELECT 1 FROM pg_database WHERE datname = '{name}'"
        )))
        .await
        .with_context(|| format!("look for database {name}"))?;
    Ok(row.is_some())
}

/// One connection: advisory locks belong to the connection that took them.
async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .min_connections(1)
        .max_connections(1)
        .sqlx_logging(false);
    Database::connect(options)
        .await
        .with_context(|| format!("connect to the server of {SERVER_VARIABLE}"))
}

async fn execute(server: &DatabaseConnection, sql: &str) -> anyhow::Result<()> {
    server
        .execute_unprepared(sql)
        .await
        .with_context(|| format!("run {sql:?} on the test server"))?;
    Ok(())
}

fn statement(sql: &str) -> Statement {
    Statement::from_string(sea_orm::DatabaseBackend::Postgres, sql)
}

/// The server's URL with another database in it.
fn with_database(server_url: &str, name: &str) -> anyhow::Result<String> {
    let mut url =
        url::Url::parse(server_url).with_context(|| format!("{SERVER_VARIABLE} is not a URL"))?;
    url.set_path(name);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(url: &str, sql: &str) -> anyhow::Result<()> {
        let database = connect(url).await?;
        execute(&database, sql).await?;
        Ok(database.close().await?)
    }

    async fn first_migration(url: String) -> anyhow::Result<()> {
        run(
            &url,
            "CREATE TABLE migrated (id BIGINT); INSERT INTO migrated VALUES (1)",
        )
        .await
    }

    #[tokio::test]
    async fn databases_are_apart_and_start_as_the_template() {
        let mut made = Vec::new();
        for attempt in futures_util::future::join_all(
            (0..4).map(|_| TestDatabase::create("apart_and_migrated", first_migration)),
        )
        .await
        {
            made.push(attempt.unwrap());
        }
        // A second migration of the same database, or a table left by a neighbour, would make these fail.
        for database in &made {
            run(
                database.url(),
                "UPDATE migrated SET id = 2; CREATE TABLE own (id BIGINT)",
            )
            .await
            .unwrap();
        }
        let migrated_again = TestDatabase::create("apart_and_migrated", |_| async {
            bail!("asked to migrate twice")
        });
        run(
            migrated_again.await.unwrap().url(),
            "CREATE TABLE own (id BIGINT)",
        )
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_database_is_gone_with_its_value() {
        let database = TestDatabase::create("gone_with_its_value", first_migration)
            .await
            .unwrap();
        let name = database.name.clone();
        let server = connect(&server_url().unwrap()).await.unwrap();
        assert!(database_exists(&server, &name).await.unwrap());
        // A connection that the test forgot to close does not keep the database.
        let forgotten = connect(database.url()).await.unwrap();
        drop(database);
        assert!(!database_exists(&server, &name).await.unwrap());
        drop(forgotten);
    }

    #[tokio::test]
    async fn a_failed_migration_leaves_no_template() {
        let failed = TestDatabase::create("failed_first", |_| async {
            bail!("the migration is wrong")
        })
        .await;
        let text = format!("{:#}", failed.unwrap_err());
        assert!(text.contains("the migration is wrong"), "{text}");
        TestDatabase::create("failed_first", first_migration)
            .await
            .unwrap();
    }

    #[test]
    fn the_database_replaces_the_path_and_keeps_the_rest() {
        let url = with_database(
            "postgres://u:p@127.0.0.1:5433/postgres?sslmode=disable",
            "test_1",
        )
        .unwrap();
        assert_eq!(url, "postgres://u:p@127.0.0.1:5433/test_1?sslmode=disable");
    }
}
