//! An enrollment that waits for an administrator, by the real program.

use std::os::unix::fs::PermissionsExt as _;

use crate::process::TestDesktop;
use crate::server::{Approval, TestServer};

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A desktop that asked with a token that demands approval.
async fn waiting(server: &TestServer) -> TestDesktop {
    server.set_approval(Approval::Undecided);
    let desktop = TestDesktop::blank();
    let output = desktop.enroll(server, &["--token", &server.token()]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(
        said(&output).contains("test waits for an administrator"),
        "{output:?}"
    );
    desktop
}

#[tokio::test]
async fn an_agent_waits_without_the_token_and_goes_to_work_once_it_is_approved() {
    let server = TestServer::start().await;
    let mut desktop = waiting(&server).await;
    let file = desktop.state().join("waiting.json");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(
        !kept.contains(server.secret()),
        "the token's secret is kept"
    );
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!desktop.state().join("identity.json").exists());
    let doctor = desktop.command(&["doctor"]).await;
    assert!(
        said(&doctor).contains("waits for an administrator"),
        "{doctor:?}"
    );

    desktop.start();
    server.asked(1).await;
    assert_eq!(server.channels(), 0);
    // Whoever turns the machine off meanwhile does no harm.
    desktop.kill_agent();
    desktop.start();
    server.asked(2).await;
    server.set_approval(Approval::Approved);
    server.hello(1).await;
    assert!(desktop.state().join("identity.json").exists());
    assert!(!file.exists());
}

#[tokio::test]
async fn asked_again_it_is_the_same_request() {
    let server = TestServer::start().await;
    let desktop = waiting(&server).await;
    let file = desktop.state().join("waiting.json");
    let first = std::fs::read_to_string(&file).unwrap();
    let output = desktop.enroll(&server, &["--token", &server.token()]).await;
    assert!(said(&output).contains("waits"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    server.set_approval(Approval::Approved);
    let output = desktop.enroll(&server, &["--token", &server.token()]).await;
    assert!(said(&output).contains("enrolled as test"), "{output:?}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_refused_agent_says_why_forgets_its_wish_and_asks_not_to_be_started_again() {
    let server = TestServer::start().await;
    let desktop = waiting(&server).await;
    server.set_approval(Approval::Refused);
    let output = desktop.command(&["run"]).await;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("an administrator refused this desktop"),
        "{words}"
    );
    assert!(!desktop.state().join("waiting.json").exists());
    let output = desktop.command(&["run"]).await;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}
