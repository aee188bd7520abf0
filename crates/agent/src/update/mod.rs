//! The agent's own program, replaced from afar without ever leaving the desktop without one.
//!
//! The service starts one program for ever, the *base*: what was installed there. A newer one lies in
//! `programs/` of the state folder, under its digest; `update.json` says which one runs in the base's place and
//! which one is on trial. [`launcher`] reads it when the base starts and becomes the chosen program (same process
//! id). [`offer`] decides whether an offer is followed, [`fetch`] brings the program over.
//!
//! Guarantees: bytes run only when a pinned key signed for their digest, and never those of an older version. A new
//! program first runs as a child of the one that works; it stays only after the server has noted, over a channel of
//! its own, that it is connected. If it does not start, ends, hangs or is not connected in time, the one that works
//! goes on. After power loss at any step the base starts and takes up what the record says.
//! Does not: touch installers that run. They are no children of the agent, and their attempts are adopted by
//! whichever program runs next.

pub mod fetch;
pub mod launcher;
pub mod offer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use outfitter_agent_protocol::{UpdateKey, UpdateOffer, UpdateReport, UpdateStage};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::channel::DesktopEvent;
use crate::credentials::SharedCredentials;
use crate::durable::{self, FileError};
use crate::platform;
use crate::server_client::chain;
use crate::state_dir::StateDir;
use crate::version::version;
use launcher::Role;

/// A program beside the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// Lower-case hex SHA-256; its name in `programs/`.
    pub sha256: String,
    /// Of the offer that it came by: what becomes of it is told as that of this round.
    pub round: i64,
}

/// A program that has to prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The program.
    pub program: Program,
    /// How long it may take until it is connected, in seconds.
    pub limit_secs: u32,
    /// Times it was started: a machine that goes down with it each time does not try for ever.
    #[serde(default)]
    pub starts: u32,
}

/// `update.json`. Members are only added: the program before and the program after read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateRecord {
    /// Runs in the place of the base.
    pub current: Option<Program>,
    /// Ran before it, and takes its place again when it does not start any more.
    pub previous: Option<Program>,
    /// Has to prove itself.
    pub trial: Option<Trial>,
    /// What became of the last offer, until the server has noted it.
    pub last: Option<UpdateReport>,
    /// Starts of `current` since it last ran for a while.
    pub starts: u32,
}

impl StateDir {
    fn update_record_path(&self) -> PathBuf {
        self.root().join("update.json")
    }

    fn update_keys_path(&self) -> PathBuf {
        self.root().join("update-keys.json")
    }

    /// Where programs beside the base lie.
    pub fn programs(&self) -> PathBuf {
        self.root().join("programs")
    }

    /// Where a program lies.
    pub fn program(&self, program: &Program) -> PathBuf {
        self.programs().join(&program.sha256)
    }

    /// What is known of updates. A record that cannot be read counts as none: then the base runs.
    pub fn update_record(&self) -> UpdateRecord {
        durable::read_json(&self.update_record_path())
            .unwrap_or_else(|error| {
                tracing::error!("{}; the installed program goes on", chain(&error));
                None
            })
            .unwrap_or_default()
    }

    /// Keeps what is known of updates.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_update_record(&self, record: &UpdateRecord) -> Result<(), FileError> {
        durable::write_json(&self.update_record_path(), record)
    }

    /// Keys that programs may be signed with; pinned at enrollment.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn update_keys(&self) -> Result<Vec<UpdateKey>, FileError> {
        Ok(durable::read_json(&self.update_keys_path())?.unwrap_or_default())
    }

    /// Pins the keys that programs may be signed with.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_update_keys(&self, keys: &[UpdateKey]) -> Result<(), FileError> {
        durable::write_json(&self.update_keys_path(), &keys)
    }
}

/// What the running agent does about updates.
#[derive(Clone)]
pub struct Updates {
    inner: Arc<Inner>,
}

struct Inner {
    state: StateDir,
    role: Role,
    credentials: SharedCredentials,
    events: mpsc::Sender<DesktopEvent>,
    try_out: watch::Sender<bool>,
    busy: Mutex<bool>,
}

