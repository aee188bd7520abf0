use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// What can go wrong with the database. Absence is not an error: look-ups answer `Option`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique rule was broken: somebody else took the name or opened the attempt first.
    #[error("{doing}: it exists already")]
    Conflict {
        /// What was attempted.
        doing: &'static str,
        /// The database's words.
        #[source]
        source: DbErr,
    },
    /// The database is there but has no time for us (lock or pool time-out). Worth repeating.
    #[error("{doing}: the database is busy")]
    Busy {
        /// What was attempted.
        doing: &'static str,
        /// The database's words.
        #[source]
        source: DbErr,
    },
    /// A stored value makes no sense: a bug or a damaged file.
    #[error("table {table}, column {column}, row {row}: cannot be {value:?}")]
    Inconsistent {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Key of the row.
        row: i64,
        /// What stands there.
        value: String,
    },
    /// Anything else the driver says.
    #[error("{doing}")]
    Driver {
        /// What was attempted.
        doing: &'static str,
        /// The database's words.
        #[source]
        source: DbErr,
    },
    /// The database was brought up to date by a newer version.
    #[error(
        "the database {place} was made by a newer version: it has the migration {migration}, which this one does not know"
    )]
    Newer {
        /// Path or address, without credentials.
        place: String,
        /// The first migration that is not known here.
        migration: String,
    },
    /// The database cannot be opened or brought up to date.
    #[error("cannot open the database {place}")]
    Open {
        /// Path or address, without credentials.
        place: String,
        /// The database's words.
        #[source]
        source: DbErr,
    },
}

/// Why a database could not be opened, as far as its operator can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFailure {
    /// Nobody answers at that address.
    Unreachable,
    /// User or password is wrong.
    Refused,
    /// There is no database of that name.
    NoDatabase,
    /// Anything else.
    Other,
}

impl OpenFailure {
    /// Sorts a driver error of [`StoreError::Open`].
    pub fn of(source: &DbErr) -> Self {
        let (DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) =
            source
        else {
            return Self::Other;
        };
        match error.as_ref() {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => Self::Unreachable,
            // Source: PostgreSQL, appendix A, "PostgreSQL Error Codes".
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some("28000" | "28P01") => Self::Refused,
                Some("3D000") => Self::NoDatabase,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl StoreError {
    /// Sorts a driver error by what the caller can do about it.
    pub(crate) fn from_driver(doing: &'static str, source: DbErr) -> Self {
        if matches!(source.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Conflict { doing, source };
        }
        let busy = match &source {
            DbErr::ConnectionAcquire(_) => true,
            other => {
                let text = other.to_string();
                text.contains("database is locked")
                    || text.contains("deadlock detected")
                    || text.contains("could not serialize access")
            }
        };
        if busy {
            Self::Busy { doing, source }
        } else {
            Self::Driver { doing, source }
        }
    }

    /// Whether a unique rule was broken.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
