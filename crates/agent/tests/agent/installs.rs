//! Whole attempts without accidents of the agent's own.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::Command;

use outfitter_agent_protocol::{
    AgentMessage, DetectionRule, FailureCode, Method, PackageRef, Phase, ServerMessage, TaskKind,
};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use crate::process::{TestDesktop, again, exists, file_rule, lives, quiet, wait_until};
use crate::server::{Fault, TestServer, plain_server};

#[tokio::test]
async fn an_installer_runs_and_its_effect_is_seen_before_and_after() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    // A self-extracting installer, started by its own path, with a space in its name.
    let script = "#!/bin/sh\nmkdir -p \"$OUTFITTER_ROOT/opt\"\nprintf content >\"$OUTFITTER_ROOT/opt/app\"\n\
                  env >\"$OUTFITTER_ROOT/env\"\numask >>\"$OUTFITTER_ROOT/env\"\npwd >>\"$OUTFITTER_ROOT/env\"\n\
                  echo \"installed $1 from $0\"\necho x >>\"$OUTFITTER_ROOT/count\"\n";
    let package = server.add_package("my setup.run", script);
    let mut task = quiet(package, "${FILE_PATH} --silent");
    let digest = hex::encode(Sha256::digest(b"content"));
    task.detection = file_rule("/opt/app", Some(digest));
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert!(!evidence.before.unwrap().holds && evidence.after.unwrap().holds);
    assert!(!evidence.already_installed);
    assert!(
        evidence
            .output_tail
            .starts_with("installed --silent from /")
    );
    assert_eq!(evidence.package_sha256, task.package.sha256);
    assert_eq!(evidence.package_size_bytes, Some(script.len() as u64));
    assert!(evidence.command.unwrap().contains("my setup.run"));
    assert_eq!(
        evidence.sandbox_root.as_deref().map(Path::new),
        Some(desktop.root().as_path())
    );
    let phases: Vec<Phase> = evidence.phases.iter().map(|mark| mark.phase).collect();
    assert_eq!(
        phases,
        [
            Phase::Detecting,
            Phase::Downloading,
            Phase::Verifying,
            Phase::Running,
            Phase::Confirming
        ]
    );
    let environment = desktop.read("env");
    assert!(
        environment.contains("PATH=/usr/local/sbin"),
        "{environment}"
    );
    assert!(environment.contains("LANG=C.UTF-8") && environment.contains("FILE_PATH=/"));
    assert!(
        environment.contains("0022\n") && environment.ends_with("root\n"),
        "{environment}"
    );
    assert!(!environment.contains("CANARY"));
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;

    // The rule pins the content: nothing is fetched or run for the same once more.
    let second = again(&task);
    server.give(&second).await;
    let evidence = server.evidence(second.attempt).await;
    assert!(evidence.already_installed && evidence.exit_code.is_none());
    assert_eq!(desktop.read("count"), "x\n");
    assert_eq!(server.ranges().len(), 1);
}

fn script_rule(script: &str, time_limit_secs: Option<u32>) -> Option<DetectionRule> {
    Some(DetectionRule::Script {
        script: script.to_owned(),
        exit_codes: vec![0, 3],
        time_limit_secs,
    })
}

