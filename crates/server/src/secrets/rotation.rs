//! Rotating the server key while servers work: a new key beside the old one, everything sealed anew, the old one gone.
//!
//! **Guarantees.** Nothing is sealed under a key that some live server cannot open: the database says which key seals,
//! and it becomes the new one only when every server that lives has said that it has it. Every step can be repeated, and
//! a rotation that was killed anywhere goes on where it was: what is left to do is read from the file and the database.
//! A value that changed meanwhile is not overwritten. A key is taken away only when nothing is sealed under it.
//! **Wakes it:** an operator, on a machine with the key file ([`Rotation`]); each server looks every few seconds at its
//! file and at the database ([`KeyKeeper`]). **Does not** carry the file to other machines: the key never travels
//! through the database or the API.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use outfitter_domain::{Clock, Millis};
use outfitter_ids::IdSource;
use outfitter_store::{
    AuditActor, AuditFacts, AuditKind, AuditScope, AuditTarget, NewAuditScope, SEALED_COLUMNS,
    SealedColumn, ServerKeyHolder, ServerKeyRecord, ServerKeyRole, Store, StoreError,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use crate::audit::Audit;

use super::{KeyFileError, Randomness, SealError, Sealer, SecretError, ServerKeys};

/// Purpose under which the proof of a key is sealed; it belongs to no row.
const PROOF_PURPOSE: &str = "server_key.proof_sealed";

/// What is sealed as proof.
const PROOF: &[u8] = b"outfitter";

/// How long a server counts that has not said anything. Ours: many looks, and clocks that differ somewhat.
const SILENCE: Duration = Duration::from_secs(60);

/// How long temporary credentials, which are sealed and kept by their owners, live at most. Source: the contract,
/// `auth.md`, section 3.
const TEMPORARY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Values sealed anew in one transaction. Ours: some milliseconds.
const PAGE: u32 = 200;

/// Pause between two looks at what servers say.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Finds out which key of the file seals, and proves that the file has the very key; records it the first time.
///
/// # Errors
/// The file lacks the key, or has another of that id; the database fails.
pub async fn settle_server_key(
    store: &Store,
    keys: &ServerKeys,
    sealer: &Sealer,
    path: &Path,
    clock: &dyn Clock,
) -> Result<ServerKeyRecord, SettleError> {
    let record = match store.db().server_key(ServerKeyRole::Sealing).await? {
        Some(record) => record,
        None => {
            let made = proof(sealer, sealer.sealing(), clock.now());
            let tx = store.write().await?;
            tx.server_key_insert_if_absent(ServerKeyRole::Sealing, &made)
                .await?;
            tx.commit().await?;
            store
                .db()
                .server_key(ServerKeyRole::Sealing)
                .await?
                .unwrap_or(made)
        }
    };
    if !keys.holds(record.key_id) {
        return Err(KeyFileError::Lacks {
            path: path.into(),
            key_id: record.key_id,
        }
        .into());
    }
    check(sealer, &record)?;
    sealer.seal_under(record.key_id);
    Ok(record)
}

/// Why a server has no key to seal with.
#[derive(Debug, Error)]
pub enum SettleError {
    /// The file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// It is another key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn proof(sealer: &Sealer, key_id: u8, now: Millis) -> ServerKeyRecord {
    ServerKeyRecord {
        key_id,
        proof_sealed: sealer
            .seal_with(key_id, PROOF_PURPOSE, "", PROOF)
            .expect("a key that is proven is there"),
        since: now,
    }
}

fn check(sealer: &Sealer, record: &ServerKeyRecord) -> Result<(), SecretError> {
    sealer
        .open(PROOF_PURPOSE, "", &record.proof_sealed)
        .map(drop)
        .map_err(|source| SecretError::OtherKey {
            name: format!("server key {}", record.key_id),
            source,
        })
}

/// Keeps the keys of one server process in step with its file and with the database.
pub struct KeyKeeper {
    sealer: Sealer,
    path: PathBuf,
    process: Uuid,
    name: String,
    file_of: Mutex<Option<SystemTime>>,
}

impl KeyKeeper {
    /// The keeper of a process; `process` is an id of its own, `name` is for people.
    pub fn new(sealer: Sealer, path: PathBuf, process: Uuid, name: String) -> Self {
        Self {
            sealer,
            path,
            process,
            name,
            file_of: Mutex::default(),
        }
    }

    /// Takes over what changed in the file, seals under the key that the database names, and says which keys are here.
    ///
    /// # Errors
    /// The database fails.
    pub async fn look(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        self.read_file();
        if let Some(record) = store.db().server_key(ServerKeyRole::Sealing).await?
            && record.key_id != self.sealer.sealing()
        {
            if check(&self.sealer, &record).is_ok() && self.sealer.seal_under(record.key_id) {
                tracing::info!(
                    key = record.key_id,
                    "secrets are sealed under another server key now"
                );
            } else {
                tracing::error!(
                    key = record.key_id,
                    file = %self.path.display(),
                    "secrets are sealed under a server key that this server does not have: copy the file from another"
                );
            }
        }
        let holder = ServerKeyHolder {
            process: self.process,
            name: self.name.clone(),
            key_ids: self.sealer.key_ids(),
            sealing: self.sealer.sealing(),
            seen_at: now,
        };
        let tx = store.write().await?;
        tx.server_key_hold(&holder, now.minus(SILENCE * 10)).await?;
        tx.commit().await
    }

    /// Says that this process ends.
    ///
    /// # Errors
    /// The database fails.
    pub async fn let_go(&self, store: &Store) -> Result<(), StoreError> {
        let tx = store.write().await?;
        tx.server_key_let_go(self.process).await?;
        tx.commit().await
    }

    fn read_file(&self) {
        let changed_at = std::fs::metadata(&self.path)
            .and_then(|facts| facts.modified())
            .ok();
        let mut file_of = self.file_of.lock().unwrap_or_else(PoisonError::into_inner);
        if changed_at.is_none() || *file_of == changed_at {
            return;
        }
        match ServerKeys::read(&self.path) {
            Ok(Some(keys)) => {
                if !self.sealer.take_keys(&keys) {
                    tracing::error!(file = %self.path.display(), "the file lacks the server key that seals: it is not taken over");
                }
                *file_of = changed_at;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(
                error = crate::http::error::chain(&error),
                "the server key's file changed and cannot be used"
            ),
        }
    }
}

/// Why a rotation does not go on. It can be begun again at any time.
#[derive(Debug, Error)]
pub enum RotationError {
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The key is another.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key file.
    #[error("there is no server key at {}", path.display())]
    NoFile {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another machine has the new key.
    #[error("server key {key_id} was made on another machine, and {} does not hold it", path.display())]
    MadeElsewhere {
        /// The file here.
        path: PathBuf,
        /// The key.
        key_id: u8,
    },
    /// Some servers lack the new key, or do not seal under it.
    #[error("{} not have server key {key_id} in use yet", does(servers))]
    Servers {
        /// Their names.
        servers: Vec<String>,
        /// The key.
        key_id: u8,
    },
    /// Not every secret is sealed under the new key yet.
    #[error("the rotation to server key {key_id} has not ended")]
    NotEnded {
        /// The key.
        key_id: u8,
    },
    /// A value does not open.
    #[error("{table}.{column} of {identity:?} does not open")]
    Sealed {
        /// Its table.
        table: &'static str,
        /// Its column.
        column: &'static str,
        /// Which.
        identity: String,
        /// How it failed.
        #[source]
        source: SealError,
    },
    /// The old key is in use still.
    #[error("{values} secrets are sealed under an old server key still")]
    InUse {
        /// How many.
        values: i64,
    },
    /// Temporary credentials may be.
    #[error("temporary credentials made before the rotation may live until {until}")]
    TooEarly {
        /// When the last of them ends, RFC 3339.
        until: String,
    },
    /// The caller said so.
    #[error("the rotation was stopped between two pages")]
    Stopped,
}

fn does(servers: &[String]) -> String {
    let verb = if servers.len() == 1 { "does" } else { "do" };
    format!("{} {verb}", servers.join(", "))
}

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// Id of the key that seals now.
    pub key_id: u8,
    /// Values that were sealed anew in this run.
    pub resealed: u64,
}

/// How far everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// Ids of the keys in the file.
    pub file: Vec<u8>,
    /// Id of the key that seals.
    pub sealing: u8,
    /// Since when.
    pub since: Millis,
    /// Id of the key that is to be the next.
    pub next: Option<u8>,
    /// Values sealed under another key than the sealing one.
    pub left: i64,
    /// All sealed values.
    pub all: i64,
    /// Servers that live.
    pub servers: Vec<ServerKeyHolder>,
}

/// What a rotation works with.
pub struct Rotation<'r> {
    /// The database.
    pub store: &'r Store,
    /// The key file of this machine.
    pub key_file: &'r Path,
    /// The present.
    pub clock: &'r dyn Clock,
    /// Where a new key comes from.
    pub randomness: Arc<dyn Randomness>,
    /// How long servers are waited for.
    pub patience: Duration,
    /// Makes ids of entries in the audit log.
    pub ids: Arc<dyn IdSource>,
    /// Who rotates, as the audit log shows it.
    pub operator: String,
}

