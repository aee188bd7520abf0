//! Whatever dies and whenever: one run, one truthful end.

use outfitter_agent_protocol::{AgentMessage, AttemptStage, FailureCode, ServerMessage};

use crate::process::{TestDesktop, exists, file_rule, kill_9, lives, quiet, wait_until};
use crate::server::{Fault, Habits, TestServer};

/// Counts its runs, waits for the test's word, then ends with 7.
const PATIENT: &str =
    "echo x >>count\nwhile ! [ -e finish ]; do sleep 0.02; done\necho done >done\nexit 7\n";

#[tokio::test]
async fn killed_before_go_it_runs_once_after_the_restart() {
    let server = TestServer::start().await;
    server.set_habits(Habits {
        go: false,
        record: true,
    });
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(
        server.add_package("a.sh", "echo x >>count"),
        "sh ${FILE_PATH}",
    );
    server.give(&task).await;
    server
        .wait_for_message("acknowledgement", |message| {
            *message
                == AgentMessage::Accepted {
                    attempt: task.attempt,
                }
        })
        .await;
    desktop.kill_agent();
    assert_eq!(desktop.read("count"), "");
    desktop.start();
    let hello = server.hello(2).await;
    assert_eq!(hello.attempts.len(), 1);
    assert_eq!(hello.attempts[0].stage, AttemptStage::Accepted);
    for _ in 0..2 {
        server
            .send(ServerMessage::Go {
                attempt: task.attempt,
            })
            .await;
    }
    assert_eq!(server.evidence(task.attempt).await.exit_code, Some(0));
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn killed_during_the_installer_it_reports_the_code_of_the_one_run() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let mut task = quiet(server.add_package("a.sh", PATIENT), "sh ${FILE_PATH}");
    task.detection = file_rule("/done", None);
    server.give(&task).await;
    desktop.wait_for_file("count").await;
    desktop.kill_agent();
    desktop.start();
    let hello = server.hello(2).await;
    assert_eq!(hello.attempts[0].stage, AttemptStage::Running);
    // Once more, and this time the installer ends while no agent is there.
    desktop.kill_agent();
    desktop.write("finish", "x");
    desktop.wait_for_file("done").await;
    desktop.start();
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(7)));
    assert!(!evidence.before.unwrap().holds && evidence.after.unwrap().holds);
    assert_eq!(desktop.read("count"), "x\n");
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
    assert_eq!(server.results(task.attempt).len(), 1);
}

#[tokio::test]
async fn killed_before_the_report_it_reports_until_it_is_recorded() {
    let server = TestServer::start().await;
    server.set_habits(Habits {
        go: true,
        record: false,
    });
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(
        server.add_package("a.sh", "echo x >>count"),
        "sh ${FILE_PATH}",
    );
    server.give(&task).await;
    let first = server.evidence(task.attempt).await;
    desktop.kill_agent();
    server.set_habits(Habits {
        go: true,
        record: true,
    });
    desktop.start();
    assert_eq!(server.hello(2).await.attempts[0].stage, AttemptStage::Ended);
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
    let results = server.results(task.attempt);
    assert!(results.len() >= 2 && results.iter().all(|result| *result == first));
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn killed_during_the_download_it_goes_on_from_what_is_on_disk() {
    let server = TestServer::start().await;
    server.add_faults([Fault::StallAfter(1_500_000)]);
    let mut desktop = TestDesktop::started(&server).await;
    let mut script = b"echo x >>count; exit 0\n".to_vec();
    script.resize(2_000_000, b'#');
    let task = quiet(server.add_package("a.sh", script), "sh ${FILE_PATH}");
    server.give(&task).await;
    wait_until("half of it is on disk", || {
        desktop.attempt_folders().first().is_some_and(|folder| {
            folder
                .join("package.part")
                .metadata()
                .is_ok_and(|part| part.len() > 1_000_000)
        })
    })
    .await;
    desktop.kill_agent();
    desktop.start();
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    assert_eq!(desktop.read("count"), "x\n");
    let ranges = server.ranges();
    assert!(
        ranges.len() == 2 && ranges[1].starts_with("bytes=1"),
        "{ranges:?}"
    );
}

#[tokio::test]
async fn without_its_supervisor_an_installer_is_waited_for_and_the_end_is_called_unknown() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let mut task = quiet(server.add_package("a.sh", PATIENT), "sh ${FILE_PATH}");
    task.detection = file_rule("/done", None);
    server.give(&task).await;
    desktop.wait_for_file("count").await;
    desktop.kill_agent();
    kill_9(desktop.pid_in("started.json", "/supervisor/pid"));
    let installer = desktop.pid_in("installer.json", "/pid");
    assert!(lives(installer));
    desktop.start();
    server.hello(2).await;
    assert!(lives(installer));
    desktop.write("finish", "x");
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (Some(FailureCode::Interrupted), None)
    );
    assert!(evidence.after.unwrap().holds, "it looked before it spoke");
    assert_eq!(desktop.read("count"), "x\n");
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
}