#[tokio::test]
async fn a_script_rule_runs_like_an_installer_and_proves_no_new_revision() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = "printf content >\"$OUTFITTER_ROOT/app\"\necho password=hunter2\n";
    let package = server.add_package("a.sh", script);
    let mut task = quiet(package, "sh ${FILE_PATH}");
    task.detection = script_rule(
        "env >\"$OUTFITTER_ROOT/rule-env\"; echo token: hunter2; test -e \"$OUTFITTER_ROOT/app\" || exit 1; exit 3",
        None,
    );
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert!(!evidence.before.as_ref().unwrap().holds);
    let after = evidence.after.clone().unwrap();
    assert!(
        after.holds && after.seen.contains("exit code 3"),
        "{}",
        after.seen
    );
    let told = serde_json::to_string(&evidence).unwrap();
    assert!(
        told.contains("******") && !told.replace("echo token: hunter2", "").contains("hunter2"),
        "{told}"
    );
    let environment = desktop.read("rule-env");
    assert!(environment.contains("PATH=/usr/local/sbin") && !environment.contains("CARGO"));

    // True before, and yet it runs: a script says nothing of the version.
    let task = again(&task);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert!(evidence.before.unwrap().holds && !evidence.already_installed);
    assert_eq!(evidence.exit_code, Some(0));

    // What it started is ended with it at its limit, and nothing is known then.
    let mut task = again(&task);
    task.detection = script_rule(
        "sleep 300 & echo $! >\"$OUTFITTER_ROOT/pid\"; sleep 300",
        Some(1),
    );
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    let after = evidence.after.unwrap();
    assert!(
        !after.holds && after.seen.contains("cannot be evaluated"),
        "{}",
        after.seen
    );
    let pid: i32 = desktop.read("pid").trim().parse().unwrap();
    wait_until("the script's child is gone", || !lives(pid)).await;
}

#[tokio::test]
async fn each_end_is_signed_with_the_key_of_the_certificate() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let package = server.add_package("a.sh", "exit 7");
    let mut task = quiet(package, "sh ${FILE_PATH}");
    task.project = Some(outfitter_ids::ProjectId::new(uuid::Uuid::new_v4()));
    server.give(&task).await;
    server.evidence(task.attempt).await;
    let receipt = server.receipt(task.attempt);
    let statement = receipt.statement().unwrap();
    assert_eq!(statement.task.as_ref(), Some(&task));
    assert_eq!(statement.project, task.project);
    assert_eq!(statement.evidence.exit_code, Some(7));
    let signature = receipt.signature().unwrap().expect("a signature");
    let text = receipt.text().unwrap();
    let signed = outfitter_agent_protocol::signed_bytes(&receipt.payload_type, text.as_bytes());
    assert!(server.has_signed(&signature, &signed));
    assert!(!server.has_signed(&signature, text.as_bytes()));
}

#[tokio::test]
async fn a_lying_installer_is_seen_through() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let mut task = quiet(server.add_package("liar.sh", "exit 0"), "sh ${FILE_PATH}");
    task.detection = file_rule("/opt/app", None);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    let after = evidence.after.unwrap();
    assert!(!after.holds && after.seen.contains("missing"), "{after:?}");
}

#[tokio::test]
async fn a_named_shell_gets_the_path_by_its_environment() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let package = server.add_package("it's $(touch oops).txt", "the package");
    let task = quiet(package, "sh -c 'cat \"${FILE_PATH}\" >copy; exit 3'");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.exit_code, Some(3), "{evidence:?}");
    assert_eq!(desktop.read("copy"), "the package");
    assert!(!exists(&desktop.root().join("oops")));
}

#[tokio::test]
async fn commands_that_cannot_run_say_why() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let package = server.add_package("p", "text");
    for (command, code) in [
        ("no-such-program ${FILE_PATH}", FailureCode::CommandInvalid),
        ("sh 'open", FailureCode::CommandInvalid),
        ("/etc", FailureCode::StartFailed),
    ] {
        let task = quiet(package.clone(), command);
        server.give(&task).await;
        let evidence = server.evidence(task.attempt).await;
        assert_eq!(evidence.failure, Some(code), "{command}: {evidence:?}");
        assert!(evidence.failure_detail.is_some() && evidence.exit_code.is_none());
    }
}

#[tokio::test]
async fn bytes_that_are_not_the_recorded_ones_never_run() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let package = server.add_package("a.sh", "echo good >ran");
    server.forge_package(&package, "echo evil >ran");
    let task = quiet(package, "sh ${FILE_PATH}");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::DigestMismatch));
    assert_eq!(evidence.exit_code, None);
    assert!(!exists(&desktop.root().join("ran")));
}

