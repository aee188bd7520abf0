//! The first start: domain, first project, administrator, enrollment token, and the files that say where we are.
//!
//! **Guarantees.** Whoever initialises an empty database leaves `bootstrap.json` behind, once, readable for its
//! owner alone; whoever joins leaves none. **On a crash** nothing is lost: the file is written under a pending
//! name before the commit, durably, and gets its own name after it. The next start finds a pending file and
//! gives it its name when the commit happened, else removes it and begins anew. **Wakes it:** every start,
//! before service. **Does not** run beside requests: its file work may block.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use outfitter_agent_protocol::EnrollmentToken;
use outfitter_api_types::secret::SecretText;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_ids::{DomainId, EnrollmentTokenId, ProjectId};
use outfitter_store::{NewEnrollmentToken, SecretDigest, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::iam::UserDraft;
use crate::agents::pki::PkiError;
use crate::auth::PasswordsBusy;
use crate::secrets::{random_text, rename_durably, sync_folder_of, write_secret_file};
use crate::services::Services;

/// Name of the first domain.
pub const DOMAIN_NAME: &str = "outfitter";

/// Name of the first administrator.
const ADMINISTRATOR_NAME: &str = "administrator";

/// How others reach this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The API, without a slash at the end.
    pub endpoint: String,
    /// Keystone's part of it; ends in `/v3`.
    pub iam_endpoint: String,
    /// The package bucket.
    pub bucket_endpoint: String,
    /// The agent listener, `HOST:PORT`.
    pub agent_endpoint: String,
    /// The console.
    pub console_url: String,
}

/// What `bootstrap.json` holds. Secrets do not show in `Debug`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Where the server is.
    #[serde(flatten)]
    pub endpoints: Endpoints,
    /// Name of the region and of the first project.
    pub region: String,
    /// Public id of the first project.
    pub project_id: String,
    /// Name of the domain.
    pub domain_name: String,
    /// Name of the administrator.
    pub user_name: String,
    /// The administrator's password.
    pub password: SecretText,
    /// The administrator's access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: SecretText,
    /// A token that lets agents enroll in the first project, attach users included.
    pub enrollment_token: SecretText,
}

