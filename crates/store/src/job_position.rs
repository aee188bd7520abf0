//! Where sequential readers of a long list of jobs are: the key of the last job of a page, so that the page after it
//! is read from there instead of being counted off from an end.
//!
//! A position is only a hint. It holds for exactly the list it was made on (project, filter and count), so that a
//! list which grew or shrank is counted off anew; it lives in this process; the oldest is dropped when there are
//! too many. Without it the answer is the same, later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::job::JobFilter;
use crate::{JobKey, ProjectKey};

/// Positions kept. Some 200 bytes each; more sequential readers than this at once fall back on counting off.
const KEPT: usize = 1_024;

/// From which offset on positions are kept: below, counting off takes single milliseconds (docs/benchmarks.md).
const WORTH_IT: i64 = 2_000;

/// A list and a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    project: ProjectKey,
    filter: JobFilter,
    count: i64,
    offset: i64,
}

/// The places that are known.
#[derive(Debug, Default)]
pub(crate) struct JobPositions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last_seen: HashMap<Place, JobKey>,
    order: VecDeque<Place>,
}

impl JobPositions {
    /// The job just before `offset` in a list of `count`, when a reader came by there.
    pub(crate) fn before(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
        count: i64,
        offset: i64,
    ) -> Option<JobKey> {
        if offset < WORTH_IT {
            return None;
        }
        let place = Place {
            project,
            filter: filter.clone(),
            count,
            offset,
        };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last_seen.get(&place).copied()
    }

    /// Remembers that `last` is the job just before `offset` in a list of `count`.
    pub(crate) fn remember(
        &self,
        project: ProjectKey,
        filter: &JobFilter,
        count: i64,
        offset: i64,
        last: JobKey,
    ) {
        if offset < WORTH_IT || offset >= count {
            return;
        }
        let place = Place {
            project,
            filter: filter.clone(),
            count,
            offset,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.last_seen.insert(place.clone(), last).is_none() {
            kept.order.push_back(place);
        }
        while kept.order.len() > KEPT {
            if let Some(oldest) = kept.order.pop_front() {
                kept.last_seen.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobPositions, KEPT};
    use crate::job::JobFilter;
    use crate::{JobKey, ProjectKey};

    const PROJECT: ProjectKey = ProjectKey::new(1);

    #[test]
    fn a_position_holds_for_the_list_it_was_made_on() {
        let positions = JobPositions::default();
        let all = JobFilter::default();
        positions.remember(PROJECT, &all, 9_000, 5_000, JobKey::new(7));
        let at = |count, offset| positions.before(PROJECT, &all, count, offset);
        assert_eq!(at(9_000, 5_000), Some(JobKey::new(7)));
        assert_eq!(at(9_001, 5_000), None, "the list grew");
        assert_eq!(at(9_000, 5_001), None);
        assert_eq!(
            positions.before(ProjectKey::new(2), &all, 9_000, 5_000),
            None
        );
    }

    #[test]
    fn the_oldest_position_goes_first() {
        let positions = JobPositions::default();
        let all = JobFilter::default();
        let first = 10_000;
        let end = first + i64::try_from(KEPT).unwrap();
        for offset in first..=end {
            positions.remember(PROJECT, &all, 1_000_000, offset, JobKey::new(offset));
        }
        let at = |offset| positions.before(PROJECT, &all, 1_000_000, offset);
        assert_eq!(at(first), None);
        assert_eq!(at(first + 1), Some(JobKey::new(first + 1)));
        assert_eq!(at(end), Some(JobKey::new(end)));
    }
}