#[tokio::test]
async fn a_cut_download_is_resumed_and_a_refused_source_asked_for_again() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let task = quiet(server.add_package("big", bytes), "true ${FILE_PATH}");
    server.add_faults([
        Fault::CutAfter(1_000_000),
        Fault::Status(503),
        Fault::Status(403),
        Fault::CutAfter(500_000),
    ]);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    let ranges = server.ranges();
    assert_eq!(ranges.len(), 5, "{ranges:?}");
    assert_eq!(ranges[0], "");
    assert!(
        ranges[1..].iter().all(|range| range.starts_with("bytes=")),
        "{ranges:?}"
    );
    assert_eq!(ranges[1..4], vec![ranges[1].clone(); 3]);
    assert_ne!(ranges[4], ranges[3]);
}

#[tokio::test]
async fn a_link_without_a_digest_tells_what_was_run() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = b"echo linked >ran";
    let package = PackageRef {
        file_name: "app.sh".to_owned(),
        sha256: None,
        size_bytes: None,
    };
    let task = quiet(package, "sh ${FILE_PATH}");
    server.set_link(task.attempt, &plain_server(script).await);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    assert_eq!(
        evidence.package_sha256,
        Some(hex::encode(Sha256::digest(script)))
    );
    assert_eq!(desktop.read("ran"), "linked\n");
}

#[tokio::test]
async fn a_source_that_keeps_refusing_or_is_gone_ends_the_attempt() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let package = server.add_package("a", "x");
    for (faults, code) in [
        (vec![Fault::Status(403); 4], FailureCode::DownloadForbidden),
        (vec![Fault::Status(404)], FailureCode::DownloadGone),
    ] {
        server.add_faults(faults);
        let task = quiet(package.clone(), "true ${FILE_PATH}");
        server.give(&task).await;
        assert_eq!(server.evidence(task.attempt).await.failure, Some(code));
    }
}

#[tokio::test]
async fn the_run_limit_ends_children_and_daemons_too() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = "echo begun\nsetsid sh -c 'echo $$ >daemon; exec sleep 600' >/dev/null 2>&1 &\n\
                  sh -c 'echo $$ >child; exec sleep 600' &\nsleep 600\n";
    let mut task = quiet(server.add_package("slow.sh", script), "sh ${FILE_PATH}");
    task.run_limit_secs = 2;
    task.detection = file_rule("/opt/app", None);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (Some(FailureCode::RunLimit), None)
    );
    assert_eq!(evidence.output_tail, "begun\n");
    assert!(evidence.after.is_some());
    for file in ["daemon", "child"] {
        let pid: i32 = desktop.read(file).trim().parse().unwrap();
        assert!(!lives(pid), "{file} {pid} lives");
    }
}

#[tokio::test]
async fn an_installer_that_ignores_the_polite_signal_is_ended_all_the_same() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = "trap '' TERM\necho $$ >pid\nwhile :; do sleep 1; done\n";
    let task = quiet(server.add_package("stubborn.sh", script), "sh ${FILE_PATH}");
    server.give(&task).await;
    desktop.wait_for_file("pid").await;
    server
        .send(ServerMessage::Cancel {
            attempt: task.attempt,
        })
        .await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::Cancelled));
    assert!(!lives(desktop.read("pid").trim().parse().unwrap()));
}

#[tokio::test]
async fn what_a_good_installer_leaves_running_stays() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = "setsid sh -c 'echo $$ >daemon; exec sleep 600' &\nwhile ! [ -s daemon ]; do sleep 0.01; done\n";
    let task = quiet(server.add_package("daemon.sh", script), "sh ${FILE_PATH}");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    let daemon: i32 = desktop.read("daemon").trim().parse().unwrap();
    assert!(lives(daemon));
    // Its control group, where there is one, goes with a later attempt.
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
    crate::process::kill_9(daemon);
    wait_until("the daemon is gone", || !lives(daemon)).await;
    let second = quiet(server.add_package("a.sh", "exit 0"), "sh ${FILE_PATH}");
    server.give(&second).await;
    server.evidence(second.attempt).await;
    wait_until("the attempt is forgotten", || {
        desktop.attempt_folders().is_empty()
    })
    .await;
    let left = std::fs::read(desktop.state().join("control-groups.json"));
    assert!(left.is_err() || left.unwrap() == b"[]");
}

