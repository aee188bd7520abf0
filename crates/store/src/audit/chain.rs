//! Sealing, checking and cutting the chain.

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::entry::{AuditKey, COLUMNS, EntryRow, push_bytes};
use super::results::AuditResultsCheck;
use crate::{Db, StoreError, Tx};

/// Entries read at once: bounds memory.
pub(super) const PAGE: i64 = 500;

/// Findings that one check reports; more are counted only.
const MOST_FINDINGS: usize = 100;

/// What stands before the first entry.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where the chain ends, and where it begins since entries were deleted for their age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    /// The newest sealed entry; 0: none was sealed yet.
    pub sequence: i64,
    /// The chain's hash there, lower-case hex.
    pub hash: String,
    /// When it was sealed.
    pub sealed_at: Millis,
    /// Entries up to this one were deleted.
    pub cut_sequence: i64,
    /// The chain's hash there.
    pub cut_hash: String,
    /// When entries were deleted last.
    pub cut_at: Option<Millis>,
}

#[derive(FromQueryResult)]
pub(super) struct ChainRow {
    sequence: i64,
    hash: String,
    mac: String,
    sealed_at: i64,
    cut_sequence: i64,
    cut_hash: String,
    cut_mac: String,
    cut_at: Option<i64>,
}

impl ChainRow {
    fn is_ours(&self, key: &AuditKey) -> bool {
        key.verifies(HEAD, &[&place(self.sequence, &self.hash)], &self.mac)
    }

    fn cut_is_ours(&self, key: &AuditKey) -> bool {
        key.verifies(
            CUT,
            &[&place(self.cut_sequence, &self.cut_hash)],
            &self.cut_mac,
        )
    }
}

impl From<ChainRow> for AuditChain {
    fn from(row: ChainRow) -> Self {
        Self {
            sequence: row.sequence,
            hash: row.hash,
            sealed_at: Millis::new(row.sealed_at),
            cut_sequence: row.cut_sequence,
            cut_hash: row.cut_hash,
            cut_at: row.cut_at.map(Millis::new),
        }
    }
}

/// Purposes of MACs.
const HEAD: &str = "head";
const CUT: &str = "cut";
pub(super) const ENTRY: &str = "entry";

/// A place in the chain as a MAC covers it.
pub(super) fn place(sequence: i64, hash: &str) -> Vec<u8> {
    let mut bytes = sequence.to_be_bytes().to_vec();
    push_bytes(&mut bytes, hash.as_bytes());
    bytes
}

/// The chain's hash at an entry: SHA-256 over the hash before it, its place and its bytes.
fn link(before: &str, sequence: i64, entry: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(entry.len() + 96);
    push_bytes(&mut bytes, before.as_bytes());
    push_bytes(&mut bytes, &sequence.to_be_bytes());
    push_bytes(&mut bytes, entry);
    hex::encode(Sha256::digest(&bytes))
}

/// What one run of the sealer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSealed {
    /// Entries that got their place.
    pub entries: i64,
    /// Whether more are waiting.
    pub more: bool,
    /// The end of the chain now.
    pub sequence: i64,
    /// The chain's hash there.
    pub hash: String,
}

/// What is wrong with one place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFinding {
    /// The entry is another than was written.
    Altered {
        /// Its place; `None`: it has none yet.
        sequence: Option<i64>,
        /// Its public id.
        id: Uuid,
    },
    /// Entries are gone.
    Missing {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// The entry is whole, and not in the place where it was sealed.
    Moved {
        /// Where it stands.
        sequence: i64,
        /// Its public id.
        id: Uuid,
    },
    /// The end of the chain was written by somebody else, or the end is another than the sealed one.
    Head {
        /// The place it claims.
        sequence: i64,
    },
    /// The checkpoint of retention was written by somebody else.
    Checkpoint {
        /// The place it claims.
        sequence: i64,
    },
    /// A place that the caller knows is not in this chain: an older copy of the log was put back.
    RolledBack {
        /// The place that the caller knows.
        sequence: i64,
    },
    /// A job's result is another than was sealed, or it was deleted beside the servers.
    ResultAltered {
        /// Its place among results.
        sequence: i64,
    },
    /// Results of jobs are gone, and no server deleted them.
    ResultsMissing {
        /// The first, among results.
        from: i64,
        /// The last.
        to: i64,
    },
    /// Results together are others than the log says, or the end of their chain was written by somebody else.
    ResultsHead {
        /// The first that may be concerned, among results.
        from: i64,
        /// The last.
        to: i64,
    },
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    /// The chain as it was when the check began.
    pub chain: AuditChain,
    /// Sealed entries that were checked.
    pub checked: i64,
    /// Entries that have no place in the chain yet.
    pub unsealed: i64,
    /// What is wrong, in order; at most a hundred.
    pub findings: Vec<AuditFinding>,
    /// How many more are wrong.
    pub more_findings: i64,
    /// What was found of the results of jobs.
    pub results: AuditResultsCheck,
}

