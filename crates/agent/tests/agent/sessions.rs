//! Installers that ask their user: opened in that user's graphical session.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outfitter_agent_protocol::{FailureCode, Phase, Task, UserSession};

use crate::process::{TestDesktop, exists, file_rule, quiet, wait_until};
use crate::server::TestServer;

/// Name of the account that runs the tests.
fn account() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name
}

/// A program of somebody's session: it has a screen in its environment. It goes with the test.
struct Session(Child);

impl Session {
    fn start(desktop: &TestDesktop, variables: &[(&str, &str)]) -> Self {
        let mut command = Self::command(desktop);
        command.envs(variables.iter().copied());
        Self(command.spawn().unwrap())
    }

    /// A session of another account, to which the desktop is open.
    fn start_as(desktop: &TestDesktop, user: u32) -> Self {
        let mut command = Self::command(desktop);
        for (folder, mode) in [
            (desktop.root().parent().unwrap(), 0o755),
            (&*desktop.root(), 0o777),
        ] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        command.envs(SCREEN).uid(user).gid(user);
        Self(command.spawn().unwrap())
    }

    fn command(desktop: &TestDesktop) -> Command {
        let folder = desktop.root().join("usr/bin");
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join(format!("shell-{}", uuid::Uuid::new_v4()));
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut command = Command::new(&program);
        command.arg("600").env_clear().stdin(Stdio::null());
        command
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A task for an installer that asks its user, proven by the file `opt/app`.
fn asking(server: &TestServer, script: &'static str) -> Task {
    let package = server.add_package("setup.sh", script);
    Task {
        session: Some(UserSession {
            user: account(),
            domain: "local.com".to_owned(),
            command: None,
        }),
        detection: file_rule("/opt/app", None),
        run_limit_secs: 60,
        ..quiet(package, "")
    }
}

const SCREEN: [(&str, &str); 3] = [
    ("DISPLAY", ":77"),
    ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/tmp/bus"),
    ("LD_PRELOAD_OF_SESSION", "not for installers"),
];

fn lent(root: &Path) -> usize {
    std::fs::read_dir(root.join("var/cache/outfitter-agent/opened")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn it_is_opened_in_the_users_session_and_its_rule_decides() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let _session = Session::start(&desktop, &SCREEN);
    // How the window was closed says nothing.
    let script =
        "#!/bin/sh\nenv >seen; ls -l \"$FILE_PATH\" >mode; mkdir -p opt; echo x >opt/app; exit 3";
    let task = asking(&server, script);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(3)));
    assert!(evidence.after.is_some_and(|seen| seen.holds));
    let seen = desktop.read("seen");
    assert!(seen.contains("DISPLAY=:77\n"), "{seen}");
    assert!(
        seen.contains("DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/bus\n"),
        "{seen}"
    );
    assert!(seen.contains(&format!("USER={}\n", account())), "{seen}");
    for foreign in ["OF_SESSION", "CANARY"] {
        assert!(!seen.contains(foreign), "{seen}");
    }
    assert!(
        desktop.read("mode").starts_with("-rwxr-xr-x"),
        "{}",
        desktop.read("mode")
    );
    assert_eq!(lent(&desktop.root()), 0, "the package was taken back");
}

#[tokio::test]
async fn without_a_session_nothing_is_fetched_or_run() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    // A shell over the network has a screen elsewhere; somebody else's is not theirs.
    let _remote = Session::start(&desktop, &[("DISPLAY", "localhost:10.0")]);
    let mut task = asking(&server, "#!/bin/sh\necho x >count");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::NoSession));
    assert!(
        evidence
            .phases
            .iter()
            .all(|mark| mark.phase == Phase::Detecting)
    );

    let _session = Session::start(&desktop, &SCREEN);
    task = Task {
        session: Some(UserSession {
            user: "somebody-else".to_owned(),
            domain: "local.com".to_owned(),
            command: None,
        }),
        ..crate::process::again(&task)
    };
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::NoSession));
    assert_eq!(desktop.read("count"), "");
    assert!(server.ranges().is_empty());
}

#[tokio::test]
async fn what_it_leaves_open_is_waited_for_and_closing_it_undone_is_told() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let _session = Session::start(&desktop, &SCREEN);
    // The program that is opened starts another one, as installers do, and ends.
    let script = "#!/bin/sh\n(while [ ! -e go ]; do sleep 0.05; done; mkdir -p opt; echo x >opt/app) & exit 0";
    let task = asking(&server, script);
    server.give(&task).await;
    wait_until("the opened program has ended", || {
        let folders = desktop.attempt_folders();
        folders
            .iter()
            .any(|folder| exists(&folder.join("exit.json")))
    })
    .await;
    assert!(server.results(task.attempt).is_empty());
    desktop.write("go", "");
    let evidence = server.evidence(task.attempt).await;
    assert!(evidence.after.is_some_and(|seen| seen.holds));

    let task = asking(&server, "#!/bin/sh\nrm -rf opt; sleep 0.3 & exit 0");
    let task = Task {
        detection: file_rule("/opt/other", None),
        ..task
    };
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert!(evidence.after.is_some_and(|seen| !seen.holds));
}

#[tokio::test]
async fn its_time_is_bounded_and_what_is_left_of_it_is_ended() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let _session = Session::start(&desktop, &SCREEN);
    let script = "#!/bin/sh\n(echo $$ >pid; exec sleep 600) & exit 0";
    let task = Task {
        run_limit_secs: 1,
        ..asking(&server, script)
    };
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::RunLimit));
    let mark = format!("OUTFITTER_ATTEMPT={}", task.attempt);
    let lives = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("environ"))
            .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(&mark))
    });
    assert!(!lives);
}

#[tokio::test]
async fn a_command_of_the_app_opens_it_as_its_user() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "run as root: nobody else becomes another account"
    );
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let _session = Session::start_as(&desktop, 65_534);
    let package = server.add_package("setup.bin", "not a program");
    let task = Task {
        session: Some(UserSession {
            user: "nobody".to_owned(),
            domain: "local.com".to_owned(),
            command: Some("sh -c 'id -u >said; test -r \"$1\" && ! test -w \"$1\" && echo read >>said' x ${FILE_PATH}".to_owned()),
        }),
        ..quiet(package, "")
    };
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    assert_eq!(desktop.read("said"), "65534\nread\n");
}