#[tokio::test]
async fn only_the_end_of_much_output_is_kept_and_signals_have_their_code() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let script = "i=0; while [ $i -lt 20000 ]; do printf 'line %d \\033[1m\\377\\n' $i; i=$((i+1)); done\n\
                  echo the end >&2; kill -9 $$";
    let task = quiet(server.add_package("loud.sh", script), "sh ${FILE_PATH}");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.exit_code, Some(128 + 9));
    assert!(evidence.output_tail.ends_with("the end\n"));
    assert!(evidence.output_tail.contains("line 19999"));
    assert!(evidence.output_tail.len() <= outfitter_agent_protocol::MAX_OUTPUT_TAIL_BYTES);
}

fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn an_archive_is_unpacked_proven_and_upgraded() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let package = server.add_package("app.zip", zip_of(&[("bin/app", "one"), ("readme", "one")]));
    let mut task = quiet(package, "unzip ${FILE_PATH}");
    task.method = Method::Unzip;
    task.app_name = "My: app".to_owned();
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    assert_eq!(evidence.manifest_files, Some(2));
    assert!(!evidence.before.unwrap().holds && evidence.after.unwrap().holds);
    assert_eq!(desktop.read("opt/My_ app/bin/app"), "one");

    let second = again(&task);
    server.give(&second).await;
    let evidence = server.evidence(second.attempt).await;
    // The server believes this only where a manifest is named.
    assert!(evidence.already_installed && evidence.manifest_files == Some(2));

    // Damaged, it is not there any more and is put back.
    desktop.write("opt/My_ app/readme", "changed");
    let third = again(&task);
    server.give(&third).await;
    let evidence = server.evidence(third.attempt).await;
    assert!(!evidence.already_installed && evidence.after.unwrap().holds);
    assert_eq!(desktop.read("opt/My_ app/readme"), "one");

    // The next revision replaces what the earlier one listed, and nothing of anybody else.
    desktop.write("opt/My_ app/mine", "mine");
    let mut upgrade = again(&task);
    upgrade.revision = outfitter_ids::RevisionId::new(uuid::Uuid::new_v4());
    upgrade.package = server.add_package("app.zip", zip_of(&[("bin/app", "two"), ("mine", "two")]));
    server.give(&upgrade).await;
    let evidence = server.evidence(upgrade.attempt).await;
    assert_eq!(
        evidence.failure,
        Some(FailureCode::ArchiveRefused),
        "{evidence:?}"
    );
    assert_eq!(desktop.read("opt/My_ app/bin/app"), "one");
    std::fs::remove_file(desktop.root().join("opt/My_ app/mine")).unwrap();
    let upgrade = again(&upgrade);
    server.give(&upgrade).await;
    assert!(server.evidence(upgrade.attempt).await.after.unwrap().holds);
    assert_eq!(desktop.read("opt/My_ app/bin/app"), "two");
}

