//! Whom to reach, how, and for how long to try.

use std::fmt;
use std::time::Duration;

use russh::keys::decode_secret_key;
use secrecy::{ExposeSecret as _, SecretString};

/// What a user shows to log in.
#[derive(Clone)]
pub enum Credential {
    /// A private key in OpenSSH or PKCS #8 form (Ed25519 or ECDSA), and its passphrase where it has one.
    Key {
        /// The key's text.
        pem: SecretString,
        /// The passphrase.
        passphrase: Option<SecretString>,
    },
    /// A password, given to the methods `password` and `keyboard-interactive`.
    Password(SecretString),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key { .. } => "Key(..)",
            Self::Password(_) => "Password(..)",
        })
    }
}

/// Which host key is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyRule {
    /// The one with this fingerprint, `SHA256:` and base64 as OpenSSH prints it.
    Pinned(String),
    /// Any; the caller pins it after the first login.
    FirstUse,
}

/// One machine to log in to.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Host name or address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// What the user shows.
    pub credential: Credential,
    /// Which host key is accepted.
    pub host_key: HostKeyRule,
}

/// How a user that is not root becomes root.
#[derive(Debug, Clone)]
pub enum Sudo {
    /// Not at all: the user must be root.
    Never,
    /// `sudo`, which asks no password.
    Silent,
    /// `sudo` with this password, should it ask.
    Password(SecretString),
}

/// A desktop to reach.
#[derive(Debug, Clone)]
pub struct Target {
    /// The desktop.
    pub desktop: Hop,
    /// The machine through which it is reached.
    pub jump: Option<Hop>,
    /// How root is had there.
    pub sudo: Sudo,
}

/// Longest time for each step. One limit for all would cut off good hosts under load (measured: five of twenty).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the host key is known.
    pub host_key: Duration,
    /// Until the user is let in.
    pub login: Duration,
    /// Until the far side has told about itself.
    pub probe: Duration,
    /// Without one more byte being taken.
    pub upload_stall: Duration,
    /// Until the digest is checked and the program was started once.
    pub verify: Duration,
    /// Until program and unit are in place.
    pub install: Duration,
    /// Until the agent has its certificate.
    pub enroll: Duration,
    /// Until the agent runs.
    pub start: Duration,
    /// Until the agent itself has connected.
    pub connected: Duration,
}

impl Limits {
    /// What the server uses: far above what a loaded machine of two cores needs with a hundred at once, and short
    /// enough that a dead host is known within half a minute.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(10),
        host_key: Duration::from_secs(15),
        login: Duration::from_secs(20),
        probe: Duration::from_secs(30),
        upload_stall: Duration::from_secs(20),
        verify: Duration::from_secs(60),
        install: Duration::from_secs(30),
        enroll: Duration::from_secs(60),
        start: Duration::from_secs(60),
        connected: Duration::from_secs(60),
    };
}

/// A host key that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenHostKey {
    /// Whose.
    pub on: KeyOwner,
    /// `SHA256:` and base64.
    pub fingerprint: String,
}

/// Whose host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOwner {
    /// The desktop's.
    Desktop,
    /// The jump host's.
    Jump,
}

/// Text that is no private key we can use.
#[derive(Debug, thiserror::Error)]
#[error("this is no private key that can be used: {0}")]
pub struct KeyError(String);

/// Whether a text is a private key that opens with the passphrase.
///
/// # Errors
/// With the reason; never with the key.
pub fn check_key(pem: &SecretString, passphrase: Option<&SecretString>) -> Result<(), KeyError> {
    read_key(pem, passphrase).map(drop)
}

pub(crate) fn read_key(
    pem: &SecretString,
    passphrase: Option<&SecretString>,
) -> Result<russh::keys::PrivateKey, KeyError> {
    let key = decode_secret_key(
        pem.expose_secret(),
        passphrase.map(|text| text.expose_secret()),
    )
    .map_err(|error| KeyError(error.to_string()))?;
    if key.algorithm().is_rsa() {
        return Err(KeyError(
            "RSA keys are not supported; make one with `ssh-keygen -t ed25519`".to_owned(),
        ));
    }
    Ok(key)
}
