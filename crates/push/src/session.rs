//! Connection, host key, login: directly, or through a jump host.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Failure, Step};
use crate::target::{
    Credential, Hop, HostKeyRule, KeyOwner, Limits, SeenHostKey, Target, read_key,
};

/// Rounds of questions that a login may ask; PAM asks one or two.
const QUESTION_ROUNDS: usize = 4;

/// A logged-in connection, with those it goes through.
pub(crate) struct Session {
    pub(crate) handle: Handle<Visitor>,
    /// Kept: the desktop's connection runs inside it.
    _jump: Option<Handle<Visitor>>,
    pub(crate) host_keys: Vec<SeenHostKey>,
}

/// Judges the host key; notes what it saw.
pub(crate) struct Visitor {
    rule: HostKeyRule,
    seen: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Visitor {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        // Certificates of hosts are never asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let accepted = match &self.rule {
            HostKeyRule::FirstUse => true,
            HostKeyRule::Pinned(pin) => *pin == fingerprint,
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        Ok(accepted)
    }
}

/// Logs in; `on_step` is told where it is.
pub(crate) async fn open(
    target: &Target,
    limits: &Limits,
    on_step: &(dyn Fn(Step) + Sync),
) -> Result<Session, Failure> {
    let mut host_keys = Vec::new();
    on_step(Step::Connect);
    let desktop = &target.desktop;
    let Some(jump) = &target.jump else {
        let stream = dial(desktop, limits).await?;
        let handle = Box::pin(enter(
            desktop,
            KeyOwner::Desktop,
            stream,
            limits,
            on_step,
            &mut host_keys,
        ))
        .await?;
        return Ok(Session {
            handle,
            _jump: None,
            host_keys,
        });
    };
    let stream = dial(jump, limits).await.map_err(at_jump)?;
    let outer = Box::pin(enter(
        jump,
        KeyOwner::Jump,
        stream,
        limits,
        on_step,
        &mut host_keys,
    ))
    .await
    .map_err(at_jump)?;
    let through = outer.channel_open_direct_tcpip(
        desktop.address.clone(),
        u32::from(desktop.port),
        "127.0.0.1",
        0,
    );
    let channel = timeout(limits.connect, through)
        .await
        .map_err(|_| Failure::timed_out(Step::Connect, limits.connect))?
        .map_err(|error| {
            Failure::new(
                Step::Connect,
                "jump_refused",
                format!(
                    "the jump host {} does not open {}:{}: {error}",
                    jump.address, desktop.address, desktop.port
                ),
            )
        })?;
    let handle = Box::pin(enter(
        desktop,
        KeyOwner::Desktop,
        channel.into_stream(),
        limits,
        on_step,
        &mut host_keys,
    ))
    .await?;
    Ok(Session {
        handle,
        _jump: Some(outer),
        host_keys,
    })
}

fn at_jump(mut failure: Failure) -> Failure {
    failure.words = format!("jump host: {}", failure.words);
    failure
}

async fn dial(hop: &Hop, limits: &Limits) -> Result<TcpStream, Failure> {
    let connecting = TcpStream::connect((hop.address.as_str(), hop.port));
    match timeout(limits.connect, connecting).await {
        Err(_) => Err(Failure::timed_out(Step::Connect, limits.connect)),
        Ok(Err(error)) => {
            let code = if error.kind() == std::io::ErrorKind::ConnectionRefused {
                "connect_refused"
            } else {
                "connect_failed"
            };
            Err(Failure::new(
                Step::Connect,
                code,
                format!("{}:{}: {error}", hop.address, hop.port),
            ))
        }
        Ok(Ok(stream)) => {
            // Lines go to and fro: waiting to fill a packet would cost a round trip each.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot send small packets at once");
            }
            Ok(stream)
        }
    }
}

