//! Leases due jobs of connected desktops and hands the tasks to their channels.
//!
//! A task that finds no room, or no channel, is taken back at once; one that is never acknowledged lapses.

use std::sync::Arc;
use std::time::Duration;

use outfitter_agent_protocol::ServerMessage;
use outfitter_store::{Connected, StoreError};

use crate::agents::registry::Delivery;
use crate::background::driver::Outcome;
use crate::services::Services;

/// Desktops in one transaction. Source: groups near 100 keep the writer's hold under 10 ms (measured).
const DESKTOPS: usize = 100;

/// How long an agent may take to acknowledge a task before its lease lapses: the agent only writes a file.
const LEASE: Duration = Duration::from_secs(30);

pub(crate) async fn run(services: Arc<Services>) -> Result<Outcome, StoreError> {
    let marked = services.background.take_marked(DESKTOPS);
    if marked.is_empty() {
        return Ok(Outcome::Idle);
    }
    let connected: Vec<Connected> = marked
        .iter()
        .filter_map(|desktop| {
            Some(Connected {
                desktop: *desktop,
                epoch: services.registry.epoch(*desktop)?,
            })
        })
        .collect();
    if connected.is_empty() {
        return Ok(Outcome::More);
    }
    let leased = async {
        let tx = services.store.write().await?;
        let page = tx
            .job_lease(
                &connected,
                LEASE,
                services.ids.as_ref(),
                services.clock.now(),
            )
            .await?;
        tx.commit().await?;
        Ok::<_, StoreError>(page)
    }
    .await;
    let page = match leased {
        Ok(page) => page,
        Err(error) => {
            // The hint is not lost with the run.
            services.background.look_at(marked);
            return Err(error);
        }
    };
    services.background.look_at(page.failed);
    // The one that goes first has an open attempt now: the others' next look passes its app over.
    services.background.look_at(page.passed_over);
    let mut unsent = Vec::new();
    for leased in page.tasks {
        let attempt = leased.task.attempt;
        let message = Arc::new(ServerMessage::Task(Box::new(leased.task)));
        match services
            .registry
            .try_send(leased.to.desktop, leased.to.epoch, message)
        {
            Delivery::Queued => {}
            Delivery::Full | Delivery::Gone => unsent.push(attempt),
        }
    }
    if !unsent.is_empty() {
        let tx = services.store.write().await?;
        tx.attempt_unsend(&unsent, services.clock.now()).await?;
        tx.commit().await?;
    }
    Ok(Outcome::More)
}
