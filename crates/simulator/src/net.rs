//! The network between desktops and the server: connections that delay, stall and break.
//!
//! What stands in for TLS and TCP: bytes of one connection arrive in order or not at all; a side learns of a break when the
//! break reaches it, the other side perhaps much later; what was on its way may still arrive, also after the desktop has
//! opened its next connection. Messages travel as the JSON text that a WebSocket would carry.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::Message;
use futures_util::{Sink, Stream, sink, stream};
use outfitter_agent::channel::{
    Channel, ChannelError, ConnectError, Dial, LinkTrust, Opened, Transport,
};
use outfitter_agent_protocol::{AgentMessage, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::disk::Life;
use crate::world::{Counted, Switch, World};

/// Messages in one direction that a connection holds: what both sockets' buffers would.
pub(crate) const BUFFERED: usize = 64;

/// How a desktop's line is now.
pub(crate) struct Line {
    /// Whether anything gets through.
    open: Switch,
    slow_millis: Mutex<u64>,
    closed_since: Mutex<Option<Instant>>,
    /// The connections it carries.
    connections: Mutex<BTreeMap<u64, Breaks>>,
}

#[derive(Clone)]
struct Breaks {
    at_agent: CancellationToken,
    at_server: CancellationToken,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            open: Switch::new(true),
            slow_millis: Mutex::new(5),
            closed_since: Mutex::default(),
            connections: Mutex::default(),
        }
    }
}

impl Line {
    pub(crate) fn set_open(&self, open: bool) {
        let mut closed = self
            .closed_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *closed = if open {
            None
        } else {
            closed.or_else(|| Some(Instant::now()))
        };
        self.open.set(open);
    }

    /// How long nothing has got through.
    pub(crate) fn silent_for(&self) -> Duration {
        self.closed_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(crate) fn set_slow(&self, millis: u64) {
        *self
            .slow_millis
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = millis;
    }

    fn slow(&self) -> u64 {
        *self
            .slow_millis
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when bytes get through.
    pub(crate) async fn flowing(&self) {
        // The sender lives as long as the line.
        self.open.until(true).await;
    }

    /// Breaks every connection; each side learns of it in its own time.
    pub(crate) fn cut(&self, world: &Arc<World>) {
        let connections = std::mem::take(
            &mut *self
                .connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for breaks in connections.into_values() {
            Counted::one(&world.counted.cuts);
            for side in [breaks.at_agent, breaks.at_server] {
                let after = match world.up_to(3) {
                    0 => 0,
                    1 => world.up_to(50),
                    2 => world.up_to(5_000),
                    _ => world.up_to(400_000),
                };
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    side.cancel();
                });
            }
        }
    }
}

/// One direction's sending end.
struct Sending {
    world: Arc<World>,
    line: Arc<Line>,
    queue: mpsc::Sender<(Instant, String)>,
    broken: CancellationToken,
    last: Instant,
}

impl Sending {
    async fn send(&mut self, text: String) -> Result<(), &'static str> {
        Counted::one(&self.world.counted.messages);
        let slow = self.line.slow();
        let arrives = Instant::now() + Duration::from_millis(self.world.between(1, slow.max(1)));
        self.last = self.last.max(arrives);
        tokio::select! {
            biased;
            () = self.broken.cancelled() => Err("the connection is reset"),
            sent = self.queue.send((self.last, text)) => sent.map_err(|_| "the far side is gone"),
        }
    }
}

/// One direction's receiving end. Dropping a receive loses nothing.
struct Receiving {
    line: Arc<Line>,
    queue: mpsc::Receiver<(Instant, String)>,
    broken: CancellationToken,
    next: Option<(Instant, String)>,
}

