//! One push of the agent onto one desktop: what the engine (`outfitter-push`) asks the server for, and what its end
//! means for the sub-job.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use outfitter_domain::OsType;
use outfitter_push::{
    AgentBinary, Desk, Failure, Identity, KeyOwner, Limits, Order, Probed, Pushed, Secret,
    SeenHostKey, Step,
};
use outfitter_store::{
    ClaimedPush, Desktop, HostKeyOf, PinnedHostKey, ProjectKey, StoreError, SubJobOutcome,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::enrollment_tokens::{self, TokenOrder};
use super::reach::{self, ReachError};
use super::workspace_jobs::{RUN_THERE, failed_with, no_way_in};
use crate::Services;
use crate::http::error::chain;

/// How long the token of a push is valid: the steps between its making and its use are limited to less.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Times that servers may begin a push before it is given up: one that ends the server must not do so for ever.
const RUNS_MAX: i64 = 3;

/// Pause between two looks whether the agent has connected to this process.
const LOOK: Duration = Duration::from_millis(50);

/// Looks here before one look into the database, for agents that connected to another process.
const LOOKS_PER_QUERY: u32 = 20;

/// Uploads at once: enough to fill a network, few enough that each moves.
pub const UPLOADS_AT_ONCE: usize = 32;

/// What happened to a push that ran to its end.
enum Ended {
    Pushed(Pushed),
    Failed(Failure),
    NotBegun(SubJobOutcome),
}

/// Runs a claimed push to its end; answers how its sub-job ends.
///
/// # Errors
/// The database's, before anything was done on the desktop.
pub async fn execute(
    services: &Arc<Services>,
    push: &ClaimedPush,
    uploads: &Arc<Semaphore>,
    at: &(dyn Fn(u8) + Send + Sync),
) -> Result<SubJobOutcome, ReachError> {
    let ended = Box::pin(run(services, push, uploads, at)).await?;
    Ok(match ended {
        Ended::NotBegun(outcome) => outcome,
        Ended::Failed(failure) => {
            tracing::info!(
                desktop.id = %push.desktop_id,
                step = failure.step.as_str(),
                code = failure.code,
                "the agent was not pushed"
            );
            failed_with(failure.code, failure.to_string())
        }
        Ended::Pushed(pushed) => {
            tracing::info!(
                desktop.id = %push.desktop_id,
                uploaded_bytes = pushed.uploaded_bytes,
                enrolled = pushed.enrolled,
                "the agent was pushed and is connected"
            );
            SubJobOutcome {
                // A note, shown as the sub-job's message.
                fail_reason: (!pushed.under_systemd).then(|| detached_note(&pushed)),
                ..SubJobOutcome::SUCCESS
            }
        }
    })
}

fn detached_note(pushed: &Pushed) -> String {
    let after_restart = if pushed.unit {
        UNIT_WAITS
    } else {
        ENDS_WITH_MACHINE
    };
    format!("{} {}", DETACHED.0, after_restart.0)
}

const DETACHED: (&str, &str) = (
    "Installed. systemd does not run there, so the agent was started detached.",
    "已安装。该机器未运行 systemd，因此代理以独立进程启动。",
);

const UNIT_WAITS: (&str, &str) = (
    "The unit is in place for the next start of the machine under systemd.",
    "服务单元已就绪，机器下次以 systemd 启动时生效。",
);

const ENDS_WITH_MACHINE: (&str, &str) = (
    "It does not come back by itself after a restart of the machine.",
    "机器重启后，代理不会自行启动。",
);

const INTERRUPTED: (&str, &str) = (
    "The server ended again and again while it worked on this desktop. Retry the job.",
    "服务器在处理此桌面时多次终止。请重试该任务。",
);

/// How a push ends, but for what the engine says, with the same in Chinese.
pub(crate) const SENTENCES: [(&str, &str); 5] = [
    DETACHED,
    UNIT_WAITS,
    ENDS_WITH_MACHINE,
    INTERRUPTED,
    RUN_THERE,
];

async fn run(
    services: &Arc<Services>,
    push: &ClaimedPush,
    uploads: &Arc<Semaphore>,
    at: &(dyn Fn(u8) + Send + Sync),
) -> Result<Ended, ReachError> {
    let db = services.store.db();
    let Some(desktop) = db.desktop_find(push.project, push.desktop_id).await? else {
        return Ok(Ended::NotBegun(failed_with(
            "desktop_deleted",
            "The desktop was deleted.".to_owned(),
        )));
    };
    if push.runs > RUNS_MAX {
        return Ok(Ended::NotBegun(failed_with(
            "interrupted",
            INTERRUPTED.0.to_owned(),
        )));
    }
    let Some(target) = reach::effective(services, db, push.project, &desktop).await? else {
        return Ok(Ended::NotBegun(no_way_in(services, &desktop)));
    };
    let agent = db
        .agent_facts(desktop.key)
        .await?
        .and_then(|facts| facts.agent);
    let order = Order {
        binaries: Arc::clone(&services.agent_binaries),
        server: &services.endpoints.agent_endpoint,
        name: &desktop.name,
        agent: agent.map(|id| id.to_string()),
    };
    let desk = ServerDesk {
        services,
        push,
        uploads,
        at,
        epoch: std::sync::atomic::AtomicI64::new(i64::MAX),
    };
    let pushed = Box::pin(outfitter_push::push(
        &target,
        &order,
        &Limits::STANDARD,
        &desk,
    ))
    .await;
    Ok(match pushed {
        Ok(pushed) => Ended::Pushed(pushed),
        Err(failure) => Ended::Failed(failure),
    })
}

struct ServerDesk<'a> {
    services: &'a Arc<Services>,
    push: &'a ClaimedPush,
    uploads: &'a Arc<Semaphore>,
    at: &'a (dyn Fn(u8) + Send + Sync),
    epoch: std::sync::atomic::AtomicI64,
}