impl Rotation<'_> {
    /// How far everything is.
    ///
    /// # Errors
    /// The file or the database cannot be read, or do not fit.
    pub async fn state(&self) -> Result<KeyState, RotationError> {
        let (keys, _, record) = self.open().await?;
        let next = self.store.db().server_key(ServerKeyRole::Next).await?;
        let (left, all) = self.count(record.key_id).await?;
        Ok(KeyState {
            file: keys.ids(),
            sealing: record.key_id,
            since: record.since,
            next: next.map(|next| next.key_id),
            left,
            all,
            servers: self.servers().await?,
        })
    }

    /// Begins a rotation, or ends the one that was begun. `on_page` is told how many values were sealed anew after each
    /// page, and may stop there.
    ///
    /// # Errors
    /// [`RotationError`]; what was done stays, and the next run goes on from there.
    pub async fn rotate(
        &self,
        mut on_page: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Rotated, RotationError> {
        let (mut keys, sealer, record) = self.open().await?;
        let next = self.store.db().server_key(ServerKeyRole::Next).await?;
        let (left, _) = self.count(record.key_id).await?;
        let sealing = match next {
            // Killed after the switch: only the sealing anew is left.
            None if left > 0 => record.key_id,
            None => {
                let key_id = record.key_id.checked_add(1).unwrap_or(1);
                // Killed between file and database: the key in the file is the new one.
                if !keys.holds(key_id) {
                    keys.add(key_id, self.randomness.as_ref());
                    keys.write(self.key_file)?;
                }
                sealer.take_keys(&keys);
                let made = proof(&sealer, key_id, self.clock.now());
                let begun = json!({"did": "made a new key", "key_id": key_id});
                self.audited(&sealer, begun)
                    .await?
                    .run(async {
                        let tx = self.store.write().await?;
                        tx.server_key_insert_if_absent(ServerKeyRole::Next, &made)
                            .await?;
                        tx.commit().await
                    })
                    .await?;
                self.switch(&keys, &sealer).await?
            }
            Some(_) => self.switch(&keys, &sealer).await?,
        };
        sealer.seal_under(sealing);
        self.wait(sealing, |server| server.sealing == sealing)
            .await?;
        let resealed = self.reseal(&sealer, sealing, &mut on_page).await?;
        let ended =
            json!({"did": "sealed everything anew", "key_id": sealing, "resealed": resealed});
        let scope = self.audited(&sealer, ended).await?;
        self.store.audit_call(&scope).await?;
        Ok(Rotated {
            key_id: sealing,
            resealed,
        })
    }

    /// Takes every key but the sealing one out of the file here; answers their ids. `now` does not wait for temporary
    /// credentials to end by themselves.
    ///
    /// # Errors
    /// Something is sealed under another key, a server seals under another, or it is too early; nothing is changed then.
    pub async fn retire(&self, now: bool) -> Result<Vec<u8>, RotationError> {
        let (mut keys, sealer, record) = self.open().await?;
        if let Some(next) = self.store.db().server_key(ServerKeyRole::Next).await? {
            return Err(RotationError::NotEnded {
                key_id: next.key_id,
            });
        }
        let (values, _) = self.count(record.key_id).await?;
        if values > 0 {
            return Err(RotationError::InUse { values });
        }
        self.lacking(record.key_id, |server| server.sealing == record.key_id)
            .await?;
        let until = record.since.plus(TEMPORARY_LIFETIME);
        if !now && keys.ids().len() > 1 && self.clock.now() < until {
            return Err(RotationError::TooEarly {
                until: outfitter_api_types::time::WireTime::from_unix_millis(until.get())
                    .to_string(),
            });
        }
        let retired = keys.keep_only(record.key_id);
        if !retired.is_empty() {
            let scope = self
                .audited(&sealer, json!({"did": "retired keys", "key_ids": retired}))
                .await?;
            // The entry stands when the file does: should the file fail, the transaction is taken back.
            scope
                .run(async {
                    let tx = self.store.write().await?;
                    keys.write(self.key_file)?;
                    tx.commit().await.map_err(RotationError::from)
                })
                .await?;
        }
        Ok(retired)
    }

    async fn open(&self) -> Result<(ServerKeys, Sealer, ServerKeyRecord), RotationError> {
        let keys = ServerKeys::read(self.key_file)?.ok_or_else(|| RotationError::NoFile {
            path: self.key_file.into(),
        })?;
        let sealer = Sealer::new(&keys, Arc::clone(&self.randomness));
        let record = settle_server_key(self.store, &keys, &sealer, self.key_file, self.clock)
            .await
            .map_err(|error| match error {
                SettleError::Key(error) => RotationError::Key(error),
                SettleError::Secret(error) => RotationError::Secret(error),
                SettleError::Store(error) => RotationError::Store(error),
            })?;
        Ok((keys, sealer, record))
    }

    /// Makes the next key the sealing one when every server has it; answers its id.
    async fn switch(&self, keys: &ServerKeys, sealer: &Sealer) -> Result<u8, RotationError> {
        let db = self.store.db();
        let Some(next) = db.server_key(ServerKeyRole::Next).await? else {
            // Another run was faster.
            let record = db.server_key(ServerKeyRole::Sealing).await?;
            return Ok(record.map_or(sealer.sealing(), |record| record.key_id));
        };
        if !keys.holds(next.key_id) {
            return Err(RotationError::MadeElsewhere {
                path: self.key_file.into(),
                key_id: next.key_id,
            });
        }
        check(sealer, &next)?;
        self.wait(next.key_id, |server| server.key_ids.contains(&next.key_id))
            .await?;
        let switched = json!({"did": "seals under the new key", "key_id": next.key_id});
        self.audited(sealer, switched)
            .await?
            .run(async {
                let tx = self.store.write().await?;
                tx.server_key_promote(next.key_id, self.clock.now()).await?;
                tx.commit().await
            })
            .await?;
        Ok(next.key_id)
    }

    /// The audit log's entry of a step; which keys there are before and after is read by it.
    async fn audited(&self, sealer: &Sealer, did: Value) -> Result<Arc<AuditScope>, RotationError> {
        let audit = Audit::open(self.store, self.clock, sealer, self.randomness.as_ref()).await?;
        Ok(AuditScope::new(NewAuditScope {
            key: Arc::clone(audit.key()),
            ids: Arc::clone(&self.ids),
            facts: AuditFacts {
                domain: None,
                project: None,
                at: self.clock.now(),
                action: "outfitter:serverKey:rotate".to_owned(),
                operation: "RotateServerKey".to_owned(),
                actor: AuditActor {
                    name: Some(self.operator.clone()),
                    credential: "server_key".to_owned(),
                    ..AuditActor::server()
                },
                on_behalf_of: None,
                address: None,
                request_id: None,
            },
            kind: AuditKind::Change,
            targets: vec![AuditTarget::parse("server:")],
            request: did,
        }))
    }

    async fn servers(&self) -> Result<Vec<ServerKeyHolder>, StoreError> {
        let since = self.clock.now().minus(SILENCE);
        self.store.db().server_key_holders(since).await
    }

    /// Who of the live servers is not yet so far.
    async fn lacking(
        &self,
        key_id: u8,
        is_there: impl Fn(&ServerKeyHolder) -> bool,
    ) -> Result<(), RotationError> {
        let servers: Vec<String> = self
            .servers()
            .await?
            .into_iter()
            .filter(|server| !is_there(server))
            .map(|server| server.name)
            .collect();
        if servers.is_empty() {
            Ok(())
        } else {
            Err(RotationError::Servers { servers, key_id })
        }
    }

    async fn wait(
        &self,
        key_id: u8,
        is_there: impl Fn(&ServerKeyHolder) -> bool,
    ) -> Result<(), RotationError> {
        let mut looks = self.patience.as_millis() / LOOK_AGAIN.as_millis();
        loop {
            match self.lacking(key_id, &is_there).await {
                Err(RotationError::Servers { .. }) if looks > 0 => {
                    looks -= 1;
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    async fn count(&self, key_id: u8) -> Result<(i64, i64), StoreError> {
        let (mut left, mut all) = (0, 0);
        for column in SEALED_COLUMNS {
            let (of_other, of_all) = self.store.db().sealed_count(column, key_id).await?;
            left += of_other;
            all += of_all;
        }
        Ok((left, all))
    }

    async fn reseal(
        &self,
        sealer: &Sealer,
        key_id: u8,
        on_page: &mut impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<u64, RotationError> {
        let mut resealed = 0;
        for column in SEALED_COLUMNS {
            loop {
                let done = self.reseal_page(sealer, column, key_id).await?;
                if done == 0 {
                    break;
                }
                resealed += done;
                if on_page(resealed).is_break() {
                    return Err(RotationError::Stopped);
                }
            }
        }
        Ok(resealed)
    }

    /// Seals a page of a column anew, in one transaction; answers how many values it had.
    async fn reseal_page(
        &self,
        sealer: &Sealer,
        column: &SealedColumn,
        key_id: u8,
    ) -> Result<u64, RotationError> {
        let values = self
            .store
            .db()
            .sealed_under_other_keys(column, key_id, PAGE)
            .await?;
        if values.is_empty() {
            return Ok(0);
        }
        let mut anew = Vec::with_capacity(values.len());
        for value in &values {
            let secret = sealer
                .open(column.purpose, &value.identity, &value.sealed)
                .map_err(|source| RotationError::Sealed {
                    table: column.table,
                    column: column.column,
                    identity: value.identity.clone(),
                    source,
                })?;
            anew.push(sealer.seal(column.purpose, &value.identity, secret.expose_secret()));
        }
        let tx = self.store.write().await?;
        for (value, sealed) in values.iter().zip(anew) {
            // Where somebody stored another value meanwhile, that one stays: it is sealed under the new key already.
            tx.sealed_replace(column, value, sealed).await?;
        }
        tx.commit().await?;
        Ok(values.len() as u64)
    }
}
