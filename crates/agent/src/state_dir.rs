//! The folder that makes this machine a desktop of one server: identity, key, certificate, roots.
//!
//! `identity.json` is written last and removed first: with it the agent is enrolled, without it not. `waiting.json` is
//! there while an administrator has yet to approve, `anew.json` while a copy becomes a desktop of its own.

use std::fs::File;
use std::path::{Path, PathBuf};

use outfitter_ids::{AgentId, DesktopId};
use serde::{Deserialize, Serialize};

use crate::anew::Anew;
use crate::approval::Waiting;
use crate::durable::{self, FileError};
use crate::enroll::Enrolled;
use crate::proxy::ProxyUrl;
use crate::server_client::ServerAddress;

/// Who the agent is, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentIdentity {
    /// The server.
    pub server: ServerAddress,
    /// The agent.
    pub agent: AgentId,
    /// The desktop it stands for.
    pub desktop: DesktopId,
    /// The desktop's name.
    pub name: String,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<PathBuf>,
}

/// A desktop that is no more: `decommissioned.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decommissioned {
    /// The server that said so.
    pub server: ServerAddress,
    /// The desktop it stood for.
    pub desktop: DesktopId,
    /// The desktop's name.
    pub name: String,
    /// When, by this machine's clock, in milliseconds UTC.
    pub at_millis: i64,
    /// The server's sentence.
    pub reason: String,
}

/// What the desktop's owner set: `settings.json`, which may hold a proxy's password and is for its owner alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSettings {
    /// Proxy for the server and for links; without it the environment is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyUrl>,
    /// Hosts, domains and networks that this proxy is not used for, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<String>,
    /// Most bytes of packages that are kept for the next time; 0: none.
    pub cache_bytes: u64,
}

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file in it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nobody enrolled here.
    #[error("{} holds no identity: run `outfitter-agent enroll` first", .0.display())]
    NotEnrolled(PathBuf),
    /// The desktop that was here is no more.
    #[error("the desktop {} of {} is decommissioned and holds no credentials any more: {}", .0.name, .0.server, .0.reason)]
    Decommissioned(Box<Decommissioned>),
    /// Somebody did.
    #[error("{} holds the identity of {name} already: use --replace to give it up", path.display())]
    AlreadyEnrolled {
        /// The folder.
        path: PathBuf,
        /// The desktop's name.
        name: String,
    },
    /// Another agent works in it.
    #[error("another agent runs in {}", .0.display())]
    InUse(PathBuf),
}

/// The folder; see the module.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