impl AuditCheck {
    pub(super) fn find(&mut self, finding: AuditFinding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }

    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What one page of retention deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPruned {
    /// Entries that are gone.
    pub entries: i64,
    /// Where the chain begins now: the place of the last deleted entry.
    pub cut_sequence: i64,
}

const CHAIN: &str = "SELECT sequence, hash, mac, sealed_at, cut_sequence, cut_hash, cut_mac, cut_at \
     FROM audit_chain WHERE id = 1";

impl Db<'_> {
    async fn audit_chain_row(&self) -> Result<Option<ChainRow>, StoreError> {
        self.one("read the end of the audit chain", CHAIN, []).await
    }

    /// The chain; `None` before the first entry was sealed.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_chain(&self) -> Result<Option<AuditChain>, StoreError> {
        Ok(self.audit_chain_row().await?.map(AuditChain::from))
    }

    /// Whether the chain still holds an entry with this place and hash, or did until it was deleted for its age.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_holds(&self, sequence: i64, hash: &str) -> Result<bool, StoreError> {
        let holds: Option<i64> = self
            .scalar(
                "look for a sealed audit entry",
                "SELECT CAST(1 AS BIGINT) FROM audit_chain c WHERE c.sequence >= $1 AND (c.cut_sequence > $1 \
                 OR (c.cut_sequence = $1 AND c.cut_hash = $2) \
                 OR EXISTS (SELECT 1 FROM audit_entry e WHERE e.sequence = $1 AND e.hash = $2))",
                [sequence.into(), hash.into()],
            )
            .await?;
        Ok(holds.is_some())
    }

    /// Sealed entries after a place, in order.
    async fn audit_sealed_after(&self, sequence: i64) -> Result<Vec<EntryRow>, StoreError> {
        self.all(
            "read sealed audit entries",
            &format!(
                "SELECT {COLUMNS} FROM audit_entry e WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2"
            ),
            [sequence.into(), PAGE.into()],
        )
        .await
    }

    /// Computes the whole chain again, a page at a time, up to where it was sealed when the check began, looks at what
    /// waits to be sealed, and computes the chain of results whose heads the log holds. `known` is a place and the hash there that the caller noted earlier.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_check(
        &self,
        key: &AuditKey,
        known: Option<(i64, &str)>,
    ) -> Result<AuditCheck, StoreError> {
        loop {
            let check = self.audit_check_once(key, known).await?;
            let cut = self.audit_chain().await?.map_or(0, |it| it.cut_sequence);
            // Entries were deleted for their age while we read: what is missing then is not missing.
            if cut == check.chain.cut_sequence {
                return Ok(check);
            }
        }
    }

    async fn audit_check_once(
        &self,
        key: &AuditKey,
        known: Option<(i64, &str)>,
    ) -> Result<AuditCheck, StoreError> {
        let row = self.audit_chain_row().await?;
        let head_is_ours = row.as_ref().is_none_or(|row| row.is_ours(key));
        let cut_is_ours = row.as_ref().is_none_or(|row| row.cut_is_ours(key));
        let chain = row.map_or_else(
            || AuditChain {
                sequence: 0,
                hash: NOTHING.to_owned(),
                sealed_at: Millis::new(0),
                cut_sequence: 0,
                cut_hash: NOTHING.to_owned(),
                cut_at: None,
            },
            AuditChain::from,
        );
        let unsealed = self
            .scalar(
                "count unsealed audit entries",
                "SELECT COUNT(*) FROM audit_entry WHERE sequence IS NULL",
                [],
            )
            .await?
            .unwrap_or(0);
        let mut check = AuditCheck {
            checked: 0,
            unsealed,
            findings: Vec::new(),
            more_findings: 0,
            results: AuditResultsCheck {
                checked: 0,
                sequence: 0,
                hash: NOTHING.to_owned(),
                gone: 0,
                unsealed: 0,
            },
            chain,
        };
        if !cut_is_ours {
            check.find(AuditFinding::Checkpoint {
                sequence: check.chain.cut_sequence,
            });
        }
        let (end, end_hash) = (check.chain.sequence, check.chain.hash.clone());
        let (mut at, mut hash) = (check.chain.cut_sequence, check.chain.cut_hash.clone());
        let mut known_is_there =
            known.is_none_or(|known| known == (at, hash.as_str()) || known.0 < at);
        'pages: loop {
            let page = self.audit_sealed_after(at).await?;
            if page.is_empty() {
                break;
            }
            for row in page {
                let sequence = row.sequence.unwrap_or_default();
                if sequence > end {
                    break 'pages;
                }
                if sequence != at + 1 {
                    check.find(AuditFinding::Missing {
                        from: at + 1,
                        to: sequence - 1,
                    });
                }
                let bytes = row.bytes();
                let stored = row.hash.clone().unwrap_or_default();
                if !key.verifies(ENTRY, &[&bytes], &row.mac) {
                    check.find(AuditFinding::Altered {
                        sequence: Some(sequence),
                        id: row.public_id(),
                    });
                } else if sequence == at + 1 && link(&hash, sequence, &bytes) != stored {
                    check.find(AuditFinding::Moved {
                        sequence,
                        id: row.public_id(),
                    });
                }
                known_is_there |= known.is_some_and(|known| known == (sequence, stored.as_str()));
                check.checked += 1;
                at = sequence;
                // Goes on from what stands there, so that one changed place is reported as one.
                hash = stored;
            }
        }
        if at < end {
            check.find(AuditFinding::Missing {
                from: at + 1,
                to: end,
            });
        }
        if !head_is_ours || (at == end && hash != end_hash) {
            check.find(AuditFinding::Head { sequence: end });
        }
        if !known_is_there {
            check.find(AuditFinding::RolledBack {
                sequence: known.map_or(0, |known| known.0),
            });
        }
        self.audit_check_unsealed(key, &mut check).await?;
        self.audit_check_results(key, &mut check).await?;
        Ok(check)
    }

    async fn audit_check_unsealed(
        &self,
        key: &AuditKey,
        check: &mut AuditCheck,
    ) -> Result<(), StoreError> {
        let mut after = 0_i64;
        loop {
            let page: Vec<EntryRow> = self
                .all(
                    "read unsealed audit entries",
                    &format!(
                        "SELECT {COLUMNS} FROM audit_entry e WHERE e.sequence IS NULL AND e.id > $1 ORDER BY e.id LIMIT $2"
                    ),
                    [after.into(), PAGE.into()],
                )
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for row in &page {
                if !key.verifies(ENTRY, &[&row.bytes()], &row.mac) {
                    check.find(AuditFinding::Altered {
                        sequence: None,
                        id: row.public_id(),
                    });
                }
            }
        }
    }
}

