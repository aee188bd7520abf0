//! Turns accepted deployments into jobs, a page at a time. Repeatable: cursor, jobs and counters are one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outfitter_store::{DeploymentKey, Expanded, Expansion, StoreError};
use tokio::time::Instant;

use crate::background::driver::Outcome;
use crate::services::Services;

/// Deployments looked at in one run; each gets one page, so that a large one does not hold up small ones.
const DEPLOYMENTS: i64 = 20;

/// Pairs of desktop and app in the first page. Source: docs/invariants.md, budgets.
const FIRST_PAGE: usize = 250;

/// Bounds of a page: too small wastes commits, too large holds up other writers whatever the clock says.
const PAGE_BOUNDS: (usize, usize) = (50, 2000);

/// How long a page may hold the writer. Source: docs/invariants.md, budgets.
const HOLD: Duration = Duration::from_millis(10);

/// How large the next page is: the last one's measured hold decides.
pub(crate) struct PageSize(AtomicUsize);

impl Default for PageSize {
    fn default() -> Self {
        Self(AtomicUsize::new(FIRST_PAGE))
    }
}

impl PageSize {
    fn pairs(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn learn(&self, pairs: usize, held: Duration) {
        let next = if held > HOLD {
            pairs * 3 / 4
        } else if held < HOLD / 2 {
            pairs * 5 / 4
        } else {
            pairs
        };
        self.0
            .store(next.clamp(PAGE_BOUNDS.0, PAGE_BOUNDS.1), Ordering::Relaxed);
    }
}

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome::Idle;
    for deployment in services
        .store
        .db()
        .deployment_expanding(DEPLOYMENTS)
        .await?
    {
        let page = expand_page(&services, deployment).await?;
        if page.is_some_and(|page| page.progress == Expansion::Expanding) {
            outcome = Outcome::More;
        }
    }
    Ok(outcome)
}

/// Expands one page and has its desktops looked at. `None` when the deployment does not exist.
///
/// # Errors
/// When the database cannot: the page is as if it had not been tried.
pub(crate) async fn expand_page(
    services: &Services,
    deployment: DeploymentKey,
) -> Result<Option<Expanded>, StoreError> {
    let pairs = services.background.page_size.pairs();
    let tx = services.store.write().await?;
    let begun = Instant::now();
    let page = tx
        .deployment_expand(
            deployment,
            pairs,
            services.ids.as_ref(),
            services.clock.now(),
        )
        .await?;
    tx.commit().await?;
    if let Some(page) = &page {
        if page.progress == Expansion::Expanding {
            services.background.page_size.learn(pairs, begun.elapsed());
        }
        services.background.look_at(page.desktops.iter().copied());
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_while_they_are_quick_and_shrink_when_they_hold_up_others() {
        let size = PageSize::default();
        size.learn(size.pairs(), Duration::from_millis(2));
        assert!(size.pairs() > FIRST_PAGE);
        for _ in 0..50 {
            size.learn(size.pairs(), Duration::from_millis(80));
        }
        assert_eq!(size.pairs(), PAGE_BOUNDS.0);
    }
}
