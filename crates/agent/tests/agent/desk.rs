//! The local socket and the commands of whoever sits at the desktop.

use std::process::Output;
use std::time::Duration;

use outfitter_agent_protocol::{
    DeskAnswer, DeskApp, DeskApps, DeskAsk, DeskJob, EnrollRefusal, MAX_DESK_ASK_BYTES, Phase,
    TaskKind,
};
use outfitter_ids::{AppId, JobId};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use uuid::Uuid;

use crate::process::TestDesktop;
use crate::server::TestServer;

const AGENT: &str = env!("CARGO_BIN_EXE_outfitter-agent");

fn app(standing: &str, acts: &[&str], job: Option<DeskJob>) -> DeskApp {
    DeskApp {
        app: AppId::new(Uuid::from_u128(7)),
        name: "Notes".to_owned(),
        version: "1.0".to_owned(),
        description: "Writes things down.".to_owned(),
        category: "Office".to_owned(),
        install_info: Some("Close your documents first.".to_owned()),
        standing: standing.to_owned(),
        acts: acts.iter().map(|act| (*act).to_owned()).collect(),
        installed_version: None,
        verified: true,
        job,
    }
}

fn job(state: &str, phase: Option<Phase>) -> Option<DeskJob> {
    Some(DeskJob {
        job: JobId::new(Uuid::from_u128(8)),
        kind: TaskKind::Install,
        state: state.to_owned(),
        phase,
        percent: phase.map(|_| 40),
        sentence: (state == "failed").then(|| "The installer said no.".to_owned()),
    })
}

fn page(app: DeskApp) -> Result<DeskAnswer, EnrollRefusal> {
    Ok(DeskAnswer::Apps(DeskApps {
        user: "ana".to_owned(),
        total: 1,
        items: vec![app],
    }))
}

async fn started(server: &TestServer) -> TestDesktop {
    let desktop = TestDesktop::started(server).await;
    server.hello(1).await;
    let socket = desktop.socket();
    let connected = async {
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), connected)
        .await
        .unwrap();
    desktop
}

async fn at_desk(desktop: &TestDesktop, arguments: &[&str]) -> Output {
    tokio::process::Command::new(AGENT)
        .args(arguments)
        .arg("--socket")
        .arg(desktop.socket())
        .output()
        .await
        .unwrap()
}

/// Sends bytes as they are; answers the line that comes back.
async fn say(stream: &mut BufReader<UnixStream>, bytes: &[u8]) -> String {
    // A peer that refuses may close before everything is sent.
    drop(stream.get_mut().write_all(bytes).await);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_server_is_asked_for_the_account_that_the_kernel_names() {
    let server = TestServer::start().await;
    let desktop = started(&server).await;
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    server.set_desk_answers([page(app("absent", &["install"], None))]);
    let mut stream = BufReader::new(UnixStream::connect(desktop.socket()).await.unwrap());
    let line = say(&mut stream, b"{\"apps\":{}}\n").await;
    assert!(line.contains("\"Notes\""), "{line}");
    let asked = server.desk_requests();
    assert_eq!((asked.len(), asked[0].account.as_str()), (1, me.as_str()));

    // Whoever sends a name of their own is not understood, and nobody is asked.
    let line = say(
        &mut stream,
        b"{\"account\":\"somebody\",\"ask\":\"portal\"}\n",
    )
    .await;
    assert!(line.contains("request_invalid"), "{line}");
    let mut stream = BufReader::new(UnixStream::connect(desktop.socket()).await.unwrap());
    let long = format!(
        "{{\"apps\":{{\"name\":\"{}\"}}}}\n",
        "x".repeat(MAX_DESK_ASK_BYTES)
    );
    let line = say(&mut stream, long.as_bytes()).await;
    assert!(line.contains("request_invalid"), "{line}");
    assert_eq!(server.desk_requests().len(), 1);

    // What the server refuses is told in its words.
    server.set_desk_answers([Err(EnrollRefusal {
        code: "not_a_user_of_this_desktop".to_owned(),
        reason: "you are no user of this desktop".to_owned(),
    })]);
    let output = at_desk(&desktop, &["apps"]).await;
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("no user of this desktop"));
    // And that it cannot be asked, with another exit code.
    let output = at_desk(&desktop, &["portal", "--print"]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    drop(server);
    let output = at_desk(&desktop, &["apps"]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[tokio::test]
async fn an_install_is_watched_to_its_honest_end() {
    let server = TestServer::start().await;
    let desktop = started(&server).await;
    server.set_desk_answers([
        page(app("absent", &["install"], None)),
        Ok(DeskAnswer::Accepted(Box::new(app(
            "waiting",
            &["cancel"],
            job("waiting", None),
        )))),
        page(app("waiting", &["cancel"], job("waiting", None))),
        page(app(
            "installing",
            &["cancel"],
            job("running", Some(Phase::Running)),
        )),
        page(app("installed", &["remove"], job("done", None))),
    ]);
    let output = at_desk(&desktop, &["install", "notes"]).await;
    assert!(output.status.success(), "{output:?}");
    let words = text(&output.stdout);
    for part in [
        "Close your documents first.",
        "waits for its turn",
        "installs, 40 %",
        "Notes 1.0 is installed",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let asked = server.desk_requests();
    assert!(matches!(asked[1].ask, DeskAsk::Install { .. }), "{asked:?}");

    server.set_desk_answers([
        page(app("absent", &["install"], None)),
        Ok(DeskAnswer::Accepted(Box::new(app(
            "waiting",
            &["cancel"],
            job("waiting", None),
        )))),
        page(app("failed", &["install"], job("failed", None))),
    ]);
    let output = at_desk(&desktop, &["install", "Notes"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("The installer said no."));

    // One that is there is not asked for again; one that nobody may have is not there.
    server.set_desk_answers([page(app("installed", &[], job("done", None)))]);
    let output = at_desk(&desktop, &["install", "Notes"]).await;
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("installed already"));
    server.set_desk_answers([page(app("absent", &[], None))]);
    let output = at_desk(&desktop, &["install", "Not"]).await;
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("there is: Notes"));
}

#[tokio::test]
async fn the_address_of_the_portal_is_printed_on_request() {
    let server = TestServer::start().await;
    let desktop = started(&server).await;
    server.set_desk_answers([Ok(DeskAnswer::Portal {
        address: "https://outfitter.example/portal/#ticket=abc".to_owned(),
        good_for_secs: 60,
    })]);
    let output = at_desk(&desktop, &["portal", "--print"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text(&output.stdout).trim(),
        "https://outfitter.example/portal/#ticket=abc"
    );
    // It is in no log.
    assert!(!desktop.log().contains("ticket=abc"));
}
