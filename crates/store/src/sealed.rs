//! What is sealed under the server key, wherever it is; which key seals, and which servers have which.
//!
//! Nothing here can open anything. [`SEALED_COLUMNS`] is complete: a test compares it with the schema.

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::{Db, StoreError, Tx};

/// A column whose values are sealed under the server key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedColumn {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
    /// Purpose under which its values are sealed.
    pub purpose: &'static str,
    /// Primary key of the table, as text.
    key: &'static str,
    /// What names a value's place: text or public id, as SQL over `t`.
    identity: Identity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    Text(&'static str),
    PublicId(&'static str),
}

/// Every column whose values are sealed and are sealed anew when the server key is rotated.
pub const SEALED_COLUMNS: &[SealedColumn] = &[
    SealedColumn {
        table: "server_secret",
        column: "sealed",
        purpose: "server_secret",
        key: "t.name",
        identity: Identity::Text("t.name"),
    },
    SealedColumn {
        table: "access_key",
        column: "secret_sealed",
        purpose: "access_key.secret_sealed",
        key: "t.access",
        identity: Identity::Text("t.access"),
    },
    SealedColumn {
        table: "desktop_reach",
        column: "secrets_sealed",
        purpose: "desktop_reach.secrets_sealed",
        key: "CAST(t.desktop_id AS TEXT)",
        identity: Identity::PublicId(
            "(SELECT d.public_id FROM desktop d WHERE d.id = t.desktop_id)",
        ),
    },
    SealedColumn {
        table: "directory_connection",
        column: "secret_sealed",
        purpose: "directory_connection.secret_sealed",
        key: "CAST(t.project_id AS TEXT)",
        identity: Identity::PublicId(
            "(SELECT p.public_id FROM project p WHERE p.id = t.project_id)",
        ),
    },
    SealedColumn {
        table: "network_reach",
        column: "secrets_sealed",
        purpose: "network_reach.secrets_sealed",
        key: "CAST(t.id AS TEXT)",
        identity: Identity::Text("t.network"),
    },
];

/// A sealed value in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// Names the row within its table.
    pub key: String,
    /// What it is sealed for.
    pub identity: String,
    /// The sealed value.
    pub sealed: Vec<u8>,
}

/// A server key as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeyRecord {
    /// Its id.
    pub key_id: u8,
    /// A known text sealed under it.
    pub proof_sealed: Vec<u8>,
    /// Since when.
    pub since: Millis,
}

/// What a server key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKeyRole {
    /// Everything new is sealed under it.
    Sealing,
    /// It will be the sealing one when every server has it.
    Next,
}

impl ServerKeyRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Next => "next",
        }
    }
}

/// A server process and the keys it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeyHolder {
    /// One for each start of a process.
    pub process: Uuid,
    /// Host and process id.
    pub name: String,
    /// Ids of the keys it has.
    pub key_ids: Vec<u8>,
    /// Id of the key it seals under.
    pub sealing: u8,
    /// When it last said so.
    pub seen_at: Millis,
}

#[derive(FromQueryResult)]
struct KeyRow {
    key_id: i64,
    proof_sealed: Vec<u8>,
    since: i64,
}

#[derive(FromQueryResult)]
struct HolderRow {
    process: Uuid,
    name: String,
    key_ids: String,
    sealing: i64,
    seen_at: i64,
}

#[derive(FromQueryResult)]
struct ValueRow {
    row_key: String,
    identity_text: Option<String>,
    identity_id: Option<Uuid>,
    sealed: Vec<u8>,
}

impl SealedColumn {
    fn select_identity(&self) -> String {
        match self.identity {
            Identity::Text(sql) => format!("{sql} AS identity_text, NULL AS identity_id"),
            Identity::PublicId(sql) => format!("NULL AS identity_text, {sql} AS identity_id"),
        }
    }
}

fn key_id(table: &'static str, column: &'static str, number: i64) -> Result<u8, StoreError> {
    u8::try_from(number).map_err(|_| StoreError::Inconsistent {
        table,
        column,
        row: 0,
        value: number.to_string(),
    })
}

