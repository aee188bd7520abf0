//! Newer programs of the agent: uploaded, signed, offered, halted; and the way up for an agent that is too old.

use outfitter_agent::channel::Channel as _;
use outfitter_agent::update::offer::judge;
use outfitter_agent_protocol::{
    AgentMessage, Hello, PROGRAMS_PATH, PROTOCOL, PROTOCOL_FLOOR, ServerMessage, UpdateReport,
    UpdateStage, VERSION_MARKER, VERSION_SLOT_BYTES,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::hostile::{channel, enrolled};
use crate::server::{Answer, TestServer};

const RELEASES: &str = "/api/v1/agent-releases";

/// Releases are the account's: a token of one project may not touch them.
struct Account<'a> {
    server: &'a TestServer,
    token: String,
}

impl<'a> Account<'a> {
    async fn of(server: &'a TestServer) -> Self {
        let scope = json!({"domain": {"name": "outfitter"}});
        let token = server.token_for(scope).await;
        Self { server, token }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.server
            .anonymous(method, path)
            .header("x-auth-token", &self.token)
    }

    async fn upload(&self, program: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, "/api/v1/agent-programs");
        let request = request.header("content-type", "application/octet-stream");
        TestServer::send(request.body(program)).await
    }

    async fn create(&self, version: &str, programs: &[&Value]) -> Answer {
        let body = json!({"version": version, "programs": programs});
        TestServer::send(self.request(Method::POST, RELEASES).json(&body)).await
    }

    async fn roll_out(&self, version: &str, body: Value) -> Answer {
        let path = format!("{RELEASES}/{version}/roll-out");
        TestServer::send(self.request(Method::PUT, &path).json(&body)).await
    }

    async fn show(&self, version: &str) -> Value {
        let path = format!("{RELEASES}/{version}");
        TestServer::send(self.request(Method::GET, &path))
            .await
            .ok(200)
    }
}

/// The head of a Linux program for the architecture of this machine, with a slot.
fn program(version: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    bytes.resize(18, 0);
    let machine: u16 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    bytes.extend(machine.to_le_bytes());
    let slot = bytes.len();
    bytes.extend(VERSION_MARKER);
    bytes.extend(version.as_bytes());
    bytes.resize(slot + VERSION_SLOT_BYTES, 0);
    bytes
}

fn hello(protocol: u32, version: &str) -> AgentMessage {
    AgentMessage::Hello(Hello {
        protocol,
        agent_version: version.to_owned(),
        os: "linux".to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        boot_id: "b".to_owned(),
        sandbox_root: None,
        attempts: Vec::new(),
        identity: None,
    })
}

#[tokio::test]
async fn a_release_is_made_of_uploaded_programs_and_offered_to_nobody_at_first() {
    let server = TestServer::start().await;
    let account = Account::of(&server).await;
    account
        .upload(b"\x7fELF but nothing of ours".to_vec())
        .await
        .refused(400, "WKS.00211102", "body");
    let uploaded = account.upload(program("1.2.0")).await.ok(201);
    assert_eq!(
        (&uploaded["version"], &uploaded["os"]),
        (&json!("1.2.0"), &json!("linux"))
    );
    assert_eq!(account.upload(program("1.2.0")).await.ok(201), uploaded);
    let digest = &uploaded["sha256"];
    account
        .create("1.3.0", &[digest])
        .await
        .refused(400, "WKS.00211102", "bears version 1.2.0");
    account
        .create("1.2.0", &[&json!("ab".repeat(32))])
        .await
        .refused(400, "WKS.00211102", "no program with the digest");
    let made = account.create("1.2.0", &[digest]).await.ok(201);
    assert_eq!(
        (&made["percent"], &made["halted"], &made["done"]),
        (&json!(0), &json!(false), &json!(0))
    );
    account
        .create("1.2.0", &[digest])
        .await
        .refused(409, "WKS.0409", "1.2.0");
    let rolled = account
        .roll_out(
            "1.2.0",
            json!({"percent": 10, "trial_limit_seconds": 30, "halt_after_failures": 2}),
        )
        .await
        .ok(200);
    assert_eq!(rolled["percent"], 10);
    // What is left out stays.
    let halted = account.roll_out("1.2.0", json!({"halted": true})).await;
    assert_eq!(
        (&halted.body["percent"], &halted.body["trial_limit_seconds"]),
        (&json!(10), &json!(30))
    );
    assert_eq!(account.show("1.2.0").await["halted"], true);
    account
        .roll_out("9.9.9", json!({"percent": 1}))
        .await
        .refused(404, "WKS.00211902", "agent release");
    account
        .roll_out("1.2.0", json!({"percent": 101}))
        .await
        .refused(400, "WKS.00211102", "percent");
    let listed = TestServer::send(account.request(Method::GET, RELEASES))
        .await
        .ok(200);
    assert_eq!(listed["count"], 1);
    server.stop().await;
}