/// Held while an agent works in a state folder.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateDir {
    /// Names the folder, made when missing, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self, StateError> {
        durable::create_private_folder(root)?;
        let root = crate::platform::canonical(root)
            .map_err(|error| FileError::new("find", root, error))?;
        Ok(Self { root })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where attempts are journaled.
    pub fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// Where manifests of unpacked archives are kept.
    pub fn apps(&self) -> PathBuf {
        self.root.join("apps")
    }

    /// Where packages are kept for the next time.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    fn settings_path(&self) -> PathBuf {
        self.root.join("settings.json")
    }

    /// What the desktop's owner set.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or says what nobody knows.
    pub fn settings(&self) -> Result<AgentSettings, StateError> {
        Ok(durable::read_json(&self.settings_path())?.unwrap_or_default())
    }

    /// Keeps settings.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_settings(&self, settings: &AgentSettings) -> Result<(), StateError> {
        Ok(durable::write_json(&self.settings_path(), settings)?)
    }

    fn identity_path(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    fn key_path(&self) -> PathBuf {
        self.root.join("key.pem")
    }

    fn chain_path(&self) -> PathBuf {
        self.root.join("chain.pem")
    }

    fn roots_path(&self) -> PathBuf {
        self.root.join("roots.pem")
    }

    fn decommissioned_path(&self) -> PathBuf {
        self.root.join("decommissioned.json")
    }

    /// Where the history is kept that tells this machine from copies and from its past.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.json")
    }

    fn clock_path(&self) -> PathBuf {
        self.root.join("server-time")
    }

    /// Takes the folder for one agent.
    ///
    /// # Errors
    /// When another one has it, or the lock file cannot be made.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.root.join("agent.lock");
        let file = crate::platform::private_file_options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| FileError::new("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(StateLock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StateError::InUse(self.root.clone())),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(FileError::new("lock", &path, error).into())
            }
        }
    }

    /// Who is enrolled here, if anybody.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn identity(&self) -> Result<Option<AgentIdentity>, StateError> {
        Ok(durable::read_json(&self.identity_path())?)
    }

    /// Who is enrolled here.
    ///
    /// # Errors
    /// When nobody is, or nobody any more.
    pub fn require_identity(&self) -> Result<AgentIdentity, StateError> {
        if let Some(identity) = self.identity()? {
            return Ok(identity);
        }
        Err(match durable::read_json(&self.decommissioned_path())? {
            Some(gone) => StateError::Decommissioned(Box::new(gone)),
            None => StateError::NotEnrolled(self.root.clone()),
        })
    }

    /// Removes credentials, journal and packages, and writes down why. What the agent unpacked keeps its manifests: it is
    /// still there. Cut off anywhere it is begun anew by the next refusal, or done.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn decommission(&self, gone: &Decommissioned) -> Result<(), StateError> {
        durable::write_json(&self.decommissioned_path(), gone)?;
        for folder in [self.attempts(), self.cache()] {
            durable::remove_folder(&folder)?;
        }
        // The key last but one: with the identity gone nobody asks for it, and nobody would remove it.
        for path in [
            self.history(),
            self.clock_path(),
            self.roots_path(),
            self.chain_path(),
            self.anew_path(),
            self.key_path(),
            self.identity_path(),
        ] {
            remove_file(&path)?;
        }
        crate::platform::sync_folder(&self.root)
            .map_err(|error| FileError::new("sync", &self.root, error))?;
        Ok(())
    }

    /// The private key, PEM.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn key_pem(&self) -> Result<String, StateError> {
        Ok(durable::read_text(&self.key_path())?)
    }

    /// The certificate chain, PEM.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn chain_pem(&self) -> Result<String, StateError> {
        Ok(durable::read_text(&self.chain_path())?)
    }

    /// The roots, PEM.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn roots_pem(&self) -> Result<String, StateError> {
        Ok(durable::read_text(&self.roots_path())?)
    }

    /// Gives up the identity there is. Attempts of the old identity are set aside: no server will take them.
    ///
    /// # Errors
    /// When a file cannot be moved.
    pub fn give_up_identity(&self, old: &AgentIdentity) -> Result<(), StateError> {
        let path = self.identity_path();
        std::fs::remove_file(&path).map_err(|error| FileError::new("remove", &path, error))?;
        self.set_attempts_aside(old.agent)?;
        self.forget_anew()?;
        crate::platform::sync_folder(&self.root)
            .map_err(|error| FileError::new("sync", &self.root, error))?;
        Ok(())
    }

    /// Keeps a fresh identity.
    ///
    /// # Errors
    /// When a file cannot be written; the agent is not enrolled then.
    pub fn keep_identity(
        &self,
        identity: &AgentIdentity,
        key_pem: &str,
        chain_pem: &str,
        roots_pem: &str,
    ) -> Result<(), StateError> {
        durable::write(&self.key_path(), key_pem.as_bytes())?;
        self.keep_certificate(chain_pem, roots_pem)?;
        durable::write_json(&self.identity_path(), identity)?;
        // Left behind, it would say nothing: the identity comes first.
        let _ = std::fs::remove_file(self.decommissioned_path());
        Ok(())
    }

    /// Keeps what an enrollment gave; a request that waited is done with. `name` is what it asked for.
    ///
    /// # Errors
    /// When a file cannot be written; the agent is not enrolled then.
    pub fn keep_enrolled(
        &self,
        server: ServerAddress,
        name: String,
        sandbox_root: Option<PathBuf>,
        enrolled: &Enrolled,
    ) -> Result<AgentIdentity, StateError> {
        let identity = AgentIdentity {
            server,
            agent: enrolled.agent,
            desktop: enrolled.desktop,
            name: enrolled.name.clone().unwrap_or(name),
            sandbox_root,
        };
        self.keep_update_keys(&enrolled.update_keys)?;
        self.keep_server_millis(enrolled.server_time_millis)?;
        self.keep_identity(
            &identity,
            &enrolled.key_pem,
            &enrolled.chain_pem,
            &enrolled.roots_pem,
        )?;
        self.forget_waiting()?;
        Ok(identity)
    }

    fn waiting_path(&self) -> PathBuf {
        self.root.join("waiting.json")
    }

    /// The enrollment that waits for approval, where one does.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn waiting(&self) -> Result<Option<Waiting>, StateError> {
        Ok(durable::read_json(&self.waiting_path())?)
    }

    /// Keeps an enrollment that waits for approval.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_waiting(&self, waiting: &Waiting) -> Result<(), StateError> {
        Ok(durable::write_json(&self.waiting_path(), waiting)?)
    }

    /// Forgets the enrollment that waited for approval, if one did.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_waiting(&self) -> Result<(), StateError> {
        remove_file(&self.waiting_path())
    }

    fn anew_path(&self) -> PathBuf {
        self.root.join("anew.json")
    }

    /// What a copy does to become a desktop of its own, where it does.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn anew(&self) -> Result<Option<Anew>, StateError> {
        Ok(durable::read_json(&self.anew_path())?)
    }

    /// Keeps what a copy does to become a desktop of its own; with an answer in it, that is what happens.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_anew(&self, anew: &Anew) -> Result<(), StateError> {
        Ok(durable::write_json(&self.anew_path(), anew)?)
    }

    /// Forgets what a copy did to become a desktop of its own.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_anew(&self) -> Result<(), StateError> {
        remove_file(&self.anew_path())
    }

    /// Does what a copy was answered: sets the identity aside that it shares with another machine, and keeps its own. Cut off
    /// anywhere, it is done by the next call. Without an answer there is nothing to do.
    ///
    /// # Errors
    /// When a file cannot be read, written or removed.
    pub fn finish_anew(&self) -> Result<(), StateError> {
        let Some(anew) = self.anew()? else {
            return Ok(());
        };
        let Some(answer) = anew.answer else {
            return Ok(());
        };
        self.set_copied_aside(anew.of)?;
        self.keep_enrolled(
            answer.before.server,
            answer.name,
            answer.before.sandbox_root,
            &answer.enrolled,
        )?;
        self.forget_anew()
    }

    /// Removes the credentials of an agent that this machine is a copy of, and sets its journal aside: its server waits for what
    /// is in there from the other one. Whoever is enrolled here instead is left as it is.
    fn set_copied_aside(&self, of: AgentId) -> Result<(), StateError> {
        if self.identity()?.is_some_and(|there| there.agent != of) {
            return Ok(());
        }
        // First of all: without it nothing of the rest is used.
        remove_file(&self.identity_path())?;
        self.set_attempts_aside(of)?;
        for path in [
            self.history(),
            self.roots_path(),
            self.chain_path(),
            self.key_path(),
        ] {
            remove_file(&path)?;
        }
        crate::platform::sync_folder(&self.root)
            .map_err(|error| FileError::new("sync", &self.root, error))?;
        Ok(())
    }

    fn set_attempts_aside(&self, of: AgentId) -> Result<(), StateError> {
        let attempts = self.attempts();
        if attempts.exists() {
            let aside = self.root.join(format!("attempts-of-{of}"));
            std::fs::rename(&attempts, &aside)
                .map_err(|error| FileError::new("set aside", &attempts, error))?;
        }
        Ok(())
    }

    /// Keeps a renewed certificate for the same key; roots first, so that the chain is never ahead of them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep_certificate(&self, chain_pem: &str, roots_pem: &str) -> Result<(), StateError> {
        durable::write(&self.roots_path(), roots_pem.as_bytes())?;
        durable::write(&self.chain_path(), chain_pem.as_bytes())?;
        Ok(())
    }

    /// The last time the server told, in milliseconds UTC; 0 when never or unreadable (it only is a lower bound).
    pub fn last_server_millis(&self) -> i64 {
        std::fs::read_to_string(self.clock_path())
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Keeps the last time the server told.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_server_millis(&self, millis: i64) -> Result<(), StateError> {
        Ok(durable::write(
            &self.clock_path(),
            millis.to_string().as_bytes(),
        )?)
    }
}