impl Updates {
    /// For the agent of a state folder; `try_out` turns true when the agent is to end so that a program that has
    /// been fetched is tried out.
    pub fn new(
        state: StateDir,
        role: Role,
        credentials: SharedCredentials,
        events: mpsc::Sender<DesktopEvent>,
        try_out: watch::Sender<bool>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                state,
                role,
                credentials,
                events,
                try_out,
                busy: Mutex::new(false),
            }),
        }
    }

    /// What the server is to hear when the agent begins.
    pub fn report(&self) -> Option<UpdateReport> {
        let record = self.inner.state.update_record();
        match (&self.inner.role, record.trial) {
            (Role::Trial, Some(trial)) => Some(UpdateReport {
                version: trial.program.version,
                round: trial.program.round,
                stage: UpdateStage::Trying,
                detail: None,
            }),
            _ => record.last,
        }
    }

    /// Takes an offer; one at a time, and none while on trial.
    pub fn offer(&self, offer: UpdateOffer) {
        if self.inner.role == Role::Trial || self.set_busy(true) {
            return;
        }
        let updates = self.clone();
        tokio::spawn(async move {
            updates.follow(offer).await;
            updates.set_busy(false);
        });
    }

    /// Answers what it was.
    fn set_busy(&self, busy: bool) -> bool {
        let mut held = self
            .inner
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, busy)
    }

    async fn follow(&self, offer: UpdateOffer) {
        let Inner {
            state,
            credentials,
            try_out,
            ..
        } = &*self.inner;
        let judged = state
            .update_keys()
            .map_err(|error| offer::Refusal::new("unknown", chain(&error)))
            .and_then(|keys| offer::judge(&offer, &keys, version(), credentials.present_millis()))
            .and_then(|wanted| {
                if platform::CAN_REPLACE_PROGRAM {
                    Ok(wanted)
                } else {
                    let why = "an agent cannot replace its program on this system yet";
                    Err(offer::Refusal::new(&wanted.version, why))
                }
            });
        let wanted = match judged {
            Ok(wanted) => wanted,
            Err(refusal) => {
                tracing::warn!("the offered program is refused: {}", refusal.detail);
                self.tell(UpdateReport {
                    version: refusal.version,
                    round: offer.round,
                    stage: UpdateStage::Refused,
                    detail: Some(refusal.detail),
                })
                .await;
                return;
            }
        };
        let program = Program {
            version: wanted.version.clone(),
            sha256: wanted.sha256.clone(),
            round: offer.round,
        };
        tracing::info!(version = program.version, "a newer program is fetched");
        let fetched = fetch::fetch(state, credentials, &wanted).await;
        if let Err(error) = fetched {
            tracing::warn!("the newer program is not here: {error}");
            if let fetch::FetchError::Unfit(detail) = error {
                self.tell(UpdateReport {
                    version: program.version,
                    round: offer.round,
                    stage: UpdateStage::Refused,
                    detail: Some(detail),
                })
                .await;
            }
            return;
        }
        let mut record = state.update_record();
        record.trial = Some(Trial {
            program,
            limit_secs: offer.trial_limit_secs.clamp(5, 3600),
            starts: 0,
        });
        match state.keep_update_record(&record) {
            Ok(()) => {
                tracing::info!(version = wanted.version, "the newer program is tried out");
                try_out.send_replace(true);
            }
            Err(error) => tracing::error!("{}", chain(&error)),
        }
    }

    async fn tell(&self, report: UpdateReport) {
        // The agent ends when nobody listens.
        let _ = self
            .inner
            .events
            .send(DesktopEvent::UpdateReported(report))
            .await;
    }

    /// The server noted a report. On trial this is what makes the program stay; else it need not be told again.
    pub fn noted(&self, report: &UpdateReport) {
        let state = &self.inner.state;
        let mut record = state.update_record();
        if self.inner.role != Role::Trial || report.stage != UpdateStage::Trying {
            if record.last.take_if(|last| last == report).is_some()
                && let Err(error) = state.keep_update_record(&record)
            {
                tracing::warn!("{}", chain(&error));
            }
            return;
        }
        let Some(trial) = record.trial.take() else {
            return;
        };
        record.previous = record.current.take();
        record.last = Some(UpdateReport {
            version: trial.program.version.clone(),
            round: trial.program.round,
            stage: UpdateStage::Done,
            detail: None,
        });
        record.current = Some(trial.program);
        record.starts = 0;
        if let Err(error) = state.keep_update_record(&record) {
            tracing::error!("{}", chain(&error));
            return;
        }
        tracing::info!("this program is the agent's from now on");
        if let Err(error) = fetch::prune(state, &record) {
            tracing::warn!("{}", chain(&error));
        }
    }
}
