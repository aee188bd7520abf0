//! Receipts: what a device signed is shown as valid; whatever else arrives proves nothing, and says so everywhere.

use std::time::Duration;

use outfitter_agent::channel::driver::Channel as _;
use outfitter_agent::channel::websocket::WebSocketChannel;
use outfitter_agent::credentials::Credentials;
use outfitter_agent_protocol::{
    AgentMessage, Detection, Envelope, Evidence, RECEIPT_SCHEMA, RawSignature, ServerMessage,
    Statement, Task,
};
use outfitter_ids::{AgentId, DesktopId};
use rcgen::{KeyPair, SigningKey as _};
use reqwest::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;

use crate::apps::{linked, upload, with};
use crate::hostile::{channel, enrolled_as, hello};
use crate::server::TestServer;

const BATCH: &str = "/v1/{p}/app-center/apps/actions/batch-auto-install";
const DEVICE_SHA256: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// An enrolled agent with an open channel, played by the test.
pub(crate) struct Played {
    credentials: Credentials,
    pub(crate) channel: WebSocketChannel,
    pub(crate) desktop: DesktopId,
}

impl Played {
    pub(crate) async fn start(server: &TestServer, name: &str) -> Self {
        let credentials = enrolled_as(server, name).await;
        let mut channel = channel(&credentials).await;
        channel.send(hello()).await.unwrap();
        let ServerMessage::Welcome(welcome) = channel.receive().await.unwrap() else {
            panic!("no welcome");
        };
        Self {
            credentials,
            channel,
            desktop: welcome.desktop,
        }
    }

    fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.credentials.chain_pem.as_bytes()).unwrap()
    }

    fn agent(&self) -> AgentId {
        let leaf = self.leaf();
        let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&leaf).unwrap();
        let name = leaf.subject().iter_common_name().next().unwrap();
        AgentId::lookup(name.as_str().unwrap()).unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> RawSignature {
        let key = KeyPair::from_pem(&self.credentials.key_pem).unwrap();
        RawSignature {
            certificate_sha256: outfitter_receipts::fingerprint(&self.leaf()),
            bytes: key.sign(bytes).unwrap(),
        }
    }

    /// Takes the next task, up to where its result is due.
    async fn take(&mut self) -> Task {
        let ServerMessage::Task(task) = self.channel.receive().await.unwrap() else {
            panic!("no task came");
        };
        let attempt = task.attempt;
        self.say(AgentMessage::Accepted { attempt }).await;
        let answer = self.channel.receive().await.unwrap();
        assert_eq!(answer, ServerMessage::Go { attempt });
        *task
    }

    pub(crate) async fn say(&mut self, message: AgentMessage) {
        self.channel.send(message).await.unwrap();
    }

    /// What an honest agent states of a run that went well.
    fn statement(&self, task: &Task) -> Statement {
        Statement {
            schema: RECEIPT_SCHEMA,
            agent: self.agent(),
            desktop: self.desktop,
            project: task.project,
            evidence: Evidence {
                attempt: task.attempt,
                job: task.job,
                failure: None,
                failure_detail: None,
                rule: task.detection.clone(),
                manifest_files: None,
                before: None,
                after: Some(Detection {
                    holds: true,
                    seen: "/opt/a is there".to_owned(),
                }),
                already_installed: false,
                already_absent: false,
                exit_code: Some(0),
                output_tail: "done\u{fffd}".to_owned(),
                package_sha256: Some(DEVICE_SHA256.to_owned()),
                package_size_bytes: Some(3),
                command: Some("/tmp/b.exe /S".to_owned()),
                sandbox_root: None,
                agent_version: "1".to_owned(),
                phases: vec![],
                ended_at_millis: 0,
            },
            task: Some(task.clone()),
        }
    }
}

/// An app with a rule, its job on the one desktop that is there.
pub(crate) async fn deploy(server: &TestServer, name: &str) -> String {
    let app = upload(server, with(linked(name), json!({"support_os": "Linux"}))).await;
    let rule = json!({"rule": {"file": {"path": "/opt/a"}}});
    server
        .put(&format!("/api/v1/{{p}}/apps/{app}/detection-rule"), rule)
        .await
        .ok(200);
    let install = json!({"app_ids": [app], "assign_scope": "ALL_USER"});
    let answer = server
        .request(Method::POST, BATCH)
        .json(&install)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    app
}

