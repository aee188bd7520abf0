//! Drives a [`Machine`] over any [`Transport`] and any [`Desktop`]: the agent itself, or a simulated one.
//!
//! Guarantees: effects are done in the machine's order; a journal answer reaches the machine before the
//! next message is read, so `Accepted` follows the write and nothing else.
//! Woken by: the transport, the desktop's events, the machine's own moments, the shutdown signal.
//! On crash: nothing is kept here.
//! Does not: install anything; that is the desktop's part.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use outfitter_agent_protocol::{
    AgentMessage, AttemptReport, DetectionRule, Envelope, InventoryKind, InventoryReport,
    MachineIdentity, Phase, ServerMessage, Source, Task, UpdateOffer, UpdateReport,
};
use outfitter_ids::AttemptId;
use tokio::sync::{mpsc, watch};

use super::machine::{
    CopyRefusal, Effect, Ending, Input, Introduction, LinkTrust, Machine, Pace, SourceRefusal,
};
use super::telling::InventoryDigests;
use crate::clock::Clock;

/// Longest time one message may take to leave, in seconds; then the channel is lost.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Opens channels to the server.
pub trait Transport: Send {
    /// What an opened channel is.
    type Channel: Channel;
    /// Opens one. Dropping the future gives up.
    fn connect(&mut self) -> Dial<Self::Channel>;
}

/// A channel being opened.
pub type Dial<C> = Pin<Box<dyn Future<Output = Result<Opened<C>, ConnectError>> + Send>>;

/// An open channel.
pub trait Channel: Send {
    /// Sends one message.
    fn send(
        &mut self,
        message: AgentMessage,
    ) -> impl Future<Output = Result<(), ChannelError>> + Send;
    /// The next message. Dropping the future loses nothing.
    fn receive(&mut self) -> impl Future<Output = Result<ServerMessage, ChannelError>> + Send;
    /// Says goodbye, within reason.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A channel just opened.
#[derive(Debug)]
pub struct Opened<C> {
    /// The channel.
    pub channel: C,
    /// How far its far end is trusted.
    pub trust: LinkTrust,
}

/// No channel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server answered the upgrade with a readable refusal.
    #[error("the server refuses the channel ({code}): {reason}")]
    Refused {
        /// Stable code.
        code: String,
        /// A sentence for a person.
        reason: String,
        /// Earliest moment to come back, in seconds.
        retry_after_secs: Option<u32>,
    },
    /// The desktop is gone for good, or its agent was revoked.
    #[error("this desktop is decommissioned: {reason}")]
    Decommissioned {
        /// A sentence for a person.
        reason: String,
    },
    /// The server is too busy or goes away.
    #[error("the server is busy (HTTP {status})")]
    Busy {
        /// Its status.
        status: u16,
        /// Earliest moment to come back, in seconds.
        retry_after_secs: Option<u32>,
    },
    /// It could not be reached, or its certificate does not hold.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
}

/// The channel broke.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The far side closed it.
    #[error("the server closed the channel")]
    Closed,
    /// It broke.
    #[error("the channel broke: {0}")]
    Broken(String),
    /// A message could not be read; this build is too old for it, or the far side is wrong.
    #[error("unreadable message from the server: {0}")]
    Unreadable(String),
}

