//! Takes in what agents tell of their desktops. Source: docs/adr/0028-inventory.md.
//!
//! **Guarantees.** What is noted is committed; a part that came half in, or from a channel that is not the desktop's own
//! any more, has no digest, and the agent tells it again. At most [`PLACES`] parts are taken in at once: memory does not grow
//! with the fleet, and the writer is never asked for more than that.

use outfitter_agent_protocol::{
    InventoryAsk, InventoryFacts, InventoryPart, InventoryReport, InventorySoftware, ServerMessage,
};
use outfitter_store::{
    CertificateHolder, Connected, Installed, SoftwareChange, StoreError, software_difference,
};
use tokio::sync::Semaphore;

use super::logged_in;
use crate::Services;

/// Parts that one process takes in at once.
const PLACES: usize = 4;

/// When whoever finds no place comes again, in seconds; agents add as much by chance.
const LATER_SECS: u32 = 60;

/// A fleet tells its first parts within as many heartbeats.
const SPREAD_HEARTBEATS: u32 = 10;

/// Changes that one transaction writes: some milliseconds.
const PAGE: usize = 500;

/// Longest digest: SHA-256 in hex.
const DIGEST_CHARS: usize = 64;

/// Places for parts that are being taken in.
#[derive(Debug)]
pub struct Intake(Semaphore);

impl Default for Intake {
    fn default() -> Self {
        Self(Semaphore::new(PLACES))
    }
}

/// What an agent is asked for when its channel opens.
pub fn ask(services: &Services, holder: &CertificateHolder) -> InventoryAsk {
    InventoryAsk {
        facts: holder.inventory_facts.clone(),
        software: holder.inventory_software.clone(),
        within_secs: services.heartbeat_secs.saturating_mul(SPREAD_HEARTBEATS),
    }
}

/// Takes a part in, or says that there is no place for it. No answer: the channel is not the desktop's own any more.
///
/// # Errors
/// When the database cannot; the agent tells it again.
pub async fn take_in(
    services: &Services,
    holder: &CertificateHolder,
    channel: Connected,
    report: InventoryReport,
) -> Result<Option<ServerMessage>, StoreError> {
    let digest: String = report.digest.chars().take(DIGEST_CHARS).collect();
    let Ok(_place) = services.inventories.0.try_acquire() else {
        return Ok(Some(ServerMessage::InventoryLater {
            digest,
            retry_after_secs: LATER_SECS,
        }));
    };
    let is_kept = match report.part {
        InventoryPart::Facts(facts) => {
            keep_facts(services, holder, channel, &digest, &facts.bounded()).await?
        }
        InventoryPart::Software(software) => {
            keep_software(services, holder, channel, &digest, software).await?
        }
    };
    Ok(is_kept.then_some(ServerMessage::InventoryNoted { digest }))
}

/// Keeps facts; whoever came to the desktop by them may become its user in the same transaction.
async fn keep_facts(
    services: &Services,
    holder: &CertificateHolder,
    channel: Connected,
    digest: &str,
    facts: &InventoryFacts,
) -> Result<bool, StoreError> {
    let newcomer = logged_in::newcomer(services, holder, facts).await?;
    let keep = async {
        let tx = services.store.write().await?;
        let now = services.clock.now();
        let is_kept = tx.inventory_facts_set(channel, digest, facts, now).await?;
        if let Some(newcomer) = newcomer.as_ref().filter(|_| is_kept) {
            newcomer.claim(services, &tx).await?;
        }
        tx.commit().await?;
        Ok(is_kept)
    };
    match &newcomer {
        Some(newcomer) => newcomer.scope(services).run(keep).await,
        None => keep.await,
    }
}

async fn keep_software(
    services: &Services,
    holder: &CertificateHolder,
    channel: Connected,
    digest: &str,
    software: InventorySoftware,
) -> Result<bool, StoreError> {
    let software = software.bounded();
    let left_off = i64::from(software.left_off);
    let wanted: Vec<Installed> = software
        .packages
        .into_iter()
        .flat_map(|(source, packages)| {
            packages.into_iter().map(move |(name, version)| Installed {
                source: source.clone(),
                name,
                version,
            })
        })
        .collect();
    let known = services
        .store
        .db()
        .inventory_packages(channel.desktop)
        .await?;
    let (add, remove) = software_difference(known, &wanted);
    drop(wanted);
    let pages = page_count(remove.len()) + page_count(add.len());
    let changes = remove
        .chunks(PAGE)
        .map(|remove| (&[][..], remove))
        .chain(add.chunks(PAGE).map(|add| (add, &[][..])))
        .enumerate()
        .map(|(number, (add, remove))| SoftwareChange {
            add,
            remove,
            done: (number + 1 == pages).then_some((digest, left_off)),
        });
    // The same in another order is a digest alone.
    let nothing = (pages == 0).then_some(SoftwareChange {
        add: &[],
        remove: &[],
        done: Some((digest, left_off)),
    });
    for change in changes.chain(nothing) {
        let tx = services.store.write().await?;
        let is_kept = tx
            .inventory_software_change(channel, holder.project, &change, services.clock.now())
            .await?;
        tx.commit().await?;
        if !is_kept {
            return Ok(false);
        }
    }
    Ok(true)
}

const fn page_count(changes: usize) -> usize {
    changes.div_ceil(PAGE)
}
