//! All SQL: migrations, transactions, one file per aggregate, on SQLite and PostgreSQL.
//!
//! [`Store`] is a pool of readers and a way to write. Reads are methods on [`Db`], which stands on the pool
//! or on an open transaction; writes are methods on [`Tx`], so that nothing writes outside one. The dialect
//! is matched in `dialect.rs` alone: SQL is written once, with `$1` placeholders, which both databases read.
//!
//! On SQLite there is one writer, and write transactions begin as writers (`BEGIN IMMEDIATE`), short and
//! without network or file work inside. A crash loses nothing that was committed (`synchronous=FULL`,
//! `synchronous_commit=on`), and leaves nothing of what was not.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod db;
mod dialect;
mod error;
mod keys;
mod migration;
mod open;

pub use db::{Db, Tx};
pub use dialect::Dialect;
pub use error::StoreError;
pub use keys::{
    AccessKeyKey, AgentKey, AppKey, AttemptKey, DeploymentKey, DesktopKey, DomainKey,
    EnrollmentTokenKey, GroupKey, IamUserKey, JobKey, PackageKey, ProjectKey, RevisionKey, UserKey,
};
pub use open::{Store, StoreOptions};