impl Db<'_> {
    /// Values of a column that are sealed under another key than this one, some at a time.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sealed_under_other_keys(
        &self,
        column: &SealedColumn,
        key_id: u8,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError> {
        let SealedColumn {
            table,
            column: name,
            key,
            ..
        } = column;
        let identity = column.select_identity();
        let rows: Vec<ValueRow> = self
            .all(
                "read what is sealed under other keys",
                &format!(
                    "SELECT {key} AS row_key, {identity}, t.{name} AS sealed FROM {table} t \
                     WHERE substr(t.{name}, 1, 1) <> $1 LIMIT $2"
                ),
                [vec![key_id].into(), i64::from(limit).into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| SealedValue {
                key: row.row_key,
                identity: row
                    .identity_text
                    .or_else(|| row.identity_id.map(|id| id.to_string()))
                    .unwrap_or_default(),
                sealed: row.sealed,
            })
            .collect())
    }

    /// How many values of a column are sealed under another key than this one, and how many there are.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sealed_count(
        &self,
        column: &SealedColumn,
        key_id: u8,
    ) -> Result<(i64, i64), StoreError> {
        let SealedColumn {
            table,
            column: name,
            ..
        } = column;
        let all = self
            .scalar(
                "count what is sealed",
                &format!("SELECT count(*) FROM {table}"),
                [],
            )
            .await?
            .unwrap_or(0);
        let other = self
            .scalar(
                "count what is sealed under other keys",
                &format!("SELECT count(*) FROM {table} t WHERE substr(t.{name}, 1, 1) <> $1"),
                [vec![key_id].into()],
            )
            .await?
            .unwrap_or(0);
        Ok((other, all))
    }

    /// The key of a role.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn server_key(
        &self,
        role: ServerKeyRole,
    ) -> Result<Option<ServerKeyRecord>, StoreError> {
        let row: Option<KeyRow> = self
            .one(
                "read a server key's record",
                "SELECT key_id, proof_sealed, since FROM server_key WHERE role = $1",
                [role.as_str().into()],
            )
            .await?;
        row.map(|row| {
            Ok(ServerKeyRecord {
                key_id: key_id("server_key", "key_id", row.key_id)?,
                proof_sealed: row.proof_sealed,
                since: Millis::new(row.since),
            })
        })
        .transpose()
    }

    /// The server processes that said since then which keys they have.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn server_key_holders(
        &self,
        since: Millis,
    ) -> Result<Vec<ServerKeyHolder>, StoreError> {
        let rows: Vec<HolderRow> = self
            .all(
                "list who has which server key",
                "SELECT process, name, key_ids, sealing, seen_at FROM server_key_holder \
                 WHERE seen_at >= $1 ORDER BY name",
                [since.get().into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ServerKeyHolder {
                    process: row.process,
                    key_ids: serde_json::from_str(&row.key_ids).map_err(|_| {
                        StoreError::Inconsistent {
                            table: "server_key_holder",
                            column: "key_ids",
                            row: 0,
                            value: row.key_ids.clone(),
                        }
                    })?,
                    name: row.name,
                    sealing: key_id("server_key_holder", "sealing", row.sealing)?,
                    seen_at: Millis::new(row.seen_at),
                })
            })
            .collect()
    }
}

impl Tx {
    /// Puts a value sealed anew in the place of the one that was read; answers whether that one was still there.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn sealed_replace(
        &self,
        column: &SealedColumn,
        old: &SealedValue,
        sealed: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let SealedColumn {
            table,
            column: name,
            key,
            ..
        } = column;
        self.run(
            "seal a value anew",
            &format!("UPDATE {table} AS t SET {name} = $1 WHERE {key} = $2 AND {name} = $3"),
            [
                sealed.into(),
                old.key.clone().into(),
                old.sealed.clone().into(),
            ],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Records the key of a role unless there is one; answers whether it did.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn server_key_insert_if_absent(
        &self,
        role: ServerKeyRole,
        record: &ServerKeyRecord,
    ) -> Result<bool, StoreError> {
        self.run(
            "record a server key",
            "INSERT INTO server_key (role, key_id, proof_sealed, since) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (role) DO NOTHING",
            [
                role.as_str().into(),
                i64::from(record.key_id).into(),
                record.proof_sealed.clone().into(),
                record.since.get().into(),
            ],
        )
        .await
        .map(|inserted| inserted > 0)
    }

    /// Makes the next key the sealing one; answers whether it was still the next one.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn server_key_promote(&self, key_id: u8, now: Millis) -> Result<bool, StoreError> {
        let key_id = i64::from(key_id);
        let next = self
            .run(
                "take the next server key",
                "UPDATE server_key SET key_id = n.key_id, proof_sealed = n.proof_sealed, since = $1 \
                 FROM (SELECT key_id, proof_sealed FROM server_key WHERE role = 'next' AND key_id = $2) AS n \
                 WHERE role = 'sealing'",
                [now.get().into(), key_id.into()],
            )
            .await?;
        self.run(
            "take the next server key",
            "DELETE FROM server_key WHERE role = 'next' AND key_id = $1",
            [key_id.into()],
        )
        .await?;
        Ok(next > 0)
    }

    /// Says which keys a server process has; who has been silent since `forget_before` is forgotten.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn server_key_hold(
        &self,
        holder: &ServerKeyHolder,
        forget_before: Millis,
    ) -> Result<(), StoreError> {
        let key_ids = serde_json::Value::from(holder.key_ids.clone()).to_string();
        self.run(
            "say which server keys are here",
            "INSERT INTO server_key_holder (process, name, key_ids, sealing, seen_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (process) DO UPDATE \
             SET key_ids = $3, sealing = $4, seen_at = $5",
            [
                holder.process.into(),
                holder.name.clone().into(),
                key_ids.into(),
                i64::from(holder.sealing).into(),
                holder.seen_at.get().into(),
            ],
        )
        .await?;
        self.run(
            "forget servers that are gone",
            "DELETE FROM server_key_holder WHERE seen_at < $1",
            [forget_before.get().into()],
        )
        .await
        .map(drop)
    }

    /// A server process ends.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn server_key_let_go(&self, process: Uuid) -> Result<(), StoreError> {
        self.run(
            "forget a server that ends",
            "DELETE FROM server_key_holder WHERE process = $1",
            [process.into()],
        )
        .await
        .map(drop)
    }
}
