//! The results of jobs stay in the jobs' own records; the log holds their sealed head.
//!
//! The sealer gives receipts their places in a chain of their own and writes each new end of it as an entry, which is
//! sealed like any other. A result that is deleted with its job leaves its digest, so that the chain can be computed on.

use std::collections::BTreeMap;

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::chain::{AuditCheck, AuditFinding, ENTRY, NOTHING, PAGE, place};
use super::entry::{
    AuditActor, AuditKey, AuditKind, AuditOutcome, COLUMNS, EntryRow, NewAuditEntry, push_bytes,
    push_option,
};
use crate::query::{in_keys, key_array};
use crate::{Db, StoreError, Tx};

/// Purposes of MACs.
const RESULT_HEAD: &str = "result head";
const RESULT_GONE: &str = "result gone";

/// What the log calls it.
const SEAL: &str = "outfitter:audit:sealResults";

/// Results that wait to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingResults {
    /// How many, of at most as many as were asked for.
    pub count: i64,
    /// When the oldest of them arrived.
    pub oldest: Millis,
}

/// What a check found of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditResultsCheck {
    /// Results that were computed again.
    pub checked: i64,
    /// Up to which place: the end of their chain when the check began. 0: nothing was sealed yet.
    pub sequence: i64,
    /// The chain's hash there.
    pub hash: String,
    /// Results that were deleted with their jobs: only their digests were checked.
    pub gone: i64,
    /// Results that have no place yet.
    pub unsealed: i64,
}

/// A result as its digest covers it. None of it changes once its receipt is there.
#[derive(FromQueryResult)]
struct ResultRow {
    attempt_id: i64,
    sequence: Option<i64>,
    digest: Option<String>,
    attempt_public_id: Uuid,
    job_public_id: Uuid,
    project_id: i64,
    desktop_id: i64,
    revision_id: i64,
    number: i64,
    task: String,
    ended_at: Option<i64>,
    outcome: Option<String>,
    evidence: String,
    statement: Option<String>,
    signature: Option<String>,
    received_at: i64,
}

/// Reads [`ResultRow`]s; a condition on `c` follows.
const RESULTS: &str = "SELECT c.attempt_id, c.sequence, c.digest, t.public_id AS attempt_public_id, \
     j.public_id AS job_public_id, j.project_id, t.desktop_id, t.revision_id, t.number, t.task, t.ended_at, t.outcome, \
     c.evidence, c.statement, c.signature, c.received_at \
     FROM receipt c JOIN attempt t ON t.id = c.attempt_id JOIN job j ON j.id = t.job_id WHERE";

impl ResultRow {
    fn digest(&self) -> String {
        let mut bytes = Vec::with_capacity(256 + self.task.len() + self.evidence.len());
        push_bytes(&mut bytes, self.attempt_public_id.as_bytes());
        push_bytes(&mut bytes, self.job_public_id.as_bytes());
        for number in [
            Some(self.project_id),
            Some(self.desktop_id),
            Some(self.revision_id),
            Some(self.number),
            self.ended_at,
            Some(self.received_at),
        ] {
            let number = number.map(i64::to_be_bytes);
            push_option(&mut bytes, number.as_ref().map(<[u8; 8]>::as_slice));
        }
        for text in [
            Some(&self.task),
            self.outcome.as_ref(),
            Some(&self.evidence),
            self.statement.as_ref(),
            self.signature.as_ref(),
        ] {
            push_option(&mut bytes, text.map(String::as_bytes));
        }
        hex::encode(Sha256::digest(&bytes))
    }
}

/// The chain's hash at a result: SHA-256 over the hash before it, its place and its digest.
fn link(before: &str, sequence: i64, digest: &str) -> String {
    let mut bytes = Vec::with_capacity(192);
    push_bytes(&mut bytes, before.as_bytes());
    bytes.extend_from_slice(&place(sequence, digest));
    hex::encode(Sha256::digest(&bytes))
}

/// What an entry of kind `results` says.
#[derive(Serialize, Deserialize)]
struct Head {
    from: i64,
    to: i64,
    hash: String,
}

#[derive(FromQueryResult)]
struct EndRow {
    result_sequence: i64,
    result_hash: Option<String>,
    result_mac: Option<String>,
}

