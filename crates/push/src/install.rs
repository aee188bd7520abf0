//! The push itself: which step comes next, and what its answer means.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::timeout;

use crate::binaries::{AgentBinaries, AgentBinary};
use crate::conversation::Conversation;
use crate::failure::{Failure, Step};
use crate::session;
use crate::target::{Limits, SeenHostKey, Target};

/// The unit, as it is put in place. Installers run below the agent and inherit what it may not do, so it is hardened
/// only where no installer can need it: no filter for system calls or paths, no bound on capabilities.
pub(crate) const UNIT: &str = include_str!("outfitter-agent.service");

/// A secret on its way to the far side.
pub type Secret = SecretString;

/// What the server does for a push.
#[async_trait]
pub trait Desk: Send + Sync {
    /// A step began, or goes on: how far the whole is, in percent.
    fn at(&self, step: Step, percent: u8);

    /// Host keys of those who let us in: to be pinned.
    async fn host_keys(&self, keys: &[SeenHostKey]) -> Result<(), String>;

    /// Waits until this push may use the network and two processors as it likes; held while it does.
    async fn turn(&self) -> Box<dyn Send>;

    /// A token for this desktop alone.
    async fn token(&self) -> Result<Secret, String>;

    /// The agent is about to be started: connections from now on count.
    async fn about_to_start(&self) -> Result<(), String>;

    /// Waits until the agent has connected.
    async fn connected(&self);
}

/// What is to be pushed.
pub struct Order<'a> {
    /// Where the programs are.
    pub binaries: Arc<AgentBinaries>,
    /// The agent listener as desktops reach it, `HOST:PORT`.
    pub server: &'a str,
    /// The desktop's name.
    pub name: &'a str,
    /// Id of the desktop's live agent, where it has one. Found there, it stays enrolled.
    pub agent: Option<String>,
}

/// Whether the far side has the desktop's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody is enrolled there.
    None,
    /// An agent with this id is.
    Agent(String),
}

/// What the far side is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// `uname -m`.
    pub arch: String,
    /// Name and version of the system.
    pub system: String,
    /// Its own name.
    pub host: String,
    /// Free space where the agent goes, in bytes.
    pub free_bytes: Option<u64>,
    /// Whether systemd runs.
    pub systemd: bool,
    /// Who is enrolled there.
    pub identity: Identity,
    /// SHA-256 of the agent's program there.
    pub program_sha256: Option<String>,
    /// Host keys that were accepted.
    pub host_keys: Vec<SeenHostKey>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Whether systemd runs the agent. Where not, it was started detached, and the unit waits.
    pub under_systemd: bool,
    /// Whether a unit was left in place.
    pub unit: bool,
    /// Bytes that went over.
    pub uploaded_bytes: u64,
    /// Whether the agent was enrolled anew.
    pub enrolled: bool,
}

/// Looks, and changes nothing there.
///
/// # Errors
/// The step that a push would not get beyond.
pub async fn probe(
    target: &Target,
    order: &Order<'_>,
    limits: &Limits,
) -> Result<(Probed, Arc<AgentBinary>), Failure> {
    let (mut talk, probed) = arrive(target, limits, &|_| {}).await?;
    let outcome = fitting(order, &probed).await;
    // Asked so that a far side which cannot hold the conversation is noticed.
    talk.ask(Step::Probe, limits.probe, "log").await?;
    talk.close().await;
    Ok((probed, outcome?))
}

/// Puts the agent onto a desktop and waits until it has connected.
///
/// # Errors
/// The first step that failed.
pub async fn push(
    target: &Target,
    order: &Order<'_>,
    limits: &Limits,
    desk: &dyn Desk,
) -> Result<Pushed, Failure> {
    let at = |step: Step| desk.at(step, step.percent());
    let (mut talk, probed) = arrive(target, limits, &at).await?;
    desk.host_keys(talk.host_keys())
        .await
        .map_err(|words| Failure::new(Step::Login, "server", words))?;
    let outcome = run(&mut talk, &probed, order, limits, desk).await;
    talk.close().await;
    outcome
}

async fn arrive(
    target: &Target,
    limits: &Limits,
    at: &(dyn Fn(Step) + Sync),
) -> Result<(Conversation, Probed), Failure> {
    let session = Box::pin(session::open(target, limits, at)).await?;
    at(Step::Probe);
    let mut talk = Conversation::start(session, &target.sudo, limits.probe).await?;
    let mut probed = Probed {
        arch: String::new(),
        system: String::new(),
        host: String::new(),
        free_bytes: None,
        systemd: false,
        identity: Identity::None,
        program_sha256: None,
        host_keys: talk.host_keys().to_vec(),
    };
    loop {
        let line = talk.line(Step::Probe, limits.probe, &target.sudo).await?;
        if line == "ready" {
            return Ok((talk, probed));
        }
        let Some((name, value)) = line
            .strip_prefix("fact ")
            .and_then(|fact| fact.split_once(' '))
        else {
            // A fact without a value.
            continue;
        };
        let value = crate::failure::one_line(value);
        match name {
            "kernel" if value != "Linux" => {
                return Err(Failure::new(
                    Step::Probe,
                    "wrong_system",
                    format!("the host runs {value}"),
                ));
            }
            "arch" => probed.arch = value,
            "system" => probed.system = value,
            "host" => probed.host = value,
            "free_kib" => {
                probed.free_bytes = value
                    .parse::<u64>()
                    .ok()
                    .map(|kib| kib.saturating_mul(1024));
            }
            "init" => probed.systemd = value == "systemd",
            "agent" => probed.identity = Identity::Agent(value),
            "program" => probed.program_sha256 = Some(value),
            _ => {}
        }
    }
}