#[tokio::test]
async fn an_archive_stays_in_the_sandbox() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), desktop.root().join("srv")).unwrap();
    for (files, command) in [
        (&[("../up", "x")][..], "unzip ${FILE_PATH} -d /opt/x"),
        (&[("a", "x")][..], "unzip ${FILE_PATH} -d /srv/x"),
    ] {
        let mut task = quiet(server.add_package("a.zip", zip_of(files)), command);
        task.method = Method::Unzip;
        server.give(&task).await;
        let evidence = server.evidence(task.attempt).await;
        assert_eq!(
            evidence.failure,
            Some(FailureCode::ArchiveRefused),
            "{evidence:?}"
        );
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

fn debian_package(folder: &Path) -> Vec<u8> {
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(tree.join("usr/share/hello-test")).unwrap();
    std::fs::write(tree.join("usr/share/hello-test/file"), "hello").unwrap();
    let control = "Package: hello-test\nVersion: 1.2-3\nArchitecture: all\nMaintainer: Test <t@example.org>\n\
                   Depends: something-absent\nDescription: a test\n";
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let output = Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .arg(&tree)
        .arg(folder.join("hello.deb"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(folder.join("hello.deb")).unwrap()
}

#[tokio::test]
async fn a_debian_package_tells_its_own_rule() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let package = server.add_package("hello.deb", debian_package(folder.path()));
    // What a shell would expand is written out by one that the command names.
    let command = "sh -c 'dpkg --root=\"$OUTFITTER_ROOT\" --force-not-root --force-depends --log=\"$OUTFITTER_ROOT/dpkg.log\" -i \"${FILE_PATH}\"'";
    let task = quiet(package, command);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    let rule = DetectionRule::DebianPackage {
        name: "hello-test".to_owned(),
        version: Some("1.2-3".to_owned()),
    };
    assert_eq!(evidence.rule, Some(rule));
    assert!(!evidence.before.unwrap().holds);
    assert_eq!(
        evidence.after.unwrap().seen,
        "hello-test 1.2-3 is installed"
    );
    assert_eq!(desktop.read("usr/share/hello-test/file"), "hello");

    let second = again(&task);
    server.give(&second).await;
    assert!(server.evidence(second.attempt).await.already_installed);

    let mut removal = again(&task);
    removal.kind = TaskKind::Uninstall;
    removal.command = "sh -c 'dpkg --root=\"$OUTFITTER_ROOT\" --force-not-root --log=\"$OUTFITTER_ROOT/dpkg.log\" -r hello-test'".to_owned();
    removal.detection = Some(DetectionRule::DebianPackage {
        name: "hello-test".to_owned(),
        version: None,
    });
    let downloads = server.ranges().len();
    server.give(&removal).await;
    let evidence = server.evidence(removal.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    assert!(evidence.before.unwrap().holds && !evidence.after.unwrap().holds);
    assert_eq!(server.ranges().len(), downloads);
}

#[tokio::test]
async fn what_was_unpacked_is_taken_off_and_nothing_else() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let package = server.add_package("app.zip", zip_of(&[("bin/app", "one"), ("readme", "one")]));
    let mut task = quiet(package, "unzip ${FILE_PATH} -d /opt/tool");
    task.method = Method::Unzip;
    let removal = |task: &outfitter_agent_protocol::Task| {
        let mut removal = again(task);
        removal.kind = TaskKind::Uninstall;
        removal
    };
    // Never unpacked: nothing is fetched or run.
    let first = removal(&task);
    server.give(&first).await;
    let evidence = server.evidence(first.attempt).await;
    assert!(
        evidence.already_absent && evidence.exit_code.is_none(),
        "{evidence:?}"
    );
    assert!(server.ranges().is_empty());

    server.give(&task).await;
    server.evidence(task.attempt).await;
    desktop.write("opt/tool/mine", "mine");
    desktop.write("opt/tool/readme", "changed");
    let second = removal(&task);
    server.give(&second).await;
    let evidence = server.evidence(second.attempt).await;
    assert_eq!(
        (
            evidence.failure,
            evidence.exit_code,
            evidence.manifest_files
        ),
        (None, Some(0), Some(2)),
        "{evidence:?}"
    );
    assert!(evidence.before.unwrap().holds && !evidence.after.unwrap().holds);
    assert_eq!(desktop.read("opt/tool/mine"), "mine");
    assert!(!exists(&desktop.root().join("opt/tool/bin")));
    assert_eq!(
        server.ranges().len(),
        1,
        "no package is needed to take it off"
    );

    // What is somebody else's by now is not the app's any more when it comes back.
    desktop.write("opt/tool/readme", "not the app's");
    let back = again(&task);
    server.give(&back).await;
    let evidence = server.evidence(back.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::ArchiveRefused));
    assert_eq!(desktop.read("opt/tool/readme"), "not the app's");
}

#[tokio::test]
async fn a_command_that_leaves_what_was_unpacked_has_not_taken_it_off() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let package = server.add_package("app.zip", zip_of(&[("app", "one")]));
    let mut task = quiet(package, "unzip ${FILE_PATH} -d /opt/tool");
    task.method = Method::Unzip;
    server.give(&task).await;
    server.evidence(task.attempt).await;
    for (command, gone) in [
        ("true", false),
        ("sh -c 'rm -r \"$OUTFITTER_ROOT/opt/tool\"'", true),
    ] {
        let mut removal = again(&task);
        removal.kind = TaskKind::Uninstall;
        removal.command = command.to_owned();
        server.give(&removal).await;
        let evidence = server.evidence(removal.attempt).await;
        assert_eq!(evidence.exit_code, Some(0), "{evidence:?}");
        assert_eq!(evidence.manifest_files, Some(1));
        assert_eq!(evidence.after.unwrap().holds, !gone);
    }
    assert!(!exists(&desktop.root().join("opt/tool")));
}

