//! Who the agent is and whom it believes.

use std::os::unix::fs::PermissionsExt as _;

use outfitter_agent_protocol::{
    AgentMessage, AttemptStage, DECOMMISSIONED, FailureCode, ServerMessage,
};

use crate::process::{TestDesktop, lives, quiet, wait_until};
use crate::server::{Fault, Habits, TestServer};

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn enrollment_keeps_the_key_here_and_is_done_once() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::enrolled(&server).await;
    for file in ["key.pem", "chain.pem", "roots.pem", "identity.json"] {
        let mode = desktop
            .state()
            .join(file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let key = std::fs::read_to_string(desktop.state().join("key.pem")).unwrap();
    let output = desktop.enroll(&server, &["--token", &server.token()]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(words(&output).contains("--replace"));
    assert_eq!(
        std::fs::read_to_string(desktop.state().join("key.pem")).unwrap(),
        key
    );
    let output = desktop
        .enroll(&server, &["--token", &server.token(), "--replace"])
        .await;
    assert!(output.status.success(), "{output:?}");
    assert_ne!(
        std::fs::read_to_string(desktop.state().join("key.pem")).unwrap(),
        key
    );
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::blank();
    let output = desktop
        .command(&[
            "enrol",
            "--server",
            &server.address.to_string(),
            "--token",
            &server.token(),
            "--name",
            "taken",
        ])
        .await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(words(&output).contains("has an agent"), "{output:?}");
    assert!(!words(&output).contains(&server.token()));
    assert!(!desktop.state().join("identity.json").exists());
}

#[tokio::test]
async fn a_server_that_the_token_does_not_pin_hears_nothing() {
    let server = TestServer::start().await;
    let other = TestServer::start().await;
    let desktop = TestDesktop::blank();
    let output = desktop.enroll(&server, &["--token", &other.token()]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(!desktop.state().join("key.pem").exists());
}

#[tokio::test]
async fn one_agent_in_a_folder() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    server.hello(1).await;
    let output = desktop.command(&["run"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(words(&output).contains("another agent runs"));
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::blank();
    let output = desktop.command(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).contains("name the agent's folder"),
        "{output:?}"
    );
    assert!(
        !desktop.state().exists(),
        "one that was mistyped is not made"
    );
    std::fs::create_dir(desktop.state()).unwrap();
    let output = desktop.command(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("enroll"));
    let desktop = TestDesktop::enrolled(&server).await;
    let output = desktop.command(&["doctor"]).await;
    assert!(output.status.success(), "{output:?}");
    drop(server);
    wait_until_closed(&desktop).await;
}

async fn wait_until_closed(desktop: &TestDesktop) {
    let output = desktop.command(&["doctor"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("ok    certificate") && text.contains("wrong server"),
        "{text}"
    );
}

#[tokio::test]
async fn a_refused_channel_is_logged_in_words() {
    let server = TestServer::start().await;
    server.refuse_channels("revoked", "the agent was revoked: enroll again");
    let desktop = TestDesktop::started(&server).await;
    wait_until("the words are in the log", || {
        desktop.log().contains("revoked: enroll again")
    })
    .await;
    assert_eq!(server.channels(), 0);
}

#[tokio::test]
async fn a_certificate_past_a_third_of_its_life_is_renewed_and_used() {
    let server = TestServer::start().await;
    server.set_certificate_days(-40, 50);
    let mut desktop = TestDesktop::enrolled(&server).await;
    let chain = || std::fs::read_to_string(desktop.state().join("chain.pem")).unwrap();
    let old = chain();
    server.set_certificate_days(-1, 89);
    desktop.start();
    server
        .wait_for_message("a request to renew", |message| {
            matches!(message, AgentMessage::Renew { .. })
        })
        .await;
    // It comes back under the new one.
    server.hello(2).await;
    let chain = std::fs::read_to_string(desktop.state().join("chain.pem")).unwrap();
    assert_ne!(chain, old);
    assert!(chain.ends_with(server.root_pem()));
}

#[tokio::test]
async fn a_decommissioned_desktop_stops_its_installer_and_is_no_more() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let package = server.add_package("a.sh", "echo x >begun; sleep 600; echo x >done");
    server.give(&quiet(package, "sh ${FILE_PATH}")).await;
    desktop.wait_for_file("begun").await;
    let installer = desktop.pid_in("installer.json", "/pid");
    desktop.kill_agent();
    assert!(lives(installer));
    server.refuse_channels(DECOMMISSIONED, "its desktop was deleted");
    desktop.start();
    assert_eq!(desktop.exit_code().await, Some(6));
    assert!(!lives(installer));
    assert_eq!(desktop.read("done"), "");
    for gone in [
        "identity.json",
        "key.pem",
        "chain.pem",
        "roots.pem",
        "attempts",
    ] {
        assert!(!desktop.state().join(gone).exists(), "{gone}");
    }
    assert!(desktop.log().contains("its desktop was deleted"));

    // Started again, as after a restart of the machine, it does not even ask.
    let output = desktop.command(&["run"]).await;
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(words(&output).contains("decommissioned"), "{output:?}");
    // The machine can become a desktop again.
    let output = desktop.enroll(&server, &["--token", &server.token()]).await;
    assert!(output.status.success(), "{output:?}");
    let output = desktop.command(&["doctor"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("ok    identity"), "{text}");
}

/// What the desktop is told to do once and never again.
const COUNTS: &str = "echo x >>count";

#[tokio::test]
async fn a_restored_snapshot_does_not_run_what_it_had_accepted() {
    let server = TestServer::start().await;
    let habits = |go| Habits { go, record: true };
    server.set_habits(habits(false));
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(server.add_package("a.sh", COUNTS), "sh ${FILE_PATH}");
    let attempt = task.attempt;
    server.give(&task).await;
    server
        .wait_for_message("acknowledgement", |message| {
            *message == AgentMessage::Accepted { attempt }
        })
        .await;
    desktop.kill_agent();
    let snapshot = desktop.snapshot();
    server.set_habits(habits(true));
    desktop.start();
    assert_eq!(server.evidence(attempt).await.exit_code, Some(0));
    desktop.kill_agent();

    desktop.restore(snapshot.path());
    server.know_a_later_state();
    desktop.start();
    // Refused, and back with a history of its own.
    let told = server.hello(4).await.identity.unwrap();
    assert!(told.begun_anew);
    assert_eq!(told.history.count, 1);
    server.send(ServerMessage::Go { attempt }).await;
    wait_until("the end of what was set back is told", || {
        let ends = server.results(attempt);
        ends.iter()
            .any(|end| end.failure == Some(FailureCode::Interrupted))
    })
    .await;
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn a_restored_snapshot_does_not_go_on_with_what_it_had_begun() {
    let server = TestServer::start().await;
    server.add_faults([Fault::StallAfter(1)]);
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(server.add_package("a.sh", COUNTS), "sh ${FILE_PATH}");
    let attempt = task.attempt;
    server.give(&task).await;
    wait_until("it is being downloaded", || !server.ranges().is_empty()).await;
    desktop.kill_agent();
    let snapshot = desktop.snapshot();
    desktop.start();
    assert_eq!(server.evidence(attempt).await.exit_code, Some(0));
    desktop.kill_agent();

    desktop.restore(snapshot.path());
    server.know_a_later_state();
    desktop.start();
    let hello = server.hello(4).await;
    assert_ne!(hello.attempts[0].stage, AttemptStage::Accepted);
    wait_until("the end of what was set back is told", || {
        let ends = server.results(attempt);
        ends.iter()
            .any(|end| end.failure == Some(FailureCode::Interrupted))
    })
    .await;
    assert_eq!(desktop.read("count"), "x\n");
}