/// Why a server cannot make its first start.
#[derive(Debug, Error)]
pub enum BootstrapError {
    /// A file of ours.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The pending file holds something else.
    #[error("{} is no pending bootstrap file: remove it when it is not ours", path.display())]
    Pending {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority whose roots the enrollment token pins.
    #[error(transparent)]
    Authority(#[from] PkiError),
    /// Cannot be before service began.
    #[error(transparent)]
    Passwords(#[from] PasswordsBusy),
}

/// Writes `endpoints.json`, and initialises the database when nobody has.
///
/// # Errors
/// [`BootstrapError`].
pub async fn run(services: &Services, data_dir: &Path) -> Result<(), BootstrapError> {
    write_json(&data_dir.join("endpoints.json"), &services.endpoints)?;
    let files = Files {
        pending: data_dir.join("bootstrap.json.pending"),
        named: data_dir.join("bootstrap.json"),
    };
    files.recover(services).await?;
    if services.store.db().domain_exists().await? {
        return Ok(());
    }
    let draft = Draft::new(services).await?;
    write_json(&files.pending, &draft.file)?;
    match draft.commit(services).await {
        Ok(()) => files.publish(),
        Err(error) => {
            files.discard()?;
            // Another server was faster: this one joins.
            if error.is_conflict() && services.store.db().domain_exists().await? {
                return Ok(());
            }
            Err(error.into())
        }
    }
}

struct Files {
    pending: PathBuf,
    named: PathBuf,
}

impl Files {
    /// Ends what an earlier start began.
    async fn recover(&self, services: &Services) -> Result<(), BootstrapError> {
        let text = match fs::read(&self.pending) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(file_error("read", &self.pending)(source)),
        };
        let mut file: Bootstrap =
            serde_json::from_slice(&text).map_err(|source| BootstrapError::Pending {
                path: self.pending.clone(),
                source,
            })?;
        let committed = services
            .store
            .db()
            .signing_key(&file.access_key)
            .await?
            .is_some();
        if !committed {
            return self.discard();
        }
        // The addresses may be others by now.
        file.endpoints = services.endpoints.clone();
        write_json(&self.pending, &file)?;
        self.publish()
    }

    fn publish(&self) -> Result<(), BootstrapError> {
        rename_durably(&self.pending, &self.named).map_err(file_error("write", &self.named))?;
        tracing::info!(
            file = %self.named.display(),
            "a new server: this file tells the console's address, the first administrator's name and password, and a \
             token for agents"
        );
        Ok(())
    }

    fn discard(&self) -> Result<(), BootstrapError> {
        fs::remove_file(&self.pending)
            .and_then(|()| sync_folder_of(&self.pending))
            .map_err(file_error("remove", &self.pending))
    }
}

/// Everything a first start makes, before any of it is stored.
struct Draft {
    domain: DomainId,
    project: ProjectId,
    administrator: UserDraft,
    token: NewEnrollmentToken,
    file: Bootstrap,
}

impl Draft {
    async fn new(services: &Services) -> Result<Self, BootstrapError> {
        let now = services.clock.now();
        let uuid = || services.ids.uuid(now.get());
        let project = ProjectId::new(uuid());
        let password = services.auth.new_password();
        let administrator = UserDraft::new(
            services,
            ADMINISTRATOR_NAME,
            ReadyMadePolicy::Administrator,
            Some(password.clone()),
        )
        .await?;
        let token = EnrollmentToken {
            id: EnrollmentTokenId::new(uuid()),
            secret: random_text(services.auth.randomness(), b"0123456789abcdef", 64),
            root_pins: services.authority.get().root_pins()?,
        };
        let secret = |secret: &SecretString| SecretText::new(secret.expose_secret());
        Ok(Self {
            domain: DomainId::new(uuid()),
            project,
            token: NewEnrollmentToken {
                id: token.id,
                name: "bootstrap".to_owned(),
                secret_digest: SecretDigest::new(Sha256::digest(token.secret.as_bytes()).into()),
                max_uses: None,
                expires_at: None,
                may_attach: true,
                may_reenroll: false,
                desktop: None,
                networks: Vec::new(),
                tags: Vec::new(),
                needs_approval: false,
            },
            file: Bootstrap {
                endpoints: services.endpoints.clone(),
                region: services.region.clone(),
                project_id: project.to_string(),
                domain_name: DOMAIN_NAME.to_owned(),
                user_name: administrator.name.clone(),
                password: secret(&password),
                access_key: administrator.access_key.access.clone(),
                secret_key: secret(&administrator.access_key.secret),
                enrollment_token: SecretText::new(token.reveal()),
            },
            administrator,
        })
    }

    /// Stores all of it or nothing. A conflict means that another server did.
    async fn commit(&self, services: &Services) -> Result<(), StoreError> {
        let now = services.clock.now();
        let tx = services.store.write().await?;
        let domain = tx.domain_insert(self.domain, DOMAIN_NAME, now).await?;
        let project = tx
            .project_insert(self.project, domain, &services.region, now)
            .await?;
        self.administrator
            .insert(services, &tx, domain, None)
            .await?;
        tx.enrollment_token_insert(project, &self.token, now)
            .await?;
        tx.commit().await
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), BootstrapError> {
    let mut text = serde_json::to_vec_pretty(value).expect("a struct of texts is JSON");
    text.push(b'\n');
    write_secret_file(path, &text).map_err(file_error("write", path))
}

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BootstrapError {
    let path = path.to_owned();
    move |source| BootstrapError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::testing::{As, TestClock, TestServer, services};

    fn read(folder: &Path, name: &str) -> Option<Value> {
        let text = fs::read(folder.join(name)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    #[tokio::test]
    async fn the_first_start_hands_out_all_that_is_needed_once() {
        let server = TestServer::start().await;
        let folder = server.folder.path();
        let file = read(folder, "bootstrap.json").unwrap();
        let members: Vec<_> = file
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut wanted = [
            "endpoint",
            "iam_endpoint",
            "bucket_endpoint",
            "agent_endpoint",
            "console_url",
            "region",
            "project_id",
            "domain_name",
            "user_name",
            "password",
            "access_key",
            "secret_key",
            "enrollment_token",
        ];
        wanted.sort_unstable();
        assert_eq!(members, wanted);
        let mode = |name: &str| {
            fs::metadata(folder.join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode("bootstrap.json"), 0o600);
        assert_eq!(mode("server.key"), 0o600);
        assert_eq!(
            read(folder, "endpoints.json").unwrap(),
            serde_json::to_value(&server.services.endpoints).unwrap()
        );

        let token = EnrollmentToken::parse(server.bootstrap.enrollment_token.expose()).unwrap();
        assert_eq!(
            token.root_pins,
            server.services.authority.get().root_pins().unwrap()
        );
        let projects = server
            .call(
                server.administrator(),
                "GET",
                "/v3/projects?name=local-1",
                None,
            )
            .await;
        assert_eq!(projects.body["projects"][0]["id"], file["project_id"]);

        fs::remove_file(folder.join("bootstrap.json")).unwrap();
        run(&server.services, folder).await.unwrap();
        assert_eq!(read(folder, "bootstrap.json"), None, "only once");
        assert_eq!(read(folder, "bootstrap.json.pending"), None);
    }

    #[tokio::test]
    async fn a_crash_after_the_commit_loses_no_secret() {
        let server = TestServer::start().await;
        let folder = server.folder.path();
        let (named, pending) = (
            folder.join("bootstrap.json"),
            folder.join("bootstrap.json.pending"),
        );
        let mut before = server.bootstrap.clone();
        fs::rename(&named, &pending).unwrap();
        let mut moved: Value = read(folder, "bootstrap.json.pending").unwrap();
        moved["endpoint"] = "http://127.0.0.1:1".into();
        write_secret_file(&pending, moved.to_string().as_bytes()).unwrap();

        run(&server.services, folder).await.unwrap();
        assert!(!pending.exists());
        let after: Bootstrap = serde_json::from_slice(&fs::read(&named).unwrap()).unwrap();
        before.endpoints = server.services.endpoints.clone();
        assert_eq!(after, before);
    }

    #[tokio::test]
    async fn a_crash_before_the_commit_begins_anew() {
        let old = TestServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        fs::copy(
            old.folder.path().join("bootstrap.json"),
            folder.path().join("bootstrap.json.pending"),
        )
        .unwrap();
        let clock = TestClock::new();
        let services = services(folder.path(), Arc::clone(&clock)).await;
        run(&services, folder.path()).await.unwrap();
        assert_eq!(read(folder.path(), "bootstrap.json.pending"), None);
        let server = TestServer::of(services, clock, folder);
        assert_ne!(server.bootstrap.access_key, old.bootstrap.access_key);
        let answer = server
            .call(server.administrator(), "GET", "/v3/auth/domains", None)
            .await;
        assert_eq!(answer.status, 200);
        let stale = As::Key(&old.bootstrap.access_key, old.bootstrap.secret_key.expose());
        let answer = server.call(stale, "GET", "/v3/auth/domains", None).await;
        assert_eq!(answer.status, 401);
    }

    #[tokio::test]
    async fn of_servers_that_start_at_once_one_initialises_and_the_others_join() {
        let shared = tempfile::tempdir().unwrap();
        let services = services(shared.path(), TestClock::new()).await;
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut starts = Vec::new();
        for folder in &folders {
            let (services, folder) = (Arc::clone(&services), folder.path().to_owned());
            starts.push(tokio::spawn(async move { run(&services, &folder).await }));
        }
        for start in starts {
            start.await.unwrap().unwrap();
        }
        let count = |name: &str| {
            folders
                .iter()
                .filter(|folder| folder.path().join(name).exists())
                .count()
        };
        assert_eq!(count("bootstrap.json"), 1);
        assert_eq!(count("bootstrap.json.pending"), 0);
        assert_eq!(count("endpoints.json"), 3);
    }

    #[test]
    fn the_file_in_memory_shows_no_secret() {
        let secret = || SecretText::new("hidden");
        let bootstrap = Bootstrap {
            endpoints: Endpoints {
                endpoint: String::new(),
                iam_endpoint: String::new(),
                bucket_endpoint: String::new(),
                agent_endpoint: String::new(),
                console_url: String::new(),
            },
            region: String::new(),
            project_id: String::new(),
            domain_name: String::new(),
            user_name: String::new(),
            password: secret(),
            access_key: String::new(),
            secret_key: secret(),
            enrollment_token: secret(),
        };
        assert!(!format!("{bootstrap:?}").contains("hidden"));
    }
}