impl Tx {
    /// The chain's row, locked: of several servers one seals or cuts at a time, the others wait for it.
    pub(super) async fn audit_chain_lock(
        &self,
        key: &AuditKey,
        now: Millis,
    ) -> Result<ChainRow, StoreError> {
        let locked = format!("{CHAIN}{}", self.dialect().for_update());
        let doing = "lock the audit chain";
        if let Some(row) = self.db().one(doing, &locked, []).await? {
            return Ok(row);
        }
        self.run(
            "begin the audit chain",
            "INSERT INTO audit_chain (id, sequence, hash, mac, sealed_at, cut_sequence, cut_hash, cut_mac) \
             VALUES (1, 0, $1, $2, $3, 0, $1, $4) ON CONFLICT DO NOTHING",
            [
                NOTHING.into(),
                key.mac(HEAD, &[&place(0, NOTHING)]).into(),
                now.get().into(),
                key.mac(CUT, &[&place(0, NOTHING)]).into(),
            ],
        )
        .await?;
        self.db()
            .one(doing, &locked, [])
            .await?
            .ok_or_else(|| StoreError::Inconsistent {
                table: "audit_chain",
                column: "id",
                row: 1,
                value: "no row".to_owned(),
            })
    }

    /// Gives up to `limit` committed entries their place in the chain, in the order in which they are found: by key,
    /// and those whose transaction took longer after those that were sealed meanwhile. An entry that was changed or
    /// made beside the servers is sealed too: its MAC tells.
    ///
    /// # Errors
    /// When the database cannot: then nothing is sealed.
    pub async fn audit_seal(
        &self,
        key: &AuditKey,
        limit: i64,
        now: Millis,
    ) -> Result<AuditSealed, StoreError> {
        let chain = self.audit_chain_lock(key, now).await?;
        // After the lock, so that what another server sealed is not read again.
        let rows: Vec<EntryRow> = self
            .db()
            .all(
                "read unsealed audit entries",
                &format!(
                    "SELECT {COLUMNS} FROM audit_entry e WHERE e.sequence IS NULL ORDER BY e.id LIMIT $1"
                ),
                [limit.into()],
            )
            .await?;
        if rows.is_empty() {
            return Ok(AuditSealed {
                entries: 0,
                more: false,
                sequence: chain.sequence,
                hash: chain.hash,
            });
        }
        let entries = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let (mut sequence, mut hash) = (chain.sequence, chain.hash);
        let mut places = Vec::with_capacity(rows.len());
        for row in &rows {
            sequence += 1;
            hash = link(&hash, sequence, &row.bytes());
            places.push(json!({"id": row.id, "sequence": sequence, "hash": hash}));
        }
        let each = self.dialect().each("$1");
        self.run(
            "seal audit entries",
            &format!(
                "UPDATE audit_entry SET sequence = sealed.sequence, hash = sealed.hash FROM \
                 (SELECT CAST(value ->> 'id' AS BIGINT) AS id, CAST(value ->> 'sequence' AS BIGINT) AS sequence, \
                  value ->> 'hash' AS hash FROM {each}) AS sealed WHERE audit_entry.id = sealed.id"
            ),
            [serde_json::Value::from(places).to_string().into()],
        )
        .await?;
        self.run(
            "move the end of the audit chain on",
            "UPDATE audit_chain SET sequence = $1, hash = $2, mac = $3, sealed_at = $4 WHERE id = 1",
            [
                sequence.into(),
                hash.clone().into(),
                key.mac(HEAD, &[&place(sequence, &hash)]).into(),
                now.get().into(),
            ],
        )
        .await?;
        Ok(AuditSealed {
            entries,
            more: entries == limit,
            sequence,
            hash,
        })
    }