/// Removes a file; one that is gone already is fine.
fn remove_file(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error).into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::anew::Answered;

    const OLD: u128 = 1;
    const NEW: u128 = 2;

    fn agent(id: u128) -> AgentId {
        AgentId::new(Uuid::from_u128(id))
    }

    /// A folder that holds the copied identity, with a journal.
    fn copied(folder: &Path) -> (StateDir, AgentIdentity) {
        let state = StateDir::open(folder).expect("a folder");
        let before = AgentIdentity {
            server: "[::1]:7443".parse().expect("an address"),
            agent: agent(OLD),
            desktop: DesktopId::new(Uuid::from_u128(OLD)),
            name: "pc".to_owned(),
            sandbox_root: None,
        };
        state
            .keep_identity(&before, "old key", "old chain", "old roots")
            .expect("kept");
        std::fs::create_dir(state.attempts()).expect("a journal");
        std::fs::write(state.attempts().join("open"), "").expect("an attempt");
        std::fs::write(state.history(), "{}").expect("a history");
        (state, before)
    }

    fn enrolled(before: &AgentIdentity) -> Anew {
        Anew {
            of: before.agent,
            key_pem: "new key".to_owned(),
            answer: Some(Answered {
                before: before.clone(),
                name: "pc".to_owned(),
                enrolled: Box::new(Enrolled {
                    agent: agent(NEW),
                    desktop: DesktopId::new(Uuid::from_u128(NEW)),
                    name: Some("pc-0a1b".to_owned()),
                    key_pem: "new key".to_owned(),
                    chain_pem: "new chain".to_owned(),
                    roots_pem: "new roots".to_owned(),
                    server_time_millis: 7,
                    update_keys: Vec::new(),
                }),
            }),
        }
    }

    /// Files whose writing, or setting aside, can be made to fail by a folder with something in it that stands in the way.
    const STEPS: [&str; 7] = [
        "attempts-of-00000000-0000-0000-0000-000000000001",
        "history.json",
        "server-time.new",
        "key.pem.new",
        "roots.pem.new",
        "chain.pem.new",
        "identity.json.new",
    ];

    #[test]
    fn a_copy_that_is_cut_off_anywhere_is_the_old_desktop_or_becomes_the_new_one() {
        for step in STEPS {
            let folder = tempfile::tempdir().expect("a folder");
            let (state, before) = copied(folder.path());
            let asked = Anew {
                answer: None,
                ..enrolled(&before)
            };
            state.keep_anew(&asked).expect("kept");
            state.finish_anew().expect("there is nothing to do");
            assert_eq!(state.identity().expect("read"), Some(before.clone()));

            state.keep_anew(&enrolled(&before)).expect("kept");
            let obstacle = state.root().join(step);
            let there = std::fs::read(&obstacle).is_ok();
            if there {
                std::fs::remove_file(&obstacle).expect("removed");
            }
            std::fs::create_dir_all(obstacle.join("in the way")).expect("an obstacle");
            state.finish_anew().expect_err(step);
            assert_eq!(state.identity().expect("read"), None, "{step}: a half");
            std::fs::remove_dir_all(&obstacle).expect("out of the way");

            for _ in 0..2 {
                state.finish_anew().expect(step);
                let now = state.identity().expect("read").expect("an identity");
                assert_eq!((now.agent, now.name.as_str()), (agent(NEW), "pc-0a1b"));
                let pem = (state.key_pem(), state.chain_pem(), state.roots_pem());
                assert_eq!(
                    (
                        pem.0.expect("a key"),
                        pem.1.expect("a chain"),
                        pem.2.expect("roots")
                    ),
                    (
                        "new key".to_owned(),
                        "new chain".to_owned(),
                        "new roots".to_owned()
                    )
                );
                assert!(!state.attempts().exists() && !state.history().exists());
                assert!(state.root().join(STEPS[0]).join("open").exists());
                assert_eq!(state.anew().expect("read"), None);
            }
        }
    }
}
