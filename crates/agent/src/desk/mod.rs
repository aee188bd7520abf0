//! The local socket: what people at this desktop ask for (docs/adr/0025-end-users.md).
//!
//! **Guarantees.** The account that a question is asked for is the one that the kernel names for the far end of the
//! connection; nothing that is sent can name another. The server decides; the agent adds who asks and hands both ways on.
//! One account never keeps others out: connections and questions are counted for each, and everything is bounded.
//! **Woken by** connections alone. **On a crash** nothing is kept here. **Does not** install anything: what is asked for
//! comes back over the channel as a task like any other.

mod client;

pub use client::{AppCommand, DeskClient, DeskClientError, portal_page};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outfitter_agent_protocol::{
    DESK_PATH, DeskAnswer, DeskAsk, DeskRefusal, DeskRequest, MAX_DESK_ANSWER_BYTES,
    MAX_DESK_ASK_BYTES,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

use crate::channel::LinkTrust;
use crate::credentials::SharedCredentials;
use crate::platform::{self, DeskListener, DeskPeer};
use crate::server_client::{chain, read_refusal};

/// Connections at once, of everybody. Further ones are closed with words.
const MOST_OPEN: usize = 64;

/// Connections at once of one account.
const MOST_OPEN_OF_ONE: usize = 8;

/// Questions of one account that are answered without a pause.
const BURST: u32 = 40;

/// Time in which one more question is earned: somebody who watches an install asks once a second.
const EARNED_IN: Duration = Duration::from_millis(500);

/// Longest pause between two questions of a connection, and longest time for taking an answer.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// Longest time for the server's answer.
const SERVER_LIMIT: Duration = Duration::from_secs(30);

/// Name of the socket in its folder.
const SOCKET: &str = "desk.sock";

/// Where the socket of an agent is: in the system's folder for such things, below the folder that plays the desktop
/// where one does.
pub fn socket_path(sandbox_root: Option<&Path>) -> PathBuf {
    let folder = Path::new(platform::DESK_FOLDER);
    let folder = match sandbox_root {
        Some(root) => root.join(folder.strip_prefix("/").unwrap_or(folder)),
        None => folder.to_owned(),
    };
    folder.join(SOCKET)
}

/// Serves the socket until `shutdown` turns true. Without one the agent works all the same.
pub async fn serve(
    path: PathBuf,
    credentials: SharedCredentials,
    mut shutdown: watch::Receiver<bool>,
) {
    let listener = match DeskListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(
                "people at this desktop cannot ask for anything: {}",
                chain(&error)
            );
            return;
        }
    };
    tracing::info!("people at this desktop ask at {}", path.display());
    let guests = Arc::new(Guests::default());
    loop {
        let peer = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => return,
            accepted = listener.accept() => match accepted {
                Ok(peer) => peer,
                Err(error) => {
                    tracing::warn!("a connection of somebody at this desktop failed: {}", chain(&error));
                    // No descriptor is free, most likely: not at once again.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            },
        };
        let guests = Arc::clone(&guests);
        let credentials = credentials.clone();
        let mut shutdown = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped(&mut shutdown) => {}
                () = attend(peer, &guests, &credentials) => {}
            }
        });
    }
}

/// Waits until the agent is to end.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    drop(shutdown.wait_for(|stop| *stop).await);
}

/// Answers one connection until it ends.
async fn attend(mut peer: DeskPeer, guests: &Arc<Guests>, credentials: &SharedCredentials) {
    let Some(_place) = guests.enter(peer.user) else {
        let full = refused(
            "too_many_connections",
            "too many programs of yours, or of everybody, talk to the agent now",
        );
        drop(write(&mut peer.stream, &full).await);
        return;
    };
    let account = match platform::account_name(peer.user).await {
        Ok(account) => account,
        Err(error) => {
            let unknown = refused("account_unknown", &chain(&error));
            drop(write(&mut peer.stream, &unknown).await);
            return;
        }
    };
    let user = peer.user;
    let (reader, mut writer) = tokio::io::split(peer.stream);
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_DESK_ASK_BYTES).unwrap_or(u64::MAX);
        let mut bounded = (&mut reader).take(most);
        let read = tokio::time::timeout(PAUSE_LIMIT, bounded.read_until(b'\n', &mut line)).await;
        if !matches!(read, Ok(Ok(1..))) {
            return;
        }
        let (answer, goes_on) = match question(&line) {
            Err(reason) => (refused("request_invalid", &reason), false),
            Ok(_) if !guests.may_ask(user) => (
                refused("too_often", "you ask too often: wait a moment"),
                true,
            ),
            Ok(ask) => (ask_server(credentials, account.clone(), ask).await, true),
        };
        if write(&mut writer, &answer).await.is_err() || !goes_on {
            return;
        }
    }
}

