//! Real agents that come back by themselves: after a year off, with a clock that shows nonsense, to another issuer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outfitter_agent::agent::{self, AgentEnd, AgentError};
use outfitter_agent::anew::{self, GoesOn};
use outfitter_agent::clock::Clock;
use outfitter_agent::enroll::{EnrollError, Enrollment, enroll};
use outfitter_agent::proxy::Proxies;
use outfitter_agent::state_dir::{AgentIdentity, StateDir, StateError};
use outfitter_agent::update::launcher::Role;
use outfitter_agent_protocol::EnrollmentToken;
use outfitter_test_support::postgres::TestDatabase;
use outfitter_test_support::store::empty_postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::apps::{linked, upload, with};
use crate::server::{SetClock, TestServer};

/// What stops an agent that runs, and its end.
type Running = (
    watch::Sender<bool>,
    JoinHandle<Result<AgentEnd, AgentError>>,
);

/// A real agent in this process; a folder plays its desktop.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<SetClock>,
    running: Option<Running>,
}

impl Desk {
    pub(crate) async fn enrolled(server: &TestServer, name: &str) -> Self {
        let desk = Self::blank();
        desk.enroll(server, name).await.unwrap();
        desk
    }

    /// A machine that is no desktop yet.
    pub(crate) fn blank() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            folder,
            clock: SetClock::right(),
            running: None,
        }
    }

    /// Starts the machine from a fresh disk.
    pub(crate) fn recompose(&self) {
        assert!(self.running.is_none());
        std::fs::remove_dir_all(self.state()).unwrap();
        std::fs::remove_dir_all(self.root()).unwrap();
        std::fs::create_dir(self.root()).unwrap();
    }

    /// Makes it a desktop, with the first token of the server.
    pub(crate) async fn enroll(&self, server: &TestServer, name: &str) -> Result<(), EnrollError> {
        let text = |member: &str| server.bootstrap[member].as_str().unwrap().to_owned();
        let root = self.root();
        let enrollment = Enrollment {
            server: text("agent_endpoint").parse().unwrap(),
            token: EnrollmentToken::parse(&text("enrollment_token")).unwrap(),
            name: name.to_owned(),
            user: None,
            machine_id: agent::machine_id(Some(&root)),
            sandbox_root: Some(root),
            source_ip: None,
            proxies: Proxies::default(),
        };
        let enrolled = enroll(&enrollment).await?;
        let state = StateDir::open(&self.state()).unwrap();
        let identity = AgentIdentity {
            server: enrollment.server,
            agent: enrolled.agent,
            desktop: enrolled.desktop,
            name: enrollment.name,
            sandbox_root: enrollment.sandbox_root,
        };
        state
            .keep_identity(
                &identity,
                &enrolled.key_pem,
                &enrolled.chain_pem,
                &enrolled.roots_pem,
            )
            .unwrap();
        state
            .keep_server_millis(enrolled.server_time_millis)
            .unwrap();
        Ok(())
    }

    /// Another machine with a copy of its disk.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::blank();
        copy_folder(&self.state(), &copy.state());
        let state = StateDir::open(&copy.state()).unwrap();
        let mut identity = state.require_identity().unwrap();
        identity.sandbox_root = Some(copy.root());
        let file = copy.state().join("identity.json");
        std::fs::write(file, serde_json::to_vec(&identity).unwrap()).unwrap();
        copy
    }

    /// Another machine with a copy of its disk, and with its marks.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self::blank();
        copy_folder(&self.state(), &twin.state());
        twin
    }

    /// What lies on its disk now.
    pub(crate) fn snapshot(&self) -> tempfile::TempDir {
        let snapshot = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), &snapshot.path().join("disk"));
        snapshot
    }

    /// Sets it back; its agent is not running.
    pub(crate) fn restore(&self, snapshot: &tempfile::TempDir) {
        assert!(self.running.is_none());
        std::fs::remove_dir_all(self.state()).unwrap();
        std::fs::remove_dir_all(self.root()).unwrap();
        copy_folder(&snapshot.path().join("disk"), self.folder.path());
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn chain(&self) -> String {
        std::fs::read_to_string(self.state().join("chain.pem")).unwrap()
    }

    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none());
        let (stop, shutdown) = watch::channel(false);
        let state = StateDir::open(&self.state()).unwrap();
        let clock = Arc::clone(&self.clock);
        let task = tokio::spawn(async move {
            loop {
                let ready = anew::ready(&state, shutdown.clone()).await;
                if ready.expect("it may run") == GoesOn::Stopped {
                    return Ok(AgentEnd::Stopped);
                }
                let clock: Arc<dyn Clock> = clock.clone();
                let run = agent::run(state.clone(), clock.clone(), Role::Base, shutdown.clone());
                match Box::pin(run).await? {
                    AgentEnd::Copy(refusal) => {
                        Box::pin(anew::enroll(&state, clock, &refusal, shutdown.clone())).await;
                    }
                    end => return Ok(end),
                }
            }
        });
        self.running = Some((stop, task));
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.send_replace(true);
        assert_eq!(task.await.unwrap().unwrap(), AgentEnd::Stopped);
    }

    /// Waits until the agent ends by itself.
    async fn ended(&mut self) -> AgentError {
        let (_stop, task) = self.running.take().unwrap();
        let end = tokio::time::timeout(Duration::from_secs(60), task).await;
        end.unwrap().unwrap().unwrap_err()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-aT")
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

/// An archive with one file in it.
fn archive(content: &str) -> Vec<u8> {
    let mut members = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    members
        .append_data(&mut header, "file", content.as_bytes())
        .unwrap();
    members.into_inner().unwrap()
}

/// Gives everybody a new app, which a desktop unpacks; its id.
pub(crate) async fn installs(server: &TestServer, name: &str) -> String {
    let path = format!("/api/v1/{{p}}/packages?file_name={name}.tar");
    let request = server.request(Method::POST, &path).body(archive(name));
    let stored = TestServer::send(request).await.ok(200);
    let store = json!({"store_type": "OBS", "bucket_store": stored["bucket_store"]});
    let command = format!("unzip ${{FILE_PATH}} -d /opt/{name}");
    let body = json!({"app_file_store": store, "support_os": "Linux", "install_type": "UNZIP_INSTALL",
        "install_command": command});
    let app = upload(server, with(linked(name), body)).await;
    let install = json!({"app_ids": [app], "assign_scope": "ALL_USER"});
    server
        .post(
            "/v1/{p}/app-center/apps/actions/batch-auto-install",
            install,
        )
        .await
        .ok(200);
    app
}

/// Installs a new app, which a desktop unpacks, everywhere; waits until its job has ended well, and looks there.
pub(crate) async fn runs_a_job(server: &TestServer, desk: &Desk, name: &str) {
    let app = installs(server, name).await;
    let jobs = format!("/v1/{{p}}/app-center/jobs?app_id={app}");
    for _ in 0..1200 {
        let listed = server.get(&jobs).await.ok(200);
        let job = &listed["items"][0];
        match job["job_status"].as_str() {
            Some("SUCCESS") => {
                let file = desk.root().join("opt").join(name).join("file");
                assert_eq!(std::fs::read_to_string(file).unwrap(), name);
                return;
            }
            Some("FAIL") => panic!("{job}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("no job of {name} ended");
}

/// Runs a test on both databases.
macro_rules! on_both {
    ($test:path) => {{
        $test(None).await;
        $test(Some(empty_postgres().await)).await;
    }};
}

async fn after_300_days(database: Option<TestDatabase>) {
    let clock = SetClock::right();
    let mut server = TestServer::start_by(&clock, database).await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    desk.start();
    runs_a_job(&server, &desk, "before").await;
    desk.stop().await;
    let before = desk.chain();
    clock.set_days_ahead(300);
    desk.clock.set_days_ahead(300);
    server.restart().await;
    desk.start();
    runs_a_job(&server, &desk, "after").await;
    assert_ne!(desk.chain(), before, "renewed");
    desk.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_was_off_for_300_days_renews_its_certificate_and_runs_a_job() {
    on_both!(after_300_days);
}

#[tokio::test]
async fn an_agent_whose_clock_is_set_to_1970_runs_a_job() {
    let clock = SetClock::right();
    let server = TestServer::start_by(&clock, None).await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    desk.clock.set_to_1970();
    desk.start();
    runs_a_job(&server, &desk, "job").await;
    desk.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_was_off_until_its_clock_lost_its_battery_learns_the_time_and_runs_a_job() {
    let clock = SetClock::right();
    let mut server = TestServer::start_by(&clock, None).await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    let before = desk.chain();
    clock.set_days_ahead(300);
    desk.clock.set_to_1970();
    server.restart().await;
    desk.start();
    runs_a_job(&server, &desk, "job").await;
    assert_ne!(desk.chain(), before, "renewed");
    desk.stop().await;
    server.stop().await;
}

async fn another_issuer(database: Option<TestDatabase>) {
    let clock = SetClock::right();
    let mut server = TestServer::start_by(&clock, database).await;
    clock.set_days_ahead(150);
    server.restart().await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    desk.clock.set_days_ahead(150);
    desk.start();
    runs_a_job(&server, &desk, "before").await;
    desk.stop().await;
    let issuer_of = |chain: &str| {
        chain
            .split("-----BEGIN CERTIFICATE-----")
            .nth(2)
            .map(str::to_owned)
    };
    let before = issuer_of(&desk.chain());
    // Its own certificate holds until day 240; the issuer was replaced before.
    clock.set_days_ahead(200);
    desk.clock.set_days_ahead(200);
    server.restart().await;
    desk.start();
    runs_a_job(&server, &desk, "after").await;
    // A third of its life is over as well.
    assert_ne!(issuer_of(&desk.chain()), before);
    desk.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_was_off_while_the_issuing_certificate_was_replaced_runs_a_job() {
    on_both!(another_issuer);
}

#[tokio::test]
async fn a_decommissioned_desktop_is_refused_and_removes_its_credentials() {
    let server = TestServer::start().await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    desk.start();
    runs_a_job(&server, &desk, "before").await;
    desk.stop().await;
    let listed = server.get("/v2/{p}/desktops").await.ok(200);
    let id = listed["desktops"][0]["desktop_id"].as_str().unwrap();
    server
        .delete(&format!("/v2/{{p}}/desktops/{id}"))
        .await
        .ok(204);
    desk.start();
    let AgentError::State(StateError::Decommissioned(gone)) = desk.ended().await else {
        panic!("it ended for another reason");
    };
    assert_eq!(
        (gone.name.as_str(), gone.desktop.to_string().as_str()),
        ("desk", id)
    );
    for file in ["identity.json", "key.pem", "chain.pem", "roots.pem"] {
        assert!(!desk.state().join(file).exists(), "{file}");
    }
    // What it unpacked is the desktop's, and stays.
    assert!(desk.root().join("opt/before/file").exists());
    desk.start();
    let again = desk.ended().await.to_string();
    assert!(
        again.contains("decommissioned") && again.contains("enroll again"),
        "{again}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_disabled_project_costs_no_desktop_its_identity() {
    let server = TestServer::start().await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    server.sql("UPDATE project SET enabled = 0").await;
    desk.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    desk.stop().await;
    assert!(desk.state().join("key.pem").exists());
    server.sql("UPDATE project SET enabled = 1").await;
    desk.start();
    runs_a_job(&server, &desk, "job").await;
    desk.stop().await;
    server.stop().await;
}

/// Waits until another machine is shown beside the only desktop; gives its id and how that one was told.
async fn seen_copy(server: &TestServer) -> (String, Value) {
    for _ in 0..600 {
        let listed = server.get("/api/v1/{p}/desktops").await.ok(200);
        let desktop = &listed["items"][0];
        if desktop["agent"]["copy"].is_object() {
            let id = desktop["id"].as_str().unwrap().to_owned();
            return (id, desktop["agent"]["copy"].clone());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no copy is shown");
}

/// Desktops whose copies are settled, or are not.
async fn with_copy(server: &TestServer, is: bool) -> Value {
    let listed = server
        .get(&format!("/api/v1/{{p}}/desktops?has_copy={is}"))
        .await
        .ok(200);
    listed["count"].clone()
}

async fn copies(database: Option<TestDatabase>) {
    let server = TestServer::start_by(&SetClock::right(), database).await;
    let mut first = Desk::enrolled(&server, "desk").await;
    first.start();
    runs_a_job(&server, &first, "one").await;
    assert_eq!(with_copy(&server, true).await, 0);
    assert_eq!(with_copy(&server, false).await, 1);
    let mut copy = first.copied();
    copy.start();
    let (id, seen) = seen_copy(&server).await;
    assert_eq!(seen["sign"], "other_machine");
    assert_eq!(seen["address"], "127.0.0.1");
    assert_eq!(with_copy(&server, true).await, 1);
    assert_eq!(with_copy(&server, false).await, 0);
    // The one that was there first works on, undisturbed.
    runs_a_job(&server, &first, "two").await;
    assert!(!copy.root().join("opt/two").exists());

    let identity = format!("/api/v1/{{p}}/desktops/{id}/identity");
    let shown = server.get(&identity).await.ok(200);
    assert_eq!(
        (&shown["desktop_name"], &shown["copy"]),
        (&json!("desk"), &seen)
    );
    let settled = server
        .put(&identity, json!({"real": "present"}))
        .await
        .ok(200);
    assert!(settled["copy"].is_null());
    server
        .put(&identity, json!({"real": "refused"}))
        .await
        .refused(409, "WKS.0409", "No other machine");
    // It is refused as before, and nobody is troubled with it.
    copy.restart().await;
    runs_a_job(&server, &first, "three").await;
    let shown = server.get(&identity).await.ok(200);
    assert!(shown["copy"].is_null());
    assert_eq!(with_copy(&server, true).await, 0);
    assert_eq!(with_copy(&server, false).await, 1);
    assert!(!copy.root().join("opt").exists());
    copy.stop().await;

    // Another copy, which an administrator takes for the real one.
    let mut real = first.copied();
    real.start();
    seen_copy(&server).await;
    server
        .put(&identity, json!({"real": "refused"}))
        .await
        .ok(200);
    real.restart().await;
    runs_a_job(&server, &real, "four").await;
    first.restart().await;
    assert_eq!(seen_copy(&server).await.1["sign"], "other_machine");
    assert!(!first.root().join("opt/four").exists());
    first.stop().await;
    real.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_copied_key_is_refused_on_another_machine_until_it_is_settled_who_is_the_real_one() {
    on_both!(copies);
}

async fn snapshots(database: Option<TestDatabase>) {
    let server = TestServer::start_by(&SetClock::right(), database).await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    desk.start();
    runs_a_job(&server, &desk, "one").await;
    desk.stop().await;
    let snapshot = desk.snapshot();
    desk.start();
    runs_a_job(&server, &desk, "two").await;
    desk.stop().await;

    desk.restore(&snapshot);
    assert!(!desk.root().join("opt/two").exists());
    let history = |desk: &Desk| std::fs::read_to_string(desk.state().join("history.json")).unwrap();
    let before = history(&desk);
    desk.start();
    runs_a_job(&server, &desk, "three").await;
    assert_ne!(history(&desk), before);
    // What it had and has not any more is not put on by itself: that job is over.
    assert!(!desk.root().join("opt/two").exists());
    let listed = server.get("/api/v1/{p}/desktops").await.ok(200);
    assert!(
        listed["items"][0]["agent"]["copy"].is_null(),
        "a snapshot is no copy"
    );
    desk.stop().await;
    // Each night the same one.
    desk.restore(&snapshot);
    desk.start();
    runs_a_job(&server, &desk, "four").await;
    desk.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_desktop_that_is_set_back_to_a_snapshot_begins_a_new_history_and_works() {
    on_both!(snapshots);
}
