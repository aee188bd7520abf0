//! The real desktop: carries attempts out, one task each, and reports to the channel.
//!
//! Guarantees: an attempt's evidence is on disk before the channel hears of its end.
//! Woken by: the channel's driver ([`Desktop`]).
//! On crash: [`LocalDesktop::new`] takes up every attempt that was begun.
//! Does not: decide whether an attempt may run; that is the channel machine's part.

mod attempt;
mod closing;
mod detect;
mod download;
mod machine;
mod unpack;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outfitter_agent_protocol::{
    DetectionRule, Envelope, FailureCode, InventoryKind, InventoryReport, Phase, Source, Task,
    UpdateOffer, UpdateReport,
};
use outfitter_ids::AttemptId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::channel::{Desktop, DesktopEvent, SourceRefusal};
use crate::clock::Clock;
use crate::evidence::{Stop, blank_evidence};
use crate::inventory::Looked;
use crate::receipt::Receipts;
use crate::recent_log;
use crate::server_client::chain;
use crate::spool::{AttemptFolder, Spool, Unfinished};
use crate::update::Updates;

pub use detect::{Place, View, evaluate};
pub use download::{Report, Transferred};
pub use machine::{Answer, Machine, SystemMachine};

/// Wait between two tries to put evidence on disk.
const EVIDENCE_RETRY: Duration = Duration::from_secs(5);

/// What every attempt on this desktop works with.
pub struct Workplace {
    /// Where manifests of unpacked archives are kept.
    pub apps: PathBuf,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<PathBuf>,
    /// Signs what was seen.
    pub receipts: Receipts,
    /// The machine it runs on.
    pub machine: Arc<dyn Machine>,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

/// How an attempt gets sources.
pub struct Sources {
    attempt: AttemptId,
    events: mpsc::Sender<DesktopEvent>,
    answers: mpsc::Receiver<SourceAnswer>,
}

/// A source; with `Err`, why there is none.
pub type SourceAnswer = Result<Source, SourceRefusal>;

impl Sources {
    /// Asks the server and waits, however long the channel is away. When the agent ends, it waits for
    /// ever: the attempt goes on with the agent's next process.
    pub async fn ask(&mut self) -> SourceAnswer {
        // An answer to an earlier question is no answer to this one.
        while self.answers.try_recv().is_ok() {}
        let event = DesktopEvent::SourceNeeded {
            attempt: self.attempt,
        };
        if self.events.send(event).await.is_ok()
            && let Some(answer) = self.answers.recv().await
        {
            return answer;
        }
        std::future::pending().await
    }
}

/// Whom an attempt tells where it is.
pub struct Reports {
    attempt: AttemptId,
    events: mpsc::Sender<DesktopEvent>,
}

impl Reports {
    /// Tells a phase; lost when nobody listens fast enough, which does not matter.
    fn advanced(&self, phase: Phase, transferred: Option<Transferred>) {
        let _ = self.events.try_send(DesktopEvent::Advanced {
            attempt: self.attempt,
            phase,
            percent: transferred.and_then(|so_far| so_far.percent),
            bytes_per_second: transferred.map(|so_far| so_far.bytes_per_second),
        });
    }

    /// Tells how much of a wait is over, in percent; lost when nobody listens fast enough.
    fn waited(&self, phase: Phase, percent: u8) {
        let _ = self.events.try_send(DesktopEvent::Advanced {
            attempt: self.attempt,
            phase,
            percent: Some(percent),
            bytes_per_second: None,
        });
    }
}

/// Whether attempts that were begun before this process may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resumption {
    /// Not yet: whether this is the state that the server noted last is not known.
    Waits,
    /// It is.
    Goes,
    /// It is a state of before: nothing of it goes on.
    SetBack,
}

struct Running {
    sources: mpsc::Sender<SourceAnswer>,
    cancel: watch::Sender<bool>,
}

/// The real desktop; see the module.
pub struct LocalDesktop {
    spool: Spool,
    workplace: Arc<Workplace>,
    events: mpsc::Sender<DesktopEvent>,
    running: HashMap<AttemptId, Running>,
    updates: Option<Updates>,
    /// Whether a question of the server is being answered.
    answering: Arc<Semaphore>,
    /// What the last look found and the server has not got yet.
    looked: Arc<Mutex<Option<Looked>>>,
    /// Whether the desktop is being looked at.
    looking: Arc<Semaphore>,
    /// What attempts that were begun before wait for.
    resumption: watch::Sender<Resumption>,
    /// They end with the agent.
    attempts: JoinSet<()>,
}

