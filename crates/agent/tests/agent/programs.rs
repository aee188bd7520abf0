//! Programs of an app that run when it is put on or taken off.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use outfitter_agent_protocol::{
    AgentMessage, Evidence, FailureCode, Phase, RunningPrograms, ServerMessage, Task, TaskKind,
};

use crate::process::{TestDesktop, file_rule, quiet, wait_until};
use crate::server::TestServer;

/// Ends when it is asked to.
const POLITE: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

/// Does not.
const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

/// A program at work; it goes with the test.
struct Program(Child);

impl Program {
    /// A copy of the shell under that name, in that folder.
    fn start(folder: &Path, name: &str, script: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let program = folder.join(name);
        std::fs::copy("/bin/sh", &program).unwrap();
        let mut ready = folder.join(name).into_os_string();
        ready.push(".ready");
        let child = Command::new(&program)
            .args(["-c", &format!("echo x >\"$READY\"; {script}")])
            .env("READY", &ready)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        while !Path::new(&ready).exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::remove_file(&ready).unwrap();
        Self(child)
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A task for an app called `editor` that counts its runs.
fn editor(server: &TestServer, how: RunningPrograms) -> Task {
    let package = server.add_package("a.sh", "echo x >>count");
    let mut task = quiet(package, "sh ${FILE_PATH}");
    task.app_name = "editor.exe".to_owned();
    task.running_programs = Some(how);
    task
}

fn phases(evidence: &Evidence) -> Vec<Phase> {
    evidence.phases.iter().map(|mark| mark.phase).collect()
}

async fn wait_for_the_wait(server: &TestServer) {
    server
        .wait_for_message("the wait", |message| {
            matches!(
                message,
                AgentMessage::Progress {
                    phase: Phase::ClosingPrograms,
                    ..
                }
            )
        })
        .await;
}

#[tokio::test]
async fn a_program_is_asked_to_end_when_its_users_time_is_over() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let mut program = Program::start(&desktop.root().join("opt"), "editor", POLITE);
    // Of the same name, but not on the desktop that the folder plays.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut foreign = Program::start(elsewhere.path(), "editor", POLITE);
    let mut other = Program::start(&desktop.root().join("opt"), "editor2", POLITE);
    let task = editor(&server, RunningPrograms::Ask { wait_secs: 2 });
    server.give(&task).await;
    wait_for_the_wait(&server).await;
    assert!(program.runs());
    assert_eq!(desktop.read("count"), "");
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert_eq!(
        phases(&evidence),
        [
            Phase::Detecting,
            Phase::Downloading,
            Phase::Verifying,
            Phase::ClosingPrograms,
            Phase::Running,
            Phase::Confirming
        ]
    );
    let [.., closing, running, _] = &evidence.phases[..] else {
        panic!("too few phases");
    };
    assert!(running.at_millis - closing.at_millis >= 2000);
    assert!(!program.runs() && foreign.runs() && other.runs());
    assert_eq!(desktop.read("count"), "x\n");
    // There is no session here; that is said, and nothing fails for it.
    assert!(desktop.log().contains("they have no session"));
}

#[tokio::test]
async fn whoever_closes_it_is_waited_for_no_longer() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let program = Program::start(&desktop.root().join("opt"), "editor", STUBBORN);
    let mut task = editor(&server, RunningPrograms::Ask { wait_secs: 3600 });
    // The wait is none of the installer's time.
    task.run_limit_secs = 1;
    server.give(&task).await;
    wait_for_the_wait(&server).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    drop(program);
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
}

#[tokio::test]
async fn a_program_that_will_not_end_is_not_killed_where_its_user_is_asked() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let mut program = Program::start(&desktop.root().join("opt"), "editor", STUBBORN);
    let task = editor(&server, RunningPrograms::Ask { wait_secs: 1 });
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::ProgramRunning));
    let detail = evidence.failure_detail.unwrap();
    let pid = program.0.id();
    assert!(
        detail.starts_with(&format!("editor (process {pid} of the user")),
        "{detail}"
    );
    assert!(program.runs());
    assert_eq!(
        (evidence.exit_code, desktop.read("count").as_str()),
        (None, "")
    );
}

#[tokio::test]
async fn it_is_killed_where_programs_are_stopped_and_for_an_uninstall_too() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let opt = desktop.root().join("opt");
    let mut program = Program::start(&opt, "editor", STUBBORN);
    let mut polite = Program::start(&opt, "editor.exe", POLITE);
    let mut task = editor(&server, RunningPrograms::Stop);
    task.kind = TaskKind::Uninstall;
    task.command = "rm opt/app".to_owned();
    task.detection = file_rule("/opt/app", None);
    // Nothing to take off: nothing is closed.
    server.give(&task).await;
    assert!(server.evidence(task.attempt).await.already_absent);
    assert!(program.runs() && polite.runs());

    desktop.write("opt/app", "x");
    let task = crate::process::again(&task);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert!(!evidence.after.as_ref().unwrap().holds);
    assert!(phases(&evidence).contains(&Phase::ClosingPrograms));
    assert!(!program.runs() && !polite.runs());
    assert_eq!(polite.0.try_wait().unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_locked_name_and_a_task_that_says_nothing_close_nothing() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let opt = desktop.root().join("opt");
    let mut shell = Program::start(&opt, "bash", POLITE);
    let mut program = Program::start(&opt, "editor", POLITE);
    let mut locked = editor(&server, RunningPrograms::Stop);
    locked.app_name = "bash".to_owned();
    let mut silent = editor(&server, RunningPrograms::Stop);
    silent.running_programs = None;
    for task in [locked, silent] {
        server.give(&task).await;
        let evidence = server.evidence(task.attempt).await;
        assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
        assert!(!phases(&evidence).contains(&Phase::ClosingPrograms));
    }
    assert!(shell.runs() && program.runs());
}

#[tokio::test]
async fn killed_during_the_wait_it_goes_on_waiting_and_runs_once() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let mut program = Program::start(&desktop.root().join("opt"), "editor", POLITE);
    let task = editor(&server, RunningPrograms::Ask { wait_secs: 3 });
    server.give(&task).await;
    let deadline = || desktop.attempt_folder().join("closing.json");
    wait_until("the end of the wait is on disk", || {
        desktop
            .attempt_folders()
            .first()
            .is_some_and(|folder| folder.join("closing.json").exists())
    })
    .await;
    let before = std::fs::read(deadline()).unwrap();
    desktop.kill_agent();
    assert!(program.runs());
    desktop.start();
    server.hello(2).await;
    let deadline = desktop.attempt_folder().join("closing.json");
    assert_eq!(std::fs::read(deadline).unwrap(), before);
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert!(!program.runs());
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn a_cancellation_ends_the_wait_at_once() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let mut program = Program::start(&desktop.root().join("opt"), "editor", POLITE);
    let task = editor(&server, RunningPrograms::Ask { wait_secs: 3600 });
    server.give(&task).await;
    wait_for_the_wait(&server).await;
    server
        .send(ServerMessage::Cancel {
            attempt: task.attempt,
        })
        .await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::Cancelled));
    assert!(program.runs());
    assert_eq!(desktop.read("count"), "");
}