impl ServerDesk<'_> {
    async fn epoch_now(&self) -> Result<i64, StoreError> {
        let facts = self
            .services
            .store
            .db()
            .agent_facts(self.push.desktop)
            .await?;
        Ok(facts.map_or(0, |facts| facts.channel_epoch))
    }

    async fn make_token(&self) -> Result<Secret, StoreError> {
        let services = self.services;
        let root_pins = services.authority.get().root_pins().unwrap_or_default();
        let tx = services.store.write().await?;
        let (_, token) = enrollment_tokens::create(
            &tx,
            services.ids.as_ref(),
            services.auth.randomness(),
            root_pins,
            self.push.project,
            TokenOrder {
                name: "agent push".to_owned(),
                max_uses: Some(1),
                lifetime: Some(TOKEN_LIFETIME),
                may_attach: false,
                may_reenroll: true,
                desktop: Some(self.push.desktop),
                networks: Vec::new(),
                tags: Vec::new(),
                needs_approval: false,
            },
            services.clock.now(),
        )
        .await?;
        tx.commit().await?;
        Ok(token.reveal().into())
    }

    async fn pin(&self, keys: &[SeenHostKey]) -> Result<(), StoreError> {
        let tx = self.services.store.write().await?;
        for key in keys {
            let pinned = PinnedHostKey {
                of: match key.on {
                    KeyOwner::Desktop => HostKeyOf::Desktop,
                    KeyOwner::Jump => HostKeyOf::Jump,
                },
                fingerprint: key.fingerprint.clone(),
            };
            tx.host_key_pin_if_absent(self.push.desktop, &pinned, self.services.clock.now())
                .await?;
        }
        tx.commit().await
    }
}

struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Desk for ServerDesk<'_> {
    fn at(&self, _step: Step, percent: u8) {
        (self.at)(percent);
    }

    async fn host_keys(&self, keys: &[SeenHostKey]) -> Result<(), String> {
        self.pin(keys).await.map_err(|error| chain(&error))
    }

    async fn turn(&self) -> Box<dyn Send> {
        // The semaphore is never closed.
        let permit = Arc::clone(self.uploads).acquire_owned().await.ok();
        Box::new(Turn { _permit: permit })
    }

    async fn token(&self) -> Result<Secret, String> {
        self.make_token().await.map_err(|error| chain(&error))
    }

    async fn about_to_start(&self) -> Result<(), String> {
        let epoch = self.epoch_now().await.map_err(|error| chain(&error))?;
        self.epoch
            .store(epoch, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    async fn connected(&self) {
        let before = self.epoch.load(std::sync::atomic::Ordering::Relaxed);
        loop {
            for _ in 0..LOOKS_PER_QUERY {
                let here = self.services.registry.epoch(self.push.desktop);
                if here.is_some_and(|epoch| epoch > before) {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
            match self.epoch_now().await {
                Ok(epoch) if epoch > before => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "cannot see whether an agent has connected"
                ),
            }
        }
    }
}

/// What a push onto a desktop would find.
pub enum Probe {
    /// Nobody said how it is reached.
    NoWayIn,
    /// It would not get beyond a step.
    Stopped(Failure),
    /// It would go through, as far as can be seen.
    Open {
        /// What the far side is.
        found: Probed,
        /// What would go over.
        binary: Arc<AgentBinary>,
        /// Whether the desktop's own live agent is enrolled there.
        is_own_agent: bool,
    },
}

/// Looks at a desktop and changes nothing: there, and here.
///
/// # Errors
/// The database's.
pub async fn probe(
    services: &Services,
    project: ProjectKey,
    desktop: &Desktop,
) -> Result<Probe, ReachError> {
    let db = services.store.db();
    let Some(target) = reach::effective(services, db, project, desktop).await? else {
        return Ok(Probe::NoWayIn);
    };
    let agent = db
        .agent_facts(desktop.key)
        .await?
        .and_then(|facts| facts.agent)
        .map(|id| id.to_string());
    let order = Order {
        binaries: Arc::clone(&services.agent_binaries),
        server: &services.endpoints.agent_endpoint,
        name: &desktop.name,
        agent: agent.clone(),
    };
    let probed = Box::pin(outfitter_push::probe(&target, &order, &Limits::STANDARD)).await;
    Ok(match probed {
        Err(failure) => Probe::Stopped(failure),
        Ok((found, binary)) => Probe::Open {
            is_own_agent: matches!(&found.identity, Identity::Agent(id) if Some(id) == agent.as_ref()),
            found,
            binary,
        },
    })
}

/// Whether agents are pushed onto desktops of this system.
pub(super) fn is_pushed_to(os_type: OsType) -> bool {
    match os_type {
        OsType::Linux | OsType::Other => true,
        OsType::Windows => false,
    }
}
