//! `GET /channel`: one agent's channel, from the upgrade to its end.
//!
//! **Guarantees.** Who is at the other end comes from the certificate's row. A channel owns its desktop from the
//! moment its epoch was raised; an older one ends. What the agent is told about its attempts (`Go`, `Recorded`) was
//! committed before. A peer that is silent for three heartbeats, sends a frame that is no message or larger than
//! allowed, or does not take what is sent, is dropped: memory per channel is bounded (invariant I8).
//!
//! **After a crash** of the server every channel is gone; agents come back with backoff and say in `Hello` what they
//! are busy with. Nothing of a channel is stored but its epoch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::HeaderMap;
use http::header::ORIGIN;
use outfitter_agent_protocol::{
    AgentMessage, COPY, HISTORY_BEHIND, Hello, MAX_FRAME_BYTES, PROTOCOL, PROTOCOL_FLOOR,
    ServerMessage, UpdateReport, UpdateStage, Welcome,
};
use outfitter_domain::fleet::{
    CopySign, IdentityVerdict, NotedIdentity, Other, SeenCopy, decide_identity,
};
use outfitter_store::{
    AgentUpdateNote, AgentUpdateStage, CertificateHolder, Connected, EpochRaise, StoreError,
    UpdateCandidate,
};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::enroll::keep_certificate;
use super::peer::{Standing, identify};
use super::questions::{Answer, Seen};
use super::refusal::Refusal;
use super::registry::{PROBE_LIMIT, Registration, Takes};
use crate::app::agent_releases::{Share, choose, offer};
use crate::app::inventory;
use crate::app::job_events::{self, EventError};
use crate::audit::OwnWork;
use crate::http::error::chain;
use crate::listen::{PeerCertificate, Place};
use crate::services::Services;

/// Smallest read buffer that holds most messages: with 1024 an idle channel costs 11.2 KiB instead of 14.2 (measured);
/// larger messages grow it.
const READ_BUFFER_BYTES: usize = 1024;

/// How long an agent may take for its first message, and for taking one of ours.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// When a copy whose original was asked to show life is to come back, in seconds: by then that is known. Ours: a little more than
/// [`PROBE_LIMIT`].
const AFTER_PROBE_SECS: u32 = 15;

/// Heartbeats an agent may miss before its channel counts as lost.
const MISSED_HEARTBEATS: u32 = 3;

pub(super) async fn upgrade(
    State(services): State<Arc<Services>>,
    Extension(certificate): Extension<PeerCertificate>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(place): Extension<Place>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    if headers.contains_key(ORIGIN) {
        // Agents name none. A browser does, whatever page it shows, and sends certificates of its user unasked.
        return Err(Refusal::forbidden(
            "browser",
            "this is the channel of agents: no page of any origin may open it",
        ));
    }
    let (holder, standing) = identify(&services, &certificate).await?;
    Ok(upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .on_upgrade(move |socket| async move {
            // The session is boxed: its future would otherwise be held whole by the connection's.
            Box::pin(session(services, socket, holder, standing, address)).await;
            // The channel was one of the listener's connections until now.
            drop(place);
        }))
}

