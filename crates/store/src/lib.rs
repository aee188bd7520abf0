//! All SQL: migrations, transactions, one file per aggregate, on SQLite and PostgreSQL
