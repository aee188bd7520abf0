//! Two hundred installers that lie, each run by the real agent and judged as the server judges: twenty things an
//! installer does, ten things it leaves. `docs/lying-installers.md` is the list with what came of each.

use std::fmt::Write as _;
use std::time::Duration;

use outfitter_agent_protocol::{DetectionRule, Evidence, Task};
use outfitter_domain::job::{Proof, Reason, Verdict, judge};
use sha2::{Digest as _, Sha256};

use crate::process::{TestDesktop, quiet};
use crate::server::TestServer;

/// What the right file holds.
const RIGHT: &str = "the app, version 2";

/// What an installer leaves: words, and a script that does it in `$D`, the app's folder. The app's file is `$D/app`.
const LEAVES: [(&str, &str); 10] = [
    ("nothing", ":"),
    ("the app", "printf '%s' \"$RIGHT\" >\"$D/app\""),
    (
        "another version",
        "printf '%s' 'the app, version 1' >\"$D/app\"",
    ),
    ("an empty file", ": >\"$D/app\""),
    ("half of the file", "printf '%s' 'the app,' >\"$D/app\""),
    ("a folder of that name", "mkdir \"$D/app\""),
    ("a link to nowhere", "ln -s \"$D/gone\" \"$D/app\""),
    (
        "a link to another file",
        "echo x >\"$D/x\"; ln -s x \"$D/app\"",
    ),
    ("the app elsewhere", "printf '%s' \"$RIGHT\" >\"$D/app2\""),
    (
        "the app, removed again",
        "printf '%s' \"$RIGHT\" >\"$D/app\"; rm \"$D/app\"",
    ),
];

/// What the server makes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It claims success: only the right file proves it.
    Claims,
    /// Whatever it leaves, it failed for this reason.
    Fails(Reason),
}

/// What an installer does: words, a script in which `LEAVE` stands for what it leaves, and its end.
const DOES: [(&str, &str, End); 20] = [
    ("exits with 0", "LEAVE\nexit 0", End::Claims),
    (
        "says that all went well",
        "LEAVE\necho 'Installation completed successfully.'",
        End::Claims,
    ),
    (
        "exits with 1",
        "LEAVE\nexit 1",
        End::Fails(Reason::ExitCode),
    ),
    (
        "exits with 255",
        "LEAVE\nexit 255",
        End::Fails(Reason::ExitCode),
    ),
    (
        "is killed",
        "LEAVE\nkill -9 $$",
        End::Fails(Reason::ExitCode),
    ),
    ("hangs", "LEAVE\nsleep 600", End::Fails(Reason::RunLimit)),
    (
        "hangs with a child",
        "LEAVE\nsh -c 'sleep 600; true' &\nwait",
        End::Fails(Reason::RunLimit),
    ),
    (
        "forks and exits with 0",
        "LEAVE\nsetsid sleep 3 >/dev/null 2>&1 &\nexit 0",
        End::Claims,
    ),
    (
        "exits with 0 before its child begins",
        "(while ! [ -e \"$D/judged\" ] && [ -e \"$D\" ]; do sleep 0.2; done; LEAVE) >/dev/null 2>&1 &\nexit 0",
        End::Fails(Reason::NotDetectedAfterInstall),
    ),
    (
        "deletes itself",
        "LEAVE\nrm -f \"$FILE_PATH\"\nexit 0",
        End::Claims,
    ),
    (
        "deletes the folder it is in",
        "LEAVE\nrm -rf \"$(dirname \"$FILE_PATH\")\"\nexit 0",
        End::Claims,
    ),
    (
        "kills the agent",
        "LEAVE\nkill -9 \"$(cat \"$OUTFITTER_ROOT/agent.pid\")\"\nexit 0",
        End::Claims,
    ),
    (
        "kills the supervisor",
        "LEAVE\nkill -9 $PPID\nexit 0",
        End::Fails(Reason::Interrupted),
    ),
    (
        "kills the agent and the supervisor",
        "LEAVE\nkill -9 \"$(cat \"$OUTFITTER_ROOT/agent.pid\")\" $PPID\nexit 0",
        End::Fails(Reason::Interrupted),
    ),
    (
        "asks for input and gives up",
        "LEAVE\nprintf 'Continue? '\nread answer || exit 3",
        End::Fails(Reason::ExitCode),
    ),
    (
        "writes binary garbage",
        "LEAVE\nhead -c 200000 /dev/urandom\nexit 0",
        End::Claims,
    ),
    ("asks for a restart", "LEAVE\nexit 194", End::Claims),
    (
        "finds dpkg's lock held",
        "LEAVE\necho 'dpkg: error: dpkg frontend lock was locked by another process with pid 1' >&2\nexit 2",
        End::Fails(Reason::InstallerBusy),
    ),
    (
        "speaks of a lock and exits with 0",
        "LEAVE\necho 'E: Could not get lock /var/lib/dpkg/lock' >&2\nexit 0",
        End::Claims,
    ),
    (
        "runs out of room",
        "LEAVE\nulimit -f 1\nhead -c 100000 /dev/zero >\"$D/large\" || exit 28",
        End::Fails(Reason::ExitCode),
    ),
];

/// Agents at once.
const DESKTOPS: usize = 4;