#[tokio::test]
async fn an_agent_below_the_floor_is_offered_a_way_up_before_it_is_refused() {
    let server = TestServer::start().await;
    let account = Account::of(&server).await;
    let credentials = enrolled(&server).await;
    let uploaded = account.upload(program("1.2.0")).await.ok(201);
    let digest = uploaded["sha256"].as_str().unwrap();
    account
        .create("1.2.0", &[&uploaded["sha256"]])
        .await
        .ok(201);
    let path = format!("{PROGRAMS_PATH}{digest}");
    let client = credentials.client().unwrap();
    let fetch = || client.request(Method::GET, &path);
    assert_eq!(fetch().send().await.unwrap().status(), 404);
    // One desktop in a hundred, most likely not this one: whoever is too old for everything else is offered it.
    account
        .roll_out("1.2.0", json!({"percent": 1}))
        .await
        .ok(200);

    let mut old = channel(&credentials).await;
    old.send(hello(PROTOCOL_FLOOR - 1, "0.1.0")).await.unwrap();
    let ServerMessage::Update(offer) = old.receive().await.unwrap() else {
        panic!("no offer");
    };
    let ServerMessage::Refused { code, .. } = old.receive().await.unwrap() else {
        panic!("it was let in");
    };
    assert_eq!(code, "protocol_too_old");
    // It is what the keys that enrollment pinned have signed, and its bytes can be had, in parts too.
    let keys = credentials_keys(&server).await;
    let wanted = judge(&offer, &keys, "0.1.0", 0).unwrap();
    assert_eq!(
        (wanted.version.as_str(), wanted.sha256.as_str()),
        ("1.2.0", digest)
    );
    let whole = fetch().send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.to_vec(), program("1.2.0"));
    let part = fetch().header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), whole.slice(10..));
    account
        .roll_out("1.2.0", json!({"halted": true}))
        .await
        .ok(200);
    assert_eq!(fetch().send().await.unwrap().status(), 404);
    server.stop().await;
}

/// What the server hands out for pinning, by enrolling once more.
async fn credentials_keys(server: &TestServer) -> Vec<outfitter_agent_protocol::UpdateKey> {
    use outfitter_agent::enroll::{Enrollment, enroll};
    let text = |member: &str| server.bootstrap[member].as_str().unwrap().to_owned();
    let enrollment = Enrollment {
        server: text("agent_endpoint").parse().unwrap(),
        token: outfitter_agent_protocol::EnrollmentToken::parse(&text("enrollment_token")).unwrap(),
        name: "another".to_owned(),
        user: None,
        sandbox_root: None,
        machine_id: "m".to_owned(),
        source_ip: None,
        proxies: outfitter_agent::proxy::Proxies::default(),
    };
    enroll(&enrollment).await.unwrap().update_keys
}

#[tokio::test]
async fn a_release_that_fails_too_often_halts_by_itself_and_says_where() {
    let server = TestServer::start().await;
    let account = Account::of(&server).await;
    let credentials = enrolled(&server).await;
    let uploaded = account.upload(program("1.2.0")).await.ok(201);
    account
        .create("1.2.0", &[&uploaded["sha256"]])
        .await
        .ok(201);
    account
        .roll_out("1.2.0", json!({"percent": 100, "halt_after_failures": 1}))
        .await
        .ok(200);
    let mut agent = channel(&credentials).await;
    agent.send(hello(PROTOCOL, "0.1.0")).await.unwrap();
    let mut next = async |wanted: fn(&ServerMessage) -> bool, report: Option<UpdateReport>| {
        if let Some(report) = report {
            agent.send(AgentMessage::Update(report)).await.unwrap();
        }
        loop {
            let message = agent.receive().await.unwrap();
            if wanted(&message) {
                return message;
            }
        }
    };
    next(|message| matches!(message, ServerMessage::Update(_)), None).await;
    let report = UpdateReport {
        version: "1.2.0".to_owned(),
        round: 1,
        stage: UpdateStage::Failed,
        detail: Some("it ended (signal: 11)".to_owned()),
    };
    let noted = next(
        |message| matches!(message, ServerMessage::UpdateNoted { .. }),
        Some(report),
    )
    .await;
    assert_eq!(
        noted,
        ServerMessage::UpdateNoted {
            version: "1.2.0".to_owned(),
            round: 1,
            stage: UpdateStage::Failed,
        }
    );
    let shown = account.show("1.2.0").await;
    assert_eq!(
        (&shown["halted"], &shown["failed"]),
        (&json!(true), &json!(1))
    );
    assert!(shown["halt_reason"].as_str().unwrap().contains("failed"));
    assert_eq!(shown["failures"][0]["desktop_name"], "desk");
    assert_eq!(shown["failures"][0]["detail"], "it ended (signal: 11)");
    // Going on with a new round offers it to that desktop again.
    account
        .roll_out("1.2.0", json!({"halted": false, "retry_failed": true}))
        .await
        .ok(200);
    let again = next(|message| matches!(message, ServerMessage::Update(_)), None).await;
    assert!(matches!(again, ServerMessage::Update(offer) if offer.round == 2));
    server.stop().await;
}
