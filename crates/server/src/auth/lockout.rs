//! Access keys that are locked after wrong signatures, and accounts after wrong passwords, by source address too, so
//! that knowing a name is not enough to lock its owner out (contract, `auth.md`, section 2.3; for passwords ours).
//!
//! Kept in this process's memory: several servers count apart, and a restart forgets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outfitter_domain::Millis;

use crate::edge::network;

/// Wrong signatures in a row that are forgiven. Source: the contract.
const FORGIVEN: u32 = 5;

/// How long a lock holds. Source: the contract.
const LOCKED_FOR: Duration = Duration::from_secs(5 * 60);

/// Most pairs remembered; the one longest without a wrong signature makes room. About 1 MiB. Only keys that exist
/// get here, so a stranger cannot fill it with names; names of accounts that do not exist do, as fast as an address
/// may try wrong passwords (`edge`).
const MAX_ENTRIES: usize = 10_000;

#[derive(Default)]
pub(super) struct Lockout {
    entries: Mutex<HashMap<(String, IpAddr), Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    wrong_in_a_row: u32,
    last_wrong_at: Millis,
}

impl Lockout {
    /// Whether the key is locked for this address.
    pub(super) fn is_locked(&self, access: &str, source: IpAddr, now: Millis) -> bool {
        self.locked_until(access, source, now).is_some()
    }

    /// Until when it is locked for this address; `None` when it is not.
    pub(super) fn locked_until(&self, name: &str, source: IpAddr, now: Millis) -> Option<Millis> {
        let pair = (name.to_owned(), network(source));
        let mut entries = self.entries();
        let entry = entries.get(&pair)?;
        if entry.wrong_in_a_row <= FORGIVEN {
            return None;
        }
        let until = entry.last_wrong_at.plus(LOCKED_FOR);
        if now >= until {
            entries.remove(&pair);
            return None;
        }
        Some(until)
    }

    /// Counts a wrong signature.
    pub(super) fn wrong(&self, access: &str, source: IpAddr, now: Millis) {
        let pair = (access.to_owned(), network(source));
        let mut entries = self.entries();
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&pair) {
            let oldest = entries
                .iter()
                .min_by_key(|(_, entry)| entry.last_wrong_at)
                .map(|(pair, _)| pair.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        let entry = entries.entry(pair).or_insert(Entry {
            wrong_in_a_row: 0,
            last_wrong_at: now,
        });
        entry.wrong_in_a_row = entry.wrong_in_a_row.saturating_add(1);
        entry.last_wrong_at = now;
    }

    /// A right signature ends the row.
    pub(super) fn right(&self, access: &str, source: IpAddr) {
        self.entries().remove(&(access.to_owned(), network(source)));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(String, IpAddr), Entry>> {
        // Nothing panics while the lock is held, and a count is valid at every point.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "EXAMPLEAK00000000001";
    const NOW: Millis = Millis::new(1_768_033_815_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_sixth_wrong_one_in_a_row_locks_for_five_minutes() {
        let lockout = Lockout::default();
        let source = address("192.0.2.1");
        for _ in 0..5 {
            lockout.wrong(KEY, source, NOW);
        }
        assert!(!lockout.is_locked(KEY, source, NOW));
        lockout.right(KEY, source);
        for _ in 0..5 {
            lockout.wrong(KEY, source, NOW);
        }
        assert!(!lockout.is_locked(KEY, source, NOW));
        lockout.wrong(KEY, source, NOW);
        assert!(lockout.is_locked(KEY, source, NOW));
        assert!(lockout.is_locked(KEY, address("::ffff:192.0.2.1"), NOW));
        assert!(!lockout.is_locked(KEY, address("192.0.2.2"), NOW));
        assert!(!lockout.is_locked("EXAMPLEAK00000000002", source, NOW));
        let end = NOW.plus(LOCKED_FOR);
        assert!(lockout.is_locked(KEY, source, end.minus(Duration::from_millis(1))));
        assert!(!lockout.is_locked(KEY, source, end));
        lockout.wrong(KEY, source, end);
        assert!(!lockout.is_locked(KEY, source, end), "the row begins anew");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_caller() {
        let lockout = Lockout::default();
        for last in 0..6 {
            lockout.wrong(KEY, address(&format!("2001:db8::{last}")), NOW);
        }
        assert!(lockout.is_locked(KEY, address("2001:db8::ffff"), NOW));
        assert!(!lockout.is_locked(KEY, address("2001:db8:0:1::1"), NOW));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let lockout = Lockout::default();
        let source = address("192.0.2.1");
        for number in 0..=MAX_ENTRIES as i64 {
            lockout.wrong(
                &number.to_string(),
                source,
                NOW.plus(Duration::from_millis(number as u64)),
            );
        }
        let entries = lockout.entries();
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert!(!entries.contains_key(&("0".to_owned(), source)));
    }
}