fn question(line: &[u8]) -> Result<DeskAsk, String> {
    if !line.ends_with(b"\n") {
        return Err(format!(
            "a question is one line of at most {MAX_DESK_ASK_BYTES} bytes"
        ));
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

async fn write(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    answer: &DeskAnswer,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    tokio::time::timeout(PAUSE_LIMIT, stream.write_all(&line))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}

fn refused(code: &str, reason: &str) -> DeskAnswer {
    DeskAnswer::Refused(DeskRefusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Asks the server for an account of this desktop.
async fn ask_server(credentials: &SharedCredentials, account: String, ask: DeskAsk) -> DeskAnswer {
    let unreachable = |reason: &str| {
        refused(
            "server_unreachable",
            &format!("the server cannot be asked now: {reason}"),
        )
    };
    let body = match serde_json::to_vec(&DeskRequest { account, ask }) {
        Ok(body) => body,
        Err(error) => return refused("request_invalid", &error.to_string()),
    };
    let client = match credentials.client() {
        Ok(client) => client,
        Err(reason) => return unreachable(&reason),
    };
    let request = client
        .request(reqwest::Method::POST, DESK_PATH)
        .header("content-type", "application/json")
        .timeout(SERVER_LIMIT)
        .body(body);
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return unreachable(&chain(&error.without_url())),
    };
    if client.trust() == LinkTrust::TimeOnly {
        return refused(
            "clock",
            "this desktop's clock is off: the server's certificate cannot be judged",
        );
    }
    if !response.status().is_success() {
        let refusal = read_refusal(response).await;
        return refused(&refusal.code, &refusal.reason);
    }
    let mut answer = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(piece)) if answer.len() + piece.len() <= MAX_DESK_ANSWER_BYTES => {
                answer.extend_from_slice(&piece);
            }
            Ok(Some(_)) => return unreachable("its answer is larger than allowed"),
            Err(error) => return unreachable(&chain(&error.without_url())),
        }
    }
    serde_json::from_slice(&answer)
        .unwrap_or_else(|error| unreachable(&format!("its answer cannot be read: {error}")))
}

/// Who is connected, and how much they asked.
#[derive(Default)]
struct Guests {
    of: Mutex<HashMap<u32, Guest>>,
}

struct Guest {
    open: usize,
    left: u32,
    counted_at: tokio::time::Instant,
}

/// A place of a connection; free again when it goes.
struct Place {
    guests: Arc<Guests>,
    user: u32,
}

impl Guests {
    fn enter(self: &Arc<Self>, user: u32) -> Option<Place> {
        let mut of = self.of();
        if of.values().map(|guest| guest.open).sum::<usize>() >= MOST_OPEN {
            return None;
        }
        // Who has gone and has earned everything back is forgotten.
        let now = tokio::time::Instant::now();
        of.retain(|_, guest| guest.open > 0 || guest.earned(now) < BURST);
        let guest = of.entry(user).or_insert(Guest {
            open: 0,
            left: BURST,
            counted_at: now,
        });
        if guest.open >= MOST_OPEN_OF_ONE {
            return None;
        }
        guest.open += 1;
        Some(Place {
            guests: Arc::clone(self),
            user,
        })
    }

    fn may_ask(&self, user: u32) -> bool {
        let now = tokio::time::Instant::now();
        self.of().get_mut(&user).is_some_and(|guest| {
            let earned = guest.earned(now);
            if earned != guest.left {
                guest.left = earned;
                guest.counted_at = now;
            }
            let may = guest.left > 0;
            guest.left = guest.left.saturating_sub(1);
            may
        })
    }

    fn of(&self) -> MutexGuard<'_, HashMap<u32, Guest>> {
        // Every change is whole: a panic elsewhere leaves the map usable.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    fn earned(&self, now: tokio::time::Instant) -> u32 {
        let passed = now.saturating_duration_since(self.counted_at).as_millis();
        let earned = u32::try_from(passed / EARNED_IN.as_millis()).unwrap_or(u32::MAX);
        self.left.saturating_add(earned).min(BURST)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(guest) = self.guests.of().get_mut(&self.user) {
            guest.open = guest.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_account_keeps_no_other_out() {
        let guests = Arc::new(Guests::default());
        let mine: Vec<_> = std::iter::from_fn(|| guests.enter(1)).collect();
        assert_eq!(mine.len(), MOST_OPEN_OF_ONE);
        let place = guests.enter(2).expect("a place for somebody else");
        let asked = std::iter::from_fn(|| guests.may_ask(1).then_some(())).count();
        assert_eq!(asked, usize::try_from(BURST).expect("a small number"));
        assert!(guests.may_ask(2));
        tokio::time::advance(EARNED_IN).await;
        assert!(guests.may_ask(1) && !guests.may_ask(1));
        drop(mine);
        drop(place);
        assert!(guests.enter(1).is_some());
        // Leaving does not give back what was asked.
        assert!(!guests.may_ask(1));
    }

    #[test]
    fn a_question_is_one_short_line() {
        assert_eq!(question(b"\"portal\"\n"), Ok(DeskAsk::Portal));
        assert!(question(b"\"portal\"").is_err());
        assert!(question(b"\"something else\"\n").is_err());
        // Whoever asks cannot say for whom.
        assert!(question(b"{\"account\":\"root\",\"ask\":\"portal\"}\n").is_err());
    }

    #[test]
    fn a_folder_that_plays_the_desktop_has_a_socket_of_its_own() {
        assert!(socket_path(None).is_absolute());
        let played = socket_path(Some(Path::new("/tmp/played")));
        assert!(played.starts_with("/tmp/played"));
        assert!(played.ends_with(SOCKET));
    }
}