/// The only attempt of a job, once its receipt was looked at.
async fn looked_at(server: &TestServer, task: &Task) -> Value {
    let path = format!("/api/v1/{{p}}/jobs/{}/attempts", task.job);
    for _ in 0..600 {
        let listed = server.get(&path).await.ok(200);
        let receipt = &listed["items"][0]["receipt"];
        if receipt["signature"].is_string() && receipt["signature"] != "pending" {
            return listed["items"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the receipt was never looked at");
}

/// Ends the attempt with an envelope; gives the attempt once that was looked at.
async fn end(server: &TestServer, agent: &mut Played, task: &Task, envelope: Envelope) -> Value {
    agent.say(AgentMessage::Result(Box::new(envelope))).await;
    let attempt = task.attempt;
    let answer = agent.channel.receive().await.unwrap();
    assert_eq!(answer, ServerMessage::Recorded { attempt });
    looked_at(server, task).await
}

/// Unverified successes of each deployment.
async fn unverified(server: &TestServer) -> Vec<i64> {
    let listed = server.get("/api/v1/{p}/deployments").await.ok(200);
    let deployments = listed["items"].as_array().unwrap();
    deployments
        .iter()
        .map(|deployment| deployment["counts"]["jobs_unverified"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn what_the_device_signed_is_valid_and_can_be_exported() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    deploy(&server, "a").await;
    let task = agent.take().await;
    assert!(task.project.is_some());
    let envelope = Envelope::seal(&agent.statement(&task), |bytes| Some(agent.sign(bytes)));
    let attempt = end(&server, &mut agent, &task, envelope.clone()).await;
    assert_eq!(attempt["receipt"]["signature"], "valid", "{attempt}");
    assert_eq!(attempt["receipt"]["proof"], "detection_rule");
    assert_eq!(unverified(&server).await, [0]);
    let path = format!("/api/v1/{{p}}/jobs/{}/receipt", task.job);
    let exported = server.get(&path).await.ok(200);
    // The very bytes that came, for whoever has the root.
    assert_eq!(
        exported["envelope"],
        serde_json::to_value(&envelope).unwrap()
    );
    assert_eq!(exported["proof"], "detection_rule");
    let pem = exported["certificates_pem"].as_str().unwrap();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
    let roots = server.get("/api/v1/{p}/agent-roots").await.ok(200);
    assert_eq!(roots["fingerprints"].as_array().unwrap().len(), 1);
    server
        .get(&format!("{path}?attempt=2"))
        .await
        .refused(404, "WKS.00211902", "receipt");
    server.stop().await;
}

#[tokio::test]
async fn forged_and_altered_receipts_prove_nothing_and_are_raised() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    let thief = Played::start(&server, "thief").await;
    let mut refused = Vec::new();
    for (name, problem) in [
        ("altered", "the signature is not"),
        ("foreign", "about another desktop"),
        ("renamed", "never given out"),
        ("retasked", "about another task"),
    ] {
        let app = deploy(&server, name).await;
        let task = agent.take().await;
        let honest = agent.statement(&task);
        let envelope = match name {
            // It failed, said so and signed it; then somebody between changed the exit code.
            "altered" => {
                let mut failed = honest.clone();
                failed.evidence.exit_code = Some(1);
                let signed = Envelope::seal(&failed, |bytes| Some(agent.sign(bytes)));
                Envelope {
                    signatures: signed.signatures,
                    ..Envelope::seal(&honest, |_| None)
                }
            }
            // The key of another enrolled desktop.
            "foreign" => Envelope::seal(&honest, |bytes| Some(thief.sign(bytes))),
            "renamed" => Envelope::seal(&honest, |bytes| {
                Some(RawSignature {
                    certificate_sha256: [7; 32],
                    ..agent.sign(bytes)
                })
            }),
            // Signed by the right key, about a task that was never sent.
            _ => {
                let mut other = honest.clone();
                other.task.as_mut().unwrap().command = "true".to_owned();
                Envelope::seal(&other, |bytes| Some(agent.sign(bytes)))
            }
        };
        let attempt = end(&server, &mut agent, &task, envelope).await;
        let receipt = &attempt["receipt"];
        assert_eq!(receipt["signature"], "invalid", "{name}: {attempt}");
        let said = receipt["signature_problem"].as_str().unwrap();
        assert!(said.contains(problem), "{name}: {said}");
        assert_eq!(receipt["proof"], "receipt_invalid", "{name}");
        let exported = server
            .get(&format!("/api/v1/{{p}}/jobs/{}/receipt", task.job))
            .await
            .ok(200);
        assert_eq!(exported["proof"], "receipt_invalid", "{name}");
        let why = server
            .get(&format!(
                "/api/v1/{{p}}/why?app={app}&desktop={}",
                agent.desktop
            ))
            .await
            .ok(200);
        assert!(why.to_string().contains("not proven"), "{name}: {why}");
        refused.push(task.job.to_string());
    }
    // Each of them came as a proof and was counted as one.
    assert_eq!(unverified(&server).await, [1, 1, 1, 1]);
    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    let entries = audit["items"].as_array().unwrap();
    for job in refused {
        let raised = entries.iter().any(|entry| {
            entry["action"] == "outfitter:receipts:refuse" && entry.to_string().contains(&job)
        });
        assert!(raised, "{job} is not in {audit}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_receipt_without_a_signature_is_shown_so() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    deploy(&server, "a").await;
    let task = agent.take().await;
    let envelope = Envelope::seal(&agent.statement(&task), |_| None);
    let attempt = end(&server, &mut agent, &task, envelope).await;
    assert_eq!(attempt["receipt"]["signature"], "unsigned");
    server.stop().await;
}

#[tokio::test]
async fn a_receipt_is_verified_by_the_certificate_of_its_time() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    deploy(&server, "a").await;
    let task = agent.take().await;
    let envelope = Envelope::seal(&agent.statement(&task), |bytes| Some(agent.sign(bytes)));
    // Between the end and its arrival the agent renewed, for another key even.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let csr_pem = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    agent.say(AgentMessage::Renew { csr_pem }).await;
    let answer = agent.channel.receive().await.unwrap();
    assert!(matches!(answer, ServerMessage::Certificate { .. }));
    let attempt = end(&server, &mut agent, &task, envelope).await;
    assert_eq!(attempt["receipt"]["signature"], "valid", "{attempt}");
    server.stop().await;
}
