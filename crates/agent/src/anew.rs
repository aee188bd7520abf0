//! A copy of an enrolled machine that becomes a desktop of its own, where the server lets it
//! (docs/adr/0029-identity.md).
//!
//! Guarantees: nothing of the desktop that was copied is used any more once the server has let this machine in, and all of it
//! until then: while an administrator has yet to approve, the agent goes on calling as what it was copied from, in case it is
//! said to be the real one. `anew.json` holds the new key from before the server is asked, so that a lost answer is told again;
//! with the answer in it, it is what happens, however often the agent is cut off on the way.
//! Woken by: the end of an agent's run, see [`AgentEnd::Copy`](crate::agent::AgentEnd::Copy).
//! On crash: [`ready`] finishes what an earlier process decided, before anything else looks at the folder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outfitter_agent_protocol::{COPY_PATH, CopyRequest, PROTOCOL, REQUEST_UNKNOWN};
use outfitter_ids::AgentId;
use rcgen::KeyPair;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::agent::{jitter, machine_id};
use crate::approval::{self, WaitError};
use crate::channel::{CopyRefusal, LinkTrust};
use crate::clock::Clock;
use crate::credentials::SharedCredentials;
use crate::enroll::{self, EnrollError, Enrolled, Pins, name_of_host, signing_request};
use crate::proxy::{Proxies, ProxyError};
use crate::server_client::{chain, retry_after_secs};
use crate::state_dir::{AgentIdentity, StateDir, StateError};
use crate::version::version;

/// Time until the server is asked again where its refusal names none.
const PAUSE: Duration = Duration::from_secs(60);

/// Longest time that a server may name.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// `anew.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// The agent whose certificate is a copied one.
    pub of: AgentId,
    /// The new private key, PEM.
    pub key_pem: String,
    /// What the server gave; `None`: nothing yet, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
}

/// A desktop of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The copied identity, which says where the server is.
    pub before: AgentIdentity,
    /// The name that was asked for.
    pub name: String,
    /// What the server gave.
    pub enrolled: Box<Enrolled>,
}

/// What the server says.
enum Heard {
    In(Box<Answered>),
    /// An administrator has to approve; ask again after this time.
    Waits(Duration),
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anew")
            .field("of", &self.of)
            .finish_non_exhaustive()
    }
}

