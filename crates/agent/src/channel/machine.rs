//! The agent's side of the channel as a pure state machine.
//!
//! Guarantees: the server hears nothing before `Hello`; a task is acknowledged only after the journal
//! said it holds it; an attempt starts on the first `Go` and on no other; one attempt is open at a time;
//! a result is offered in every channel, and every [`Pace::resend`] in it, until `Recorded`.
//! Woken by: the driver, with what arrived, with what the desktop reports, and at [`Machine::wake_at`].
//! On crash: everything it knows beyond the link is rebuilt from the journal ([`Machine::new`]).
//! Does not: read clocks, draw from the system's randomness, touch sockets or files.

use std::collections::BTreeMap;
use std::time::Duration;

use outfitter_agent_protocol::{
    AgentMessage, AttemptReport, AttemptStage, COPY, DetectionRule, FailureCode, HISTORY_BEHIND,
    Hello, InventoryKind, MachineIdentity, PROTOCOL, Phase, ServerMessage, Source, Task,
    UpdateOffer, UpdateReport, Welcome,
};
use outfitter_ids::AttemptId;

use super::telling::{Due, InventoryDigests, Telling};

/// Time since an origin that never moves back; the driver picks the origin.
pub type Moment = Duration;

/// How fast the machine repeats itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Ceiling of the first wait after a lost channel. The wait is drawn from 0 to the ceiling (full
    /// jitter), so that agents of one failed server do not come back in one moment (invariant I9).
    pub backoff_first: Duration,
    /// Largest ceiling; it doubles up to here. Source: all agents back within 30 s (docs/invariants.md, budgets).
    pub backoff_limit: Duration,
    /// Shortest wait after a readable refusal that names no time of its own.
    pub refused_wait: Duration,
    /// Longest wait for the upgrade and, after `Hello`, for `Welcome`.
    pub greeting_limit: Duration,
    /// How long an unanswered `Accepted`, `SourceRequest`, `Renew` or `Result` rests before it is sent again.
    pub resend: Duration,
    /// Shortest time between two `Progress` messages.
    pub progress_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_secs(1),
            backoff_limit: Duration::from_secs(20),
            refused_wait: Duration::from_secs(60),
            greeting_limit: Duration::from_secs(30),
            resend: Duration::from_secs(30),
            progress_every: Duration::from_secs(1),
        }
    }
}

/// Silent heartbeats after which the channel counts as lost. A line may hold one or two up; after three
/// it is taken for dead.
const MISSED_HEARTBEATS: u32 = 3;

/// How long attempts of a desktop that is decommissioned, or another, may take to stop. Ours: an installer that is asked to is killed 5 s later, and
/// its end is looked at.
const LEAVE_LIMIT: Duration = Duration::from_secs(60);

/// A channel that lasted this long ends a row of failures.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// What the agent says of itself in each `Hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Version of the agent.
    pub agent_version: String,
    /// `linux` or `windows`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<String>,
}

/// How far a channel's far end is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTrust {
    /// The server's certificate holds now.
    Full,
    /// It holds only when judged without this machine's clock: time and renewal, no work.
    TimeOnly,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The upgrade succeeded.
    Opened {
        /// How far the far end is trusted.
        trust: LinkTrust,
        /// What to say about which machine this is.
        identity: Option<MachineIdentity>,
    },
    /// The channel ended, or could not be opened.
    Closed(Ending),
    /// A message arrived.
    Received(ServerMessage),
    /// The journal holds the task now, on disk.
    Journaled {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The journal could not take the task.
    JournalFailed {
        /// The attempt.
        attempt: AttemptId,
        /// Why, in words.
        reason: String,
    },
    /// A running attempt is in a phase.
    Advanced {
        /// The attempt.
        attempt: AttemptId,
        /// Where it is.
        phase: Phase,
        /// Share done, 0 to 100, where known.
        percent: Option<u8>,
        /// Rate of a download.
        bytes_per_second: Option<u64>,
    },
    /// A running attempt needs (another) source.
    SourceNeeded {
        /// The attempt.
        attempt: AttemptId,
    },
    /// An attempt ended; its evidence is on disk.
    Ended {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A rule was evaluated for the server.
    Detected {
        /// The server's question.
        question: u64,
        /// Whether it holds; `None`: it cannot be told here.
        holds: Option<bool>,
        /// What was seen, in words.
        seen: String,
    },
    /// The certificate is to be renewed with this signing request.
    RenewalDue {
        /// PKCS #10, PEM.
        csr_pem: String,
    },
    /// It is later than was known.
    TimeLearned,
    /// The server is to hear how the desktop fares with an update.
    UpdateReported(UpdateReport),
    /// The desktop was looked at.
    InventoryLooked(InventoryDigests),
    /// What the last look found is not there any more.
    InventoryLost,
    /// The moment of [`Machine::wake_at`] came.
    Tick,
    /// The agent is asked to stop.
    Shutdown,
}

/// How a channel, or the try to open one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Lost, or unreachable.
    Lost {
        /// What the far side asked for, in seconds.
        retry_after_secs: Option<u32>,
    },
    /// Refused with a readable reason.
    Refused {
        /// What the far side asked for, in seconds.
        retry_after_secs: Option<u32>,
    },
    /// The desktop is gone for good.
    Decommissioned,
}