impl LocalDesktop {
    /// A desktop that takes up what was begun before: what runs at once, the rest when it is [in step](Desktop::in_step). Events go to `events`; without `updates` offers are passed over.
    pub fn new(
        spool: Spool,
        workplace: Workplace,
        events: mpsc::Sender<DesktopEvent>,
        unfinished: Vec<Unfinished>,
        updates: Option<Updates>,
    ) -> Self {
        let mut desktop = Self {
            spool,
            workplace: Arc::new(workplace),
            events,
            running: HashMap::new(),
            updates,
            answering: Arc::new(Semaphore::new(1)),
            looked: Arc::default(),
            looking: Arc::new(Semaphore::new(1)),
            resumption: watch::channel(Resumption::Waits).0,
            attempts: JoinSet::new(),
        };
        for Unfinished { folder, task } in unfinished {
            let resumption = desktop.resumption.subscribe();
            desktop.spawn(folder, Ok(task), resumption);
        }
        desktop
    }

    fn spawn(
        &mut self,
        folder: AttemptFolder,
        task: Result<Task, Stop>,
        resumption: watch::Receiver<Resumption>,
    ) {
        let attempt = folder.attempt;
        let (sources_sender, answers) = mpsc::channel(4);
        let (cancel_sender, mut cancelled) = watch::channel(folder.is_cancelled());
        self.running.insert(
            attempt,
            Running {
                sources: sources_sender,
                cancel: cancel_sender,
            },
        );
        let workplace = Arc::clone(&self.workplace);
        let events = self.events.clone();
        // Those that ended are let go of.
        while self.attempts.try_join_next().is_some() {}
        self.attempts.spawn(async move {
            let reports = Reports {
                attempt,
                events: events.clone(),
            };
            let mut sources = Sources {
                attempt,
                events: events.clone(),
                answers,
            };
            let evidence = match &task {
                Ok(task) => {
                    let attempt = attempt::Attempt {
                        workplace: &workplace,
                        folder: &folder,
                        task,
                        reports: &reports,
                        resumption,
                    };
                    Box::pin(attempt.carry_out(&mut sources, &mut cancelled)).await
                }
                Err(stop) => {
                    let mut evidence = blank_evidence(attempt, folder.job, &*workplace.clock);
                    evidence.failure = Some(stop.code);
                    evidence.failure_detail = Some(stop.detail.clone());
                    evidence
                }
            };
            let (failure, exit_code) = (evidence.failure, evidence.exit_code);
            let receipt = workplace.receipts.seal(task.as_ref().ok(), evidence);
            // Nothing is lost: on a full disk it waits until there is room.
            while let Err(error) = folder.end(&receipt) {
                tracing::error!(attempt.id = %attempt, "{}", chain(&error));
                tokio::time::sleep(EVIDENCE_RETRY).await;
            }
            // What there is none of is left out: an exit code alone is no failure of the agent's.
            let failure = failure.map(tracing::field::debug);
            tracing::info!(
                attempt.id = %attempt,
                failure,
                exit_code,
                "the attempt ended"
            );
            let _ = events.send(DesktopEvent::Ended { attempt }).await;
        });
    }

    fn begin(&mut self, attempt: AttemptId, record: impl Fn(&AttemptFolder) -> Result<(), Stop>) {
        if self.running.contains_key(&attempt) {
            return;
        }
        let Some(folder) = self.spool.find(attempt) else {
            tracing::error!(attempt.id = %attempt, "the attempt is not in the journal");
            return;
        };
        let task =
            record(&folder).and_then(|()| folder.task().map_err(|error| Stop::agent(&error)));
        self.spawn(folder, task, watch::channel(Resumption::Goes).1);
    }
}

/// Why an attempt of a state of before does not go on.
fn set_back_stop() -> Stop {
    Stop::new(
        FailureCode::Interrupted,
        "the desktop was set back to an earlier state while this was going on",
    )
}

impl Desktop for LocalDesktop {
    async fn journal(&mut self, task: Task) -> Result<(), String> {
        self.spool
            .accept(&task)
            .map(drop)
            .map_err(|error| chain(&error))
    }

    async fn start(&mut self, attempt: AttemptId) {
        self.begin(attempt, |folder| {
            folder.go().map_err(|error| Stop::agent(&error))
        });
    }