const END: &str = "SELECT result_sequence, result_hash, result_mac FROM audit_chain WHERE id = 1";

#[derive(FromQueryResult)]
struct GoneRow {
    sequence: i64,
    digest: String,
    mac: String,
}

#[derive(FromQueryResult)]
struct PlaceRow {
    attempt_id: i64,
    sequence: Option<i64>,
    digest: Option<String>,
}

/// A place of the chain of results.
struct Place {
    digest: String,
    is_gone: bool,
    is_altered: bool,
}

/// The heads that the log holds, in their order.
struct Heads {
    waiting: std::collections::VecDeque<Head>,
    after: i64,
    is_done: bool,
}

impl Tx {
    /// Gives up to `limit` results their places and writes the new end of their chain into the log. Answers whether
    /// more are waiting.
    ///
    /// # Errors
    /// When the database cannot: then nothing is sealed.
    pub async fn audit_seal_results(
        &self,
        key: &AuditKey,
        id: Uuid,
        limit: i64,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.audit_chain_lock(key, now).await?;
        let end: Option<EndRow> = self.db().one("read the end of results", END, []).await?;
        let (mut sequence, mut hash) =
            end.map_or((0, None), |end| (end.result_sequence, end.result_hash));
        // Locked, so that a job that is deleted meanwhile takes its receipt before or leaves its digest after.
        let waiting: Vec<PlaceRow> = self
            .db()
            .all(
                "lock unsealed results",
                &format!(
                    "SELECT attempt_id, sequence, digest FROM receipt WHERE sequence IS NULL \
                     ORDER BY attempt_id LIMIT $1{}",
                    self.dialect().for_update()
                ),
                [limit.into()],
            )
            .await?;
        let rows: Vec<ResultRow> = self
            .db()
            .all(
                "read unsealed results",
                &format!(
                    "{RESULTS} {} ORDER BY c.attempt_id",
                    in_keys(self.dialect(), "c.attempt_id", "$1")
                ),
                [key_array(waiting.iter().map(|row| row.attempt_id)).into()],
            )
            .await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let from = sequence + 1;
        let mut places = Vec::with_capacity(rows.len());
        for row in &rows {
            let digest = row.digest();
            sequence += 1;
            hash = Some(link(hash.as_deref().unwrap_or(NOTHING), sequence, &digest));
            places.push(json!({"id": row.attempt_id, "sequence": sequence, "digest": digest}));
        }
        let hash = hash.unwrap_or_default();
        self.run(
            "seal results",
            &format!(
                "UPDATE receipt SET sequence = sealed.sequence, digest = sealed.digest FROM \
                 (SELECT CAST(value ->> 'id' AS BIGINT) AS id, CAST(value ->> 'sequence' AS BIGINT) AS sequence, \
                  value ->> 'digest' AS digest FROM {}) AS sealed WHERE receipt.attempt_id = sealed.id",
                self.dialect().each("$1")
            ),
            [serde_json::Value::from(places).to_string().into()],
        )
        .await?;
        self.run(
            "move the end of results on",
            "UPDATE audit_chain SET result_sequence = $1, result_hash = $2, result_mac = $3 WHERE id = 1",
            [
                sequence.into(),
                hash.as_str().into(),
                key.mac(RESULT_HEAD, &[&place(sequence, &hash)]).into(),
            ],
        )
        .await?;
        let head = Head {
            from,
            to: sequence,
            hash,
        };
        let entry = NewAuditEntry {
            id,
            domain: None,
            project: None,
            at: now,
            kind: AuditKind::Results,
            outcome: AuditOutcome::Done,
            status: None,
            action: SEAL.to_owned(),
            operation: "SealResults".to_owned(),
            actor: AuditActor::server(),
            on_behalf_of: None,
            address: None,
            request_id: None,
            resources: vec!["server:".to_owned()],
            resource_name: None,
            times: i64::try_from(rows.len()).unwrap_or(i64::MAX),
            detail: serde_json::to_value(head).expect("numbers and a text are JSON"),
        };
        self.audit_insert(key, entry).await?;
        Ok(i64::try_from(waiting.len()).is_ok_and(|count| count == limit))
    }