impl Receiving {
    /// The next message; `Ok(None)` when the far side is gone.
    async fn receive(&mut self) -> Result<Option<String>, &'static str> {
        let Self {
            line,
            queue,
            broken,
            next,
        } = self;
        let arrives = async {
            if next.is_none() {
                *next = queue.recv().await;
            }
            if let Some((at, _)) = next {
                tokio::time::sleep_until(*at).await;
            }
            line.flowing().await;
        };
        tokio::select! {
            biased;
            () = broken.cancelled() => return Err("the connection is reset"),
            () = arrives => {}
        }
        Ok(self.next.take().map(|(_, text)| text))
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<Message, axum::Error>> + Send>>;
type Outgoing = Pin<Box<dyn Sink<Message, Error = axum::Error> + Send>>;

/// The server's end.
pub(crate) struct ServerEnd {
    frames: Frames,
    outgoing: Outgoing,
}

impl Stream for ServerEnd {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.as_mut().poll_next(context)
    }
}

impl Sink<Message> for ServerEnd {
    type Error = axum::Error;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), axum::Error>> {
        self.outgoing.as_mut().poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), axum::Error> {
        self.outgoing.as_mut().start_send(item)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), axum::Error>> {
        self.outgoing.as_mut().poll_flush(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), axum::Error>> {
        self.outgoing.as_mut().poll_close(context)
    }
}

/// The agent's end.
pub(crate) struct AgentEnd {
    sending: Sending,
    receiving: Receiving,
    life: Arc<Life>,
    watcher: Arc<dyn AgentWatcher>,
}

/// Sees what an agent sends, before it leaves.
pub(crate) trait AgentWatcher: Send + Sync {
    fn sends(&self, message: &AgentMessage);
}

/// Sees what the server sends, before it leaves.
pub(crate) trait ServerWatcher: Send + Sync {
    /// `epoch` is the channel's number, once its welcome has told it.
    fn sends(&self, desktop: usize, epoch: Option<i64>, message: &ServerMessage);
}

impl Channel for AgentEnd {
    async fn send(&mut self, message: AgentMessage) -> Result<(), ChannelError> {
        if self.life.is_over() {
            // Nobody is there to send, or to learn that it failed.
            return std::future::pending().await;
        }
        self.watcher.sends(&message);
        let text = serde_json::to_string(&message)
            .map_err(|error| ChannelError::Broken(error.to_string()))?;
        self.sending
            .send(text)
            .await
            .map_err(|reason| ChannelError::Broken(reason.to_owned()))
    }

    async fn receive(&mut self) -> Result<ServerMessage, ChannelError> {
        match self.receiving.receive().await {
            Ok(Some(text)) => serde_json::from_str(&text)
                .map_err(|error| ChannelError::Unreadable(error.to_string())),
            Ok(None) => Err(ChannelError::Closed),
            Err(reason) => Err(ChannelError::Broken(reason.to_owned())),
        }
    }