    async fn cancel(&mut self, attempt: AttemptId) {
        let Some(folder) = self.spool.find(attempt) else {
            return;
        };
        if let Err(error) = folder.cancel() {
            tracing::error!(attempt.id = %attempt, "{}", chain(&error));
        }
        if let Some(running) = self.running.get(&attempt) {
            running.cancel.send_replace(true);
        }
        // Before `Go` nothing ran and nothing will: the attempt ends as cancelled.
        self.begin(attempt, |_| {
            Err(Stop::new(
                FailureCode::Cancelled,
                "the server asked to stop",
            ))
        });
    }

    fn in_step(&mut self) {
        self.resumption.send_if_modified(|now| {
            let waits = *now == Resumption::Waits;
            if waits {
                *now = Resumption::Goes;
            }
            waits
        });
    }

    async fn set_back(&mut self, attempt: AttemptId) {
        self.resumption.send_replace(Resumption::SetBack);
        if self.running.contains_key(&attempt) {
            return self.cancel(attempt).await;
        }
        self.begin(attempt, |_| Err(set_back_stop()));
    }

    async fn source(&mut self, attempt: AttemptId, answer: SourceAnswer) {
        if let Some(running) = self.running.get(&attempt) {
            // Full only when nobody asked.
            let _ = running.sources.try_send(answer);
        }
    }

    async fn receipt(&mut self, attempt: AttemptId) -> Option<Envelope> {
        match self.spool.find(attempt)?.receipt() {
            Ok(receipt) => receipt,
            Err(error) => {
                tracing::error!(attempt.id = %attempt, "{}", chain(&error));
                None
            }
        }
    }

    async fn detect(&mut self, question: u64, rule: DetectionRule) {
        let events = self.events.clone();
        let workplace = Arc::clone(&self.workplace);
        let place = Arc::clone(&self.answering).try_acquire_owned();
        tokio::spawn(async move {
            let view = match place {
                Ok(_place) => {
                    let work = workplace.apps.with_file_name("detections");
                    // Left by an agent that was killed meanwhile.
                    let _ = crate::durable::remove_folder(&work);
                    match crate::durable::create_private_folder(&work) {
                        Ok(()) => {
                            let place = Place {
                                sandbox_root: workplace.sandbox_root.as_deref(),
                                work: &work,
                            };
                            workplace.machine.evaluate(&rule, place).await
                        }
                        Err(error) => View {
                            holds: None,
                            seen: chain(&error),
                        },
                    }
                }
                Err(_) => View {
                    holds: None,
                    seen: "another question is being answered".to_owned(),
                },
            };
            let event = DesktopEvent::Detected {
                question,
                holds: view.holds,
                seen: view.seen.chars().take(2000).collect(),
            };
            let _ = events.send(event).await;
        });
    }

    fn recent_log(&mut self) -> String {
        recent_log::newest()
    }

    async fn forget(&mut self, attempt: AttemptId) {
        self.running.remove(&attempt);
        if let Some(folder) = self.spool.find(attempt)
            && let Err(error) = self.spool.forget(&folder)
        {
            tracing::warn!(attempt.id = %attempt, "{}", chain(&error));
        }
    }

    fn offer_update(&mut self, offer: UpdateOffer) {
        if let Some(updates) = &self.updates {
            updates.offer(offer);
        }
    }

    fn update_noted(&mut self, report: UpdateReport) {
        if let Some(updates) = &self.updates {
            updates.noted(&report);
        }
    }

    fn look_for_inventory(&mut self) {
        let Ok(place) = Arc::clone(&self.looking).try_acquire_owned() else {
            return;
        };
        let events = self.events.clone();
        let workplace = Arc::clone(&self.workplace);
        let kept = Arc::clone(&self.looked);
        tokio::spawn(async move {
            let _place = place;
            let root = workplace.sandbox_root.as_deref();
            let state = workplace.apps.parent().unwrap_or(&workplace.apps);
            match workplace.machine.inventory(root, state).await {
                Ok((facts, software)) => {
                    let (looked, digests) = Looked::of(facts, software);
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(looked);
                    let _ = events.send(DesktopEvent::InventoryLooked(digests)).await;
                }
                Err(error) => tracing::info!("no inventory: {}", chain(&error)),
            }
        });
    }

    fn inventory(&mut self, kind: InventoryKind) -> Option<InventoryReport> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.as_ref()?.part(kind)
    }

    fn inventory_noted(&mut self, kind: InventoryKind) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(looked) = looked.as_mut() {
            looked.noted(kind);
        }
    }
}