/// What carries attempts out: the real desktop, or a simulated one.
pub trait Desktop: Send {
    /// Puts the task on disk; returns only when it would survive power loss.
    ///
    /// # Errors
    /// In words, when it could not be kept.
    fn journal(&mut self, task: Task) -> impl Future<Output = Result<(), String>> + Send;
    /// Records that `Go` arrived and carries the attempt out.
    fn start(&mut self, attempt: AttemptId) -> impl Future<Output = ()> + Send;
    /// Stops the attempt safely; its end is told as an event.
    fn cancel(&mut self, attempt: AttemptId) -> impl Future<Output = ()> + Send;
    /// Learns that what the journal holds is what the server knows: attempts of before may go on.
    fn in_step(&mut self) {}
    /// Ends an attempt of a state of before: it is stopped if it runs, and does not run if it does not.
    fn set_back(&mut self, attempt: AttemptId) -> impl Future<Output = ()> + Send {
        self.cancel(attempt)
    }
    /// Hands a source to the running attempt; with `Err`, why there is none.
    fn source(
        &mut self,
        attempt: AttemptId,
        answer: Result<Source, SourceRefusal>,
    ) -> impl Future<Output = ()> + Send;
    /// The signed evidence of an ended attempt, from disk.
    fn receipt(&mut self, attempt: AttemptId) -> impl Future<Output = Option<Envelope>> + Send;
    /// Evaluates a rule for the server's question; the answer is told as an event.
    fn detect(&mut self, question: u64, rule: DetectionRule) -> impl Future<Output = ()> + Send {
        // A simulated desktop need not answer.
        let _ = (question, rule);
        std::future::ready(())
    }
    /// The newest of what was logged here; a simulated desktop logs nothing.
    fn recent_log(&mut self) -> String {
        String::new()
    }
    /// Removes the attempt from disk.
    fn forget(&mut self, attempt: AttemptId) -> impl Future<Output = ()> + Send;
    /// Takes the offer of a newer program; one without a program of its own passes it over.
    fn offer_update(&mut self, _offer: UpdateOffer) {}
    /// Learns that the server noted what it was told of an update.
    fn update_noted(&mut self, _report: UpdateReport) {}
    /// Looks at what the desktop is and has; what was found is told as an event. A simulated one tells nothing.
    fn look_for_inventory(&mut self) {}
    /// A part of what the last look found; `None`: it is not there any more.
    fn inventory(&mut self, _kind: InventoryKind) -> Option<InventoryReport> {
        None
    }
    /// Learns that the server has a part.
    fn inventory_noted(&mut self, _kind: InventoryKind) {}
}

/// What a desktop tells the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesktopEvent {
    /// The attempt is in a phase.
    Advanced {
        /// The attempt.
        attempt: AttemptId,
        /// The phase.
        phase: Phase,
        /// Share done, 0 to 100, where known.
        percent: Option<u8>,
        /// Rate of a download.
        bytes_per_second: Option<u64>,
    },
    /// The attempt needs (another) source.
    SourceNeeded {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A rule was evaluated.
    Detected {
        /// The server's question.
        question: u64,
        /// Whether it holds; `None`: it cannot be told here.
        holds: Option<bool>,
        /// What was seen, in words.
        seen: String,
    },
    /// The attempt ended; its evidence is on disk.
    Ended {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The server is to hear how the desktop fares with an update.
    UpdateReported(UpdateReport),
    /// The desktop was looked at.
    InventoryLooked(InventoryDigests),
}

/// Keeps the certificate fresh and learns the server's time.
pub trait Renewals: Send {
    /// A signing request, when the certificate is due for renewal.
    fn due(&mut self) -> Option<String>;
    /// Keeps a new certificate, and the roots to trust from now on where they came over a channel that may say so.
    ///
    /// # Errors
    /// In words; the old certificate stays.
    fn keep(&mut self, chain_pem: &str, roots_pem: Option<&str>) -> Result<(), String>;
    /// The server said what time it is, in milliseconds UTC.
    fn learn_time(&mut self, server_time_millis: i64) -> TimeLearned;
}

/// Knows what tells this machine from copies and from its past.
pub trait OwnIdentity: Send {
    /// For the next connect: on disk before it is told. `None`: it cannot be.
    fn next(&mut self) -> Option<MachineIdentity>;
    /// The server says that this history is behind: begins a new one.
    fn begin_anew(&mut self);
    /// The server let this history in.
    fn welcomed(&mut self);
}

/// Whether a time that the server told is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLearned {
    /// As far as it matters, it was known.
    Known,
    /// It is later than all that was known: what certificates are worth is to be judged anew.
    Later,
}

/// What [`run`] works with.
pub struct Parts<T, D, R> {
    /// Opens channels.
    pub transport: T,
    /// Carries attempts out.
    pub desktop: D,
    /// The desktop's events. Bounded: a full queue makes the desktop wait.
    pub events: mpsc::Receiver<DesktopEvent>,
    /// Keeps the certificate.
    pub renewals: R,
    /// Tells which machine it is.
    pub identity: Box<dyn OwnIdentity>,
    /// What the agent says of itself.
    pub introduction: Introduction,
    /// How fast it repeats itself.
    pub pace: Pace,
    /// What the journal holds at the start.
    pub journal: Vec<AttemptReport>,
    /// Feeds the jitter.
    pub seed: u64,
}

