//! A copy of an enrolled machine that becomes a desktop of its own, by the real program.

use std::path::Path;

use outfitter_agent::state_dir::AgentIdentity;
use outfitter_agent_protocol::{AgentMessage, CopyRequest, ServerMessage};
use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};

use crate::process::{TestDesktop, quiet, wait_until};
use crate::server::{CopyAnswer, Habits, TestServer};

const COUNTS: &str = "echo x >>count";

fn identity(desktop: &TestDesktop) -> AgentIdentity {
    let text = std::fs::read(desktop.state().join("identity.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn key(asked: &CopyRequest) -> Vec<u8> {
    let request = CertificateSigningRequestParams::from_pem(&asked.csr_pem).unwrap();
    request.public_key.der_bytes().to_vec()
}

/// A desktop that has accepted a task, which has not run; its agent is off.
async fn with_an_open_task(server: &TestServer) -> (TestDesktop, outfitter_agent_protocol::Task) {
    server.set_habits(Habits {
        go: false,
        record: true,
    });
    let mut desktop = TestDesktop::started(server).await;
    let task = quiet(server.add_package("a.sh", COUNTS), "sh ${FILE_PATH}");
    let attempt = task.attempt;
    server.give(&task).await;
    server
        .wait_for_message("acknowledgement", |message| {
            *message == AgentMessage::Accepted { attempt }
        })
        .await;
    desktop.kill_agent();
    server.set_habits(Habits {
        go: true,
        record: true,
    });
    (desktop, task)
}

#[tokio::test]
async fn a_copy_becomes_a_desktop_of_its_own_and_drops_what_the_other_one_had_open() {
    let server = TestServer::start().await;
    let (mut desktop, task) = with_an_open_task(&server).await;
    let before = identity(&desktop);
    let history = text(&desktop.state().join("history.json"));
    let old_key = text(&desktop.state().join("key.pem"));

    server.see_a_copy(CopyAnswer::In);
    desktop.start();
    let asked = server.copies(1).await;
    // Refused once, and back as somebody else, in the same process.
    let hello = server.hello(3).await;
    let told = hello.identity.unwrap();
    assert!(hello.attempts.is_empty(), "{:?}", hello.attempts);
    assert_eq!((told.history.count, told.begun_anew), (1, false));
    assert!(!history.contains(&told.history.id.to_string()));
    assert_eq!(asked[0].name, before.name);
    assert!(history.contains(&asked[0].identity.history.id.to_string()));

    let after = identity(&desktop);
    assert_ne!((after.agent, after.desktop), (before.agent, before.desktop));
    assert_ne!(text(&desktop.state().join("key.pem")), old_key);
    assert!(!desktop.state().join("anew.json").exists());
    let aside = desktop
        .state()
        .join(format!("attempts-of-{}", before.agent));
    assert!(aside.exists());
    // What was open there is nobody's here.
    let attempt = task.attempt;
    server.send(ServerMessage::Go { attempt }).await;
    let own = quiet(
        server.add_package("b.sh", "echo own >own"),
        "sh ${FILE_PATH}",
    );
    server.give(&own).await;
    assert_eq!(server.evidence(own.attempt).await.exit_code, Some(0));
    assert_eq!(desktop.read("own"), "own\n");
    assert_eq!(desktop.read("count"), "");
    assert!(server.results(attempt).is_empty());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key_also_after_a_crash() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    server.hello(1).await;
    desktop.kill_agent();
    let before = identity(&desktop);
    server.see_a_copy(CopyAnswer::Lost);
    desktop.start();
    server.copies(1).await;
    desktop.kill_agent();
    assert_eq!(identity(&desktop), before, "nothing is decided yet");

    server.see_a_copy(CopyAnswer::In);
    desktop.start();
    let asked = server.copies(2).await;
    assert!(asked.iter().all(|again| key(again) == key(&asked[0])));
    wait_until("it is another desktop", || {
        identity_of(&desktop).is_some_and(|now| now.agent != before.agent)
    })
    .await;
}

fn identity_of(desktop: &TestDesktop) -> Option<AgentIdentity> {
    let text = std::fs::read(desktop.state().join("identity.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

#[tokio::test]
async fn a_copy_that_is_refused_says_why_and_asks_again() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    server.hello(1).await;
    desktop.kill_agent();
    let before = identity(&desktop);
    server.see_a_copy(CopyAnswer::Refused("token_used_up"));
    desktop.start();
    server.copies(1).await;
    wait_until("the words are in the log", || {
        desktop.log().contains("token_used_up): not as things are")
    })
    .await;
    assert_eq!(identity(&desktop), before);
    let asked = server.copies(2).await;
    assert_eq!(key(&asked[0]), key(&asked[1]));
    // A key that stands for nobody any more is given up.
    server.see_a_copy(CopyAnswer::Refused("request_unknown"));
    let asked = server.copies(5).await;
    assert_ne!(key(&asked[0]), key(&asked[4]));
    server.see_a_copy(CopyAnswer::In);
    wait_until("it is another desktop", || {
        identity_of(&desktop).is_some_and(|now| now.agent != before.agent)
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_needs_approval_waits_for_it_and_goes_to_work_then() {
    let server = TestServer::start().await;
    let (mut desktop, _) = with_an_open_task(&server).await;
    let before = identity(&desktop);
    server.see_a_copy(CopyAnswer::Waits);
    desktop.start();
    server.copies(2).await;
    desktop.kill_agent();
    desktop.start();
    let asked = server.copies(3).await;
    assert!(asked.iter().all(|again| key(again) == key(&asked[0])));
    assert_eq!(identity(&desktop), before, "nothing is decided yet");
    let history = text(&desktop.state().join("history.json"));
    server.see_a_copy(CopyAnswer::In);
    server
        .wait_for_message("a hello of its own", |message| {
            let AgentMessage::Hello(hello) = message else {
                return false;
            };
            let told = hello.identity.as_ref().unwrap();
            !history.contains(&told.history.id.to_string()) && hello.attempts.is_empty()
        })
        .await;
    assert_ne!(identity(&desktop).agent, before.agent);
    assert_eq!(desktop.read("count"), "");
}

#[tokio::test]
async fn who_waits_as_a_copy_and_is_said_to_be_the_real_one_is_that_desktop_as_before() {
    let server = TestServer::start().await;
    let (mut desktop, task) = with_an_open_task(&server).await;
    let before = identity(&desktop);
    server.see_a_copy(CopyAnswer::Waits);
    desktop.start();
    server.copies(1).await;
    server.see_no_copy();
    // What was open ended when it was taken for a copy; that is told now.
    assert_eq!(server.evidence(task.attempt).await.exit_code, None);
    assert_eq!(identity(&desktop), before);
    let next = quiet(server.add_package("b.sh", COUNTS), "sh ${FILE_PATH}");
    server.give(&next).await;
    assert_eq!(server.evidence(next.attempt).await.exit_code, Some(0));
    assert_eq!(desktop.read("count"), "x\n");
}
