//! Offers newer programs of the agent to connected desktops that are in the share of a release.
//!
//! **Guarantees.** A desktop is offered a release until it said what became of it; over one channel at most every ten
//! minutes. **Woken** by a timer and when a roll-out changes. **After a crash** the offers are made again: an agent
//! that follows one passes the others over. **Does not** wait for anybody: a full queue is passed over until the next
//! run. Two servers offer to the channels of each.

use std::sync::Arc;

use outfitter_agent_protocol::ServerMessage;
use outfitter_store::{DesktopKey, StoreError};

use crate::agents::registry::Delivery;
use crate::app::agent_releases::{Share, choose, offer};
use crate::background::driver::Outcome;
use crate::services::Services;

/// Desktops that are looked at together.
const DESKTOPS: usize = 200;

/// Offers of one run: each may become a download of some megabytes, and agents that follow in one moment reconnect in
/// one moment.
const OFFERS: usize = 200;

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let now = services.clock.now();
    let rolling = services.store.db().agent_release_rolling(now).await?;
    if rolling.is_empty() {
        return Ok(Outcome::Idle);
    }
    let mut after: Option<DesktopKey> = None;
    let mut offers = 0;
    loop {
        let page = services.registry.page(after, DESKTOPS);
        let Some((last, _)) = page.last() else {
            return Ok(Outcome::Idle);
        };
        after = Some(*last);
        let keys: Vec<DesktopKey> = page.iter().map(|(desktop, _)| *desktop).collect();
        let candidates = services.store.db().agent_update_candidates(&keys).await?;
        for candidate in candidates {
            let Some(release) = choose(&rolling, &candidate, Share::Offered) else {
                continue;
            };
            let Some(epoch) = services.registry.epoch(candidate.desktop) else {
                continue;
            };
            if !services
                .updates
                .may_offer(candidate.desktop, epoch, release, now)
            {
                continue;
            }
            let message = Arc::new(ServerMessage::Update(Box::new(offer(release))));
            match services
                .registry
                .try_send(candidate.desktop, epoch, message)
            {
                Delivery::Queued => offers += 1,
                Delivery::Full | Delivery::Gone => {}
            }
            if offers >= OFFERS {
                return Ok(Outcome::Idle);
            }
        }
    }
}