/// The server refused this machine as a copy, and lets it enroll anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRefusal {
    /// What was told of it.
    pub identity: MachineIdentity,
    /// What the server asked for, in seconds.
    pub retry_after_secs: Option<u32>,
}

/// Why there is no source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRefusal {
    /// In words.
    pub reason: String,
    /// Whether asking again can help.
    pub retry: bool,
    /// What the attempt fails with where it cannot; `None`: that it could not be downloaded.
    pub failure: Option<FailureCode>,
}

/// Something the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Open a channel; answer with `Opened` or `Closed`.
    Connect,
    /// Send a message over the open channel.
    Send(AgentMessage),
    /// Send the evidence of an ended attempt.
    SendResult {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Close the channel; no `Closed` is expected.
    Close,
    /// Put the task on disk; answer with `Journaled` or `JournalFailed`.
    Journal(Box<Task>),
    /// Record that `Go` arrived, then carry the attempt out.
    Start {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Stop the attempt safely; it ends by `Ended` like any other.
    Cancel {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The server let this agent in: what the journal holds may go on.
    InStep,
    /// Draw a new history.
    BeginHistory,
    /// End an attempt that belongs to a state of before; it ends by `Ended` like any other.
    SetBack {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Evaluate a rule; answer with `Detected`.
    Detect {
        /// The server's question.
        question: u64,
        /// The rule.
        rule: Box<DetectionRule>,
    },
    /// Send the newest of the log.
    SendLog {
        /// The server's question.
        question: u64,
    },
    /// Hand the source to the running attempt.
    GiveSource(Source),
    /// Tell the running attempt that there is no source.
    RefuseSource {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        refusal: SourceRefusal,
    },
    /// Remove the attempt from disk.
    Forget {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The server said what time it is, in milliseconds UTC.
    LearnTime(i64),
    /// Keep the new certificate.
    KeepCertificate {
        /// Leaf, issuing certificate and root, PEM.
        chain_pem: String,
        /// All roots to trust, PEM; `None`: those that are known.
        roots_pem: Option<String>,
    },
    /// A newer program is offered.
    OfferUpdate(Box<UpdateOffer>),
    /// The server has noted how the desktop fares with an update.
    UpdateNoted(UpdateReport),
    /// Look at what the desktop is and has; answer with `InventoryLooked`.
    LookForInventory,
    /// Send a part of what the last look found; answer with `InventoryLost` where it is not there any more.
    SendInventory(InventoryKind),
    /// The server has the part: it need not be kept any longer.
    InventoryNoted(InventoryKind),
    /// This machine is a copy: what the journal holds is another desktop's. `Exit` follows.
    LeaveAsCopy(Box<CopyRefusal>),
    /// Write a line into the log.
    Note(String),
    /// Everything is said; leave.
    Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The journal was asked to hold it.
    Journaling,
    /// On disk, waiting for `Go`.
    Accepted { resend_at: Moment },
    /// `Go` arrived.
    Running,
    /// Evidence is on disk.
    Ended { resend_at: Moment },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    stage: Stage,
    /// The attempt waits for a source; when the request is to be sent (again).
    source_wanted: Option<Moment>,
    phase: Option<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Waiting {
        until: Moment,
    },
    /// Dialling, or greeted and waiting for `Welcome`.
    Greeting {
        until: Moment,
        trust: Option<LinkTrust>,
    },
    Session(Session),
    /// This is not that desktop, or not any more: what runs is stopped, until then.
    Leaving {
        until: Moment,
    },
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    trust: LinkTrust,
    since: Moment,
    heartbeat: Duration,
    heartbeat_at: Moment,
    heard_at: Moment,
}

#[derive(Debug, Clone)]
struct Renewal {
    csr_pem: String,
    resend_at: Moment,
}

/// The machine; see the module.
#[derive(Debug)]
pub struct Machine {
    introduction: Introduction,
    pace: Pace,
    random: SplitMix,
    link: Link,
    /// What the last `Hello` said about which machine this is.
    told: Option<MachineIdentity>,
    failures: u32,
    entries: BTreeMap<AttemptId, Entry>,
    renewal: Option<Renewal>,
    /// What is to be told of an update, and when (again).
    update: Option<(UpdateReport, Moment)>,
    progress: Option<(AttemptId, Phase, Option<u8>, Option<u64>)>,
    progress_after: Moment,
    telling: Telling,
}

impl Machine {
    /// A machine that knows what the journal holds. It opens a channel at the first `Tick`.
    ///
    /// Attempts in stage `Running` are taken as carried on by the desktop already. `seed` feeds the jitter.
    pub fn new(
        introduction: Introduction,
        pace: Pace,
        journal: &[AttemptReport],
        seed: u64,
    ) -> Self {
        let entries = journal
            .iter()
            .map(|report| {
                let stage = match report.stage {
                    AttemptStage::Accepted => Stage::Accepted {
                        resend_at: Moment::ZERO,
                    },
                    AttemptStage::Running => Stage::Running,
                    AttemptStage::Ended => Stage::Ended {
                        resend_at: Moment::ZERO,
                    },
                };
                (
                    report.attempt,
                    Entry {
                        stage,
                        source_wanted: None,
                        phase: None,
                    },
                )
            })
            .collect();
        Self {
            introduction,
            pace,
            random: SplitMix(seed),
            link: Link::Waiting {
                until: Moment::ZERO,
            },
            told: None,
            failures: 0,
            entries,
            renewal: None,
            update: None,
            progress: None,
            progress_after: Moment::ZERO,
            telling: Telling::default(),
        }
    }

    /// When the machine wants a `Tick`. `None`: only when something happens.
    pub fn wake_at(&self) -> Option<Moment> {
        match self.link {
            Link::Stopped => None,
            Link::Waiting { until } | Link::Greeting { until, .. } | Link::Leaving { until } => {
                Some(until)
            }
            Link::Session(session) => {
                let silence = session.heard_at + session.heartbeat * MISSED_HEARTBEATS;
                let entries = self.entries.values().flat_map(|entry| {
                    let stage = match entry.stage {
                        Stage::Accepted { resend_at } | Stage::Ended { resend_at } => {
                            Some(resend_at)
                        }
                        Stage::Journaling | Stage::Running => None,
                    };
                    stage.into_iter().chain(entry.source_wanted)
                });
                entries
                    .chain(self.progress.map(|_| self.progress_after))
                    .chain(self.update.as_ref().map(|(_, resend_at)| *resend_at))
                    .chain(self.telling.wake_at())
                    .filter(|_| session.trust == LinkTrust::Full)
                    .chain(self.renewal.as_ref().map(|renewal| renewal.resend_at))
                    .chain([silence, session.heartbeat_at])
                    .min()
            }
        }
    }

    /// Whether the channel is open and greeted.
    pub fn in_session(&self) -> bool {
        matches!(self.link, Link::Session(_))
    }

    /// Takes one thing that happened and says what is to be done, in order.
    pub fn step(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        let mut out = Vec::new();
        if self.link == Link::Stopped {
            return out;
        }
        match input {
            Input::Opened { trust, identity } => self.opened(trust, identity, now, &mut out),
            Input::Closed(Ending::Decommissioned) => self.leave(now, &mut out),
            Input::Closed(ending) => self.closed(ending, now),
            Input::Received(message) => self.received(message, now, &mut out),
            Input::Journaled { attempt } => {
                if let Some(entry) = self.entries.get_mut(&attempt)
                    && entry.stage == Stage::Journaling
                {
                    // Due at once; `flush` sends it where a channel is open.
                    entry.stage = Stage::Accepted { resend_at: now };
                    if matches!(self.link, Link::Leaving { .. }) {
                        self.stop_all(&mut out);
                    }
                }
            }
            Input::JournalFailed { attempt, reason } => {
                self.entries.remove(&attempt);
                if self.in_session() {
                    out.push(Effect::Send(AgentMessage::Declined { attempt, reason }));
                }
            }
            Input::Advanced {
                attempt,
                phase,
                percent,
                bytes_per_second,
            } => {
                if let Some(entry) = self.entries.get_mut(&attempt)
                    && entry.stage == Stage::Running
                {
                    entry.phase = Some(phase);
                    self.progress = Some((attempt, phase, percent, bytes_per_second));
                }
            }
            Input::SourceNeeded { attempt } => {
                if let Some(entry) = self.entries.get_mut(&attempt) {
                    entry.source_wanted = Some(now);
                }
            }
            Input::Ended { attempt } => {
                if let Some(entry) = self.entries.get_mut(&attempt) {
                    *entry = Entry {
                        stage: Stage::Ended { resend_at: now },
                        source_wanted: None,
                        phase: None,
                    };
                    self.progress = self.progress.filter(|(of, ..)| *of != attempt);
                }
                self.telling.attempt_ended(now);
            }
            // Of a channel that is gone nobody waits for it.
            Input::Detected {
                question,
                holds,
                seen,
            } => {
                if self.in_session() {
                    out.push(Effect::Send(AgentMessage::Detected {
                        question,
                        holds,
                        seen,
                    }));
                }
            }
            Input::RenewalDue { csr_pem } => {
                self.renewal = Some(Renewal {
                    csr_pem,
                    resend_at: now,
                });
            }
            Input::TimeLearned => {
                if let Link::Session(session) = self.link
                    && session.trust == LinkTrust::TimeOnly
                {
                    // By what is known now the server's certificate may hold for work too.
                    out.push(Effect::Close);
                    self.link = Link::Waiting {
                        until: now + self.random.up_to(self.pace.backoff_first),
                    };
                }
            }
            Input::UpdateReported(report) => self.update = Some((report, now)),
            Input::InventoryLooked(found) => self.telling.looked(found, now),
            Input::InventoryLost => self.telling.lost(now),
            Input::Tick => self.tick(now, &mut out),
            Input::Shutdown => {
                if !matches!(self.link, Link::Waiting { .. }) {
                    out.push(Effect::Close);
                }
                out.push(Effect::Exit);
                self.link = Link::Stopped;
            }
        }
        self.flush(now, &mut out);
        if let Link::Leaving { until } = self.link {
            let ended = |entry: &Entry| matches!(entry.stage, Stage::Ended { .. });
            if until <= now || self.entries.values().all(ended) {
                out.push(Effect::Exit);
                self.link = Link::Stopped;
            }
        }
        out
    }

    /// This is not that desktop, or not any more: stops what runs, and leaves when that has ended.
    fn leave(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.link = Link::Leaving {
            until: now + LEAVE_LIMIT,
        };
        self.stop_all(out);
    }

    /// This is a state of before: nothing of it goes on.
    fn set_back(&mut self, out: &mut Vec<Effect>) {
        out.push(Effect::BeginHistory);
        for (attempt, entry) in &mut self.entries {
            match entry.stage {
                Stage::Accepted { .. } | Stage::Running => {
                    entry.stage = Stage::Running;
                    out.push(Effect::SetBack { attempt: *attempt });
                }
                Stage::Journaling | Stage::Ended { .. } => {}
            }
        }
    }

    fn stop_all(&mut self, out: &mut Vec<Effect>) {
        for (attempt, entry) in &mut self.entries {
            match entry.stage {
                Stage::Accepted { .. } | Stage::Running => {
                    entry.stage = Stage::Running;
                    out.push(Effect::Cancel { attempt: *attempt });
                }
                Stage::Journaling | Stage::Ended { .. } => {}
            }
        }
    }

    fn opened(
        &mut self,
        trust: LinkTrust,
        identity: Option<MachineIdentity>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) {
        self.link = Link::Greeting {
            until: now + self.pace.greeting_limit,
            trust: Some(trust),
        };
        self.told.clone_from(&identity);
        out.push(Effect::Send(AgentMessage::Hello(Hello {
            protocol: PROTOCOL,
            agent_version: self.introduction.agent_version.clone(),
            os: self.introduction.os.clone(),
            arch: self.introduction.arch.clone(),
            boot_id: self.introduction.boot_id.clone(),
            sandbox_root: self.introduction.sandbox_root.clone(),
            attempts: self.reports(),
            identity,
        })));
    }

    fn reports(&self) -> Vec<AttemptReport> {
        let stage = |entry: &Entry| match entry.stage {
            // Not promised to anybody yet.
            Stage::Journaling => None,
            Stage::Accepted { .. } => Some(AttemptStage::Accepted),
            Stage::Running => Some(AttemptStage::Running),
            Stage::Ended { .. } => Some(AttemptStage::Ended),
        };
        self.entries
            .iter()
            .filter_map(|(attempt, entry)| {
                Some(AttemptReport {
                    attempt: *attempt,
                    stage: stage(entry)?,
                })
            })
            .collect()
    }

    fn closed(&mut self, ending: Ending, now: Moment) {
        if let Link::Session(session) = self.link
            && now.saturating_sub(session.since) >= STEADY_AFTER
        {
            self.failures = 0;
        }
        let ceiling = self
            .pace
            .backoff_first
            .saturating_mul(1 << self.failures.min(16))
            .min(self.pace.backoff_limit);
        self.failures = self.failures.saturating_add(1);
        let (asked, floor) = match ending {
            Ending::Lost { retry_after_secs } => (retry_after_secs, Duration::ZERO),
            Ending::Refused { retry_after_secs } => (retry_after_secs, self.pace.refused_wait),
            // Handled by `leave`.
            Ending::Decommissioned => (None, self.pace.refused_wait),
        };
        let jitter = self.random.up_to(ceiling);
        // The server steers slots by the time it names: only a little is added to it.
        let wait = match asked {
            Some(secs) => {
                Duration::from_secs(secs.into())
                    + jitter.min(self.random.up_to(Duration::from_secs(1)))
            }
            None => floor + jitter,
        };
        self.link = Link::Waiting { until: now + wait };
    }

    fn received(&mut self, message: ServerMessage, now: Moment, out: &mut Vec<Effect>) {
        let trust = match &mut self.link {
            Link::Session(session) => {
                session.heard_at = now;
                session.trust
            }
            Link::Greeting {
                trust: Some(trust), ..
            } => {
                let trust = *trust;
                match message {
                    ServerMessage::Welcome(welcome) => self.welcomed(trust, &welcome, now, out),
                    ServerMessage::Refused {
                        code,
                        reason,
                        retry_after_secs,
                        enroll_anew,
                    } => {
                        // Obeyed where the server is trusted with work: it costs what was going on.
                        if code == HISTORY_BEHIND && trust == LinkTrust::Full {
                            self.set_back(out);
                        }
                        self.refused(&code, &reason, retry_after_secs, now, out);
                        let may = code == COPY && enroll_anew && trust == LinkTrust::Full;
                        if let Some(identity) = self.told.take_if(|_| may) {
                            out.push(Effect::LeaveAsCopy(Box::new(CopyRefusal {
                                identity,
                                retry_after_secs,
                            })));
                            self.leave(now, out);
                        }
                    }
                    // Whoever is too old for everything else is still offered this. Its signature decides.
                    ServerMessage::Update(offer) => out.push(Effect::OfferUpdate(offer)),
                    other => {
                        out.push(Effect::Note(format!(
                            "the server sent {} before its welcome; closing",
                            kind(&other)
                        )));
                        out.push(Effect::Close);
                        self.closed(
                            Ending::Lost {
                                retry_after_secs: None,
                            },
                            now,
                        );
                    }
                }
                return;
            }
            // A message of a channel that is closed already.
            Link::Waiting { .. }
            | Link::Greeting { trust: None, .. }
            | Link::Leaving { .. }
            | Link::Stopped => return,
        };
        match message {
            ServerMessage::Welcome(_) => {
                out.push(Effect::Note("a second welcome is ignored".to_owned()));
            }
            ServerMessage::Refused {
                code,
                reason,
                retry_after_secs,
                enroll_anew: _,
            } => self.refused(&code, &reason, retry_after_secs, now, out),
            ServerMessage::Heartbeat { server_time_millis } => {
                out.push(Effect::LearnTime(server_time_millis));
            }
            ServerMessage::Certificate {
                chain_pem,
                roots_pem,
            } => {
                self.renewal = None;
                // Who is judged without a clock does not say whom to trust.
                let roots_pem = (trust == LinkTrust::Full).then_some(roots_pem);
                out.push(Effect::KeepCertificate {
                    chain_pem,
                    roots_pem,
                });
                // A session under a lapsed certificate is good for renewal alone: the new one is shown at once.
                out.push(Effect::Close);
                self.link = Link::Waiting {
                    until: now + self.random.up_to(self.pace.backoff_first),
                };
            }
            ServerMessage::Notice { text } => out.push(Effect::Note(text)),
            ServerMessage::Update(offer) => out.push(Effect::OfferUpdate(offer)),
            ServerMessage::UpdateNoted {
                version,
                round,
                stage,
            } => {
                let noted = self.update.take_if(|(report, _)| {
                    (&report.version, report.round, report.stage) == (&version, round, stage)
                });
                if let Some((report, _)) = noted {
                    out.push(Effect::UpdateNoted(report));
                }
            }
            ServerMessage::InventoryNoted { digest } => {
                let kind = self.telling.noted(digest);
                out.extend(kind.map(Effect::InventoryNoted));
            }
            ServerMessage::InventoryLater {
                digest,
                retry_after_secs,
            } => {
                let wait = Duration::from_secs(retry_after_secs.clamp(1, 24 * 3600).into());
                // As much again by chance: those who are put off do not come back at once.
                let until = now + wait + self.random.up_to(wait);
                self.telling.put_off(&digest, until);
            }
            ServerMessage::Detect { question, rule } => match trust {
                LinkTrust::Full => out.push(Effect::Detect { question, rule }),
                // No work for a server that is judged without a clock.
                LinkTrust::TimeOnly => {}
            },
            ServerMessage::ReadLog { question } => match trust {
                LinkTrust::Full => out.push(Effect::SendLog { question }),
                LinkTrust::TimeOnly => {}
            },
            ServerMessage::Task(task) => self.task(task, trust, now, out),
            ServerMessage::Go { attempt } => self.go(attempt, trust, now, out),
            ServerMessage::NoGo { attempt, reason } => match self.stage(attempt) {
                Some(Stage::Accepted { .. }) => {
                    self.entries.remove(&attempt);
                    out.push(Effect::Note(format!(
                        "attempt {attempt} is withdrawn: {reason}"
                    )));
                    out.push(Effect::Forget { attempt });
                }
                // It may have run: its end is told, whatever the server thinks of it.
                Some(Stage::Running | Stage::Ended { .. } | Stage::Journaling) | None => {
                    out.push(Effect::Note(format!(
                        "late withdrawal of {attempt} is ignored"
                    )));
                }
            },
            ServerMessage::Source(source) => {
                if self.answer_source(source.attempt) {
                    out.push(Effect::GiveSource(source));
                }
            }
            ServerMessage::NoSource {
                attempt,
                reason,
                retry,
                failure,
            } => {
                if self.answer_source(attempt) {
                    out.push(Effect::RefuseSource {
                        attempt,
                        refusal: SourceRefusal {
                            reason,
                            retry,
                            failure,
                        },
                    });
                }
            }
            ServerMessage::Recorded { attempt } => {
                if matches!(self.stage(attempt), Some(Stage::Ended { .. })) {
                    self.entries.remove(&attempt);
                    out.push(Effect::Forget { attempt });
                }
            }
            ServerMessage::Cancel { attempt } => match self.stage(attempt) {
                Some(Stage::Accepted { .. } | Stage::Running) => {
                    self.set_stage(attempt, Stage::Running);
                    out.push(Effect::Cancel { attempt });
                }
                Some(Stage::Ended { .. }) => {
                    self.set_stage(attempt, Stage::Ended { resend_at: now })
                }
                Some(Stage::Journaling) | None => {
                    out.push(Effect::Note(format!("nothing to cancel for {attempt}")));
                }
            },
        }
    }

    fn task(&mut self, task: Box<Task>, trust: LinkTrust, now: Moment, out: &mut Vec<Effect>) {
        let attempt = task.attempt;
        match self.stage(attempt) {
            // The acknowledgement was lost, or is on its way.
            Some(Stage::Accepted { .. }) => {
                self.set_stage(attempt, Stage::Accepted { resend_at: now });
                return;
            }
            Some(Stage::Journaling) => return,
            // Answered with where it is; it never starts again.
            Some(Stage::Running) => {
                let phase = self
                    .entries
                    .get(&attempt)
                    .and_then(|entry| entry.phase)
                    .unwrap_or(Phase::Detecting);
                out.push(Effect::Send(AgentMessage::Progress {
                    attempt,
                    phase,
                    percent: None,
                    bytes_per_second: None,
                }));
                return;
            }
            Some(Stage::Ended { .. }) => {
                self.set_stage(attempt, Stage::Ended { resend_at: now });
                return;
            }
            None => {}
        }
        if trust == LinkTrust::TimeOnly {
            out.push(Effect::Send(AgentMessage::Declined {
                attempt,
                reason: "the clock of this desktop is too far off to trust the server with work"
                    .to_owned(),
            }));
            return;
        }
        let open = self
            .entries
            .iter_mut()
            .find(|(_, entry)| !matches!(entry.stage, Stage::Ended { .. }));
        if let Some((other, entry)) = open {
            out.push(Effect::Send(AgentMessage::Declined {
                attempt,
                reason: format!("attempt {other} is open on this desktop"),
            }));
            if let Stage::Accepted { resend_at } = &mut entry.stage {
                // Asks the server to decide about the one in the way.
                *resend_at = now;
            }
            return;
        }
        self.entries.insert(
            attempt,
            Entry {
                stage: Stage::Journaling,
                source_wanted: None,
                phase: None,
            },
        );
        out.push(Effect::Journal(task));
    }

    fn go(&mut self, attempt: AttemptId, trust: LinkTrust, now: Moment, out: &mut Vec<Effect>) {
        match self.stage(attempt) {
            Some(Stage::Accepted { .. }) if trust == LinkTrust::Full => {
                self.set_stage(attempt, Stage::Running);
                out.push(Effect::Start { attempt });
            }
            Some(Stage::Accepted { .. } | Stage::Running) => {}
            Some(Stage::Ended { .. }) => self.set_stage(attempt, Stage::Ended { resend_at: now }),
            Some(Stage::Journaling) | None => out.push(Effect::Send(AgentMessage::Declined {
                attempt,
                reason: "the attempt is not in the journal of this desktop".to_owned(),
            })),
        }
    }

    fn welcomed(
        &mut self,
        trust: LinkTrust,
        welcome: &Welcome,
        now: Moment,
        out: &mut Vec<Effect>,
    ) {
        let heartbeat = Duration::from_secs(welcome.heartbeat_secs.clamp(1, 3600).into());
        self.link = Link::Session(Session {
            trust,
            since: now,
            heartbeat,
            heartbeat_at: now + self.random.up_to(heartbeat),
            heard_at: now,
        });
        out.push(Effect::LearnTime(welcome.server_time_millis));
        if trust == LinkTrust::Full {
            out.push(Effect::InStep);
        }
        // A new channel: all that waits for an answer is asked again. `Hello` named the accepted ones,
        // so they rest first.
        for entry in self.entries.values_mut() {
            if entry.source_wanted.is_some() {
                entry.source_wanted = Some(now);
            }
            match &mut entry.stage {
                Stage::Accepted { resend_at } => *resend_at = now + self.pace.resend,
                Stage::Ended { resend_at } => *resend_at = now,
                Stage::Journaling | Stage::Running => {}
            }
        }
        if let Some(renewal) = &mut self.renewal {
            renewal.resend_at = now;
        }
        if let Some((_, resend_at)) = &mut self.update {
            *resend_at = now;
        }
        self.telling
            .asked(welcome.inventory.clone(), now, &mut self.random);
    }

    fn refused(
        &mut self,
        code: &str,
        reason: &str,
        retry_after_secs: Option<u32>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Note(format!(
            "the server closes the channel ({code}): {reason}"
        )));
        out.push(Effect::Close);
        // A server that goes away comes back, and a history was begun anew; every other refusal needs a person first.
        let ending = if code == "shutting_down" || code == "too_slow" || code == HISTORY_BEHIND {
            Ending::Lost { retry_after_secs }
        } else {
            Ending::Refused { retry_after_secs }
        };
        self.closed(ending, now);
    }

    fn tick(&mut self, now: Moment, out: &mut Vec<Effect>) {
        match self.link {
            Link::Waiting { until } if until <= now => {
                self.link = Link::Greeting {
                    until: now + self.pace.greeting_limit,
                    trust: None,
                };
                out.push(Effect::Connect);
            }
            Link::Greeting { until, .. } if until <= now => {
                out.push(Effect::Note(
                    "the server does not answer; closing".to_owned(),
                ));
                out.push(Effect::Close);
                self.closed(
                    Ending::Lost {
                        retry_after_secs: None,
                    },
                    now,
                );
            }
            Link::Session(session)
                if session.heard_at + session.heartbeat * MISSED_HEARTBEATS <= now =>
            {
                out.push(Effect::Note("the server fell silent; closing".to_owned()));
                out.push(Effect::Close);
                self.closed(
                    Ending::Lost {
                        retry_after_secs: None,
                    },
                    now,
                );
            }
            Link::Session(mut session) if session.heartbeat_at <= now => {
                // A tenth of jitter keeps the heartbeats of a fleet spread.
                let tenth = session.heartbeat / 10;
                session.heartbeat_at =
                    now + session.heartbeat.saturating_sub(tenth) + self.random.up_to(tenth);
                self.link = Link::Session(session);
                let attempts = self
                    .entries
                    .iter()
                    .filter(|(_, entry)| entry.stage == Stage::Running)
                    .map(|(attempt, _)| *attempt)
                    .collect();
                out.push(Effect::Send(AgentMessage::Heartbeat { attempts }));
            }
            _ => {}
        }
    }

    /// Sends whatever is due, where the session allows it.
    fn flush(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let Link::Session(session) = self.link else {
            return;
        };
        if let Some(renewal) = &mut self.renewal
            && renewal.resend_at <= now
        {
            renewal.resend_at = now + self.pace.resend;
            out.push(Effect::Send(AgentMessage::Renew {
                csr_pem: renewal.csr_pem.clone(),
            }));
        }
        if session.trust == LinkTrust::TimeOnly {
            return;
        }
        if let Some((report, resend_at)) = &mut self.update
            && *resend_at <= now
        {
            *resend_at = now + self.pace.resend;
            out.push(Effect::Send(AgentMessage::Update(report.clone())));
        }
        for (attempt, entry) in &mut self.entries {
            let attempt = *attempt;
            match &mut entry.stage {
                Stage::Accepted { resend_at } if *resend_at <= now => {
                    *resend_at = now + self.pace.resend;
                    out.push(Effect::Send(AgentMessage::Accepted { attempt }));
                }
                Stage::Ended { resend_at } if *resend_at <= now => {
                    *resend_at = now + self.pace.resend;
                    out.push(Effect::SendResult { attempt });
                }
                _ => {}
            }
            if let Some(at) = &mut entry.source_wanted
                && *at <= now
            {
                *at = now + self.pace.resend;
                out.push(Effect::Send(AgentMessage::SourceRequest { attempt }));
            }
        }
        if self.progress_after <= now
            && let Some((attempt, phase, percent, bytes_per_second)) = self.progress.take()
        {
            self.progress_after = now + self.pace.progress_every;
            out.push(Effect::Send(AgentMessage::Progress {
                attempt,
                phase,
                percent,
                bytes_per_second,
            }));
        }
        for due in self.telling.due(now, &mut self.random) {
            out.push(match due {
                Due::Look => Effect::LookForInventory,
                Due::Send(kind) => Effect::SendInventory(kind),
            });
        }
    }

    fn stage(&self, attempt: AttemptId) -> Option<Stage> {
        self.entries.get(&attempt).map(|entry| entry.stage)
    }

    fn set_stage(&mut self, attempt: AttemptId, stage: Stage) {
        if let Some(entry) = self.entries.get_mut(&attempt) {
            entry.stage = stage;
        }
    }

    /// Whether the attempt was waiting for a source; it no longer does.
    fn answer_source(&mut self, attempt: AttemptId) -> bool {
        self.entries
            .get_mut(&attempt)
            .is_some_and(|entry| entry.source_wanted.take().is_some())
    }
}

fn kind(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Welcome(_) => "a welcome",
        ServerMessage::Refused { .. } => "a refusal",
        ServerMessage::Task(_) => "a task",
        ServerMessage::Go { .. } => "a go",
        ServerMessage::NoGo { .. } => "a withdrawal",
        ServerMessage::Source(_) | ServerMessage::NoSource { .. } => "a source",
        ServerMessage::Recorded { .. } => "a receipt",
        ServerMessage::Detect { .. } | ServerMessage::ReadLog { .. } => "a question",
        ServerMessage::Cancel { .. } => "a cancellation",
        ServerMessage::Heartbeat { .. } => "a heartbeat",
        ServerMessage::Certificate { .. } => "a certificate",
        ServerMessage::Update(_) | ServerMessage::UpdateNoted { .. } => "an update",
        ServerMessage::Notice { .. } => "a notice",
        ServerMessage::InventoryNoted { .. } | ServerMessage::InventoryLater { .. } => {
            "an answer to an inventory"
        }
    }
}

/// SplitMix64: small, seeded, good enough for jitter. Source: Steele, Lea, Flood 2014.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn up_to(&mut self, ceiling: Duration) -> Duration {
        let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.next() % millis.saturating_add(1))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