#[tokio::test]
async fn two_hundred_lying_installers_and_no_false_success() {
    let desktops: Vec<_> = (0..DESKTOPS)
        .map(|first| tokio::spawn(run_on_one(first)))
        .collect();
    let mut rows = Vec::new();
    for desktop in desktops {
        rows.extend(desktop.await.unwrap());
    }
    rows.sort();
    assert_eq!(rows.len(), 200);
    let mut table = String::from(
        "| # | it | it leaves | with a rule | without |\n| --- | --- | --- | --- | --- |\n",
    );
    for (number, row) in rows {
        writeln!(table, "| {} | {row} |", number + 1).unwrap();
    }
    eprintln!("{table}");
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/lying-installers.md"
    );
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed.contains(&table),
        "docs/lying-installers.md has another table than:\n{table}"
    );
}

/// Every fourth of the things that installers do, each leaving each thing, on one desktop.
async fn run_on_one(first: usize) -> Vec<(usize, String)> {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::enrolled(&server).await;
    desktop.revive();
    let mut rows = Vec::new();
    for (story, (does, script, end)) in DOES.iter().enumerate().skip(first).step_by(DESKTOPS) {
        for (leave, (leaves, effect)) in LEAVES.iter().enumerate() {
            let number = story * LEAVES.len() + leave;
            let task = lie(&server, number, &script.replace("LEAVE", effect));
            let evidence = carried_out(&server, &mut desktop, &task).await;
            let verdict = judge(&task, &evidence);
            let is_right = *leaves == "the app";
            match (&verdict, end) {
                (Verdict::Succeeded(proof), End::Claims) => {
                    assert!(is_right, "false success: {does}, {leaves}: {evidence:?}");
                    assert_eq!(*proof, Proof::Rule);
                }
                (Verdict::Failed(failure), End::Claims) => {
                    assert!(!is_right, "false failure: {does}: {failure:?}");
                    assert_eq!(failure.reason, Reason::NotDetectedAfterInstall);
                }
                (Verdict::Failed(failure), End::Fails(reason)) => {
                    assert_eq!(failure.reason, *reason, "{does}, {leaves}: {evidence:?}");
                    assert_eq!(
                        failure.detected_afterwards,
                        is_right && *reason != Reason::NotDetectedAfterInstall
                    );
                }
                (Verdict::Succeeded(_), End::Fails(_)) => {
                    panic!("false success: {does}, {leaves}: {evidence:?}")
                }
            }
            // As the same desktop would have said of an application without a rule.
            let (task, evidence) = without_rule(&task, &evidence);
            let unruled = judge(&task, &evidence);
            assert!(
                matches!(
                    unruled,
                    Verdict::Failed(_) | Verdict::Succeeded(Proof::ExitCodeOnly)
                ),
                "verified without a rule: {does}, {leaves}"
            );
            rows.push((
                number,
                format!(
                    "{does} | {leaves} | {} | {}",
                    words(&verdict),
                    words(&unruled)
                ),
            ));
            desktop.write(&format!("opt/lie{number}/judged"), "");
        }
        // Whatever they did, an honest one on the same desktop is not affected.
        let honest = lie(&server, 1000 + story, LEAVES[1].1);
        let evidence = carried_out(&server, &mut desktop, &honest).await;
        assert_eq!(
            judge(&honest, &evidence),
            Verdict::Succeeded(Proof::Rule),
            "the honest one after: {does}"
        );
    }
    rows
}

/// A task whose rule pins the right content.
fn lie(server: &TestServer, number: usize, script: &str) -> Task {
    let script = format!(
        "D=\"$OUTFITTER_ROOT/opt/lie{number}\"\nRIGHT='{RIGHT}'\nmkdir -p \"$D\"\n{script}\n"
    );
    let package = server.add_package(&format!("lie{number}.sh"), script);
    let mut task = quiet(package, "sh ${FILE_PATH}");
    task.run_limit_secs = if number < 1000 { 2 } else { 60 };
    task.success_exit_codes.push(194);
    task.detection = Some(DetectionRule::File {
        path: format!("/opt/lie{number}/app"),
        sha256: Some(hex::encode(Sha256::digest(RIGHT))),
        size_bytes: None,
    });
    task
}

/// The evidence of a task, its agent started anew whenever it was killed.
async fn carried_out(server: &TestServer, desktop: &mut TestDesktop, task: &Task) -> Evidence {
    server.give(task).await;
    let evidence = server.evidence(task.attempt);
    tokio::pin!(evidence);
    loop {
        tokio::select! {
            evidence = &mut evidence => return evidence,
            () = tokio::time::sleep(Duration::from_millis(20)) => desktop.revive(),
        }
    }
}

fn without_rule(task: &Task, evidence: &Evidence) -> (Task, Evidence) {
    let task = Task {
        detection: None,
        ..task.clone()
    };
    let evidence = Evidence {
        rule: None,
        before: None,
        after: None,
        ..evidence.clone()
    };
    (task, evidence)
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded(Proof::ExitCodeOnly) => "SUCCESS, unverified".to_owned(),
        Verdict::Succeeded(_) => "SUCCESS, verified".to_owned(),
        Verdict::Failed(failure) if failure.detected_afterwards => {
            format!("FAIL `{}`, detected afterwards", failure.reason.code())
        }
        Verdict::Failed(failure) => format!("FAIL `{}`", failure.reason.code()),
    }
}
