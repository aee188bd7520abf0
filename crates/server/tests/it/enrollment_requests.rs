//! Enrollments that wait for an administrator, with the agent's own side.

use outfitter_agent::approval::{Standing, Waiting};
use outfitter_agent::enroll::{Answer, EnrollError, Enrollment, enroll, enroll_or_wait};
use outfitter_agent::proxy::Proxies;
use outfitter_agent_protocol::EnrollmentToken;
use serde_json::{Value, json};

use crate::server::TestServer;

const REQUESTS: &str = "/api/v1/{p}/enrollment-requests";

/// A machine that wants in with a fresh token that demands approval.
async fn machine(server: &TestServer, name: &str) -> Enrollment {
    let body = json!({"name": "lab", "needs_approval": true});
    let made = server
        .post("/api/v1/{p}/enrollment-tokens", body)
        .await
        .ok(201);
    assert_eq!(made["enrollment_token"]["needs_approval"], true);
    Enrollment {
        server: server.bootstrap["agent_endpoint"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        token: EnrollmentToken::parse(made["token"].as_str().unwrap()).unwrap(),
        name: name.to_owned(),
        user: None,
        sandbox_root: None,
        machine_id: "m".to_owned(),
        source_ip: None,
        proxies: Proxies::default(),
    }
}

async fn waits(enrollment: &Enrollment) -> Waiting {
    match enroll_or_wait(enrollment).await.unwrap() {
        Answer::Waits(waiting) => *waiting,
        Answer::Enrolled(_) => panic!("nobody approved it"),
    }
}

async fn ask(waiting: &Waiting) -> Standing {
    waiting.ask(&Proxies::default()).await.unwrap()
}

fn refusal(standing: Standing) -> String {
    match standing {
        Standing::Refused(refusal) => refusal.code,
        Standing::Enrolled(_) | Standing::Waits(_) | Standing::Busy(..) => panic!("not refused"),
    }
}

async fn desktops(server: &TestServer) -> Value {
    server.get("/api/v1/{p}/desktops").await.ok(200)["count"].clone()
}

async fn decide(server: &TestServer, verb: &str, ids: &[&str]) {
    let path = format!("{REQUESTS}/actions/{verb}");
    server.post(&path, json!({ "items": ids })).await.ok(204);
}

#[tokio::test]
async fn a_machine_is_no_desktop_until_somebody_approves_it() {
    let server = TestServer::start().await;
    let waiting = waits(&machine(&server, "desk-1").await).await;
    let listed = server
        .get(&format!("{REQUESTS}?state=WAITING"))
        .await
        .ok(200);
    assert_eq!(listed["count"], 1);
    let shown = &listed["items"][0];
    let id = waiting.request.to_string();
    assert_eq!(
        (
            &shown["id"],
            &shown["name"],
            &shown["address"],
            &shown["token_name"]
        ),
        (
            &json!(id),
            &json!("desk-1"),
            &json!("127.0.0.1"),
            &json!("lab")
        )
    );
    assert_eq!(shown["os"], std::env::consts::OS);
    assert!(matches!(ask(&waiting).await, Standing::Waits(pause) if pause.as_secs() == 10));
    assert_eq!(desktops(&server).await, 0);

    decide(&server, "approve", &[&id]).await;
    let Standing::Enrolled(first) = ask(&waiting).await else {
        panic!("it was approved");
    };
    assert_eq!(desktops(&server).await, 1);
    let listed = server.get(REQUESTS).await.ok(200);
    assert_eq!(listed["items"][0]["state"], "ENROLLED");
    assert_eq!(listed["items"][0]["desktop_id"], first.desktop.to_string());
    // The answer was lost: the same agent, with another certificate for its key.
    let Standing::Enrolled(again) = ask(&waiting).await else {
        panic!("it is in");
    };
    assert_eq!((again.agent, again.desktop), (first.agent, first.desktop));
    assert_ne!(again.chain_pem, first.chain_pem);
    assert_eq!(desktops(&server).await, 1);

    let audit = server
        .get("/api/v1/{p}/audit?limit=100")
        .await
        .ok(200)
        .to_string();
    for operation in [
        "RequestEnrollment",
        "ApproveEnrollmentRequests",
        "EnrollAgent",
    ] {
        assert!(audit.contains(operation), "{operation}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refused_machine_is_told_so_and_stays_out() {
    let server = TestServer::start().await;
    let enrollment = machine(&server, "desk-1").await;
    let waiting = waits(&enrollment).await;
    let id = waiting.request.to_string();
    decide(&server, "refuse", &[&id]).await;
    assert_eq!(refusal(ask(&waiting).await), "approval_refused");
    server
        .post(
            &format!("{REQUESTS}/actions/approve"),
            json!({"items": [id]}),
        )
        .await
        .refused(409, "WKS.0409", "decided");
    server
        .post(
            &format!("{REQUESTS}/actions/approve"),
            json!({"items": ["no-such"]}),
        )
        .await
        .refused(404, "WKS.00211902", "enrollment request");
    assert_eq!(desktops(&server).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn who_has_not_the_key_of_a_request_gets_nothing_of_it() {
    let server = TestServer::start().await;
    let mine = waits(&machine(&server, "desk-1").await).await;
    let theirs = waits(&machine(&server, "desk-2").await).await;
    decide(&server, "approve", &[&mine.request.to_string()]).await;
    let stolen = Waiting {
        request: mine.request,
        ..theirs
    };
    assert_eq!(refusal(ask(&stolen).await), "request_unknown");
    assert!(matches!(ask(&mine).await, Standing::Enrolled(_)));
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_cannot_wait_is_told_to_become_newer() {
    let server = TestServer::start().await;
    let enrollment = machine(&server, "desk-1").await;
    let Err(EnrollError::Refused { code, reason }) = enroll(&enrollment).await else {
        panic!("it came in");
    };
    assert_eq!(code, "approval_needed");
    assert!(reason.contains("newer agent"), "{reason}");
    assert_eq!(server.get(REQUESTS).await.ok(200)["count"], 0);
    server.stop().await;
}