    /// Keeps the digests of results whose jobs are about to be deleted.
    pub(crate) async fn audit_results_of_jobs_go(&self, jobs: &[i64]) -> Result<(), StoreError> {
        let rows: Vec<PlaceRow> = self
            .db()
            .all(
                "lock results of jobs",
                &format!(
                    "SELECT attempt_id, sequence, digest FROM receipt WHERE attempt_id IN \
                     (SELECT t.id FROM attempt t WHERE {}) ORDER BY attempt_id{}",
                    in_keys(self.dialect(), "t.job_id", "$1"),
                    self.dialect().for_update()
                ),
                [key_array(jobs.iter().copied()).into()],
            )
            .await?;
        let gone: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row.sequence?, row.digest.as_deref()?)))
            .map(|(sequence, digest)| {
                // Within a call there is a key; without one the check will say that nobody vouches for it.
                let mac = self.audit.as_ref().map_or_else(String::new, |part| {
                    part.key().mac(RESULT_GONE, &[&place(sequence, digest)])
                });
                json!({"s": sequence, "d": digest, "m": mac})
            })
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.run(
            "keep digests of deleted results",
            &format!(
                "INSERT INTO receipt_gone (sequence, digest, mac) SELECT CAST(value ->> 's' AS BIGINT), \
                 value ->> 'd', value ->> 'm' FROM {}",
                self.dialect().each("$1")
            ),
            [serde_json::Value::from(gone).to_string().into()],
        )
        .await
        .map(drop)
    }
}

