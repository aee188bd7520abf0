//! Signs of life, gathered in memory and written in groups: nineteen thousand heartbeats a minute are one
//! transaction every few seconds. A crash loses the last few seconds of "last seen" and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use outfitter_domain::Millis;
use outfitter_ids::AttemptId;
use outfitter_store::{AttemptSign, DesktopKey, DesktopSeen, Store, StoreError};

/// Rows written at once: spread rows hold SQLite's writer 4-7 ms a hundred (measured).
const GROUP: usize = 100;

/// Signs of life that are not yet written. At most one a desktop and one an attempt.
#[derive(Default)]
pub struct Presence {
    seen: Mutex<BTreeMap<DesktopKey, DesktopSeen>>,
    attempts: Mutex<BTreeMap<AttemptId, AttemptSign>>,
}

impl Presence {
    /// Notes a sign of life; `ip_address` on connect.
    pub fn note(&self, desktop: DesktopKey, at: Millis, ip_address: Option<String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry(desktop).or_insert(DesktopSeen {
            desktop,
            at,
            ip_address: None,
        });
        entry.at = entry.at.max(at);
        if ip_address.is_some() {
            entry.ip_address = ip_address;
        }
    }

    /// Notes that an attempt goes on, and its phase where the agent said so.
    pub fn note_attempt(&self, sign: AttemptSign) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let (phase, percent, rate) = (sign.phase, sign.percent, sign.bytes_per_second);
        let entry = attempts.entry(sign.attempt).or_insert(sign);
        entry.at = entry.at.max(sign.at);
        if phase.is_some() {
            (entry.phase, entry.percent, entry.bytes_per_second) = (phase, percent, rate);
        }
    }

    /// Writes what was gathered. What cannot be written is lost: the next sign of life replaces it.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let signs: Vec<AttemptSign> = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *attempts).into_values().collect()
        };
        for group in signs.chunks(GROUP) {
            let tx = store.write().await?;
            tx.attempt_seen(group).await?;
            tx.commit().await?;
        }
        let gathered: Vec<DesktopSeen> = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *seen).into_values().collect()
        };
        for group in gathered.chunks(GROUP) {
            let tx = store.write().await?;
            tx.desktop_seen(group).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
