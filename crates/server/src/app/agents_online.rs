//! Agents online over time: how it is counted and shown.

use std::time::Duration;

use outfitter_domain::Millis;

/// Length of a slot, in milliseconds. Ours: a week is two thousand rows a project, and a quarter of an hour without
/// agents shows.
pub const SLOT_MILLIS: i64 = 5 * 60 * 1000;

/// How long counts are kept.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Most places of one answer: what a chart can show.
const MOST_PLACES: i64 = 300;

/// Begin of the slot that a moment is in.
pub fn slot_of(now: Millis) -> Millis {
    Millis::new(now.get().div_euclid(SLOT_MILLIS) * SLOT_MILLIS)
}

/// Length of a place of the series over so many hours, in milliseconds: whole slots, [`MOST_PLACES`] of them at most.
pub fn step_millis(hours: i64) -> i64 {
    let slots = hours * 60 * 60 * 1000 / SLOT_MILLIS;
    SLOT_MILLIS * ((slots + MOST_PLACES - 1) / MOST_PLACES).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_whole_slots_and_a_week_fits_into_a_chart() {
        for hours in 1..=168 {
            let step = step_millis(hours);
            assert_eq!(step % SLOT_MILLIS, 0, "{hours}");
            assert!(hours * 3_600_000 / step <= MOST_PLACES, "{hours}");
        }
        assert_eq!(step_millis(24), SLOT_MILLIS);
        assert_eq!(step_millis(168), 7 * SLOT_MILLIS);
    }

    #[test]
    fn a_slot_begins_at_whole_five_minutes() {
        assert_eq!(
            slot_of(Millis::new(SLOT_MILLIS * 3 + 17)),
            Millis::new(SLOT_MILLIS * 3)
        );
    }
}