    async fn close(self) {}
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// A new connection of a desktop.
pub(crate) fn connection(
    world: &Arc<World>,
    line: &Arc<Line>,
    desktop: usize,
    life: Arc<Life>,
    agent_watcher: Arc<dyn AgentWatcher>,
    server_watcher: Arc<dyn ServerWatcher>,
) -> (AgentEnd, ServerEnd) {
    let breaks = Breaks {
        at_agent: CancellationToken::new(),
        at_server: CancellationToken::new(),
    };
    line.connections
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(NEXT.fetch_add(1, Ordering::Relaxed), breaks.clone());
    let direction = |sender: &CancellationToken, receiver: &CancellationToken| {
        let (queue, queued) = mpsc::channel(BUFFERED);
        (
            Sending {
                world: Arc::clone(world),
                line: Arc::clone(line),
                queue,
                broken: sender.clone(),
                last: Instant::now(),
            },
            Receiving {
                line: Arc::clone(line),
                queue: queued,
                broken: receiver.clone(),
                next: None,
            },
        )
    };
    let (up, at_server) = direction(&breaks.at_agent, &breaks.at_server);
    let (down, at_agent) = direction(&breaks.at_server, &breaks.at_agent);
    let frames = stream::unfold(Some(at_server), |state| async move {
        let mut receiving = state?;
        match receiving.receive().await {
            Ok(Some(text)) => Some((Ok(Message::Text(text.into())), Some(receiving))),
            Ok(None) => None,
            Err(reason) => Some((Err(axum::Error::new(std::io::Error::other(reason))), None)),
        }
    });
    let outgoing = sink::unfold(
        (down, server_watcher, None),
        move |(mut sending, watcher, mut epoch), message: Message| async move {
            if let Message::Text(text) = message {
                if let Ok(message) = serde_json::from_str(&text) {
                    if let ServerMessage::Welcome(welcome) = &message {
                        epoch = Some(welcome.epoch);
                    }
                    watcher.sends(desktop, epoch, &message);
                }
                sending
                    .send(text.to_string())
                    .await
                    .map_err(|reason| axum::Error::new(std::io::Error::other(reason)))?;
            }
            Ok((sending, watcher, epoch))
        },
    );
    (
        AgentEnd {
            sending: up,
            receiving: at_agent,
            life,
            watcher: agent_watcher,
        },
        ServerEnd {
            frames: Box::pin(frames),
            outgoing: Box::pin(outgoing),
        },
    )
}

/// What takes calls of desktops: the server, as long as it runs.
pub(crate) trait Listener: Send + Sync {
    /// Takes a connection; tells the agent what its upgrade request is answered.
    fn accept(
        &self,
        desktop: usize,
        end: ServerEnd,
    ) -> tokio::sync::oneshot::Receiver<Result<(), ConnectError>>;
}

/// Where the server listens, when it does.
#[derive(Default)]
pub(crate) struct Address {
    listener: Mutex<Option<Arc<dyn Listener>>>,
    /// When desktops called.
    pub(crate) calls: Mutex<Vec<(usize, Duration)>>,
}

impl Address {
    pub(crate) fn set(&self, listener: Option<Arc<dyn Listener>>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }

    fn get(&self) -> Option<Arc<dyn Listener>> {
        self.listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How an agent opens channels.
pub(crate) struct Dialler {
    pub(crate) world: Arc<World>,
    pub(crate) line: Arc<Line>,
    pub(crate) desktop: usize,
    pub(crate) life: Arc<Life>,
    pub(crate) address: Arc<Address>,
    pub(crate) agent_watcher: Arc<dyn AgentWatcher>,
    pub(crate) server_watcher: Arc<dyn ServerWatcher>,
}

impl Transport for Dialler {
    type Channel = AgentEnd;

    fn connect(&mut self) -> Dial<AgentEnd> {
        let world = Arc::clone(&self.world);
        let line = Arc::clone(&self.line);
        let life = Arc::clone(&self.life);
        let address = Arc::clone(&self.address);
        let (agent_watcher, server_watcher) = (
            Arc::clone(&self.agent_watcher),
            Arc::clone(&self.server_watcher),
        );
        let desktop = self.desktop;
        address
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((desktop, world.elapsed()));
        Box::pin(async move {
            world.pause_millis(1, line.slow().max(1)).await;
            line.flowing().await;
            let Some(listener) = address.get() else {
                return Err(ConnectError::Unreachable("connection refused".to_owned()));
            };
            let (agent, server) =
                connection(&world, &line, desktop, life, agent_watcher, server_watcher);
            let answer = listener.accept(desktop, server).await;
            world.pause_millis(1, line.slow().max(1)).await;
            line.flowing().await;
            match answer {
                Ok(Ok(())) => Ok(Opened {
                    channel: agent,
                    trust: LinkTrust::Full,
                }),
                Ok(Err(refused)) => Err(refused),
                Err(_) => Err(ConnectError::Unreachable(
                    "the server went away in the handshake".to_owned(),
                )),
            }
        })
    }
}