async fn enter<S>(
    hop: &Hop,
    owner: KeyOwner,
    stream: S,
    limits: &Limits,
    on_step: &(dyn Fn(Step) + Sync),
    host_keys: &mut Vec<SeenHostKey>,
) -> Result<Handle<Visitor>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    on_step(Step::HostKey);
    let seen = Arc::new(Mutex::new(None));
    let visitor = Visitor {
        rule: hop.host_key.clone(),
        seen: Arc::clone(&seen),
    };
    let config = client::Config {
        client_id: russh::SshId::Standard("SSH-2.0-outfitter".into()),
        // A far side that dies without a word is noticed by the limits of the steps, and at last by this.
        keepalive_interval: Some(limits.upload_stall),
        ..client::Config::default()
    };
    let greeting = client::connect_stream(Arc::new(config), stream, visitor);
    let outcome = timeout(limits.host_key, greeting)
        .await
        .map_err(|_| Failure::timed_out(Step::HostKey, limits.host_key))?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut handle = outcome.map_err(|error| match (&hop.host_key, &seen) {
        (HostKeyRule::Pinned(pin), Some(seen)) if pin != seen => Failure::new(
            Step::HostKey,
            "host_key_changed",
            format!("the host shows the key {seen}, the pinned one is {pin}"),
        ),
        _ => Failure::new(Step::HostKey, "handshake_failed", error.to_string()),
    })?;
    on_step(Step::Login);
    timeout(limits.login, log_in(&mut handle, hop))
        .await
        .map_err(|_| Failure::timed_out(Step::Login, limits.login))??;
    // Only a host that let the user in is worth pinning.
    host_keys.extend(seen.map(|fingerprint| SeenHostKey {
        on: owner,
        fingerprint,
    }));
    Ok(handle)
}

async fn log_in(handle: &mut Handle<Visitor>, hop: &Hop) -> Result<(), Failure> {
    let broken = |error: russh::Error| {
        Failure::new(
            Step::Login,
            "dropped",
            format!("the connection ended: {error}"),
        )
    };
    let refused = |how: &str, remaining: String| {
        let also = if remaining.is_empty() {
            String::new()
        } else {
            format!("; it would take {remaining}")
        };
        Failure::new(
            Step::Login,
            "login_refused",
            format!(
                "the host does not let {} in with that {how}{also}",
                hop.user
            ),
        )
    };
    let left = |methods: &russh::MethodSet| {
        methods
            .iter()
            .map(<&str>::from)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match &hop.credential {
        Credential::Key { pem, passphrase } => {
            let key = read_key(pem, passphrase.as_ref())
                .map_err(|error| Failure::new(Step::Login, "key_unusable", error.to_string()))?;
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            match handle
                .authenticate_publickey(hop.user.clone(), key)
                .await
                .map_err(broken)?
            {
                AuthResult::Success => Ok(()),
                AuthResult::Failure {
                    remaining_methods, ..
                } => Err(refused("key", left(&remaining_methods))),
            }
        }
        Credential::Password(password) => {
            let password = password.expose_secret();
            let first = handle
                .authenticate_password(hop.user.clone(), password)
                .await
                .map_err(broken)?;
            let AuthResult::Failure {
                remaining_methods, ..
            } = first
            else {
                return Ok(());
            };
            if !remaining_methods.contains(&russh::MethodKind::KeyboardInteractive) {
                return Err(refused("password", left(&remaining_methods)));
            }
            let mut answer = handle
                .authenticate_keyboard_interactive_start(hop.user.clone(), None)
                .await
                .map_err(broken)?;
            for _ in 0..QUESTION_ROUNDS {
                match answer {
                    KeyboardInteractiveAuthResponse::Success => return Ok(()),
                    KeyboardInteractiveAuthResponse::Failure { .. } => break,
                    KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                        // What is asked with echo is not the password.
                        let answers = prompts
                            .iter()
                            .map(|prompt| {
                                if prompt.echo {
                                    String::new()
                                } else {
                                    password.to_owned()
                                }
                            })
                            .collect();
                        answer = handle
                            .authenticate_keyboard_interactive_respond(answers)
                            .await
                            .map_err(broken)?;
                    }
                }
            }
            Err(refused("password", left(&remaining_methods)))
        }
    }
}