impl Db<'_> {
    /// The results that wait to be sealed, at most `limit`; `None`: there are none.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_results_waiting(
        &self,
        limit: i64,
    ) -> Result<Option<WaitingResults>, StoreError> {
        #[derive(FromQueryResult)]
        struct WaitingRow {
            count: i64,
            oldest: Option<i64>,
        }
        let row: Option<WaitingRow> = self
            .one(
                "look for unsealed results",
                "SELECT COUNT(*) AS count, MIN(w.received_at) AS oldest FROM (SELECT received_at FROM receipt \
                 WHERE sequence IS NULL ORDER BY attempt_id LIMIT $1) w",
                [limit.into()],
            )
            .await?;
        Ok(row.and_then(|row| {
            Some(WaitingResults {
                count: row.count,
                oldest: Millis::new(row.oldest?),
            })
        }))
    }

    /// Computes the chain of results again, up to where it was sealed when this began, and compares it with every head
    /// that the log holds.
    pub(super) async fn audit_check_results(
        &self,
        key: &AuditKey,
        check: &mut AuditCheck,
    ) -> Result<(), StoreError> {
        let end: Option<EndRow> = self.one("read the end of results", END, []).await?;
        let end = end.unwrap_or(EndRow {
            result_sequence: 0,
            result_hash: None,
            result_mac: None,
        });
        check.results = AuditResultsCheck {
            checked: 0,
            sequence: end.result_sequence,
            hash: end.result_hash.unwrap_or_else(|| NOTHING.to_owned()),
            gone: 0,
            unsealed: self
                .scalar(
                    "count unsealed results",
                    "SELECT COUNT(*) FROM receipt WHERE sequence IS NULL",
                    [],
                )
                .await?
                .unwrap_or(0),
        };
        let is_ours = (end.result_sequence == 0 && end.result_mac.is_none())
            || key.verifies(
                RESULT_HEAD,
                &[&place(end.result_sequence, &check.results.hash)],
                &end.result_mac.unwrap_or_default(),
            );
        let mut heads = Heads {
            waiting: std::collections::VecDeque::new(),
            after: 0,
            is_done: false,
        };
        let (mut at, mut hash, mut is_known) = (0, NOTHING.to_owned(), true);
        let mut compared = 0;
        while at < end.result_sequence {
            let page = self
                .audit_places_after(key, at, end.result_sequence)
                .await?;
            let Some((&last, _)) = page.last_key_value() else {
                break;
            };
            for (sequence, found) in page {
                if sequence != at + 1 {
                    check.find(AuditFinding::ResultsMissing {
                        from: at + 1,
                        to: sequence - 1,
                    });
                    is_known = false;
                }
                if found.is_altered {
                    check.find(AuditFinding::ResultAltered { sequence });
                }
                check.results.checked += i64::from(!found.is_gone);
                check.results.gone += i64::from(found.is_gone);
                hash = link(&hash, sequence, &found.digest);
                while let Some(head) = self.audit_next_head(key, &mut heads, sequence).await? {
                    if head.to == sequence {
                        if is_known && head.hash != hash {
                            check.find(AuditFinding::ResultsHead {
                                from: compared + 1,
                                to: sequence,
                            });
                        }
                        // Goes on from what the log says, so that one altered place is reported as one.
                        hash = head.hash;
                        is_known = true;
                        compared = sequence;
                    }
                }
                at = sequence;
            }
            at = last;
        }
        if at < end.result_sequence {
            check.find(AuditFinding::ResultsMissing {
                from: at + 1,
                to: end.result_sequence,
            });
        } else if !is_ours || (is_known && hash != check.results.hash) {
            check.find(AuditFinding::ResultsHead {
                from: compared + 1,
                to: end.result_sequence,
            });
        }
        Ok(())
    }

    /// A page of places after `at`, up to `end`: results as they are now, and digests of deleted ones.
    async fn audit_places_after(
        &self,
        key: &AuditKey,
        at: i64,
        end: i64,
    ) -> Result<BTreeMap<i64, Place>, StoreError> {
        // Deleted ones second: what goes between the two readings is in both, not in neither.
        let rows: Vec<ResultRow> = self
            .all(
                "read sealed results",
                &format!(
                    "{RESULTS} c.sequence > $1 AND c.sequence <= $2 ORDER BY c.sequence LIMIT $3"
                ),
                [at.into(), end.into(), PAGE.into()],
            )
            .await?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < PAGE);
        let to = match rows.last().and_then(|row| row.sequence) {
            Some(last) if !is_last => last,
            _ => end,
        };
        let gone: Vec<GoneRow> = self
            .all(
                "read digests of deleted results",
                "SELECT sequence, digest, mac FROM receipt_gone WHERE sequence > $1 AND sequence <= $2 \
                 ORDER BY sequence LIMIT $3",
                [at.into(), to.into(), PAGE.into()],
            )
            .await?;
        // Where there are more of them than a page has, the page ends with the last that was read.
        let cut = match gone.last() {
            Some(last) if i64::try_from(gone.len()).is_ok_and(|count| count == PAGE) => {
                last.sequence
            }
            _ => to,
        };
        let mut places = BTreeMap::new();
        for row in gone {
            let is_ours = key.verifies(RESULT_GONE, &[&place(row.sequence, &row.digest)], &row.mac);
            places.insert(
                row.sequence,
                Place {
                    digest: row.digest,
                    is_gone: true,
                    is_altered: !is_ours,
                },
            );
        }
        for row in rows {
            let sequence = row.sequence.unwrap_or_default();
            let digest = row.digest.clone().unwrap_or_default();
            let is_altered = row.digest() != digest;
            places.insert(
                sequence,
                Place {
                    digest,
                    is_gone: false,
                    is_altered,
                },
            );
        }
        places.retain(|sequence, _| *sequence <= cut);
        Ok(places)
    }

    /// The next head that the log holds of a place up to `sequence`, in order.
    async fn audit_next_head(
        &self,
        key: &AuditKey,
        heads: &mut Heads,
        sequence: i64,
    ) -> Result<Option<Head>, StoreError> {
        while heads.waiting.is_empty() && !heads.is_done {
            let rows: Vec<EntryRow> = self
                .all(
                    "read the heads of results",
                    &format!(
                        "SELECT {COLUMNS} FROM audit_entry e WHERE e.kind = $1 AND e.id > $2 ORDER BY e.id LIMIT $3"
                    ),
                    [
                        AuditKind::Results.as_str().into(),
                        heads.after.into(),
                        PAGE.into(),
                    ],
                )
                .await?;
            heads.is_done = i64::try_from(rows.len()).is_ok_and(|count| count < PAGE);
            for row in rows {
                heads.after = row.id;
                // One that nobody of us wrote is reported where entries are checked.
                if key.verifies(ENTRY, &[&row.bytes()], &row.mac)
                    && let Ok(head) = serde_json::from_str::<Head>(row.detail())
                {
                    heads.waiting.push_back(head);
                }
            }
        }
        Ok(match heads.waiting.front() {
            Some(head) if head.to <= sequence => heads.waiting.pop_front(),
            _ => None,
        })
    }
}
