//! Real agents that come back by themselves: after a year off, with a clock that shows nonsense, to another issuer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use outfitter_agent::agent::{self, AgentEnd, AgentError};
use outfitter_agent::enroll::{Enrollment, enroll};
use outfitter_agent::proxy::Proxies;
use outfitter_agent::state_dir::{AgentIdentity, StateDir, StateError};
use outfitter_agent::update::launcher::Role;
use outfitter_agent_protocol::EnrollmentToken;
use outfitter_test_support::store::empty_postgres;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::apps::{linked, upload, with};
use crate::server::{SetClock, TestServer};

/// A real agent in this process; a folder plays its desktop.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<SetClock>,
    running: Option<(
        watch::Sender<bool>,
        JoinHandle<Result<AgentEnd, AgentError>>,
    )>,
}

impl Desk {
    pub(crate) async fn enrolled(server: &TestServer, name: &str) -> Self {
        let text = |member: &str| server.bootstrap[member].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
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
        let enrolled = enroll(&enrollment).await.unwrap();
        let desk = Self {
            folder,
            clock: SetClock::right(),
            running: None,
        };
        let state = StateDir::open(&desk.state()).unwrap();
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
        desk
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
        let task =
            tokio::spawn(
                async move { Box::pin(agent::run(state, clock, Role::Base, shutdown)).await },
            );
        self.running = Some((stop, task));
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

/// Installs a new app, which a desktop unpacks, everywhere; waits until its job has ended well, and looks there.
pub(crate) async fn runs_a_job(server: &TestServer, desk: &Desk, name: &str) {
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

async fn after_300_days(database: Option<outfitter_test_support::postgres::TestDatabase>) {
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

async fn another_issuer(database: Option<outfitter_test_support::postgres::TestDatabase>) {
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
