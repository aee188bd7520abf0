//! The audit log as the server writes it: who calls, what it is about, and what was refused.
//!
//! **Guarantees.** A call that succeeds and is not one that only reads leaves an entry, in the transaction that it
//! commits, else in one of its own before it is answered: the mechanism of `http/routes.rs` does it for every row of
//! the route table. Refusals are counted and written within seconds, in bounded number ([`refusals`]). **Wakes it:**
//! every request, and the task `audit_seal`. What the server does by itself leaves an entry where it changes something that
//! is audited ([`Audit::own_work`]). **On a crash** refusals since the last write are lost, nothing else.

pub(crate) mod refusals;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use outfitter_domain::{Clock, Millis};
use outfitter_ids::IdSource;
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKey, AuditKind, AuditScope, DomainKey, EndUser,
    IamUser, NewAuditScope, ProjectKey, Store, StoreError,
};
use tokio::sync::Semaphore;

use crate::auth::{Caller, Credential};
use crate::secrets::{Randomness, Sealer, SecretBytes, SecretError, shared_secret};
use crate::services::Services;

use refusals::Refusals;

/// Name of the key among the secrets all servers share.
const AUDIT_KEY: &str = "audit-key";

/// Entries sealed in one transaction.
const SEALED_AT_ONCE: i64 = 500;

/// Results sealed in one transaction: some milliseconds of the writer.
const RESULTS_AT_ONCE: i64 = 250;

/// Fewer results wait so long to be sealed together: at most 8,640 heads a day when there is little to do.
const RESULTS_WAIT: Duration = Duration::from_secs(10);

/// What writes and seals the audit log.
pub struct Audit {
    key: Arc<AuditKey>,
    refusals: Mutex<Refusals>,
    /// The end of the chain as this process saw it last.
    seen: Mutex<Option<(i64, String)>>,
    /// How long entries are kept; `None`: for ever.
    keep: Option<Duration>,
    /// Held while the chain is computed again: one at a time.
    pub(crate) check: Semaphore,
}

impl Audit {
    /// Gets the key that all servers share, making it when this is the first.
    ///
    /// # Errors
    /// The database fails, or the server key does not fit it.
    pub async fn open(
        store: &Store,
        clock: &dyn Clock,
        sealer: &Sealer,
        randomness: &dyn Randomness,
    ) -> Result<Self, SecretError> {
        let key = shared_secret(store, sealer, clock, AUDIT_KEY, || {
            let mut key = vec![0_u8; 32];
            randomness.fill(&mut key);
            SecretBytes::from(key)
        })
        .await?;
        Ok(Self {
            key: Arc::new(AuditKey::new(key)),
            refusals: Mutex::default(),
            seen: Mutex::default(),
            keep: None,
            check: Semaphore::new(1),
        })
    }

    /// Keeps entries for so many days; `None`: for ever.
    #[must_use]
    pub fn keeping(self, days: Option<u32>) -> Self {
        let keep = days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
        Self { keep, ..self }
    }

    /// How long entries are kept; `None`: for ever.
    pub(crate) fn keep(&self) -> Option<Duration> {
        self.keep
    }

    /// What makes MACs.
    pub fn key(&self) -> &Arc<AuditKey> {
        &self.key
    }

    /// Counts a refusal; it is written within seconds.
    pub(crate) fn refused(&self, refusal: refusals::Refusal) {
        self.refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(refusal);
    }

    /// Counts a request that the package bucket refused.
    pub(crate) fn refused_upload(
        &self,
        services: &Services,
        source: IpAddr,
        status: StatusCode,
        about: &str,
    ) {
        self.refused(refusals::Refusal {
            facts: AuditFacts {
                domain: None,
                project: None,
                at: services.clock.now(),
                action: "obs:object:PutObject".to_owned(),
                operation: "BucketRequest".to_owned(),
                actor: AuditActor::nobody(),
                on_behalf_of: None,
                address: Some(source.to_string()),
                request_id: None,
            },
            resources: vec!["server:".to_owned()],
            status: status.as_u16(),
            reason: format!("the package bucket refused {about}"),
        });
    }

    /// Writes the refusals whose time has come, `all` of them before the process ends.
    ///
    /// # Errors
    /// When the database cannot: what was to be written is lost then, and the log of the process says so.
    pub(crate) async fn write_refusals(
        &self,
        services: &Services,
        all: bool,
    ) -> Result<(), StoreError> {
        let now = services.clock.now();
        let due = self
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_due(now, all);
        if due.is_empty() {
            return Ok(());
        }
        let tx = services.store.write().await?;
        for entry in due {
            let id = services.ids.uuid(now.get());
            tx.audit_insert(&self.key, entry.into_entry(id)).await?;
        }
        tx.commit().await
    }

    /// Seals a page of entries; answers whether more are waiting.
    ///
    /// # Errors
    /// When the database cannot.
    pub(crate) async fn seal(&self, services: &Services) -> Result<bool, StoreError> {
        self.look_back(services).await?;
        let tx = services.store.write().await?;
        let sealed = tx
            .audit_seal(&self.key, SEALED_AT_ONCE, services.clock.now())
            .await?;
        if sealed.entries == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        self.note_end(sealed.sequence, sealed.hash);
        Ok(sealed.more)
    }