/// The program for the far side, when there is one and room for it.
async fn fitting(order: &Order<'_>, probed: &Probed) -> Result<Arc<AgentBinary>, Failure> {
    let binaries = Arc::clone(&order.binaries);
    let arch = probed.arch.clone();
    let binary = tokio::task::spawn_blocking(move || binaries.load(&arch))
        .await
        .map_err(|error| Failure::new(Step::Probe, "server", error.to_string()))?
        .map_err(|error| Failure::new(Step::Probe, "no_binary", error.to_string()))?;
    let size = binary.bytes.len() as u64;
    let is_there = probed.program_sha256.as_ref() == Some(&binary.sha256);
    if let Some(free) = probed.free_bytes.filter(|free| !is_there && *free < size) {
        return Err(Failure::new(
            Step::Probe,
            "no_room",
            format!(
                "{} KiB are free where the agent goes, it needs {} KiB",
                free / 1024,
                size.div_ceil(1024)
            ),
        ));
    }
    Ok(binary)
}

async fn run(
    talk: &mut Conversation,
    probed: &Probed,
    order: &Order<'_>,
    limits: &Limits,
    desk: &dyn Desk,
) -> Result<Pushed, Failure> {
    let at = |step: Step| desk.at(step, step.percent());
    let binary = fitting(order, probed).await?;
    let uploaded_bytes = upload(talk, &binary, limits, desk).await?;
    at(Step::Install);
    let unit = UNIT.as_bytes();
    let ask = format!("install {}", unit.len());
    talk.tell(Step::Install, &ask).await?;
    talk.send(Step::Install, limits.install, unit.into(), |_| {})
        .await?;
    let installed = talk.answer(Step::Install, limits.install).await?;
    let server_error = |step| move |words: String| Failure::new(step, "server", words);
    let found = match &probed.identity {
        Identity::Agent(id) => Some(id),
        Identity::None => None,
    };
    let enrolled = found.is_none() || found != order.agent.as_ref();
    if enrolled {
        at(Step::Enroll);
        let token = desk.token().await.map_err(server_error(Step::Enroll))?;
        let ask = format!("enroll {} {}", order.server, order.name);
        talk.ask_with_secret(Step::Enroll, limits.enroll, &ask, &token)
            .await?;
    }
    at(Step::Start);
    desk.about_to_start()
        .await
        .map_err(server_error(Step::Start))?;
    let started = talk.ask(Step::Start, limits.start, "start").await?;
    at(Step::Connected);
    if timeout(limits.connected, desk.connected()).await.is_err() {
        let mut failure = Failure::timed_out(Step::Connected, limits.connected);
        let log = talk.ask(Step::Connected, limits.start, "log").await;
        if let Some(log) = log
            .ok()
            .as_deref()
            .and_then(|line| line.strip_prefix("log "))
        {
            failure = Failure::new(
                Step::Connected,
                failure.code,
                format!("{}; its log: {log}", failure.words),
            );
        }
        return Err(failure);
    }
    Ok(Pushed {
        under_systemd: started == "started systemd",
        unit: installed == "installed unit",
        uploaded_bytes,
        enrolled,
    })
}

/// Brings the program over, or what is missing of it, and has it checked there.
async fn upload(
    talk: &mut Conversation,
    binary: &AgentBinary,
    limits: &Limits,
    desk: &dyn Desk,
) -> Result<u64, Failure> {
    let size = binary.bytes.len();
    let _turn = desk.turn().await;
    desk.at(Step::Upload, Step::Upload.percent());
    let have = talk
        .ask(
            Step::Upload,
            limits.install,
            &format!("have {} {size}", binary.sha256),
        )
        .await?;
    let held = match have.strip_prefix("have ") {
        Some("all") => return Ok(0),
        Some(number) => number.parse::<usize>().ok().filter(|held| *held <= size),
        None => None,
    }
    .ok_or_else(|| Failure::new(Step::Upload, "not_understood", &have))?;
    let rest = binary.bytes.slice(held..);
    let missing = rest.len();
    if missing > 0 {
        talk.tell(Step::Upload, &format!("put {missing}")).await?;
        let span = usize::from(Step::Verify.percent() - Step::Upload.percent());
        let on_sent = |sent: usize| {
            let share = (held + sent) * span / size;
            let percent = usize::from(Step::Upload.percent()) + share;
            desk.at(
                Step::Upload,
                u8::try_from(percent).unwrap_or(Step::Verify.percent()),
            );
        };
        talk.send(Step::Upload, limits.upload_stall, rest, on_sent)
            .await?;
        talk.answer(Step::Upload, limits.upload_stall).await?;
    }
    desk.at(Step::Verify, Step::Verify.percent());
    talk.ask(Step::Verify, limits.verify, "verify").await?;
    Ok(missing as u64)
}