/// Why a channel ended, for the log.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the agent closed it")]
    Closed,
    #[error("the agent sent nothing for too long")]
    Silent,
    #[error("the agent did not take a message in time")]
    Slow,
    #[error("a newer channel of the desktop took over")]
    Replaced,
    /// Another connect raised the epoch between this one's upgrade and its hello. It may be the one that is dead:
    /// coming back at once is right.
    #[error("another channel of the desktop was opened at the same time")]
    LostRace,
    #[error("the server is shutting down")]
    Shutdown,
    #[error("the agent speaks protocol {0}, this server needs {PROTOCOL_FLOOR} or later")]
    TooOld(u32),
    #[error(
        "this desktop is in an earlier state than the server noted: a snapshot or a backup was restored; it begins a new history and \
         drops what was going on then"
    )]
    Behind,
    #[error("{}", copy_words(name, *sign, *enroll_anew))]
    Copy {
        /// The desktop's name.
        name: String,
        sign: CopySign,
        /// Its project lets copies enroll anew.
        enroll_anew: bool,
    },
    #[error("the agent sent something else than a message: {0}")]
    Protocol(String),
    #[error("the socket failed")]
    Socket(#[source] axum::Error),
    #[error("the database failed")]
    Store(#[from] StoreError),
    #[error("an event could not be dealt with")]
    Event(#[from] EventError),
}

/// What carries a channel's messages: a WebSocket, or a simulated one.
pub trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

impl<S> Socket for S where
    S: Stream<Item = Result<Message, axum::Error>>
        + Sink<Message, Error = axum::Error>
        + Unpin
        + Send
{
}

/// A channel from its upgrade to its end.
pub async fn session<S: Socket>(
    services: Arc<Services>,
    mut socket: S,
    holder: CertificateHolder,
    standing: Standing,
    address: SocketAddr,
) {
    let desktop_id = holder.desktop_id;
    let end = match run(&services, &mut socket, &holder, standing, address).await {
        Ok(()) => End::Closed,
        Err(end) => end,
    };
    tracing::info!(
        desktop.id = %desktop_id,
        desktop.name = holder.desktop_name,
        reason = chain(&end),
        "channel ended"
    );
    if let Some((code, retry_after_secs)) = end.refusal() {
        let refused = ServerMessage::Refused {
            code: code.to_owned(),
            reason: end.to_string(),
            retry_after_secs,
            enroll_anew: matches!(
                end,
                End::Copy {
                    enroll_anew: true,
                    ..
                }
            ),
        };
        // Best effort: the agent may be gone.
        drop(send(&mut socket, &refused).await);
        drop(timeout(MESSAGE_LIMIT, socket.close()).await);
    }
}

impl End {
    /// What the agent is told, where it is still there.
    fn refusal(&self) -> Option<(&'static str, Option<u32>)> {
        match self {
            Self::Closed | Self::Silent | Self::Slow | Self::Socket(_) => None,
            Self::Replaced => Some(("superseded", None)),
            Self::LostRace => Some(("superseded", Some(1))),
            Self::Shutdown => Some(("shutting_down", Some(1))),
            Self::TooOld(_) => Some(("protocol_too_old", Some(3600))),
            Self::Behind => Some((HISTORY_BEHIND, None)),
            Self::Copy {
                sign: CopySign::BothAlive,
                ..
            } => Some((COPY, Some(AFTER_PROBE_SECS))),
            Self::Copy { .. } => Some((COPY, Some(300))),
            Self::Protocol(_) => Some(("protocol_error", Some(60))),
            Self::Store(_) | Self::Event(_) => Some(("busy", Some(5))),
        }
    }
}

async fn run<S: Socket>(
    services: &Arc<Services>,
    socket: &mut S,
    holder: &CertificateHolder,
    standing: Standing,
    address: SocketAddr,
) -> Result<(), End> {
    let hello = hello(socket).await?;
    if hello.protocol < PROTOCOL_FLOOR {
        if let Some(offer) = way_up(services, holder, &hello).await? {
            send(socket, &offer).await?;
        }
        return Err(End::TooOld(hello.protocol));
    }
    let now = services.clock.now();
    let noted = judge_identity(services, holder, &hello, address).await?;
    let tx = services.store.write().await?;
    let raised = tx
        .channel_epoch_raise(
            &[EpochRaise {
                desktop: holder.desktop,
                expected: holder.channel_epoch,
            }],
            now,
        )
        .await?;
    tx.agent_version_set(holder.agent, &hello.agent_version)
        .await?;
    if !raised.is_empty() && !hello.boot_id.is_empty() {
        tx.desktop_boot(holder.desktop, &hello.boot_id).await?;
    }
    if let Some((noted, copy)) = noted.as_ref().filter(|_| !raised.is_empty()) {
        tx.agent_identity_note(holder.agent, noted).await?;
        if let Some(copy) = copy {
            tx.agent_copy_note(holder.agent, Some(copy)).await?;
        }
    }
    tx.commit().await?;
    let Some((_, epoch)) = raised.first().copied() else {
        return Err(End::LostRace);
    };
    let channel = Connected {
        desktop: holder.desktop,
        epoch,
    };
    let takes = match standing {
        Standing::Good => Takes::Work,
        Standing::RenewOnly => Takes::RenewalAlone,
    };
    let Some(registration) = services.registry.insert(holder.desktop, epoch, takes) else {
        return Err(End::LostRace);
    };
    services
        .presence
        .note(holder.desktop, now, Some(address.ip().to_string()));
    let result = converse(
        services,
        socket,
        holder,
        standing,
        channel,
        &hello,
        registration,
    )
    .await;
    services.registry.remove(holder.desktop, epoch);
    result
}

/// What a copy is told, and what becomes of it.
pub(super) fn copy_words(name: &str, sign: CopySign, enroll_anew: bool) -> String {
    let what = match sign {
        CopySign::OtherMachine => {
            format!(
                "this machine is not the one that {name} was: its disk is a copy, or its machine id or its board is another"
            )
        }
        CopySign::BothAlive => {
            format!(
                "another machine with the same disk is connected as {name}, and is ahead of this one"
            )
        }
        CopySign::TookOver => {
            format!("another machine with the same disk was {name} before this one, and is back")
        }
    };
    let real = format!(
        "if it is the real one, an administrator says so with `outfitter desktop identity {name} --real refused`"
    );
    if enroll_anew {
        format!(
            "{what}. Copies of this project's desktops become desktops of their own: the agent asks for that now, an older one does \
             after `outfitter-agent enroll --replace`; {real} before that"
        )
    } else {
        format!(
            "{what}. To make this machine a desktop of its own run `outfitter-agent enroll --replace` here; {real}"
        )
    }
}

/// Decides whether who connects is the machine that it says it is. Answers what is to be noted of it, and of a copy that lost
/// its place to it.
///
/// # Errors
/// [`End::Behind`] and [`End::Copy`], which is noted.
async fn judge_identity(
    services: &Services,
    holder: &CertificateHolder,
    hello: &Hello,
    address: SocketAddr,
) -> Result<Option<(NotedIdentity, Option<SeenCopy>)>, End> {
    let Some(told) = &hello.identity else {
        return Ok(None);
    };
    if !told.is_bounded() {
        return Err(End::Protocol("marks beyond their limits".to_owned()));
    }
    let noted = holder.identity.as_ref();
    let other = if services.registry.is_there(holder.desktop) {
        Other::Alive
    } else {
        Other::Silent
    };
    let at_millis = services.clock.now().get();
    let seen = |marks, history, sign, address| SeenCopy {
        at_millis,
        address,
        sign,
        marks,
        history,
        settled: false,
    };
    let verdict = decide_identity(noted, told, other);
    let lost = match verdict {
        IdentityVerdict::Itself => None,
        IdentityVerdict::Restored => {
            tracing::warn!(desktop.id = %holder.desktop_id, desktop.name = holder.desktop_name, "the desktop was set back to an earlier state");
            None
        }
        IdentityVerdict::Behind => return Err(End::Behind),
        IdentityVerdict::Returned => {
            tracing::warn!(desktop.id = %holder.desktop_id, desktop.name = holder.desktop_name, "a copy had taken the place of the desktop");
            noted.and_then(|noted| {
                let marks = noted.marks.clone();
                Some(seen(marks, noted.history?, CopySign::TookOver, None))
            })
        }
        IdentityVerdict::Copy(sign) => {
            let address = Some(address.ip().to_string());
            let mut copy = seen(told.marks.clone(), told.history, sign, address);
            let before = holder.copy.as_ref().filter(|before| before.is(told));
            copy.settled = before.is_some_and(|before| before.settled);
            let is_news = before.is_none();
            let copies = services.store.db().copies_token(holder.project).await?;
            let tx = services.store.write().await?;
            tx.agent_copy_note(holder.agent, Some(&copy)).await?;
            tx.commit().await?;
            match sign {
                CopySign::BothAlive => services.registry.probe(holder.desktop),
                CopySign::OtherMachine | CopySign::TookOver => {}
            }
            if is_news {
                let text = format!(
                    "another machine ({}) connected with a copy of this desktop's key and was refused",
                    address_of(&copy)
                );
                services
                    .registry
                    .tell(holder.desktop, ServerMessage::Notice { text });
            }
            return Err(End::Copy {
                name: holder.desktop_name.clone(),
                sign,
                enroll_anew: sign.is_certain() && copies.is_some(),
            });
        }
    };
    Ok(NotedIdentity::after(noted, told, verdict).map(|noted| (noted, lost)))
}

fn address_of(copy: &SeenCopy) -> &str {
    copy.address.as_deref().unwrap_or("unknown address")
}

/// What an agent below the floor is offered: all that it can do here is to follow it.
async fn way_up(
    services: &Services,
    holder: &CertificateHolder,
    hello: &Hello,
) -> Result<Option<ServerMessage>, End> {
    let db = services.store.db();
    let rolling = db.agent_release_rolling(services.clock.now()).await?;
    let candidate = UpdateCandidate {
        desktop: holder.desktop,
        desktop_id: holder.desktop_id,
        version: hello.agent_version.clone(),
        os: hello.os.clone(),
        arch: hello.arch.clone(),
        notes: Vec::new(),
    };
    let release = choose(&rolling, &candidate, Share::Everybody);
    Ok(release.map(|release| ServerMessage::Update(Box::new(offer(release)))))
}

/// Longest words about an update that are kept, in characters.
const MAX_UPDATE_DETAIL: usize = 512;

async fn note_update(
    services: &Services,
    holder: &CertificateHolder,
    report: UpdateReport,
) -> Result<ServerMessage, End> {
    let note = AgentUpdateNote {
        version: report.version.clone(),
        round: report.round,
        stage: match report.stage {
            UpdateStage::Trying => AgentUpdateStage::Trying,
            UpdateStage::Done => AgentUpdateStage::Done,
            UpdateStage::Failed => AgentUpdateStage::Failed,
            UpdateStage::Refused => AgentUpdateStage::Refused,
        },
        detail: report
            .detail
            .map(|detail| detail.chars().take(MAX_UPDATE_DETAIL).collect()),
    };
    let now = services.clock.now();
    let work = OwnWork {
        of: None,
        at: now,
        action: "outfitter:agent:haltRelease",
        operation: "HaltAgentRelease",
        name: Some(holder.desktop_name.clone()),
    };
    let scope = services.audit.own_work(Arc::clone(&services.ids), work);
    let noted = scope.run(async {
        let tx = services.store.write().await?;
        let halted = tx.agent_update_note(holder.desktop, &note, now).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(halted)
    });
    let halted = noted.await?;
    tracing::info!(
        desktop.id = %holder.desktop_id,
        desktop.name = holder.desktop_name,
        version = note.version,
        stage = note.stage.as_str(),
        detail = note.detail,
        "an update of the agent"
    );
    if halted {
        tracing::error!(
            version = note.version,
            "a release of the agent failed too often and is halted"
        );
    }
    Ok(ServerMessage::UpdateNoted {
        version: report.version,
        round: report.round,
        stage: report.stage,
    })
}

async fn hello<S: Socket>(socket: &mut S) -> Result<Hello, End> {
    let first = timeout(MESSAGE_LIMIT, socket.next())
        .await
        .map_err(|_| End::Silent)?;
    match first {
        Some(Ok(Message::Text(text))) => match read(&text)? {
            AgentMessage::Hello(hello) => Ok(hello),
            _ => Err(End::Protocol("the first message is no hello".to_owned())),
        },
        Some(Ok(_)) | None => Err(End::Closed),
        Some(Err(error)) => Err(End::Socket(error)),
    }
}

async fn converse<S: Socket>(
    services: &Arc<Services>,
    socket: &mut S,
    holder: &CertificateHolder,
    standing: Standing,
    channel: Connected,
    hello: &Hello,
    mut registration: Registration,
) -> Result<(), End> {
    let now = services.clock.now();
    tracing::info!(
        desktop.id = %holder.desktop_id,
        desktop.name = holder.desktop_name,
        agent.version = hello.agent_version,
        epoch = channel.epoch,
        "channel open"
    );
    send(
        socket,
        &ServerMessage::Welcome(Welcome {
            protocol: PROTOCOL,
            desktop: holder.desktop_id,
            epoch: channel.epoch,
            server_time_millis: now.get(),
            heartbeat_secs: services.heartbeat_secs,
            inventory: (standing == Standing::Good).then(|| inventory::ask(services, holder)),
        }),
    )
    .await?;
    if standing == Standing::Good {
        for answer in job_events::on_hello(services, channel, &hello.attempts).await? {
            send(socket, &answer).await?;
        }
    }
    let silence = Duration::from_secs(u64::from(services.heartbeat_secs * MISSED_HEARTBEATS));
    // What is sent is no sign of the peer's life: only what is heard puts the end off.
    let mut end = Instant::now() + silence;
    loop {
        tokio::select! {
            biased;
            () = services.shutdown.cancelled() => return Err(End::Shutdown),
            () = registration.replaced.cancelled() => return Err(End::Replaced),
            message = registration.outgoing.recv() => match message {
                Some(message) => send(socket, &message).await?,
                None => return Err(End::Replaced),
            },
            () = registration.probed.notified() => {
                let ping = timeout(MESSAGE_LIMIT, socket.send(Message::Ping(Bytes::new())));
                ping.await.map_err(|_| End::Slow)?.map_err(End::Socket)?;
                end = end.min(Instant::now() + PROBE_LIMIT);
            }
            received = timeout_at(end, socket.next()) => {
                end = Instant::now() + silence;
                if matches!(received, Ok(Some(Ok(_)))) {
                    registration.heard.notify_waiters();
                }
                match received {
                    Err(_) => return Err(End::Silent),
                    Ok(None) => return Err(End::Closed),
                    Ok(Some(Err(error))) => return Err(End::Socket(error)),
                    Ok(Some(Ok(Message::Text(text)))) => {
                        let message = read(&text)?;
                        for answer in answer(services, holder, standing, channel, message).await? {
                            send(socket, &answer).await?;
                        }
                    }
                    Ok(Some(Ok(Message::Close(_)))) => return Err(End::Closed),
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                    Ok(Some(Ok(Message::Binary(_)))) => {
                        return Err(End::Protocol("a binary frame".to_owned()));
                    }
                }
            }
        }
    }
}

async fn answer(
    services: &Arc<Services>,
    holder: &CertificateHolder,
    standing: Standing,
    channel: Connected,
    message: AgentMessage,
) -> Result<Vec<ServerMessage>, End> {
    let now = services.clock.now();
    Ok(match message {
        AgentMessage::Renew { csr_pem } => vec![renew(services, holder, &csr_pem).await?],
        AgentMessage::Heartbeat { attempts } => {
            services.presence.note(channel.desktop, now, None);
            if standing == Standing::Good {
                job_events::on_heartbeat(services, channel, &attempts);
            }
            vec![ServerMessage::Heartbeat {
                server_time_millis: now.get(),
            }]
        }
        AgentMessage::Hello(_) => return Err(End::Protocol("a second hello".to_owned())),
        // An expired certificate renews and does nothing else.
        _ if standing == Standing::RenewOnly => Vec::new(),
        AgentMessage::Accepted { attempt } => {
            vec![job_events::on_accepted(services, channel, attempt).await?]
        }
        AgentMessage::Declined { attempt, reason } => {
            job_events::on_declined(services, channel, attempt, &reason).await?;
            Vec::new()
        }
        AgentMessage::SourceRequest { attempt } => {
            vec![job_events::source_for(services, channel, attempt).await?]
        }
        AgentMessage::Progress {
            attempt,
            phase,
            percent,
            bytes_per_second,
        } => {
            let said = (phase, percent, bytes_per_second);
            job_events::on_progress(services, channel, attempt, said);
            Vec::new()
        }
        AgentMessage::Update(report) => vec![note_update(services, holder, report).await?],
        AgentMessage::Detected {
            question,
            holds,
            seen,
        } => {
            let answer = Answer::Rule(Seen { holds, seen });
            services
                .registry
                .questions
                .answer(channel.desktop, question, answer);
            Vec::new()
        }
        AgentMessage::Log { question, text } => {
            services
                .registry
                .questions
                .answer(channel.desktop, question, Answer::Log(text));
            Vec::new()
        }
        AgentMessage::Inventory(report) => inventory::take_in(services, holder, channel, *report)
            .await?
            .into_iter()
            .collect(),
        AgentMessage::Result(receipt) => {
            vec![job_events::on_result(services, channel, &receipt).await?]
        }
    })
}

async fn renew(
    services: &Services,
    holder: &CertificateHolder,
    csr_pem: &str,
) -> Result<ServerMessage, End> {
    let now = services.clock.now();
    let authority = services.authority.get();
    let issued = authority
        .issue_agent(csr_pem, holder.agent_id, now)
        .map_err(|error| End::Protocol(chain(&error)))?;
    let tx = services.store.write().await?;
    tx.certificate_insert(
        holder.agent,
        &outfitter_store::NewCertificate {
            fingerprint: issued.fingerprint,
            not_before: issued.not_before,
            not_after: issued.not_after,
        },
    )
    .await?;
    keep_certificate(&tx, &issued).await?;
    tx.commit().await?;
    Ok(ServerMessage::Certificate {
        chain_pem: issued.chain_pem,
        roots_pem: authority.roots_pem().to_owned(),
    })
}

/// Reads a message. U+0000 becomes U+FFFD: an installer may print it, PostgreSQL stores no text with it, and one
/// such result would hold up every result that is written with it.
fn read(text: &str) -> Result<AgentMessage, End> {
    let read = if text.contains("\\u0000") {
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| End::Protocol(error.to_string()))?;
        job_events::replace_nul(&mut value);
        serde_json::from_value(value)
    } else {
        serde_json::from_str(text)
    };
    read.map_err(|error| End::Protocol(error.to_string()))
}

async fn send<S: Socket>(socket: &mut S, message: &ServerMessage) -> Result<(), End> {
    let text = serde_json::to_string(message).map_err(|error| End::Protocol(error.to_string()))?;
    match timeout(MESSAGE_LIMIT, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Socket(error)),
        Err(_) => Err(End::Slow),
    }
}
