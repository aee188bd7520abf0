//! What SQL runs on: the pool of readers, or an open write transaction.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, FromQueryResult,
    QueryResult, Statement, Value,
};

use crate::audit::AuditPart;
use crate::changes::{ChangeFeed, Changes, PendingChanges};
use crate::host::{DatabaseStep, Hosting, Turn};
use crate::job_position::JobPositions;
use crate::{Dialect, StoreError};

/// Reads, on the pool or inside a transaction. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Db<'c> {
    executor: Executor<'c>,
    dialect: Dialect,
    hosting: &'c Hosting,
    /// Where readers of long lists are; none inside a transaction, which may see what others do not.
    job_positions: Option<&'c JobPositions>,
}

#[derive(Clone, Copy)]
enum Executor<'c> {
    Pool(&'c DatabaseConnection),
    Transaction(&'c DatabaseTransaction),
}

/// A write transaction. Dropped without [`Tx::commit`], it leaves nothing.
pub struct Tx {
    inner: Open,
    dialect: Dialect,
    /// Given back after the transaction's end.
    _turn: Turn,
    changes: PendingChanges,
    /// What it adds to the call that it belongs to.
    pub(crate) audit: Option<AuditPart>,
}

impl<'c> Db<'c> {
    pub(crate) fn on_pool(
        pool: &'c DatabaseConnection,
        dialect: Dialect,
        hosting: &'c Hosting,
        job_positions: &'c JobPositions,
    ) -> Self {
        Self {
            executor: Executor::Pool(pool),
            dialect,
            hosting,
            job_positions: Some(job_positions),
        }
    }

    /// Reads in a transaction that writes nothing.
    pub(crate) fn in_transaction(
        transaction: &'c DatabaseTransaction,
        dialect: Dialect,
        hosting: &'c Hosting,
    ) -> Self {
        Self {
            executor: Executor::Transaction(transaction),
            dialect,
            hosting,
            job_positions: None,
        }
    }

    pub(crate) fn job_positions(&self) -> Option<&'c JobPositions> {
        self.job_positions
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Every row of a query.
    pub(crate) async fn all<T: FromQueryResult>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self
            .rows(sql, values)
            .await
            .map_err(|source| StoreError::from_driver(doing, source))?;
        rows.iter()
            .map(|row| T::from_query_result(row, ""))
            .collect::<Result<_, _>>()
            .map_err(|source| StoreError::from_driver(doing, source))
    }

    /// The first row of a query, where there is one.
    pub(crate) async fn one<T: FromQueryResult>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(doing, sql, values).await?.into_iter().next())
    }

    /// The first column of the first row, where there is one.
    pub(crate) async fn scalar<T: sea_orm::TryGetable>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>, StoreError> {
        let rows = self
            .rows(sql, values)
            .await
            .map_err(|source| StoreError::from_driver(doing, source))?;
        rows.first()
            .map(|row| row.try_get_by_index(0))
            .transpose()
            .map_err(|source| StoreError::from_driver(doing, source))
    }

    async fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let statement = Statement::from_sql_and_values(self.dialect.backend(), sql, values);
        self.hosting
            .run(DatabaseStep::Statement, async {
                match self.executor {
                    Executor::Pool(pool) => pool.query_all_raw(statement).await,
                    Executor::Transaction(transaction) => {
                        transaction.query_all_raw(statement).await
                    }
                }
            })
            .await
    }
}

impl Tx {
    pub(crate) fn new(
        inner: DatabaseTransaction,
        dialect: Dialect,
        (hosting, turn): (Hosting, Turn),
        feed: ChangeFeed,
    ) -> Self {
        Self {
            inner: Open {
                transaction: Some(inner),
                hosting,
            },
            dialect,
            _turn: turn,
            changes: PendingChanges::new(feed),
            audit: None,
        }
    }

    /// Notes what is told after the commit.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Changes)) {
        self.changes.note(note);
    }

    /// Reads that see this transaction's own changes.
    pub fn db(&self) -> Db<'_> {
        Db::in_transaction(self.inner.get(), self.dialect, &self.inner.hosting)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Makes the changes durable, with the audit entry of the call that they belong to.
    ///
    /// # Errors
    /// When the database cannot: then nothing of the transaction stands.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if let Some(part) = &self.audit {
            part.finish(&self).await?;
        }
        self.inner
            .commit()
            .await
            .map_err(|source| StoreError::from_driver("commit", source))?;
        if let Some(part) = &self.audit {
            part.committed();
        }
        self.changes.tell();
        Ok(())
    }

    /// Runs a statement; answers the number of rows it changed.
    pub(crate) async fn run(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        let statement = Statement::from_sql_and_values(self.dialect.backend(), sql, values);
        self.inner
            .hosting
            .run(
                DatabaseStep::Statement,
                self.inner.get().execute_raw(statement),
            )
            .await
            .map(|result: ExecResult| result.rows_affected())
            .map_err(|source| StoreError::from_driver(doing, source))
    }

    /// Inserts one row with `RETURNING id`; answers its key.
    pub(crate) async fn insert(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<i64, StoreError> {
        self.db()
            .scalar(doing, sql, values)
            .await?
            .ok_or_else(|| StoreError::from_driver(doing, DbErr::RecordNotInserted))
    }
}

/// An open transaction.
struct Open {
    /// There until it is committed.
    transaction: Option<DatabaseTransaction>,
    hosting: Hosting,
}

impl Open {
    fn get(&self) -> &DatabaseTransaction {
        self.transaction
            .as_ref()
            .expect("a transaction is open until it is committed, which takes it")
    }

    async fn commit(&mut self) -> Result<(), DbErr> {
        let transaction = &mut self.transaction;
        self.hosting
            .run(DatabaseStep::Commit, async move {
                transaction
                    .take()
                    .expect("a transaction is committed once")
                    .commit()
                    .await
            })
            .await
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(open) = self.transaction.take() {
            self.hosting.drop(open);
        }
    }
}