    /// Deletes up to `limit` of the oldest sealed entries that happened before an instant, and notes the chain's hash
    /// where it begins now. Only a beginning of the chain is deleted: behind an entry that is young enough all stay.
    ///
    /// # Errors
    /// When the database cannot: then nothing is deleted.
    pub async fn audit_prune(
        &self,
        key: &AuditKey,
        before: Millis,
        limit: i64,
        now: Millis,
    ) -> Result<AuditPruned, StoreError> {
        #[derive(FromQueryResult)]
        struct Cut {
            sequence: i64,
            hash: String,
        }
        let chain = self.audit_chain_lock(key, now).await?;
        let nothing = AuditPruned {
            entries: 0,
            cut_sequence: chain.cut_sequence,
        };
        let last = chain.cut_sequence.saturating_add(limit);
        let first_kept: Option<i64> = self
            .db()
            .scalar::<Option<i64>>(
                "look for the oldest audit entry to keep",
                "SELECT MIN(sequence) FROM audit_entry WHERE sequence > $1 AND sequence <= $2 AND occurred_at >= $3",
                [chain.cut_sequence.into(), last.into(), before.get().into()],
            )
            .await?
            .flatten();
        let cut: Option<Cut> = self
            .db()
            .one(
                "look for the newest audit entry to delete",
                "SELECT sequence, hash FROM audit_entry WHERE sequence > $1 AND sequence <= $2 \
                 ORDER BY sequence DESC LIMIT 1",
                [
                    chain.cut_sequence.into(),
                    first_kept.map_or(last, |kept| kept - 1).into(),
                ],
            )
            .await?;
        let Some(cut) = cut else {
            return Ok(nothing);
        };
        let entries = self
            .run(
                "delete old audit entries",
                "DELETE FROM audit_entry WHERE sequence <= $1",
                [cut.sequence.into()],
            )
            .await?;
        self.run(
            "note where the audit chain begins",
            "UPDATE audit_chain SET cut_sequence = $1, cut_hash = $2, cut_mac = $3, cut_at = $4 WHERE id = 1",
            [
                cut.sequence.into(),
                cut.hash.clone().into(),
                key.mac(CUT, &[&place(cut.sequence, &cut.hash)]).into(),
                now.get().into(),
            ],
        )
        .await?;
        Ok(AuditPruned {
            entries: i64::try_from(entries).unwrap_or(i64::MAX),
            cut_sequence: cut.sequence,
        })
    }
}