/// Why the machine does not become a desktop of its own now.
#[derive(Debug, thiserror::Error)]
enum AnewError {
    /// The server said no, or not now.
    #[error(transparent)]
    Server(#[from] EnrollError),
    /// Who answered is judged without this machine's clock: nothing is given up on its word.
    #[error("the server's certificate does not hold by this machine's clock")]
    Clock,
    /// A file of the state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The proxy that is set.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Whether the agent of a folder goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// It does.
    Yes,
    /// It was asked to stop.
    Stopped,
}

/// Finishes what was decided about a copy, and waits where this machine's enrollment has to be approved. Afterwards the folder
/// holds an identity, if it ever will.
///
/// # Errors
/// See [`WaitError`].
pub async fn ready(state: &StateDir, shutdown: watch::Receiver<bool>) -> Result<GoesOn, WaitError> {
    let _lock = state.lock()?;
    state.finish_anew()?;
    if let (None, Some(waiting)) = (state.identity()?, state.waiting()?)
        && approval::wait(state, &waiting, shutdown).await?.is_none()
    {
        return Ok(GoesOn::Stopped);
    }
    Ok(GoesOn::Yes)
}

/// Asks the server to let this machine, which it refused as a copy, enroll anew; where it does not yet, waits as long as it said.
/// What came of it is in the log and in the folder.
pub async fn enroll(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    refusal: &CopyRefusal,
    mut shutdown: watch::Receiver<bool>,
) -> GoesOn {
    let told = match ask(state, clock, refusal).await {
        Ok(None) => return GoesOn::Yes,
        Ok(Some(pause)) => {
            tracing::info!(
                "this machine becomes a desktop of its own when an administrator approves it"
            );
            pause
        }
        Err(error) => {
            tracing::warn!(
                "this machine does not become a desktop of its own yet: {}",
                chain(&error)
            );
            refusal
                .retry_after_secs
                .map_or(PAUSE, |secs| Duration::from_secs(secs.into()))
        }
    };
    let pause = told.clamp(Duration::from_secs(1), LONGEST_PAUSE) + jitter(Duration::from_secs(1));
    tokio::select! {
        () = tokio::time::sleep(pause) => GoesOn::Yes,
        stopped = shutdown.wait_for(|stop| *stop) => {
            // The other end goes with the process alone.
            let _ = stopped;
            GoesOn::Stopped
        }
    }
}

/// The time until it is asked again; `None`: this machine is another desktop from here on.
async fn ask(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    refusal: &CopyRefusal,
) -> Result<Option<Duration>, AnewError> {
    let _lock = state.lock()?;
    let before = state.require_identity()?;
    let mut anew = match state.anew()?.filter(|anew| anew.of == before.agent) {
        Some(anew) => anew,
        None => {
            let key =
                KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(EnrollError::from)?;
            let anew = Anew {
                of: before.agent,
                key_pem: key.serialize_pem(),
                answer: None,
            };
            state.keep_anew(&anew)?;
            anew
        }
    };
    let heard = call(state, clock, &before, refusal, &anew.key_pem).await;
    if let Err(AnewError::Server(EnrollError::Refused { code, .. })) = &heard
        && code == REQUEST_UNKNOWN
    {
        // It was let in, and is not any more.
        state.forget_anew()?;
    }
    match heard? {
        Heard::Waits(pause) => Ok(Some(pause)),
        Heard::In(answer) => {
            anew.answer = Some(*answer);
            state.keep_anew(&anew)?;
            state.finish_anew()?;
            Ok(None)
        }
    }
}

async fn call(
    state: &StateDir,
    clock: Arc<dyn Clock>,
    before: &AgentIdentity,
    refusal: &CopyRefusal,
    key_pem: &str,
) -> Result<Heard, AnewError> {
    let proxies = Proxies::of_process(&state.settings()?)?;
    let unreachable = |reason: String| EnrollError::Unreachable {
        server: before.server.clone(),
        reason,
    };
    let client = SharedCredentials::load(state.clone(), clock, proxies)?
        .client()
        .map_err(unreachable)?;
    let pins = Pins::of_bundle(&state.roots_pem()?)?;
    let key = KeyPair::from_pem(key_pem).map_err(EnrollError::from)?;
    let name = own_name(before, &gethostname::gethostname().to_string_lossy());
    let request = CopyRequest {
        protocol: PROTOCOL,
        csr_pem: signing_request(&key).map_err(EnrollError::from)?,
        name: name.clone(),
        identity: refusal.identity.clone(),
        machine_id: machine_id(before.sandbox_root.as_deref()),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        agent_version: version().to_owned(),
        sandbox_root: before
            .sandbox_root
            .as_ref()
            .map(|root| root.display().to_string()),
        can_wait: true,
    };
    let response = client
        .request(Method::POST, COPY_PATH)
        .json(&request)
        .send()
        .await
        .map_err(|error| unreachable(chain(&error.without_url())))?;
    if client.trust() != LinkTrust::Full {
        return Err(AnewError::Clock);
    }
    let status = response.status();
    if status == StatusCode::ACCEPTED {
        let pause = retry_after_secs(&response);
        return Ok(Heard::Waits(
            pause.map_or(PAUSE, |secs| Duration::from_secs(secs.into())),
        ));
    }
    if status.is_success() {
        let enrolled = pins.enrolled(response, &key).await?;
        return Ok(Heard::In(Box::new(Answered {
            before: before.clone(),
            name,
            enrolled: Box::new(enrolled),
        })));
    }
    Err(enroll::refusal(response).await.into())
}

/// The name that a copy asks for: its host's, or the copied one where a folder plays the desktop or the host has none of its own.
fn own_name(before: &AgentIdentity, host: &str) -> String {
    let named = name_of_host(host);
    let is_nobodys = before.sandbox_root.is_some() || ["localhost", "desktop"].contains(&&*named);
    if is_nobodys {
        before.name.clone()
    } else {
        named
    }
}
