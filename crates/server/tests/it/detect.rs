//! The dry run of a detection rule, with agents that the test plays.

use std::time::Duration;

use outfitter_agent::channel::driver::Channel as _;
use outfitter_agent_protocol::{AgentMessage, DetectionRule, ServerMessage};
use outfitter_server::config::ServeOptions;
use serde_json::json;
use tokio::time::timeout;

use crate::apps::{linked, upload};
use crate::receipts::Played;
use crate::server::TestServer;

#[tokio::test]
async fn a_rule_is_tried_on_connected_desktops_and_the_log_knows() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    let away = server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": "away", "os_type": "Linux"}),
        )
        .await
        .ok(201);
    let app = upload(&server, linked("a")).await;
    let path = format!("/api/v1/{{p}}/apps/{app}/actions/evaluate-detection");
    let desktop = agent.desktop.to_string();
    server
        .post(&path, json!({"desktop_ids": [desktop]}))
        .await
        .refused(400, "WKS.00211102", "rule");
    let script = json!({"script": {"script": "test -e /opt/a"}});
    server
        .post(
            &path,
            json!({"desktop_ids": ["5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10"], "rule": script}),
        )
        .await
        .refused(404, "WKS.00211902", "desktop");
    let bad = json!({"registry_value": {"key": "HKCU\\Software\\X"}});
    server
        .post(&path, json!({"desktop_ids": [desktop], "rule": bad}))
        .await
        .refused(400, "WKS.00211102", "must begin with");

    let body = json!({"desktop_ids": [desktop, away["id"]], "rule": script});
    let asked = server.post(&path, body);
    let answered = async {
        let ServerMessage::Detect { question, rule } = agent.channel.receive().await.unwrap()
        else {
            panic!("no question");
        };
        assert!(matches!(*rule, DetectionRule::Script { .. }));
        // An answer to another question is none to this one.
        for (question, seen) in [(question + 1, "wrong"), (question, "exit code 0")] {
            agent
                .say(AgentMessage::Detected {
                    question,
                    holds: Some(true),
                    seen: seen.to_owned(),
                })
                .await;
        }
    };
    let (asked, ()) = tokio::join!(asked, answered);
    let asked = asked.ok(200);
    assert_eq!(
        asked["items"],
        json!([
            {"desktop_id": desktop, "desktop_name": "desk", "state": "evaluated", "holds": true, "seen": "exit code 0"},
            {"desktop_id": away["id"], "desktop_name": "away", "state": "not_connected"},
        ])
    );
    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    assert!(
        audit["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(
                |entry| entry["action"] == "outfitter:apps:evaluateDetection"
                    && entry.to_string().contains("test -e /opt/a")
            ),
        "{audit}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go_although_it_is_asked() {
    let server = TestServer::start_told(ServeOptions {
        agent_heartbeat_secs: Some(1),
        ..ServeOptions::default()
    })
    .await;
    let mut agent = Played::start(&server, "desk").await;
    let app = upload(&server, linked("a")).await;
    let path = format!("/api/v1/{{p}}/apps/{app}/actions/evaluate-detection");
    let body = json!({
        "desktop_ids": [agent.desktop.to_string()],
        "rule": {"script": {"script": "true"}},
    });
    // Each question is given up before three heartbeats have passed, and the next one is sent.
    let asking = async {
        loop {
            drop(timeout(Duration::from_millis(500), server.post(&path, body.clone())).await);
        }
    };
    let listening = async { while agent.channel.receive().await.is_ok() {} };
    tokio::select! {
        () = asking => {}
        ended = timeout(Duration::from_secs(60), listening) => {
            ended.expect("the channel of a silent peer stays");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_is_asked_for_its_log() {
    let server = TestServer::start().await;
    let mut agent = Played::start(&server, "desk").await;
    let path = format!("/api/v1/{{p}}/desktops/{}/agent-log", agent.desktop);
    let log = |question| AgentMessage::Log {
        question,
        text: "connected\n".to_owned(),
    };
    let other = |question| AgentMessage::Detected {
        question,
        holds: Some(true),
        seen: String::new(),
    };
    let mut asked = async |answer: &dyn Fn(u64) -> AgentMessage| {
        let answered = async {
            let ServerMessage::ReadLog { question } = agent.channel.receive().await.unwrap() else {
                panic!("no question");
            };
            agent.say(answer(question)).await;
        };
        tokio::join!(server.get(&path), answered).0
    };
    assert_eq!(asked(&log).await.ok(200)["text"], "connected\n");
    // An answer to another kind of question is none.
    asked(&other)
        .await
        .refused(409, "WKS.0409", "did not answer");

    let away = server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": "away", "os_type": "Linux"}),
        )
        .await
        .ok(201);
    let away = away["id"].as_str().unwrap();
    server
        .get(&format!("/api/v1/{{p}}/desktops/{away}/agent-log"))
        .await
        .refused(409, "WKS.0409", "not connected");
    server
        .get("/api/v1/{p}/desktops/5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10/agent-log")
        .await
        .refused(404, "WKS.00211902", "desktop");
    server.stop().await;
}
