//! Whoever logs in at a single-user desktop that has no user becomes its user, where the project wants that.
//!
//! **Guarantees.** No desktop is taken from anybody: only one without a user gets one, and the row is held meanwhile. Only
//! a login counts, not that somebody is there: who was detached stays detached until they log in again. It stands in the
//! audit log as the server's own work.

use std::sync::Arc;

use outfitter_agent_protocol::{InventoryFacts, meanings_of_account};
use outfitter_domain::Millis;
use outfitter_domain::fleet::{self, LocalUserName, LoggedInUsers};
use outfitter_ids::UserId;
use outfitter_store::{AuditScope, CertificateHolder, DomainKey, StoreError, Tx, UserKey};

use super::portal::{AccountError, the_one_meant};
use crate::Services;
use crate::audit::OwnWork;

/// Somebody who came to a desktop that may become theirs.
pub(super) struct Newcomer<'a> {
    holder: &'a CertificateHolder,
    domain: DomainKey,
    mode: LoggedInUsers,
    account: &'a str,
    now: Millis,
}

/// Who came to a desktop by what its agent tells now; nobody where the project does nothing about it.
///
/// # Errors
/// When the database cannot answer.
pub(super) async fn newcomer<'a>(
    services: &Services,
    holder: &'a CertificateHolder,
    facts: &'a InventoryFacts,
) -> Result<Option<Newcomer<'a>>, StoreError> {
    let db = services.store.db();
    let Some((mode, domain)) = db.logged_in_users(holder.project).await? else {
        return Ok(None);
    };
    if mode == LoggedInUsers::Ignore {
        return Ok(None);
    }
    let before = db
        .inventory_find(holder.desktop)
        .await?
        .map(|known| known.facts.at_desktop)
        .unwrap_or_default();
    Ok(
        fleet::newcomer(&before, &facts.at_desktop).map(|account| Newcomer {
            holder,
            domain,
            mode,
            account,
            now: services.clock.now(),
        }),
    )
}

impl Newcomer<'_> {
    /// The context in which it is audited.
    pub(super) fn scope(&self, services: &Services) -> Arc<AuditScope> {
        let work = OwnWork {
            of: Some((self.holder.project, self.domain)),
            at: self.now,
            action: "outfitter:desktops:attachLoggedInUser",
            operation: "AttachLoggedInUser",
            name: Some(self.account.to_owned()),
        };
        services.audit.own_work(Arc::clone(&services.ids), work)
    }

    /// Makes them the desktop's user, unless it has one or nobody in particular is meant.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn claim(&self, services: &Services, tx: &Tx) -> Result<(), StoreError> {
        let (desktop, project) = (self.holder.desktop, self.holder.project);
        if !tx.desktop_is_unclaimed(desktop).await? {
            return Ok(());
        }
        let user = match (self.known_user(tx).await, self.mode) {
            (Ok(user), _) => user,
            (Err(AccountError::Store(error)), _) => return Err(error),
            (Err(AccountError::Unknown(_)), LoggedInUsers::Any) => {
                let Ok(name) = LocalUserName::parse(self.account) else {
                    return Ok(());
                };
                let id = UserId::new(services.ids.uuid(self.now.get()));
                tx.user_ensure_local(project, &name, id, self.now).await?
            }
            (Err(refusal), _) => {
                tracing::info!(
                    desktop.id = %self.holder.desktop_id,
                    "whoever logged in does not become the desktop's user: {}",
                    match refusal {
                        AccountError::Ambiguous(_) => "several users may be meant",
                        AccountError::Disabled(_) => "the account is disabled",
                        AccountError::Unknown(_) | AccountError::Store(_) => "no user is named so",
                    }
                );
                return Ok(());
            }
        };
        tx.desktop_claim(desktop, user).await
    }

    async fn known_user(&self, tx: &Tx) -> Result<UserKey, AccountError> {
        for meaning in meanings_of_account(self.account) {
            let named = tx
                .db()
                .end_users_named(self.holder.project, meaning.name)
                .await?;
            if let Some(user) = the_one_meant(self.account, &meaning, named)? {
                return Ok(user.user);
            }
        }
        Err(AccountError::Unknown(self.account.to_owned()))
    }
}
