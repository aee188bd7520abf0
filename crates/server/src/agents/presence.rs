//! Signs of life, gathered in memory and written in groups: nineteen thousand heartbeats a minute are one
//! transaction every few seconds. A crash loses the last few seconds of "last seen" and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use outfitter_domain::Millis;
use outfitter_store::{DesktopKey, DesktopSeen, Store, StoreError};

/// Desktops written at once.
const GROUP: usize = 500;

/// Signs of life that are not yet written. At most one a desktop.
#[derive(Default)]
pub struct Presence {
    seen: Mutex<HashMap<DesktopKey, DesktopSeen>>,
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

    /// Writes what was gathered. What cannot be written is lost: the next sign of life replaces it.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush(&self, store: &Store) -> Result<usize, StoreError> {
        let gathered: Vec<DesktopSeen> = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.drain().map(|(_, sign)| sign).collect()
        };
        for group in gathered.chunks(GROUP) {
            let tx = store.write().await?;
            tx.desktop_seen(group).await?;
            tx.commit().await?;
        }
        Ok(gathered.len())
    }
}