#[tokio::test]
async fn an_uninstaller_may_want_its_package_and_lies_are_seen_through() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let script = "[ \"$1\" = --remove ] || exit 3\nrm -f \"$OUTFITTER_ROOT/opt/app\"\n";
    let mut task = quiet(
        server.add_package("setup.sh", script),
        "sh ${FILE_PATH} --remove",
    );
    task.kind = TaskKind::Uninstall;
    task.detection = file_rule("/opt/app", None);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert!(evidence.already_absent && server.ranges().is_empty());

    std::fs::create_dir(desktop.root().join("opt")).unwrap();
    desktop.write("opt/app", "x");
    let liar = outfitter_agent_protocol::Task {
        command: "true".to_owned(),
        ..again(&task)
    };
    server.give(&liar).await;
    let evidence = server.evidence(liar.attempt).await;
    assert_eq!(evidence.exit_code, Some(0));
    assert!(evidence.after.unwrap().holds, "it is still there");

    let honest = again(&task);
    server.give(&honest).await;
    let evidence = server.evidence(honest.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert!(!evidence.after.unwrap().holds && !evidence.already_absent);
    assert_eq!(server.ranges().len(), 1);
}

#[tokio::test]
async fn a_repair_runs_although_it_is_there() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    std::fs::create_dir(desktop.root().join("opt")).unwrap();
    desktop.write("opt/app", "content");
    let script = "echo x >>count";
    let mut task = quiet(server.add_package("a.sh", script), "sh ${FILE_PATH}");
    task.detection = file_rule("/opt/app", Some(hex::encode(Sha256::digest(b"content"))));
    server.give(&task).await;
    assert!(server.evidence(task.attempt).await.already_installed);
    let mut repair = again(&task);
    repair.approach = outfitter_agent_protocol::Approach::Repair;
    server.give(&repair).await;
    let evidence = server.evidence(repair.attempt).await;
    assert!(!evidence.already_installed && evidence.exit_code == Some(0));
    assert_eq!(desktop.read("count"), "x\n");
}

#[tokio::test]
async fn one_attempt_at_a_time() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let wait = server.add_package(
        "wait.sh",
        "echo begun >begun; while ! [ -e finish ]; do sleep 0.05; done",
    );
    let first = quiet(wait.clone(), "sh ${FILE_PATH}");
    server.give(&first).await;
    desktop.wait_for_file("begun").await;
    let second = quiet(wait, "sh ${FILE_PATH}");
    server.give(&second).await;
    server
        .wait_for_message("refusal of the second task", |message| {
            matches!(message, AgentMessage::Declined { attempt, .. } if *attempt == second.attempt)
        })
        .await;
    desktop.write("finish", "x");
    assert_eq!(server.evidence(first.attempt).await.exit_code, Some(0));
    server.give(&second).await;
    assert_eq!(server.evidence(second.attempt).await.exit_code, Some(0));
}