/// How often the certificate's age is looked at.
const RENEWAL_LOOK: Duration = Duration::from_secs(3600);

enum Woken<C> {
    Connected(Result<Opened<C>, ConnectError>),
    Message(Result<ServerMessage, ChannelError>),
    Event(DesktopEvent),
    Tick,
    RenewalLook,
    Shutdown,
}

/// Why [`run`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// It was asked to.
    Shutdown,
    /// The desktop is decommissioned, and whatever ran was stopped.
    Decommissioned {
        /// The server's sentence.
        reason: String,
    },
    /// This machine is a copy that may enroll anew, and whatever ran was stopped.
    Copy(CopyRefusal),
}

/// Runs the agent until `shutdown` turns true (or its sender is gone), until its desktop is decommissioned, or until it turns
/// out to be a copy that may enroll anew.
pub async fn run<T: Transport, D: Desktop, R: Renewals>(
    parts: Parts<T, D, R>,
    clock: &dyn Clock,
    mut shutdown: watch::Receiver<bool>,
) -> RunEnd {
    let Parts {
        mut transport,
        mut desktop,
        mut events,
        mut renewals,
        mut identity,
        introduction,
        pace,
        journal,
        seed,
    } = parts;
    let mut machine = Machine::new(introduction, pace, &journal, seed);
    let mut channel: Option<T::Channel> = None;
    let mut renewal_look = clock.elapsed();
    let mut dial: Option<Dial<T::Channel>> = None;
    let mut inputs: VecDeque<Input> = VecDeque::from([Input::Tick]);
    let mut end = RunEnd::Shutdown;
    loop {
        while let Some(input) = inputs.pop_front() {
            for effect in machine.step(input, clock.elapsed()) {
                match effect {
                    Effect::Connect => dial = Some(transport.connect()),
                    Effect::Close => {
                        dial = None;
                        if let Some(channel) = channel.take() {
                            channel.close().await;
                        }
                    }
                    Effect::Exit => return end,
                    Effect::Send(message) => {
                        send(&mut channel, message, &mut inputs).await;
                    }
                    Effect::SendResult { attempt } => match desktop.receipt(attempt).await {
                        Some(receipt) => {
                            let message = AgentMessage::Result(Box::new(receipt));
                            send(&mut channel, message, &mut inputs).await;
                        }
                        None => {
                            tracing::error!(attempt.id = %attempt, "the receipt of an ended attempt cannot be read")
                        }
                    },
                    Effect::SendLog { question } => {
                        let text = desktop.recent_log();
                        send(
                            &mut channel,
                            AgentMessage::Log { question, text },
                            &mut inputs,
                        )
                        .await;
                    }
                    Effect::Journal(task) => {
                        let attempt = task.attempt;
                        // Answered before anything else is stepped.
                        inputs.push_front(match desktop.journal(*task).await {
                            Ok(()) => Input::Journaled { attempt },
                            Err(reason) => Input::JournalFailed { attempt, reason },
                        });
                    }
                    Effect::Start { attempt } => desktop.start(attempt).await,
                    Effect::Cancel { attempt } => desktop.cancel(attempt).await,
                    Effect::GiveSource(source) => {
                        desktop.source(source.attempt, Ok(source)).await;
                    }
                    Effect::RefuseSource { attempt, refusal } => {
                        desktop.source(attempt, Err(refusal)).await;
                    }
                    Effect::InStep => {
                        identity.welcomed();
                        desktop.in_step();
                    }
                    Effect::BeginHistory => identity.begin_anew(),
                    Effect::SetBack { attempt } => desktop.set_back(attempt).await,
                    Effect::Detect { question, rule } => desktop.detect(question, *rule).await,
                    Effect::Forget { attempt } => desktop.forget(attempt).await,
                    Effect::LearnTime(millis) => match renewals.learn_time(millis) {
                        TimeLearned::Known => {}
                        TimeLearned::Later => {
                            renewal_look = clock.elapsed();
                            inputs.push_back(Input::TimeLearned);
                        }
                    },
                    Effect::KeepCertificate {
                        chain_pem,
                        roots_pem,
                    } => match renewals.keep(&chain_pem, roots_pem.as_deref()) {
                        Ok(()) => tracing::info!("the certificate is renewed"),
                        Err(reason) => tracing::error!("the new certificate is not kept: {reason}"),
                    },
                    Effect::OfferUpdate(offer) => desktop.offer_update(*offer),
                    Effect::UpdateNoted(report) => desktop.update_noted(report),
                    Effect::LookForInventory => desktop.look_for_inventory(),
                    Effect::SendInventory(kind) => match desktop.inventory(kind) {
                        Some(report) => {
                            let message = AgentMessage::Inventory(Box::new(report));
                            send(&mut channel, message, &mut inputs).await;
                        }
                        None => inputs.push_back(Input::InventoryLost),
                    },
                    Effect::InventoryNoted(kind) => desktop.inventory_noted(kind),
                    Effect::LeaveAsCopy(refusal) => end = RunEnd::Copy(*refusal),
                    Effect::Note(text) => tracing::info!("{text}"),
                }
            }
        }

        let now = clock.elapsed();
        let tick = machine
            .wake_at()
            .map_or(RENEWAL_LOOK, |at| at.saturating_sub(now));
        let connected = async {
            match dial.as_mut() {
                Some(dial) => dial.await,
                None => std::future::pending().await,
            }
        };
        let receive = async {
            match channel.as_mut() {
                Some(channel) => channel.receive().await,
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => Woken::Shutdown,
            Some(event) = events.recv() => Woken::Event(event),
            opened = connected => Woken::Connected(opened),
            message = receive => Woken::Message(message),
            () = tokio::time::sleep(tick) => Woken::Tick,
            () = tokio::time::sleep(renewal_look.saturating_sub(now)) => Woken::RenewalLook,
        };
        match woken {
            Woken::Shutdown => {
                end = RunEnd::Shutdown;
                inputs.push_back(Input::Shutdown);
            }
            Woken::Tick => inputs.push_back(Input::Tick),
            Woken::RenewalLook => {
                renewal_look = clock.elapsed() + RENEWAL_LOOK;
                if let Some(csr_pem) = renewals.due() {
                    inputs.push_back(Input::RenewalDue { csr_pem });
                }
            }
            Woken::Connected(Ok(opened)) => {
                dial = None;
                channel = Some(opened.channel);
                inputs.push_back(Input::Opened {
                    trust: opened.trust,
                    // For the time alone it does not matter, and a refusal would keep it from being told.
                    identity: match opened.trust {
                        LinkTrust::Full => identity.next(),
                        LinkTrust::TimeOnly => None,
                    },
                });
            }
            Woken::Connected(Err(error)) => {
                dial = None;
                tracing::warn!("{error}");
                inputs.push_back(Input::Closed(match error {
                    ConnectError::Refused {
                        retry_after_secs, ..
                    } => Ending::Refused { retry_after_secs },
                    ConnectError::Busy {
                        retry_after_secs, ..
                    } => Ending::Lost { retry_after_secs },
                    ConnectError::Decommissioned { reason } => {
                        end = RunEnd::Decommissioned { reason };
                        Ending::Decommissioned
                    }
                    ConnectError::Unreachable(_) => LOST,
                }));
            }
            Woken::Message(Ok(message)) => inputs.push_back(Input::Received(message)),
            // Unknown kinds are logged and left, not fatal: a newer server may know more.
            Woken::Message(Err(error @ ChannelError::Unreadable(_))) => tracing::warn!("{error}"),
            Woken::Message(Err(error)) => {
                tracing::warn!("{error}");
                channel = None;
                inputs.push_back(Input::Closed(LOST));
            }
            Woken::Event(event) => inputs.push_back(match event {
                DesktopEvent::Advanced {
                    attempt,
                    phase,
                    percent,
                    bytes_per_second,
                } => Input::Advanced {
                    attempt,
                    phase,
                    percent,
                    bytes_per_second,
                },
                DesktopEvent::SourceNeeded { attempt } => Input::SourceNeeded { attempt },
                DesktopEvent::Detected {
                    question,
                    holds,
                    seen,
                } => Input::Detected {
                    question,
                    holds,
                    seen,
                },
                DesktopEvent::Ended { attempt } => Input::Ended { attempt },
                DesktopEvent::UpdateReported(report) => Input::UpdateReported(report),
                DesktopEvent::InventoryLooked(found) => Input::InventoryLooked(found),
            }),
        }
    }
}

const LOST: Ending = Ending::Lost {
    retry_after_secs: None,
};

/// Sends over the open channel; one that does not take the message in time is lost.
async fn send<C: Channel>(
    channel: &mut Option<C>,
    message: AgentMessage,
    inputs: &mut VecDeque<Input>,
) {
    let Some(open) = channel.as_mut() else {
        return;
    };
    let error = match tokio::time::timeout(SEND_LIMIT, open.send(message)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the server takes no message".to_owned(),
    };
    tracing::warn!("{error}");
    *channel = None;
    inputs.push_back(Input::Closed(LOST));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use outfitter_agent_protocol::{
        AttemptStage, Method, PROTOCOL, PackageRef, RECEIPT_SCHEMA, Statement, TaskKind, Welcome,
    };
    use outfitter_ids::{AgentId, AppId, DesktopId, JobId, RevisionId};
    use uuid::Uuid;

    use super::*;
    use crate::clock::SystemClock;
    use crate::evidence::blank_evidence;

    /// One end of a channel in memory; the other end is the test.
    struct Pipe {
        to_server: mpsc::Sender<AgentMessage>,
        from_server: mpsc::Receiver<ServerMessage>,
    }

    impl Channel for Pipe {
        async fn send(&mut self, message: AgentMessage) -> Result<(), ChannelError> {
            self.to_server
                .send(message)
                .await
                .map_err(|_| ChannelError::Closed)
        }

        async fn receive(&mut self) -> Result<ServerMessage, ChannelError> {
            self.from_server.recv().await.ok_or(ChannelError::Closed)
        }

        async fn close(self) {}
    }

    /// Hands the other end of each new channel to the test.
    struct Pipes(mpsc::Sender<Server>);

    struct Server {
        to_agent: mpsc::Sender<ServerMessage>,
        from_agent: mpsc::Receiver<AgentMessage>,
    }

    impl Server {
        async fn hear(&mut self) -> AgentMessage {
            loop {
                match self.from_agent.recv().await.expect("the agent is there") {
                    AgentMessage::Heartbeat { .. } | AgentMessage::Progress { .. } => {}
                    other => return other,
                }
            }
        }

        async fn say(&self, message: ServerMessage) {
            self.to_agent
                .send(message)
                .await
                .expect("the agent is there");
        }

        async fn welcome(&mut self) -> Vec<AttemptReport> {
            let AgentMessage::Hello(hello) = self.hear().await else {
                panic!("no hello");
            };
            self.say(ServerMessage::Welcome(Welcome {
                protocol: PROTOCOL,
                desktop: DesktopId::new(Uuid::nil()),
                epoch: 1,
                server_time_millis: 0,
                heartbeat_secs: 60,
                inventory: None,
            }))
            .await;
            hello.attempts
        }
    }

    impl Transport for Pipes {
        type Channel = Pipe;

        fn connect(&mut self) -> Dial<Pipe> {
            let (to_server, from_agent) = mpsc::channel(8);
            let (to_agent, from_server) = mpsc::channel(8);
            let server = Server {
                to_agent,
                from_agent,
            };
            let handed = self.0.clone();
            Box::pin(async move {
                handed
                    .send(server)
                    .await
                    .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
                Ok(Opened {
                    channel: Pipe {
                        to_server,
                        from_server,
                    },
                    trust: LinkTrust::Full,
                })
            })
        }
    }

    /// A desktop without a disk, on which every installer ends at once.
    struct SimulatedDesktop {
        tasks: BTreeMap<AttemptId, Task>,
        runs: Arc<std::sync::atomic::AtomicU32>,
        events: mpsc::Sender<DesktopEvent>,
    }

    impl Desktop for SimulatedDesktop {
        async fn journal(&mut self, task: Task) -> Result<(), String> {
            self.tasks.insert(task.attempt, task);
            Ok(())
        }

        async fn start(&mut self, attempt: AttemptId) {
            self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let ended = DesktopEvent::Ended { attempt };
            self.events.send(ended).await.expect("the driver listens");
        }

        async fn cancel(&mut self, attempt: AttemptId) {
            self.start(attempt).await;
        }

        async fn source(&mut self, _: AttemptId, _: Result<Source, SourceRefusal>) {}

        async fn receipt(&mut self, attempt: AttemptId) -> Option<Envelope> {
            let task = self.tasks.get(&attempt)?;
            let statement = Statement {
                schema: RECEIPT_SCHEMA,
                agent: AgentId::new(Uuid::nil()),
                desktop: DesktopId::new(Uuid::nil()),
                project: None,
                task: Some(task.clone()),
                evidence: blank_evidence(attempt, task.job, &SystemClock::default()),
            };
            Some(Envelope::seal(&statement, |_| None))
        }

        async fn forget(&mut self, attempt: AttemptId) {
            self.tasks.remove(&attempt);
        }
    }

    struct NoIdentity;

    impl OwnIdentity for NoIdentity {
        fn next(&mut self) -> Option<MachineIdentity> {
            None
        }

        fn begin_anew(&mut self) {}

        fn welcomed(&mut self) {}
    }

    struct NoRenewals;

    impl Renewals for NoRenewals {
        fn due(&mut self) -> Option<String> {
            None
        }

        fn keep(&mut self, _: &str, _: Option<&str>) -> Result<(), String> {
            Ok(())
        }

        fn learn_time(&mut self, _: i64) -> TimeLearned {
            TimeLearned::Known
        }
    }

    fn task(attempt: AttemptId) -> ServerMessage {
        ServerMessage::Task(Box::new(Task {
            attempt,
            job: JobId::new(Uuid::nil()),
            project: None,
            kind: TaskKind::Install,
            app: AppId::new(Uuid::nil()),
            app_name: String::new(),
            app_version: String::new(),
            revision: RevisionId::new(Uuid::nil()),
            method: Method::Quiet,
            command: "true".to_owned(),
            package: PackageRef {
                file_name: "a".to_owned(),
                sha256: None,
                size_bytes: None,
            },
            detection: None,
            success_exit_codes: vec![0],
            run_limit_secs: 1,
            approach: outfitter_agent_protocol::Approach::Ordinary,
            exit_codes: std::collections::BTreeMap::new(),
            running_programs: None,
            session: None,
        }))
    }

    #[tokio::test]
    async fn a_simulated_agent_needs_no_process_and_survives_a_lost_channel() {
        let (handed, mut servers) = mpsc::channel(1);
        let (events_sender, events) = mpsc::channel(8);
        let (stop, shutdown) = watch::channel(false);
        let runs = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let parts = Parts {
            transport: Pipes(handed),
            desktop: SimulatedDesktop {
                tasks: BTreeMap::new(),
                runs: Arc::clone(&runs),
                events: events_sender,
            },
            events,
            renewals: NoRenewals,
            identity: Box::new(NoIdentity),
            introduction: Introduction {
                agent_version: "1".to_owned(),
                os: "linux".to_owned(),
                arch: "x86_64".to_owned(),
                boot_id: "b".to_owned(),
                sandbox_root: None,
            },
            pace: Pace {
                backoff_first: Duration::from_millis(1),
                ..Pace::default()
            },
            journal: Vec::new(),
            seed: 1,
        };
        let agent = tokio::spawn(async move {
            run(parts, &SystemClock::default(), shutdown).await;
        });
        let attempt = AttemptId::new(Uuid::from_u128(1));

        let mut server = servers.recv().await.expect("a channel");
        assert_eq!(server.welcome().await, []);
        server.say(task(attempt)).await;
        assert_eq!(server.hear().await, AgentMessage::Accepted { attempt });
        drop(server);

        let mut server = servers.recv().await.expect("a channel");
        let stages = server.welcome().await;
        assert_eq!(stages.len(), 1);
        assert_eq!(stages[0].stage, AttemptStage::Accepted);
        server.say(ServerMessage::Go { attempt }).await;
        server.say(ServerMessage::Go { attempt }).await;
        assert!(matches!(server.hear().await, AgentMessage::Result(_)));
        drop(server);

        let mut server = servers.recv().await.expect("a channel");
        assert_eq!(server.welcome().await[0].stage, AttemptStage::Ended);
        assert!(matches!(server.hear().await, AgentMessage::Result(_)));
        server.say(ServerMessage::Recorded { attempt }).await;
        drop(server);

        let mut server = servers.recv().await.expect("a channel");
        assert_eq!(server.welcome().await, []);
        stop.send_replace(true);
        agent.await.expect("it ends when asked");
        assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}
