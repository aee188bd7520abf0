//! Waiting for an administrator who lets this machine in.
//!
//! The request lies in `waiting.json` of the state folder, with the key that it was made with and without the token's
//! secret; it goes when the agent is in, or refused for good. The server says when to ask; a server that does not answer
//! is asked ever more rarely. Nothing else runs meanwhile.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use outfitter_agent_protocol::{APPROVAL_PATH, ApprovalRequest, EnrollRefusal, PROTOCOL};
use outfitter_ids::{EnrollmentRequestId, EnrollmentTokenId};
use rcgen::KeyPair;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::enroll::{EnrollError, Enrolled, Pins, signing_request};
use crate::proxy::{Proxies, ProxyError};
use crate::server_client::{ServerAddress, chain, read_refusal, retry_after_secs};
use crate::state_dir::{AgentIdentity, StateDir, StateError};

/// Time until the server is asked again where it did not say: the first, doubled up to the last.
const UNANSWERED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Longest time that a server may name.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// An enrollment that waits for approval: what is needed to ask about it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The server.
    pub server: ServerAddress,
    /// Lower-case hex SHA-256 of the SubjectPublicKeyInfo of each root that the token named.
    pub root_pins: Vec<String>,
    /// The token that it was made with.
    pub token: EnrollmentTokenId,
    /// The request.
    pub request: EnrollmentRequestId,
    /// The desktop's name.
    pub name: String,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<PathBuf>,
    /// The private key, PEM.
    pub key_pem: String,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("request", &self.request)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What the server says about a request.
pub enum Standing {
    /// The agent is in.
    Enrolled(Box<Enrolled>),
    /// Nobody has decided; ask again after this time.
    Waits(Duration),
    /// It is over.
    Refused(EnrollRefusal),
    /// Not now; the time to wait, where it was told.
    Busy(EnrollRefusal, Option<Duration>),
}

/// Why the agent does not wait on.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The request is over.
    #[error("this machine was not let in ({code}): {reason}", code = .0.code, reason = .0.reason)]
    Refused(EnrollRefusal),
    /// A file of the state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The proxy that is set.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Waiting {
    /// Asks the server once; writes nothing.
    ///
    /// # Errors
    /// Whatever is no answer: see [`EnrollError`].
    pub async fn ask(&self, proxies: &Proxies) -> Result<Standing, EnrollError> {
        let pins = Pins::new(&self.root_pins)?;
        let key = KeyPair::from_pem(&self.key_pem)?;
        let response = pins
            .client(&self.server, None, proxies)?
            .request(Method::POST, APPROVAL_PATH)
            .json(&ApprovalRequest {
                protocol: PROTOCOL,
                request: self.request,
                csr_pem: signing_request(&key)?,
            })
            .send()
            .await
            .map_err(|error| EnrollError::Unreachable {
                server: self.server.clone(),
                reason: chain(&error.without_url()),
            })?;
        let status = response.status();
        let pause = retry_after_secs(&response).map(|secs| Duration::from_secs(secs.into()));
        if status == StatusCode::ACCEPTED {
            return Ok(Standing::Waits(pause.unwrap_or(UNANSWERED.1)));
        }
        if status.is_success() {
            let enrolled = pins.enrolled(response, &key).await?;
            return Ok(Standing::Enrolled(Box::new(enrolled)));
        }
        let refusal = read_refusal(response).await;
        // What has no words of ours comes from something in between, or from a server that cannot answer now.
        let is_final = status == StatusCode::FORBIDDEN && !refusal.code.starts_with("http_");
        Ok(if is_final {
            Standing::Refused(refusal)
        } else {
            Standing::Busy(refusal, pause)
        })
    }
}

/// Waits until this machine is let in, and keeps its identity. `None` when the agent was asked to stop.
///
/// # Errors
/// See [`WaitError`]; a request that is over is forgotten.
pub async fn wait(
    state: &StateDir,
    waiting: &Waiting,
    mut shutdown: watch::Receiver<bool>,
) -> Result<Option<AgentIdentity>, WaitError> {
    let proxies = Proxies::of_process(&state.settings()?)?;
    let mut unanswered = UNANSWERED.0;
    tracing::info!(
        request.id = %waiting.request,
        server = %waiting.server,
        "the agent of {} waits for an administrator's approval",
        waiting.name
    );
    loop {
        let (told, reason) = match waiting.ask(&proxies).await {
            Ok(Standing::Enrolled(enrolled)) => {
                return Ok(Some(state.keep_enrolled(
                    waiting.server.clone(),
                    waiting.name.clone(),
                    waiting.sandbox_root.clone(),
                    &enrolled,
                )?));
            }
            Ok(Standing::Refused(refusal)) => {
                state.forget_waiting()?;
                return Err(WaitError::Refused(refusal));
            }
            Ok(Standing::Waits(pause)) => (Some(pause), None),
            Ok(Standing::Busy(refusal, pause)) => (pause, Some(refusal.reason)),
            Err(error) => (None, Some(chain(&error))),
        };
        if let Some(reason) = reason {
            tracing::warn!("cannot ask about the approval: {reason}");
        }
        let pause = match told {
            Some(pause) => {
                unanswered = UNANSWERED.0;
                pause.clamp(Duration::from_secs(1), LONGEST_PAUSE)
            }
            None => {
                let pause = unanswered;
                unanswered = (unanswered * 2).min(UNANSWERED.1);
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            stopped = shutdown.wait_for(|stop| *stop) => {
                // The other end goes with the process alone.
                let _ = stopped;
                return Ok(None);
            }
        }
    }
}