    /// Seals a page of results where enough of them or old ones are waiting; answers whether more are.
    ///
    /// # Errors
    /// When the database cannot.
    pub(crate) async fn seal_results(&self, services: &Services) -> Result<bool, StoreError> {
        let now = services.clock.now();
        let waiting = services
            .store
            .db()
            .audit_results_waiting(RESULTS_AT_ONCE)
            .await?;
        let is_due = waiting.is_some_and(|waiting| {
            waiting.count >= RESULTS_AT_ONCE || waiting.oldest.plus(RESULTS_WAIT) <= now
        });
        if !is_due {
            return Ok(false);
        }
        let id = services.ids.uuid(now.get());
        let tx = services.store.write().await?;
        let more = tx
            .audit_seal_results(&self.key, id, RESULTS_AT_ONCE, now)
            .await?;
        tx.commit().await?;
        Ok(more)
    }

    /// The server's own work: its transactions leave an entry where they change something that is audited.
    pub(crate) fn own_work(&self, ids: Arc<dyn IdSource>, work: OwnWork) -> Arc<AuditScope> {
        AuditScope::new(NewAuditScope {
            key: Arc::clone(&self.key),
            ids,
            facts: AuditFacts {
                domain: work.of.map(|(_, domain)| domain),
                project: work.of.map(|(project, _)| project),
                at: work.at,
                action: work.action.to_owned(),
                operation: work.operation.to_owned(),
                actor: AuditActor {
                    name: work.name,
                    ..AuditActor::server()
                },
                on_behalf_of: None,
                address: None,
                request_id: None,
            },
            kind: AuditKind::Change,
            targets: Vec::new(),
            request: serde_json::Value::Null,
        })
    }

    fn note_end(&self, sequence: i64, hash: String) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((sequence, hash));
    }

    /// Says when the chain no longer holds what this process saw sealed: an older copy of the log was put back, or it
    /// was written anew.
    async fn look_back(&self, services: &Services) -> Result<(), StoreError> {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some((sequence, hash)) = seen else {
            return Ok(());
        };
        if !services.store.db().audit_holds(sequence, &hash).await? {
            tracing::error!(
                audit.sequence = sequence,
                "the audit log no longer holds an entry that this server saw sealed: it was rolled back or rewritten"
            );
            // Said once for each time that it happens.
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }
}

/// What the server does by itself.
pub(crate) struct OwnWork {
    /// The project it is done for, and the account that belongs to.
    pub(crate) of: Option<(ProjectKey, DomainKey)>,
    /// When.
    pub(crate) at: Millis,
    /// A name in the style of actions.
    pub(crate) action: &'static str,
    /// What it is called.
    pub(crate) operation: &'static str,
    /// Whose word it follows, where it follows somebody's.
    pub(crate) name: Option<String>,
}

/// Who a caller is, for the log.
pub(crate) fn actor(caller: &Caller) -> AuditActor {
    AuditActor {
        kind: AuditActorKind::IamUser,
        id: Some(caller.user_id.to_string()),
        name: Some(caller.user_name.clone()),
        credential: match &caller.credential {
            Credential::Token => "token".to_owned(),
            Credential::AccessKey(access) => format!("access_key {access}"),
            Credential::Session(_) => "session".to_owned(),
        },
    }
}

/// Who an end user is, for the log.
pub(crate) fn end_user(user: &EndUser) -> AuditActor {
    AuditActor {
        kind: AuditActorKind::EndUser,
        id: Some(user.user_id.to_string()),
        name: Some(user.name.clone()),
        credential: "portal_session".to_owned(),
    }
}

/// Says within a call that needs no credential which end user it turned out to be.
pub(crate) fn identify_end_user(user: &EndUser, credential: &str) {
    change(|facts| {
        facts.domain = Some(user.domain);
        facts.project = Some(user.project);
        facts.actor = AuditActor {
            credential: credential.to_owned(),
            ..end_user(user)
        };
    });
}

/// Says within a call that needs no credential which user it turned out to be.
pub(crate) fn identify(user: &IamUser, credential: &str) {
    change(|facts| {
        facts.domain = Some(user.domain.key);
        facts.actor = AuditActor {
            kind: AuditActorKind::IamUser,
            id: Some(user.id.to_string()),
            name: Some(user.name.clone()),
            credential: credential.to_owned(),
        };
    });
}

/// The same, where a caller was found.
pub(crate) fn identify_caller(caller: &Caller) {
    change(|facts| {
        facts.domain = Some(caller.domain);
        facts.actor = actor(caller);
    });
}

/// Says within a call that needs no credential whom somebody claims to be.
pub(crate) fn claimed(name: &str) {
    change(|facts| facts.actor.name = Some(name.to_owned()));
}

fn change(change: impl FnOnce(&mut AuditFacts)) {
    if let Some(scope) = AuditScope::current() {
        scope.identify(change);
    }
}