#[tokio::test]
async fn when_everything_died_it_looks_and_says_interrupted() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let mut task = quiet(server.add_package("a.sh", PATIENT), "sh ${FILE_PATH}");
    task.detection = file_rule("/done", None);
    server.give(&task).await;
    desktop.wait_for_file("count").await;
    desktop.kill_agent();
    kill_9(desktop.pid_in("started.json", "/supervisor/pid"));
    kill_9(desktop.pid_in("installer.json", "/pid"));
    desktop.start();
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (Some(FailureCode::Interrupted), None)
    );
    assert!(!evidence.after.unwrap().holds);
    assert_eq!(desktop.read("count"), "x\n");
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_supervisor_started_again_by_hand_runs_nothing() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(server.add_package("a.sh", PATIENT), "sh ${FILE_PATH}");
    server.give(&task).await;
    desktop.wait_for_file("count").await;
    desktop.kill_agent();
    let supervise = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_outfitter-agent"))
            .args(["supervise", "--dir"])
            .arg(desktop.attempt_folder())
            .output()
            .unwrap()
    };
    assert!(!supervise().status.success(), "while the first one runs");
    desktop.write("finish", "x");
    wait_until("the end is on disk", || {
        exists(&desktop.attempt_folder().join("exit.json"))
    })
    .await;
    let first = desktop.pid_in("started.json", "/supervisor/pid");
    wait_until("the first one is gone", || !lives(first)).await;
    assert!(!supervise().status.success(), "after the first one ended");
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn a_damaged_journal_is_told_and_never_stops_the_agent() {
    let server = TestServer::start().await;
    server.set_habits(Habits {
        go: true,
        record: false,
    });
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(
        server.add_package("a.sh", "echo x >>count"),
        "sh ${FILE_PATH}",
    );
    server.give(&task).await;
    server.evidence(task.attempt).await;
    desktop.kill_agent();
    let folder = desktop.attempt_folder();

    // Evidence alone is lost: the supervisor's record tells the same end once more, nothing runs.
    std::fs::write(folder.join("receipt.json"), "{").unwrap();
    desktop.start();
    server.hello(2).await;
    wait_until("a second result", || {
        server.results(task.attempt).len() >= 2
    })
    .await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    desktop.kill_agent();

    // The task itself is lost: the end is called a failure of the agent.
    std::fs::write(folder.join("task.json"), [0xFF; 10]).unwrap();
    std::fs::remove_file(folder.join("receipt.json")).unwrap();
    server.set_habits(Habits {
        go: true,
        record: true,
    });
    desktop.start();
    server.hello(3).await;
    wait_until("it is told and forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::AgentFailure));
    assert_eq!(evidence.job, task.job);
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn a_folder_cut_off_on_its_way_in_or_out_is_no_attempt() {
    let server = TestServer::start().await;
    server.set_habits(Habits {
        go: true,
        record: false,
    });
    let mut desktop = TestDesktop::started(&server).await;
    let task = quiet(
        server.add_package("a.sh", "echo x >>count"),
        "sh ${FILE_PATH}",
    );
    server.give(&task).await;
    server.evidence(task.attempt).await;
    desktop.kill_agent();

    // Killed while it forgot the attempt: task and go are left, and nothing that tells that it ran.
    let folder = desktop.attempt_folder();
    let going = folder.with_extension("going");
    std::fs::rename(&folder, &going).unwrap();
    for file in ["run.json", "started.json", "exit.json", "receipt.json"] {
        std::fs::remove_file(going.join(file)).unwrap();
    }
    assert!(exists(&going.join("task.json")) && exists(&going.join("go")));
    // Killed while it took another one: its task is not written.
    std::fs::create_dir(folder.with_extension("coming")).unwrap();

    desktop.start();
    assert!(server.hello(2).await.attempts.is_empty());
    assert!(desktop.attempt_folders().is_empty());
    assert_eq!(desktop.read("count"), "x\n");
}
